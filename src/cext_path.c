/*-------------------------------------------------------------------------
 *
 * cext_path.c
 *		The planner's part of a Cache Scan.
 *
 * A FROM item that is one call of cached_query() or cached_rows() gets one path,
 * a Custom Scan (cext_scan.c), at the cost of a Function Scan less that of the
 * tuplestore.  WITH ORDINALITY, ROWS FROM with several functions, references to
 * whole rows (FOR UPDATE of something else makes one), domains over row types
 * and subqueries in the arguments stay with Function Scan.
 *
 * Memory is the planner's; no locks, no state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

#include "cext_compat.h"
#include "cext_path.h"
#include "cext_read.h"
#include "cext_scan.h"

static set_rel_pathlist_hook_type prev_set_rel_pathlist;

static Plan *plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
					   List *tlist, List *clauses, List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = "Cache Scan",
	.PlanCustomPath = plan_scan,
};

/* The call that the FROM item consists of, or NULL if it is none of ours. */
FuncExpr *
cext_path_call(RangeTblEntry *rte)
{
	RangeTblFunction *rtfunc;
	FuncExpr   *func;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return NULL;
	rtfunc = linitial_node(RangeTblFunction, rte->functions);
	func = (FuncExpr *) rtfunc->funcexpr;
	if (!IsA(func, FuncExpr) || !func->funcretset)
		return NULL;
	switch (cext_read_kind(func->funcid))
	{
		case CEXT_READ_QUERY:
			/* else it is an error, which Function Scan reports */
			return rtfunc->funccolnames != NIL ? func : NULL;
		case CEXT_READ_ROWS:
			return func;
		default:
			return NULL;
	}
}

/*
 * The columns of the rows, as Vars of the FROM item.  NIL if they are not all
 * that a scan without a relation can return.
 */
static List *
scan_columns(FuncExpr *func, RangeTblFunction *rtfunc, Index rti)
{
	List	   *columns = NIL;
	TupleDesc	desc;
	Oid			type;
	int			n = 0;

	if (rtfunc->funccolnames != NIL)
		desc = BuildDescFromLists(rtfunc->funccolnames, rtfunc->funccoltypes,
								  rtfunc->funccoltypmods, rtfunc->funccolcollations);
	else
	{
		switch (get_expr_result_type((Node *) func, &type, &desc))
		{
			case TYPEFUNC_COMPOSITE:
				break;
			case TYPEFUNC_SCALAR:
				desc = CreateTemplateTupleDesc(1);
				TupleDescInitEntry(desc, 1, "cached_rows", type, -1, 0);
				TupleDescInitEntryCollation(desc, 1, exprCollation((Node *) func));
				cext_finish_desc(desc);
				break;
			default:
				return NIL;
		}
	}
	/* columns added since the query was parsed are not its own */
	if (desc->natts < rtfunc->funccolcount)
		return NIL;
	for (n = 1; n <= rtfunc->funccolcount; n++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, n - 1);

		if (att->attisdropped)
			return NIL;
		columns = lappend(columns,
						  makeTargetEntry((Expr *) makeVar(rti, n, att->atttypid,
														   att->atttypmod,
														   att->attcollation, 0),
										  n, pstrdup(NameStr(att->attname)), false));
	}
	return columns;
}

/* Is a whole row of the relation needed, or anything else that is no column? */
static bool
needs_whole_row(RelOptInfo *rel)
{
	Bitmapset  *attrs = NULL;
	ListCell   *lc;
	bool		result;

	for (int i = rel->min_attr; i <= 0; i++)
		if (!bms_is_empty(rel->attr_needed[i - rel->min_attr]))
			return true;
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &attrs);
	result = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);
	bms_free(attrs);
	return result;
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	FuncExpr   *func;
	List	   *columns;
	CustomPath *path;
	QualCost   *qual = &rel->baserestrictcost;
	QualCost	call;

	if (prev_set_rel_pathlist)
		prev_set_rel_pathlist(root, rel, rti, rte);
	if (likely(rte->rtekind != RTE_FUNCTION) || IS_DUMMY_REL(rel) ||
		(func = cext_path_call(rte)) == NULL ||
		contain_subplans((Node *) func->args) || needs_whole_row(rel))
		return;
	columns = scan_columns(func, linitial_node(RangeTblFunction, rte->functions), rti);
	if (columns == NIL)
		return;

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.parallel_safe = rel->consider_parallel;
	path->path.rows = path->path.param_info != NULL ?
		path->path.param_info->ppi_rows : rel->rows;

	/* a Function Scan's cost, were it not for the tuplestore */
	cost_qual_eval_node(&call, (Node *) func, root);
	path->path.startup_cost = call.startup + call.per_tuple + qual->startup +
		rel->reltarget->cost.startup;
	path->path.total_cost = path->path.startup_cost +
		(cpu_tuple_cost / 2 + qual->per_tuple) * rel->tuples +
		rel->reltarget->cost.per_tuple * path->path.rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION | CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
	path->custom_private = columns;
	path->methods = &path_methods;
	rel->pathlist = list_make1(path);
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->flags = path->flags;
	scan->custom_exprs = list_make1(cext_path_call(planner_rt_fetch(rel->relid, root)));
	scan->custom_scan_tlist = path->custom_private;
	scan->methods = &cext_scan_methods;
	return &scan->scan.plan;
}

void
cext_path_init(void)
{
	prev_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
}
