/*-------------------------------------------------------------------------
 *
 * cext_fill.h
 *		Computing an answer, and storing it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_FILL_H
#define CEXT_FILL_H

#include "cext_query.h"

extern Datum cext_fill(CextCall *call, const CextIdent *ident, CextBypass *reason,
					   bool claimed, bool *stored, double *us,
					   TupleDesc expected, Tuplestorestate *tuplestore);

#endif							/* CEXT_FILL_H */
