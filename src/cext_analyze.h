/*-------------------------------------------------------------------------
 *
 * cext_analyze.h
 *		What a query is, and whether its result may be stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_ANALYZE_H
#define CEXT_ANALYZE_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "cext_stats.h"

/* What is to be known of a function that is called. */
typedef enum CextFunctionKind
{
	CEXT_FUNCTION_PLAIN,
	CEXT_FUNCTION_SETTING,		/* reads a setting by name */
	CEXT_FUNCTION_SESSION,		/* of the session, its transaction or snapshot */
	CEXT_FUNCTION_TEMPORARY,	/* of the session, too: in its own schema */
	CEXT_FUNCTION_CATALOG,		/* looks into the catalogs by itself */
	CEXT_FUNCTION_C,			/* of an extension: may read settings, too */
	CEXT_FUNCTION_C_IMMUTABLE,	/* of which that is not to be expected */
	CEXT_FUNCTION_OURS
} CextFunctionKind;

/* Parse analysis of a caller's query; what is refused is an error. */
extern Query *cext_analyze(const char *query, Oid **types, int *ntypes,
						   int nargs);
extern CextBypass cext_plan_bypass(PlannedStmt *stmt);
extern bool cext_row_security_in_force(PlannedStmt *stmt);
extern List *cext_types_made(Query *query);
extern CextBypass cext_classify(Query *query, bool *user_functions,
								bool *reads_settings);
extern CextFunctionKind cext_function_kind(Oid funcid);
extern bool cext_type_has_names(Oid type);
extern bool cext_converts_names(Query *query);

#endif							/* CEXT_ANALYZE_H */
