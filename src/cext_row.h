/*-------------------------------------------------------------------------
 *
 * cext_row.h
 *		Rows that SQL functions return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_ROW_H
#define CEXT_ROW_H

#include "fmgr.h"

extern void cext_begin_rows(FunctionCallInfo fcinfo, int ncolumns);
extern Datum cext_one_row(FunctionCallInfo fcinfo, int ncolumns,
						  const Datum *values, const bool *nulls);

#endif							/* CEXT_ROW_H */
