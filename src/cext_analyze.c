/*-------------------------------------------------------------------------
 *
 * cext_analyze.c
 *		What a query is, and whether its result may be stored.
 *
 * Questions to a query, analyzed and rewritten, and to a plan, before anything
 * runs: what is refused, and what speaks against storing (volatile functions,
 * temporary tables, row-level security and the like).  What only shows while it
 * runs is learned by cext_tracker.c, which puts some of the same questions to
 * what it sees.
 *
 * System columns, but for tableoid, change without their row: VACUUM FULL moves
 * it, a row lock sets its xmax.  Nothing invalidates what shows them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_param.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_function.h"
#include "cext_guc.h"

/* ----------------------------------------------------------------
 *		Plans
 * ----------------------------------------------------------------
 */

/* Does reading this relation speak against storing? */
static CextBypass
relation_bypass(Oid relid)
{
	HeapTuple	tup;
	Form_pg_class rel;
	CextBypass	result = CEXT_CACHEABLE;

	if (relid < FirstNormalObjectId)
		return CEXT_BYPASS_CATALOG;
	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tup))
		return CEXT_CACHEABLE;
	rel = (Form_pg_class) GETSTRUCT(tup);
	if (rel->relpersistence == RELPERSISTENCE_TEMP)
		result = CEXT_BYPASS_TEMPORARY;
	else if (rel->relkind == RELKIND_SEQUENCE)
		result = CEXT_BYPASS_SEQUENCE;
	ReleaseSysCache(tup);
	return result;
}

/* Does an expression read a column that changes without its row? */
static bool
reads_system_column(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno < 0 &&
			((Var *) node)->varattno != TableOidAttributeNumber;
	return expression_tree_walker(node, reads_system_column, arg);
}

/* Is it temporary, be it named only? */
static bool
relation_is_temporary(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tup))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tup))->relpersistence == RELPERSISTENCE_TEMP;
	ReleaseSysCache(tup);
	return result;
}

/* ... reading those of this plan? */
CextBypass
cext_plan_bypass(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		CextBypass	reason;

		/* since 16, the subquery that a view became still names the view */
		if (rte->rtekind != RTE_RELATION && rte->rtekind != RTE_SUBQUERY)
			continue;
		if (!OidIsValid(rte->relid))
			continue;
		reason = relation_bypass(rte->relid);
		if (reason != CEXT_CACHEABLE)
			return reason;
	}

	/* a regclass constant is another in each session */
	foreach(lc, stmt->relationOids)
	{
		if (relation_is_temporary(lfirst_oid(lc)))
			return CEXT_BYPASS_TEMPORARY;
	}
	return CEXT_CACHEABLE;
}

/* Does the running plan read a system column?  Only scans can. */
bool
cext_plan_reads_system_columns(PlanState *planstate, void *arg)
{
	Plan	   *plan = planstate->plan;

	if (IsA(plan, TidScan) || IsA(plan, TidRangeScan) ||
		reads_system_column((Node *) plan->targetlist, NULL) ||
		reads_system_column((Node *) plan->qual, NULL))
		return true;
	return planstate_tree_walker(planstate, cext_plan_reads_system_columns, arg);
}

/*
 * Do policies restrict what this plan reads?  Where they do not apply, to a
 * table's owner say, is a matter of the role and the setting row_security,
 * which are in the identity, and of the catalogs.
 */
bool
cext_row_security_in_force(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION &&
			check_enable_rls(rte->relid, cext_check_as_user(stmt, rte), true) == RLS_ENABLED)
			return true;
	}
	return false;
}

/* Does the text of a value of this type name a relation, or its row type? */
bool
cext_type_has_names(Oid type)
{
	Oid			element;
	TupleDesc	desc;
	bool		result = false;

	check_stack_depth();
	type = getBaseType(type);
	if (type == REGCLASSOID || type == REGTYPEOID)
		return true;
	element = get_element_type(type);
	if (OidIsValid(element))
		return cext_type_has_names(element);
	if (get_typtype(type) != TYPTYPE_COMPOSITE)
		return false;
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	for (int i = 0; i < desc->natts && !result; i++)
		result = !TupleDescAttr(desc, i)->attisdropped &&
			cext_type_has_names(TupleDescAttr(desc, i)->atttypid);
	return result;
}


/* ----------------------------------------------------------------
 *		Queries
 * ----------------------------------------------------------------
 */

/* Error for a parameter beyond the arguments; arg points to their number. */
static bool
check_parameters(Node *node, void *arg)
{
	int			nargs = *(int *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, ParamRef) && ((ParamRef *) node)->number > nargs)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no argument for parameter $%d",
						((ParamRef *) node)->number),
				 errhint_plural("The call passes %d argument after the time to live.",
								"The call passes %d arguments after the time to live.",
								nargs, nargs)));
	return raw_expression_tree_walker(node, check_parameters, arg);
}

/*
 * Parse and analyze.  *types are the arguments' types, UNKNOWNOID for one to be
 * inferred; on return what they are, for at least as many as the query uses.
 */
Query *
cext_analyze(const char *query, Oid **types, int *ntypes, int nargs)
{
	List	   *raw = pg_parse_query(query);
	List	   *rewritten;
	Query	   *result;
	RawStmt    *stmt;

	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must be exactly one statement"),
				 errdetail("It has %d statements.", list_length(raw))));
	stmt = linitial_node(RawStmt, raw);
	if (!IsA(stmt->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must be a SELECT, VALUES or TABLE statement"),
				 errdetail("It is %s.",
						   GetCommandTagName(CreateCommandTag(stmt->stmt)))));
	check_parameters(stmt->stmt, &nargs);

	rewritten = pg_analyze_and_rewrite_varparams(stmt, query, types, ntypes, NULL);
	if (list_length(rewritten) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must be exactly one statement")));
	result = linitial_node(Query, rewritten);
	if (result->commandType != CMD_SELECT || result->utilityStmt != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must not be SELECT INTO")));
	if (result->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must not modify data in WITH")));
	return result;
}

/*
 * The planner adds the defaults of arguments that a call leaves out.  NIL if it
 * leaves out none.
 */
static List *
default_arguments(Oid funcid, Oid result_type, List *args)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	List	   *result = NIL;

	if (!HeapTupleIsValid(tup))
		return NIL;
	if (list_length(args) < ((Form_pg_proc) GETSTRUCT(tup))->pronargs)
		result = expand_function_arguments(args, false, result_type, tup);
	ReleaseSysCache(tup);
	return result;
}

typedef struct ClassifyContext
{
	CextBypass	reason;
	bool		user_functions;
	bool		reads_settings;
} ClassifyContext;

static bool
classify_function(Oid funcid, void *arg)
{
	ClassifyContext *c = arg;
	CextFunctionKind kind = cext_function_kind(funcid);

	if (funcid >= FirstNormalObjectId)
		c->user_functions = true;
	if (kind == CEXT_FUNCTION_SETTING)
		c->reads_settings = true;
	if (kind == CEXT_FUNCTION_SESSION)
		c->reason = CEXT_BYPASS_SESSION_FUNCTION;
	else if (c->reason == CEXT_CACHEABLE && kind == CEXT_FUNCTION_TEMPORARY)
		c->reason = CEXT_BYPASS_TEMPORARY;
	else if (c->reason == CEXT_CACHEABLE && kind == CEXT_FUNCTION_CATALOG)
		c->reason = CEXT_BYPASS_CATALOG;
	else if (c->reason == CEXT_CACHEABLE &&
			 cext_volatile_functions == CEXT_VOLATILE_BYPASS &&
			 func_volatile(funcid) == PROVOLATILE_VOLATILE &&
			 !cext_is_read_function(funcid))
		c->reason = CEXT_BYPASS_VOLATILE;
	return false;				/* look at all of them */
}

static bool
classify_walker(Node *node, void *arg)
{
	ClassifyContext *c = arg;

	if (node == NULL)
		return false;
	check_functions_in_node(node, classify_function, c);
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *f = (FuncExpr *) node;

		classify_walker((Node *) default_arguments(f->funcid, f->funcresulttype, f->args), arg);
	}
	else if (IsA(node, WindowFunc))
	{
		WindowFunc *f = (WindowFunc *) node;

		classify_walker((Node *) default_arguments(f->winfnoid, f->wintype, f->args), arg);
	}
	if (IsA(node, SQLValueFunction) &&
		((SQLValueFunction *) node)->op == SVFOP_SESSION_USER)
		c->reason = CEXT_BYPASS_SESSION_FUNCTION;
	else if (IsA(node, Var) && c->reason == CEXT_CACHEABLE && reads_system_column(node, NULL))
		c->reason = CEXT_BYPASS_SYSTEM_COLUMN;
	else if (IsA(node, NextValueExpr) && c->reason == CEXT_CACHEABLE)
		c->reason = CEXT_BYPASS_VOLATILE;
	else if (IsA(node, TableSampleClause) && c->reason == CEXT_CACHEABLE &&
			 ((TableSampleClause *) node)->repeatable == NULL &&
			 cext_volatile_functions == CEXT_VOLATILE_BYPASS)
		c->reason = CEXT_BYPASS_VOLATILE;
	else if (IsA(node, Const) && ((Const *) node)->consttype == REGTYPEOID &&
			 c->reason == CEXT_CACHEABLE && !((Const *) node)->constisnull &&
			 relation_is_temporary(get_typ_typrelid(DatumGetObjectId(((Const *) node)->constvalue))))
		c->reason = CEXT_BYPASS_TEMPORARY;
	else if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->rowMarks != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cached query must not lock rows"),
					 errhint("Remove FOR UPDATE or FOR SHARE.")));
		return query_tree_walker(query, classify_walker, arg, 0);
	}
	return expression_tree_walker(node, classify_walker, arg);
}

/* The types, added to a list, that are named, where a value is made or as one. */
static bool
types_walker(Node *node, void *arg)
{
	List	  **types = arg;
	Oid			named;

	if (node == NULL)
		return false;
	if (IsA(node, Const) && ((Const *) node)->consttype == REGTYPEOID &&
		!((Const *) node)->constisnull)
	{
		named = DatumGetObjectId(((Const *) node)->constvalue);
		if (named >= FirstNormalObjectId && SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(named)))
			*types = list_append_unique_oid(*types, named);
		return false;
	}
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, types_walker, arg, 0);
		case T_Const:
		case T_FuncExpr:
		case T_CoerceViaIO:
		case T_RowExpr:
		case T_ConvertRowtypeExpr:
		case T_ArrayExpr:
		case T_ArrayCoerceExpr:
			if (exprType(node) >= FirstNormalObjectId)
				*types = list_append_unique_oid(*types, exprType(node));
			break;
		default:
			break;
	}
	return expression_tree_walker(node, types_walker, arg);
}

/*
 * The types that are not built in of what the query makes.  That they are not
 * columns of a relation it reads does not keep their relations from changing.
 */
List *
cext_types_made(Query *query)
{
	List	   *types = NIL;

	types_walker((Node *) query, &types);
	return types;
}

static bool
conversion_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, conversion_walker, arg, 0);
	if (IsA(node, CoerceViaIO) &&
		(cext_type_has_names(((CoerceViaIO *) node)->resulttype) ||
		 cext_type_has_names(exprType((Node *) ((CoerceViaIO *) node)->arg))))
		return true;
	return expression_tree_walker(node, conversion_walker, arg);
}

/* Does the query make text of names of relations, or the reverse? */
bool
cext_converts_names(Query *query)
{
	return conversion_walker((Node *) query, NULL);
}

/*
 * May the result be stored, as far as the query itself tells?  Also whether it
 * calls functions that are not built in, and reads settings.  Row locks are an
 * error.
 */
CextBypass
cext_classify(Query *query, bool *user_functions, bool *reads_settings)
{
	ClassifyContext c = {CEXT_CACHEABLE, false, false};

	classify_walker((Node *) query, &c);
	*user_functions = c.user_functions;
	*reads_settings = c.reads_settings;
	return c.reason;
}
