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
extern uint64 cext_full_xid(TransactionId xid);

#endif							/* CEXT_FILL_H */
