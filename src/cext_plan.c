/*-------------------------------------------------------------------------
 *
 * cext_plan.c
 *		Plans of statements that come again.
 *
 * Many clients send a statement as text each time, or parse it each time as an
 * unnamed one.  Then planning SELECT * FROM cached_query(...) costs more than
 * the hit.  So a session keeps the last plans of statements that are nothing
 * but one call of a function of ours, and uses one again for a query that
 * differs in the call's constants only, which then take the place of the old.
 *
 * What is compared is the whole tree that parse analysis made just now, since
 * names may mean something else than they did.  A plan is kept when its like is
 * seen for the second time.  Only statements of which planning decides nothing
 * are kept: the arguments are constants and parameters, or implicit casts of
 * these by built-in functions; no conditions, no expressions, no order.  The
 * plan is made without the parameters' values, so it fits any.
 *
 * What a plan depends on besides the query is functions and types: when one
 * changes, by a syscache callback, all plans are forgotten.  Columns that a row
 * type got or lost meanwhile are the executor's matter, as with any plan.
 * Planner hooks of libraries that were loaded before ours are not called for a
 * plan that is used again.
 *
 * Memory: each plan has a context of its own below TopMemoryContext, which
 * executors read while they run; so one that is forgotten is freed at the end
 * of the transaction.  Plans of the plan cache and of cursors are copies.  An
 * error while a plan is being kept leaves a context to the transaction's end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "jit/jit.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cext_compat.h"
#include "cext_path.h"
#include "cext_plan.h"
#include "cext_read.h"
#include "cext_scan.h"

#define PLANS			32
#define SEEN			128		/* power of two */
#define MAX_CONSTANT	16384	/* bytes; a plan keeps its constants */

typedef struct KeptPlan
{
	MemoryContext context;		/* NULL if the place is free */
	uint64		shape;
	int			cursor_options;
	Query	   *query;
	FuncExpr   *call;			/* in it */
	PlannedStmt *plan;
	FuncExpr   *planned;		/* the call there: casts of constants are gone */
} KeptPlan;

static KeptPlan plans[PLANS];
static int	oldest;				/* of these */
static uint64 seen[SEEN];		/* direct-mapped by shape */

/* Parent of the contexts of plans that may still be executed. */
static MemoryContext forgotten;
static uint64 changes;			/* how often plans were forgotten */

static planner_hook_type prev_planner;


/* ----------------------------------------------------------------
 *		Forgetting
 * ----------------------------------------------------------------
 */

static void
forget(KeptPlan *kept)
{
	if (kept->context != NULL)
		MemoryContextSetParent(kept->context, forgotten);
	kept->context = NULL;
}

/* A function or a type; which one is not worth knowing. */
static void
object_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
	for (int i = 0; i < PLANS; i++)
		forget(&plans[i]);
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		MemoryContextDeleteChildren(forgotten);
}


/* ----------------------------------------------------------------
 *		Which
 * ----------------------------------------------------------------
 */

/* What is cast, if that is done by itself and by PostgreSQL. */
static inline Node *
uncast(Node *arg)
{
	if (IsA(arg, FuncExpr) && ((FuncExpr *) arg)->funcformat == COERCE_IMPLICIT_CAST &&
		((FuncExpr *) arg)->funcid < FirstGenbkiObjectId)
		return linitial(((FuncExpr *) arg)->args);
	if (IsA(arg, RelabelType))
		return (Node *) ((RelabelType *) arg)->arg;
	return arg;
}

/* Nothing that planning would compute, but for casts of constants. */
static bool
plain_arguments(FuncExpr *call)
{
	ListCell   *lc;

	foreach(lc, call->args)
	{
		Node	   *arg = uncast(lfirst(lc));

		if (IsA(arg, Const))
		{
			Const	   *c = (Const *) arg;

			if (!c->constisnull && !c->constbyval &&
				datumGetSize(c->constvalue, false, c->constlen) > MAX_CONSTANT)
				return false;
		}
		else if (!IsA(arg, Param) || ((Param *) arg)->paramkind != PARAM_EXTERN)
			return false;
	}
	return true;
}

/*
 * The call, if a query is nothing else, or NULL.  Asked of every query that is
 * planned, so what is frequent goes first.
 */
static FuncExpr *
sole_call(Query *query)
{
	FuncExpr   *call = NULL;
	ListCell   *lc;

	if (query->commandType != CMD_SELECT || list_length(query->rtable) > 1 ||
		query->jointree->quals != NULL)
		return NULL;
	if (query->rtable != NIL)
		call = cext_path_call(linitial_node(RangeTblEntry, query->rtable));
	else if (list_length(query->targetList) == 1)
	{
		call = (FuncExpr *) linitial_node(TargetEntry, query->targetList)->expr;
		if (!IsA(call, FuncExpr) || cext_read_kind(call->funcid) != CEXT_READ_JSON)
			return NULL;
	}
	if (call == NULL || query->cteList != NIL || query->distinctClause != NIL ||
		query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != NULL ||
		query->sortClause != NIL || query->limitCount != NULL || query->limitOffset != NULL ||
		query->rowMarks != NIL || query->setOperations != NULL)
		return NULL;
	if (query->rtable != NIL)
	{
		foreach(lc, query->targetList)
		{
			if (!IsA(lfirst_node(TargetEntry, lc)->expr, Var))
				return NULL;
		}
	}
	return plain_arguments(call) ? call : NULL;
}

/* Where to look for its like. */
static uint64
shape_of(Query *query, FuncExpr *call)
{
	uint64		shape = call->funcid;
	ListCell   *lc;

	foreach(lc, call->args)
		shape = hash_combine64(shape, exprType(lfirst(lc)));
	if (query->rtable != NIL)
	{
		RangeTblEntry *rte = linitial_node(RangeTblEntry, query->rtable);

		foreach(lc, linitial_node(RangeTblFunction, rte->functions)->funccoltypes)
			shape = hash_combine64(shape, lfirst_oid(lc));
		foreach(lc, rte->eref->colnames)
		{
			const char *name = strVal(lfirst(lc));

			shape = hash_bytes_extended((const unsigned char *) name, strlen(name), shape);
		}
	}
	return hash_combine64(shape, list_length(query->targetList));
}

/* The call in a plan that is nothing else; NULL if it is more. */
static FuncExpr *
planned_call(PlannedStmt *stmt)
{
	Plan	   *plan = stmt->planTree;

	if (stmt->subplans != NIL || stmt->jitFlags != PGJIT_NONE || stmt->transientPlan ||
		plan->qual != NIL || plan->initPlan != NIL)
		return NULL;
	if (IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &cext_scan_methods)
		return linitial_node(FuncExpr, ((CustomScan *) plan)->custom_exprs);
	if (IsA(plan, Result) && plan->lefttree == NULL &&
		((Result *) plan)->resconstantqual == NULL)
		return castNode(FuncExpr, linitial_node(TargetEntry, plan->targetlist)->expr);
	return NULL;
}

/*
 * Is the query like the one that is kept, but for constants?  Its call's
 * arguments are taken out for the comparison, and the length of the text, to
 * which equal() gives a meaning up to 16.
 */
static bool
is_alike(KeptPlan *kept, Query *query, FuncExpr *call)
{
	List	   *args = call->args;
	int			len = query->stmt_len;
	ListCell   *lc1;
	ListCell   *lc2;
	bool		alike;

	if (list_length(args) != list_length(kept->call->args))
		return false;
	forboth(lc1, args, lc2, kept->call->args)
	{
		Node	   *a = uncast(lfirst(lc1));
		Node	   *b = uncast(lfirst(lc2));

		if (IsA(a, Const) ?
			!IsA(b, Const) || ((Const *) a)->consttype != ((Const *) b)->consttype ||
			exprType(lfirst(lc1)) != exprType(lfirst(lc2)) :
			!equal(lfirst(lc1), lfirst(lc2)))
			return false;
	}
	call->args = kept->call->args;
	query->stmt_len = kept->query->stmt_len;
	alike = equal(kept->query, query);
	query->stmt_len = len;
	call->args = args;
	return alike;
}


/* ----------------------------------------------------------------
 *		Planning
 * ----------------------------------------------------------------
 */

static inline PlannedStmt *
plan_anew(CEXT_PLANNER_PARAMETERS)
{
	return prev_planner != NULL ? prev_planner(CEXT_PLANNER_ARGUMENTS) :
		standard_planner(CEXT_PLANNER_ARGUMENTS);
}

/* A node's own fields. */
#define COPY_FLAT(type, node) ((type *) memcpy(palloc(sizeof(type)), (node), sizeof(type)))

/* A plan as it was kept, with these arguments. */
static PlannedStmt *
use(KeptPlan *kept, Query *query, FuncExpr *call)
{
	PlannedStmt *stmt = COPY_FLAT(PlannedStmt, kept->plan);
	FuncExpr   *planned;
	ListCell   *lc1;
	ListCell   *lc2;
	ListCell   *lc3;

	stmt->queryId = query->queryId;
	stmt->stmt_location = query->stmt_location;
	stmt->stmt_len = query->stmt_len;
	if (equal(call->args, kept->call->args))
		return stmt;

	planned = COPY_FLAT(FuncExpr, kept->planned);
	planned->args = list_copy(planned->args);
	forthree(lc1, call->args, lc2, kept->call->args, lc3, planned->args)
	{
		if (!equal(lfirst(lc1), lfirst(lc2)))
			lfirst(lc3) = lfirst(lc1);
	}
	if (IsA(stmt->planTree, CustomScan))
	{
		CustomScan *scan = COPY_FLAT(CustomScan, stmt->planTree);

		scan->custom_exprs = list_make1(planned);
		stmt->planTree = &scan->scan.plan;
	}
	else
	{
		Result	   *result = COPY_FLAT(Result, stmt->planTree);
		TargetEntry *entry = COPY_FLAT(TargetEntry, linitial(result->plan.targetlist));

		entry->expr = (Expr *) planned;
		result->plan.targetlist = list_make1(entry);
		stmt->planTree = &result->plan;
	}
	return stmt;
}

/* Plan a query whose like has come before, and keep the plan. */
static PlannedStmt *
plan_and_keep(uint64 shape, int nargs, CEXT_PLANNER_PARAMETERS)
{
	KeptPlan   *kept;
	PlannedStmt *plan;
	FuncExpr   *planned;
	MemoryContext context;
	MemoryContext old;
	Query	   *copy;
	uint64		changes_before = changes;

	/* the transaction's, until it is complete */
	context = AllocSetContextCreate(TopTransactionContext, "cache_ext plan",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	copy = copyObject(parse);	/* planning changes it */
	MemoryContextSwitchTo(old);

	boundParams = NULL;			/* it is to fit any */
	plan = plan_anew(CEXT_PLANNER_ARGUMENTS);
	planned = planned_call(plan);
	if (planned == NULL || list_length(planned->args) != nargs ||
		changes != changes_before)
	{
		MemoryContextDelete(context);
		return plan;
	}
	kept = &plans[oldest];
	forget(kept);
	MemoryContextSwitchTo(context);
	kept->plan = copyObject(plan);
	MemoryContextSwitchTo(old);
	kept->planned = planned_call(kept->plan);
	kept->query = copy;
	kept->call = sole_call(copy);
	kept->shape = shape;
	kept->cursor_options = cursorOptions;
	MemoryContextSetParent(context, TopMemoryContext);
	kept->context = context;
	oldest = (oldest + 1) % PLANS;
	return plan;
}

static PlannedStmt *
plan_query(CEXT_PLANNER_PARAMETERS)
{
	FuncExpr   *call = sole_call(parse);
	uint64		shape;
	bool		again;

	if (likely(call == NULL))
		return plan_anew(CEXT_PLANNER_ARGUMENTS);
	shape = shape_of(parse, call);
	again = seen[shape % SEEN] == shape;
	for (KeptPlan *kept = plans; kept < plans + PLANS; kept++)
	{
		if (kept->context == NULL || kept->shape != shape)
			continue;
		if (kept->cursor_options == cursorOptions && is_alike(kept, parse, call))
			return use(kept, parse, call);
		again = true;
	}
	if (again)
		return plan_and_keep(shape, list_length(call->args), CEXT_PLANNER_ARGUMENTS);
	seen[shape % SEEN] = shape;
	return plan_anew(CEXT_PLANNER_ARGUMENTS);
}

void
cext_plan_init(void)
{
	forgotten = AllocSetContextCreate(TopMemoryContext, "cache_ext forgotten plans",
									  ALLOCSET_SMALL_SIZES);
	CacheRegisterSyscacheCallback(PROCOID, object_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, object_changed, (Datum) 0);
	RegisterXactCallback(at_end_of_transaction, NULL);
	prev_planner = planner_hook;
	planner_hook = plan_query;
}
