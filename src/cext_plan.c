/*-------------------------------------------------------------------------
 *
 * cext_plan.c
 *		Plans of statements that come again.
 *
 * Many clients send a statement as text each time, or parse it each time as an
 * unnamed one.  Then planning SELECT * FROM cached_query(...) costs more than
 * the hit.  So a session keeps the last plans of statements that are nothing
 * but one call of a function of ours, and uses one again when the planner is
 * given the same query.
 *
 * The same: the text is equal, and so is the whole tree that parse analysis
 * made of it just now; names may mean something else than they did.  A plan
 * is kept when its text is seen for the second time.  Only statements of which
 * nothing was decided by planning are kept: the arguments are constants and
 * parameters, or implicit casts of these by built-in functions; no conditions,
 * no expressions, no order.  The plan is made without the parameters' values,
 * so it fits any.
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
#include "optimizer/planner.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cext_compat.h"
#include "cext_path.h"
#include "cext_plan.h"
#include "cext_read.h"
#include "cext_scan.h"

#define PLANS			32		/* powers of two */
#define SEEN			256
#define MAX_STATEMENT	16384	/* bytes; a plan has copies of its constants */

typedef struct KeptPlan
{
	uint64		hash;			/* of the text */
	MemoryContext context;		/* NULL if the place is free */
	int			cursor_options;
	Query	   *query;
	PlannedStmt *plan;
}			KeptPlan;

/* Both direct-mapped by hash. */
static KeptPlan plans[PLANS];
static uint64 seen[SEEN];

/* Parent of the contexts of plans that may still be executed. */
static MemoryContext forgotten;
static uint64 changes;			/* how often plans were forgotten */

static planner_hook_type prev_planner;


/* ----------------------------------------------------------------
 *		Forgetting
 * ----------------------------------------------------------------
 */

static void
forget(KeptPlan * kept)
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

/* Nothing that planning would compute, but for casts of constants. */
static bool
plain_arguments(FuncExpr *call)
{
	ListCell   *lc;

	foreach(lc, call->args)
	{
		Node	   *arg = lfirst(lc);

		if (IsA(arg, FuncExpr) && ((FuncExpr *) arg)->funcformat == COERCE_IMPLICIT_CAST &&
			((FuncExpr *) arg)->funcid < FirstGenbkiObjectId)
			arg = linitial(((FuncExpr *) arg)->args);
		else if (IsA(arg, RelabelType))
			arg = (Node *) ((RelabelType *) arg)->arg;
		if (!IsA(arg, Const) &&
			!(IsA(arg, Param) && ((Param *) arg)->paramkind == PARAM_EXTERN))
			return false;
	}
	return true;
}

/*
 * Is the query nothing but a call?  Asked of every query that is planned, so
 * what is frequent goes first.
 */
static bool
is_sole_call(Query *query)
{
	FuncExpr   *call = NULL;
	ListCell   *lc;

	if (query->commandType != CMD_SELECT || list_length(query->rtable) > 1 ||
		query->jointree->quals != NULL)
		return false;
	if (query->rtable != NIL)
		call = cext_path_call(linitial_node(RangeTblEntry, query->rtable));
	else if (list_length(query->targetList) == 1)
	{
		call = (FuncExpr *) linitial_node(TargetEntry, query->targetList)->expr;
		if (!IsA(call, FuncExpr) || cext_read_kind(call->funcid) != CEXT_READ_JSON)
			return false;
	}
	if (call == NULL || query->cteList != NIL || query->distinctClause != NIL ||
		query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != NULL ||
		query->sortClause != NIL || query->limitCount != NULL || query->limitOffset != NULL ||
		query->rowMarks != NIL || query->setOperations != NULL)
		return false;
	if (query->rtable != NIL)
	{
		foreach(lc, query->targetList)
		{
			if (!IsA(lfirst_node(TargetEntry, lc)->expr, Var))
				return false;
		}
	}
	return plain_arguments(call);
}

/* Did that become a plan which is just the call? */
static bool
is_plain(PlannedStmt *stmt)
{
	Plan	   *plan = stmt->planTree;

	if (stmt->subplans != NIL || stmt->jitFlags != PGJIT_NONE || stmt->transientPlan ||
		plan->qual != NIL || plan->initPlan != NIL)
		return false;
	if (IsA(plan, Result))
		return plan->lefttree == NULL && ((Result *) plan)->resconstantqual == NULL;
	return IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &cext_scan_methods;
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

/* A plan as it was kept, for another execution. */
static PlannedStmt *
use(KeptPlan * kept, Query *query)
{
	PlannedStmt *plan = makeNode(PlannedStmt);

	*plan = *kept->plan;
	plan->queryId = query->queryId;
	plan->stmt_location = query->stmt_location;
	plan->stmt_len = query->stmt_len;
	return plan;
}

/* Plan a query that has come before, and keep the plan. */
static PlannedStmt *
plan_and_keep(KeptPlan * kept, uint64 hash, CEXT_PLANNER_PARAMETERS)
{
	PlannedStmt *plan;
	MemoryContext context;
	MemoryContext old;
	Query	   *copy;
	uint64		changes_before = changes;

	forget(kept);

	/* the transaction's, until it is complete */
	context = AllocSetContextCreate(TopTransactionContext, "cache_ext plan",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	copy = copyObject(parse);	/* planning changes it */
	MemoryContextSwitchTo(old);

	boundParams = NULL;			/* it is to fit any */
	plan = plan_anew(CEXT_PLANNER_ARGUMENTS);
	if (!is_plain(plan) || changes != changes_before)
	{
		MemoryContextDelete(context);
		return plan;
	}
	MemoryContextSwitchTo(context);
	kept->plan = copyObject(plan);
	MemoryContextSwitchTo(old);
	kept->query = copy;
	kept->hash = hash;
	kept->cursor_options = cursorOptions;
	MemoryContextSetParent(context, TopMemoryContext);
	kept->context = context;
	return plan;
}

static PlannedStmt *
plan_query(CEXT_PLANNER_PARAMETERS)
{
	const char *text;
	int			len;
	uint64		hash;
	KeptPlan   *kept;

	if (likely(!is_sole_call(parse)) || query_string == NULL)
		return plan_anew(CEXT_PLANNER_ARGUMENTS);
	text = query_string + Max(parse->stmt_location, 0);

	len = parse->stmt_len > 0 ? parse->stmt_len : (int) strnlen(text, MAX_STATEMENT + 1);
	if (len > MAX_STATEMENT)
		return plan_anew(CEXT_PLANNER_ARGUMENTS);
	hash = hash_bytes_extended((const unsigned char *) text, len, 0);

	kept = &plans[hash % PLANS];
	if (kept->context != NULL && kept->hash == hash &&
		kept->cursor_options == cursorOptions && equal(kept->query, parse))
		return use(kept, parse);
	if (seen[hash % SEEN] == hash)
		return plan_and_keep(kept, hash, CEXT_PLANNER_ARGUMENTS);
	seen[hash % SEEN] = hash;
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
