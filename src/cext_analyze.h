/*-------------------------------------------------------------------------
 *
 * cext_analyze.h
 *		What a query is, and whether its result may be stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_ANALYZE_H
#define CEXT_ANALYZE_H

#include "nodes/execnodes.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "cext_stats.h"

/* Parse analysis of a caller's query; what is refused is an error. */
extern Query *cext_analyze(const char *query, Oid **types, int *ntypes,
						   int nargs);
extern CextBypass cext_plan_bypass(PlannedStmt *stmt);
extern bool cext_plan_reads_system_columns(PlanState *planstate, void *arg);
extern bool cext_row_security_in_force(PlannedStmt *stmt);
extern List *cext_types_made(Query *query);
extern CextBypass cext_classify(Query *query, bool *user_functions,
								bool *reads_settings);
extern bool cext_type_has_names(Oid type);
extern bool cext_converts_names(Query *query);

#endif							/* CEXT_ANALYZE_H */
