/*-------------------------------------------------------------------------
 *
 * cext_scan.c
 *		FROM cached_query(...): a scan of the entry's rows where they are.
 *
 * PostgreSQL's Function Scan has a function put all its rows into a tuplestore
 * before it returns the first.  Where the function is cached_query() or
 * cached_rows(), the planner (cext_path.c) gets a Custom Scan instead ("Cache
 * Scan" in EXPLAIN), which returns the rows of a pinned entry straight from
 * shared memory.  A miss fills a tuplestore as before, from which it reads.
 *
 * It differs in nothing else: the function's arguments are evaluated, and the
 * function is called, when the first row is wanted and again when a parameter
 * in them changes; the privilege to execute it is checked, and hooks are told,
 * when the executor starts.
 *
 * Pins: an entry stays pinned while its rows are read, and a session that stops
 * in between would keep its memory.  So rows are read in place only while the
 * query runs to its end in one go; a cursor, a portal with a row limit and
 * everything that may read backward gets a tuplestore.  The pin goes with the
 * query's memory context, whatever happens to the query.  Pins that would use
 * up the backend's are not taken either.  FETCH ALL from a NO SCROLL cursor is such a
 * run: its pin stays until the cursor is closed.  It cannot go at the last row,
 * since a node above may want them all again, and the same ones.
 *
 * A hit's time in the statistics ends with its first row, as what follows is
 * interleaved with the rest of the query and the client.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "cext_compat.h"
#include "cext_pin.h"
#include "cext_query.h"
#include "cext_read.h"
#include "cext_result.h"
#include "cext_scan.h"
#include "cext_send.h"

typedef struct CextScanState
{
	CustomScanState css;		/* first */
	FuncExpr   *func;
	CextReadKind kind;
	TupleDesc	expected;		/* the function's rows */
	TupleTableSlot *row;		/* one of them; css has a virtual slot */

	/* the call */
	FmgrInfo	flinfo;			/* not to be called: tells the types */
	FunctionCallInfo fcinfo;
	ExprState **args;			/* NULL for a constant, which is in fcinfo */
	Bitmapset  *params;			/* executor parameters among them */

	/* its answer: in an entry, or in a tuplestore */
	bool		backward;		/* may be asked for */
	bool		in_place;		/* rows can be returned as they are */
	bool		called;
	CextEntry  *entry;			/* pinned */
	uint32		pin_epoch;		/* when */
	CextReader	reader;
	uint32		left;			/* rows to come from it */
	Tuplestorestate *store;
	CextSend   *send;			/* rows go to the client, not to a node above */
	MemoryContextCallback at_end;
	enum
	{
		NOT_CALLED, HIT, COMPUTED
	}			last;			/* for EXPLAIN ANALYZE */
} CextScanState;

/* The query that is being run to its end; see executor_run(). */
static EState *whole_run;

static ExecutorRun_hook_type prev_executor_run;

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods cext_scan_methods = {
	.CustomName = "Cache Scan",
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "Cache Scan",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan,
};


/* ----------------------------------------------------------------
 *		The function's rows
 * ----------------------------------------------------------------
 */

static Node *
create_state(CustomScan *scan)
{
	CextScanState *s = palloc0(sizeof(CextScanState));

	NodeSetTag(s, T_CustomScanState);
	s->css.methods = &exec_methods;
	return (Node *) s;
}

/*
 * Columns of a row type may have been added, dropped or changed since the plan
 * was made.  What a Function Scan says, by CheckVarSlotCompatibility().
 */
static void
check_row_type(CustomScan *scan, TupleDesc planned, TupleDesc now)
{
	Bitmapset  *used = NULL;

	pull_varattnos((Node *) scan->scan.plan.targetlist, INDEX_VAR, &used);
	pull_varattnos((Node *) scan->scan.plan.qual, INDEX_VAR, &used);
	for (int i = 0; i < planned->natts; i++)
	{
		if (!bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, used))
			continue;
		if (i >= now->natts)
			elog(ERROR, "attribute number %d exceeds number of columns %d",
				 i + 1, now->natts);
		if (TupleDescAttr(now, i)->attisdropped)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("attribute %d of type %s has been dropped",
							i + 1, format_type_be(now->tdtypeid))));
		if (TupleDescAttr(now, i)->atttypid != TupleDescAttr(planned, i)->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("attribute %d of type %s has wrong type",
							i + 1, format_type_be(now->tdtypeid)),
					 errdetail("Table has type %s, but query expects %s.",
							   format_type_be(TupleDescAttr(now, i)->atttypid),
							   format_type_be(TupleDescAttr(planned, i)->atttypid))));
	}
}

/* The rows to be had from the function, and whether they are as planned. */
static void
set_expected(CextScanState *s)
{
	TupleDesc	planned = s->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	TupleDesc	now;

	s->expected = planned;
	s->in_place = true;
	if (s->kind == CEXT_READ_ROWS && s->func->funcresulttype != RECORDOID &&
		type_is_rowtype(s->func->funcresulttype))
	{
		now = lookup_rowtype_tupdesc(s->func->funcresulttype, -1);
		s->in_place = now->natts == planned->natts;
		for (int i = 0; s->in_place && i < planned->natts; i++)
			s->in_place = TupleDescAttr(now, i)->atttypid == TupleDescAttr(planned, i)->atttypid &&
				TupleDescAttr(now, i)->atttypmod == TupleDescAttr(planned, i)->atttypmod &&
				!TupleDescAttr(now, i)->attisdropped;
		if (!s->in_place)
		{
			check_row_type((CustomScan *) s->css.ss.ps.plan, planned, now);
			s->expected = CreateTupleDescCopy(now);
		}
		ReleaseTupleDesc(now);
	}
}

static void
unpin(CextScanState *s)
{
	CextEntry  *e = s->entry;

	s->entry = NULL;
	/* the end of the transaction takes all pins back */
	if (e != NULL && s->pin_epoch == cext_pin_epoch())
		cext_store_unpin(e);
	if (s->reader.scratch != NULL)
	{
		pfree(s->reader.scratch);
		s->reader.scratch = NULL;
	}
}

static void
at_end(void *arg)
{
	CextScanState *s = arg;

	/* its memory is about to go with that of the scan */
	s->reader.scratch = NULL;
	unpin(s);
}

/* The executor's parameters in an expression, not those of a prepared statement. */
static bool
find_params(Node *node, void *params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
	{
		Bitmapset **set = params;

		*set = bms_add_member(*set, ((Param *) node)->paramid);
	}
	return expression_tree_walker(node, find_params, params);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	CextScanState *s = (CextScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	int			nargs;
	int			i = 0;
	ListCell   *lc;

	s->func = linitial_node(FuncExpr, scan->custom_exprs);
	s->kind = cext_read_kind(s->func->funcid);

	/* as ExecInitTableFunctionResult() would */
	if (!cext_may_execute(s->func->funcid, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(s->func->funcid));
	InvokeFunctionExecuteHook(s->func->funcid);

	s->flinfo.fn_oid = s->func->funcid;
	s->flinfo.fn_nargs = list_length(s->func->args);
	s->flinfo.fn_retset = true;
	s->flinfo.fn_stats = TRACK_FUNC_PL;
	s->flinfo.fn_mcxt = CurrentMemoryContext;
	s->flinfo.fn_expr = (Node *) s->func;

	nargs = list_length(s->func->args);
	s->fcinfo = palloc0(SizeForFunctionCallInfo(nargs));
	InitFunctionCallInfoData(*s->fcinfo, &s->flinfo, nargs, s->func->inputcollid, NULL, NULL);
	s->args = palloc0((nargs + 1) * sizeof(ExprState *));
	foreach(lc, s->func->args)
	{
		Expr	   *arg = lfirst(lc);

		if (IsA(arg, Const))
		{
			s->fcinfo->args[i].value = ((Const *) arg)->constvalue;
			s->fcinfo->args[i].isnull = ((Const *) arg)->constisnull;
		}
		else
		{
			s->args[i] = ExecInitExpr(arg, &node->ss.ps);
			find_params((Node *) arg, &s->params);
		}
		i++;
	}

	s->backward = (eflags & (EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK)) != 0;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	set_expected(s);
	s->row = cext_alloc_slot(&estate->es_tupleTable, s->expected, &TTSOpsMinimalTuple);
	s->at_end.func = at_end;
	s->at_end.arg = s;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &s->at_end);
}

/* Forget the answer: the next row wanted is the first of another call. */
static void
forget(CextScanState *s)
{
	if (s->row != NULL)
		ExecClearTuple(s->row);
	unpin(s);
	if (s->store != NULL)
		tuplestore_end(s->store);
	s->store = NULL;
	s->called = false;
}

/* From the first row of a pinned entry on. */
static void
rewind_entry(CextScanState *s)
{
	TupleDesc	desc = s->row->tts_tupleDescriptor;
	uint32		natts;
	const CextColumn *columns;

	/* beginning anew forgets it */
	if (s->reader.scratch != NULL)
		pfree(s->reader.scratch);
	cext_store_read(&s->reader, s->entry);
	memcpy(&natts, cext_reader_get(&s->reader, MAXALIGN(sizeof(natts))), sizeof(natts));
	columns = (const CextColumn *)
		cext_reader_get(&s->reader, MAXALIGN(natts * sizeof(CextColumn)));
	cext_check_columns(desc, natts, columns);
	s->left = s->entry->nrows;
	if (s->send != NULL)
		cext_send_rows(s->send, s->entry, s->row, cext_same_columns(desc, natts, columns));
}

/* Call the function: find the entry, or compute. */
static void
call_function(CextScanState *s)
{
	EState	   *estate = s->css.ss.ps.state;
	ExprContext *econtext = s->css.ss.ps.ps_ExprContext;
	MemoryContext query_context = estate->es_query_cxt;
	MemoryContext old;
	PgStat_FunctionCallUsage usage;
	CextCall	call;
	CextLookup	lookup;
	CextEntry  *e;

	/* the call itself is forgotten with the first row */
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	for (int i = 0; i < s->fcinfo->nargs; i++)
		if (s->args[i] != NULL)
			s->fcinfo->args[i].value = ExecEvalExpr(s->args[i], econtext,
													&s->fcinfo->args[i].isnull);
	pgstat_init_function_usage(s->fcinfo, &usage);
	cext_take_call(s->fcinfo, s->kind == CEXT_READ_ROWS ? 1 : 0, 'r', &call);
	s->called = true;
	s->last = HIT;
	e = cext_lookup(&call, &lookup);
	if (e != NULL && (e->flags & CEXT_ENTRY_LOCAL) == 0)
	{
		s->entry = e;
		s->pin_epoch = cext_pin_epoch();
	}
	MemoryContextSwitchTo(query_context);
	if (s->entry != NULL && s->in_place && !s->backward && estate == whole_run &&
		cext_pin_may_keep())
	{
		cext_lookup_hit(&call, &lookup, e);
		rewind_entry(s);
	}
	else
	{
		s->store = tuplestore_begin_heap(s->backward, false, work_mem);
		if (e != NULL)
		{
			cext_rows_replay(e, s->expected, s->store);
			cext_lookup_hit(&call, &lookup, e);
			s->entry = NULL;
			cext_store_unpin(e);
		}
		else
		{
			s->last = COMPUTED;
			MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
			cext_lookup_compute(&call, &lookup, s->expected, s->store);
		}
	}
	pgstat_end_function_usage(&usage, true);
	MemoryContextSwitchTo(old);
}


/* ----------------------------------------------------------------
 *		Executing
 * ----------------------------------------------------------------
 */

/* The next row into s->row.  False at the end. */
static inline bool
next_row(CextScanState *s, bool forward)
{
	if (unlikely(!s->called))
		call_function(s);
	if (s->entry != NULL)
	{
		MemoryContext old;
		const char *p;

		if (s->left == 0)
		{
			ExecClearTuple(s->row);
			return false;
		}
		s->left--;
		/* a row that is put together is this scan's */
		old = MemoryContextSwitchTo(s->css.ss.ps.state->es_query_cxt);
		p = cext_reader_get(&s->reader, MAXALIGN(cext_reader_peek(&s->reader)));
		MemoryContextSwitchTo(old);
		ExecStoreMinimalTuple((MinimalTuple) p, s->row, false);
		return true;
	}
	return tuplestore_gettupleslot(s->store, forward, false, s->row);
}

/*
 * The rows are what the client gets.  Returns them one by one, or sends all and
 * returns none, unless somebody wants each to be counted here.
 */
static TupleTableSlot *
send_rows(CextScanState *s, bool forward)
{
	EState	   *estate = s->css.ss.ps.state;

	if (!s->called)
		call_function(s);
	if (s->entry != NULL && s->css.ss.ps.instrument == NULL &&
		cext_send_all(s->send))
	{
		/* as ExecutePlan() counts what it sends */
		estate->es_processed += s->left;
		s->left = 0;
		return NULL;
	}
	return next_row(s, forward) ? s->row : NULL;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	CextScanState *s = (CextScanState *) node;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	bool		forward = ScanDirectionIsForward(node->ss.ps.state->es_direction);
	int			natts = slot->tts_tupleDescriptor->natts;	/* s->row has no fewer */

	if (s->send != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		return send_rows(s, forward);
	}
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		ExecClearTuple(slot);
		if (!next_row(s, forward))
			return node->ss.ps.ps_ProjInfo == NULL ? slot :
				ExecClearTuple(node->ss.ps.ps_ProjInfo->pi_state.resultslot);

		/* expressions were compiled for a virtual slot */
		slot_getallattrs(s->row);
		memcpy(slot->tts_values, s->row->tts_values, natts * sizeof(Datum));
		memcpy(slot->tts_isnull, s->row->tts_isnull, natts * sizeof(bool));
		ExecStoreVirtualTuple(slot);
		econtext->ecxt_scantuple = slot;
		if (node->ss.ps.qual == NULL || ExecQual(node->ss.ps.qual, econtext))
			return node->ss.ps.ps_ProjInfo == NULL ? slot :
				ExecProject(node->ss.ps.ps_ProjInfo);
		InstrCountFiltered1(node, 1);
	}
}

static void
end_scan(CustomScanState *node)
{
	forget((CextScanState *) node);
}

static void
rescan(CustomScanState *node)
{
	CextScanState *s = (CextScanState *) node;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	if (node->ss.ps.ps_ProjInfo != NULL)
		ExecClearTuple(node->ss.ps.ps_ProjInfo->pi_state.resultslot);
	if (!s->called)
		return;
	if (bms_overlap(node->ss.ps.chgParam, s->params))
		forget(s);
	else if (s->entry != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);

		ExecClearTuple(s->row);
		rewind_entry(s);
		MemoryContextSwitchTo(old);
	}
	else if (s->store != NULL)
	{
		ExecClearTuple(s->row);
		tuplestore_rescan(s->store);
	}
	else
		forget(s);				/* the call failed */
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	CextScanState *s = (CextScanState *) node;
	List	   *context;
	int			rti = bms_next_member(((CustomScan *) node->ss.ps.plan)->custom_relids, -1);
	RangeTblEntry *rte = rt_fetch(rti, es->rtable);

	ExplainPropertyText("Function", psprintf("%s %s", get_func_name(s->func->funcid),
											 quote_identifier(rte->eref->aliasname)), es);
	if (es->verbose)
	{
		context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
		ExplainPropertyText("Function Call",
							deparse_expression((Node *) s->func, context,
											   true, false),
							es);
	}
	if (es->analyze && s->last != NOT_CALLED)
		ExplainPropertyText("Cache", s->last == HIT ? "hit" : "computed", es);
}

/*
 * Do all rows of the query come from one of our calls, as they are?  Then what
 * is to become of them.
 */
static CextSend *
open_send(QueryDesc *queryDesc)
{
	PlanState  *ps = queryDesc->planstate;
	CextSend   *send;

	if (IsA(ps, CustomScanState))
	{
		CextScanState *s = (CextScanState *) ps;

		if (s->css.methods != &exec_methods || ps->ps_ProjInfo != NULL ||
			ps->qual != NULL || !s->in_place || s->backward || s->called)
			return NULL;
		send = cext_send_open(queryDesc, NULL);
		s->send = send;
		return send;
	}
	if (IsA(ps, ResultState) && list_length(ps->plan->targetlist) == 1)
	{
		Expr	   *value = linitial_node(TargetEntry, ps->plan->targetlist)->expr;

		if (IsA(value, FuncExpr) && outerPlanState(ps) == NULL && ps->qual == NULL &&
			((ResultState *) ps)->resconstantqual == NULL &&
			cext_read_kind(((FuncExpr *) value)->funcid) == CEXT_READ_JSON)
			return cext_send_open(queryDesc, (Node *) value);
	}
	return NULL;
}

static pg_noinline void
run(CEXT_EXECUTOR_RUN_PARAMETERS)
{
	if (prev_executor_run)
		prev_executor_run(CEXT_EXECUTOR_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(CEXT_EXECUTOR_RUN_ARGUMENTS);
}

static pg_noinline void
run_sending(CextSend *const send, CEXT_EXECUTOR_RUN_PARAMETERS)
{
	PG_TRY();
	{
		run(CEXT_EXECUTOR_RUN_ARGUMENTS);
		cext_send_done(send);
	}
	PG_CATCH();
	{
		cext_send_close(send);
		PG_RE_THROW();
	}
	PG_END_TRY();
	cext_send_close(send);
	if (IsA(queryDesc->planstate, CustomScanState))
		((CextScanState *) queryDesc->planstate)->send = NULL;
}

/*
 * A query run to its end may keep entries pinned meanwhile, and its rows may be
 * sent as they are.
 */
static void
executor_run(CEXT_EXECUTOR_RUN_PARAMETERS)
{
	bool		whole = count == 0 && ScanDirectionIsForward(direction);
	EState	   *outer = whole_run;
	CextSend   *send = NULL;

	/* after an error it is wrong, until the next run sets it */
	whole_run = whole ? queryDesc->estate : NULL;
	if (whole && (IsA(queryDesc->planstate, CustomScanState) ||
				  IsA(queryDesc->planstate, ResultState)))
		send = open_send(queryDesc);
	if (likely(send == NULL))
		run(CEXT_EXECUTOR_RUN_ARGUMENTS);
	else
		run_sending(send, CEXT_EXECUTOR_RUN_ARGUMENTS);
	whole_run = outer;
}

void
cext_scan_init(void)
{
	RegisterCustomScanMethods(&cext_scan_methods);
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
}
