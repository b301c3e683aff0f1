/*-------------------------------------------------------------------------
 *
 * cext_row.c
 *		Rows that SQL functions return.
 *
 * The function's columns are in the catalogs, the values in our C code; after
 * an update of one but not of the other they need not fit.  By the rule for
 * SQL scripts (CONTRIBUTING.md) a function whose columns change gets a new
 * symbol, so this is the second line of defence: it costs a comparison, and
 * saves the server from reading past our arrays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "cext_compat.h"
#include "cext_row.h"

static void
check_columns(FunctionCallInfo fcinfo, TupleDesc desc, int ncolumns)
{
	if (desc->natts != ncolumns)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the library and the SQL objects of cache_ext are of different versions"),
				 errdetail("Function %s has %d columns, the library returns %d.",
						   quote_identifier(get_func_name(fcinfo->flinfo->fn_oid)),
						   desc->natts, ncolumns),
				 errhint("After installing another version, restart the server, and run ALTER EXTENSION cache_ext UPDATE in each database.")));
}

/* Makes ready to return any number of rows, by way of a tuplestore. */
void
cext_begin_rows(FunctionCallInfo fcinfo, int ncolumns)
{
	InitMaterializedSRF(fcinfo, 0);
	check_columns(fcinfo, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, ncolumns);
}

/* The single row of a function. */
Datum
cext_one_row(FunctionCallInfo fcinfo, int ncolumns, const Datum *values, const bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	check_columns(fcinfo, desc, ncolumns);
	desc = BlessTupleDesc(desc);
	return HeapTupleGetDatum(heap_form_tuple(desc, (Datum *) values, (bool *) nulls));
}
