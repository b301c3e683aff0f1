/*-------------------------------------------------------------------------
 *
 * cext_fill.c
 *		Computing an answer, and storing it.
 *
 *	1. stamp = clock, and where the glob log is resolved to
 *	2. AcceptInvalidationMessages
 *	3. analyze, plan: takes the locks.  Under a snapshot taken after the stamp,
 *	   since folding constants can run functions that read
 *	4. a new snapshot, now that the locks are held
 *	5. execute; rows go to the caller and to the payload
 *	6. store, unless something was learned against it, the transaction has
 *	   written, or one of the tags has moved since the stamp
 *
 * When a hit is verified (cext_verify.c), step 6 is a comparison instead.
 *
 * The caller gets its rows whatever becomes of step 6.  An error in the query
 * goes through as it is, with a context line naming the key; nothing is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_fill.h"
#include "cext_flight.h"
#include "cext_glob.h"
#include "cext_guc.h"
#include "cext_prepared.h"
#include "cext_recipe.h"
#include "cext_refill.h"
#include "cext_refresh.h"
#include "cext_result.h"
#include "cext_tier.h"
#include "cext_tracker.h"
#include "cext_verify.h"

/* A recent 32-bit xid as a full one. */
uint64
cext_full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	int32		behind = (int32) (XidFromFullTransactionId(next) - xid);

	return U64FromFullTransactionId(next) - behind;
}

/* ----------------------------------------------------------------
 *		Receiving rows
 * ----------------------------------------------------------------
 */

typedef struct Receiver
{
	DestReceiver pub;
	CextBuffer *buf;			/* the payload */
	MemoryContext row_context;	/* reset for each row */

	/* rows */
	Tuplestorestate *store;
	TupleDesc	expected;
	TupleTableSlot *slot;

	/* json */
	TupleDesc	desc;			/* the query's, blessed */
	FmgrInfo   *to_jsonb;
	CextJsonbState state;
	MemoryContext json_context;
} Receiver;

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_shutdown(DestReceiver *self)
{
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *r = (Receiver *) self;
	MinimalTuple row = cext_row_flatten(slot, r->row_context);

	cext_row_append(r->buf, row);
	if (r->slot != NULL)
	{
		ExecStoreMinimalTuple(row, r->slot, false);
		cext_row_put(r->store, r->slot, r->expected);
		ExecClearTuple(r->slot);
	}
	MemoryContextReset(r->row_context);
	return true;
}

static bool
receive_json(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *r = (Receiver *) self;
	MemoryContext old = MemoryContextSwitchTo(r->row_context);
	HeapTuple	row;
	Jsonb	   *json;
	JsonbValue	value;

	/*
	 * not the slot's own row type: that has the names of what it was read
	 * from
	 */
	slot_getallattrs(slot);
	row = heap_form_tuple(r->desc, slot->tts_values, slot->tts_isnull);
	json = DatumGetJsonbP(FunctionCall1(r->to_jsonb, HeapTupleGetDatum(row)));
	MemoryContextSwitchTo(r->json_context);
	/* the array points into the row until it is serialized */
	json = (Jsonb *) memcpy(palloc(VARSIZE(json)), json, VARSIZE(json));
	JsonbToJsonbValue(json, &value);
	cext_push_jsonb(&r->state, WJB_ELEM, &value);
	MemoryContextSwitchTo(old);
	MemoryContextReset(r->row_context);
	r->buf->nrows++;
	return true;
}


/* ----------------------------------------------------------------
 *		Filling
 * ----------------------------------------------------------------
 */

static void
error_context(void *arg)
{
	CextCall   *call = arg;
	int			position = geterrposition();

	/* a position is one in the inner query */
	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(call->args.query);
	}
	errcontext("cached query with key \"%.*s\"", call->args.keylen, call->args.key);
}

/* The arguments as the executor wants them, types inferred where unknown. */
static ParamListInfo
bind_arguments(const CextArgs *args, const Oid *types)
{
	ParamListInfo params;

	if (args->nargs == 0)
		return NULL;
	params = makeParamList(args->nargs);
	for (int i = 0; i < args->nargs; i++)
	{
		ParamExternData *p = &params->params[i];

		p->isnull = args->nulls[i];
		p->pflags = PARAM_FLAG_CONST;
		p->ptype = types[i];
		p->value = args->values[i];
		if (args->types[i] != UNKNOWNOID)
			continue;
		if (!OidIsValid(types[i]) || types[i] == UNKNOWNOID)
		{
			/* the query does not use it */
			p->ptype = TEXTOID;
			p->isnull = true;
			p->value = (Datum) 0;
		}
		else
		{
			Oid			input;
			Oid			ioparam;

			getTypeInputInfo(types[i], &input, &ioparam);
			p->value = OidInputFunctionCall(input,
											p->isnull ? NULL : DatumGetCString(p->value),
											ioparam, -1);
		}
	}
	return params;
}

/* Check the columns before anything runs. */
static void
check_columns(Query *query, TupleDesc expected)
{
	TupleDesc	desc = ExecCleanTypeFromTL(query->targetList);

	cext_check_columns(cext_live_columns(expected), desc->natts,
					   cext_desc_columns(desc));
}

/*
 * Store what was computed, if it may be.  Returns whether it is stored, and in
 * *reason what spoke against it.
 */
static bool
store_result(CextCall *call, const CextIdent *plain, const CextIdent *varying,
			 CextTracker *tracker, uint64 globs, uint64 xmax, double ttl, double us, CextBuffer *buf,
			 CextBypass *reason)
{
	CextEntryInfo info;
	CextIdent	ident = *plain;
	CextTag    *tags;
	List	   *rels;
	Oid		   *relids;
	ListCell   *lc;
	int			n = 0;
	bool		stored;

	if (tracker->reason == CEXT_CACHEABLE &&
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		tracker->reason = CEXT_BYPASS_QUERY_WROTE;
	if (tracker->reason == CEXT_CACHEABLE && buf->overflowed)
		tracker->reason = CEXT_BYPASS_TOO_LARGE;
	memset(&info, 0, sizeof(info));
	if (tracker->reason == CEXT_CACHEABLE)
	{
		info.ntags = cext_tracker_tags(tracker, plain->key, plain->keylen, &tags, &rels);
		if (info.ntags == 0)
			tracker->reason = CEXT_BYPASS_TOO_MANY_RELATIONS;
	}
	if (tracker->reason != CEXT_CACHEABLE)
	{
		*reason = tracker->reason;
		return false;
	}

	relids = palloc((list_length(rels) + 1) * sizeof(Oid));
	foreach(lc, rels)
		relids[n++] = lfirst_oid(lc);
	info.stamp = tracker->stamp;
	info.globs = globs;
	info.created = GetCurrentTimestamp();
	info.expires = Min(tracker->expires,
					   info.created + (TimestampTz) (ttl * USECS_PER_SEC));
	info.refresh = cext_refresh_from(&call->staying, info.created, info.expires, us);
	info.xmax = xmax;
	info.nrows = buf->nrows;
	info.fill_us = (uint32) Min(us, (double) PG_UINT32_MAX);
	info.ns = cext_stats_namespace(MyDatabaseId, plain->key, plain->keylen);
	info.flags = RecoveryInProgress() ? CEXT_ENTRY_RECOVERY : 0;
	info.tags = tags;
	info.nrels = n;
	info.rels = relids;

	/* step 6: has any of it moved? */
	if (info.expires <= info.created ||
		!cext_version_alive(info.stamp, info.tags, info.ntags))
	{
		cext_stats_add(CEXT_STAT_FILLS_DISCARDED, 1);
		return false;
	}

	if (tracker->varies)
	{
		CextEntryInfo mark = info;

		mark.flags |= CEXT_ENTRY_VARIES;
		mark.nrows = 0;
		mark.fill_us = 0;
		if (!cext_tier_store(plain, &mark, "", 0))
		{
			cext_stats_add(CEXT_STAT_FILLS_DISCARDED, 1);
			return false;
		}
		if (varying != NULL)
			ident = *varying;
		else
			cext_identify_varying(plain, &ident);
	}
	cext_refill(&ident, &info, buf);
	if (unlikely(call->staying.rewarm))
		info.recipe = cext_recipe_make(call, ident.hash, ident.seed, &info.recipe_size);
	stored = cext_tier_store(&ident, &info, buf->data, buf->size);
	cext_stats_add(stored ? CEXT_STAT_FILLS : CEXT_STAT_FILLS_DISCARDED, 1);
	if (stored)
		cext_stats_ns_add(info.ns, CEXT_NS_FILLS, 1);
	return stored;
}

/* Run the planned query into the receiver.  Returns the snapshot's xmax. */
static uint64
execute(PlannedStmt *plan, const char *sql, ParamListInfo params, Receiver *receiver)
{
	QueryDesc  *desc;
	uint64		xmax;

	PushActiveSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	xmax = cext_full_xid(GetActiveSnapshot()->xmax);
	desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
						   &receiver->pub, params, NULL, 0);
	ExecutorStart(desc, 0);
	cext_executor_run(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	return xmax;
}

static FmgrInfo *
row_to_jsonb(void)
{
	FmgrInfo   *finfo = palloc0(sizeof(FmgrInfo));
	Node	   *arg = (Node *) makeNullConst(RECORDOID, -1, InvalidOid);

	fmgr_info(F_TO_JSONB, finfo);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(arg),
											 InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL), finfo);
	return finfo;
}

/*
 * Compute the answer, and store it unless there is a reason not to.  For rows
 * it goes into the tuplestore if there is one, for json it is returned.
 */
Datum
cext_fill(CextCall *call, const CextIdent *ident, CextBypass *reason, bool claimed,
		  bool *stored, double *us, TupleDesc expected, Tuplestorestate *tuplestore)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "cache_ext fill",
												  ALLOCSET_DEFAULT_SIZES);
	ErrorContextCallback errcallback;
	CextTracker tracker;
	CextBuffer	buf;
	Receiver	receiver;
	Query	   *query;
	PlannedStmt *plan;
	Oid		   *types = NULL;
	int			ntypes = call->args.nargs;
	bool		user_functions;
	bool		reads_settings;
	CextIdent	before;
	const CextIdent *varying = NULL;
	uint64		globs;
	uint64		stamp;
	uint64		xmax;
	instr_time	start;
	instr_time	end;
	Datum		result = (Datum) 0;
	volatile bool failed = true;

	*stored = false;
	INSTR_TIME_SET_CURRENT(start);
	MemoryContextSwitchTo(context);
	errcallback.callback = error_context;
	errcallback.arg = call;
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;

	/* steps 1 and 2, in this order */
	globs = stamp = 0;
	if (cext_active())
	{
		cext_prepared_sweep();
		globs = cext_glob_resolved();
		stamp = cext_version_clock();
		if (claimed)
			cext_flight_stamp(stamp);
		/* messages are looked for after the stamp was read, on any machine */
		pg_memory_barrier();
	}
	AcceptInvalidationMessages();

	memset(&tracker, 0, sizeof(tracker));
	tracker.reason = *reason;
	tracker.rls_covered = call->args.rls_covered;
	cext_tracker_push(&tracker);
	tracker.stamp = stamp;
	PG_TRY();
	{
		if (ntypes > 0)
		{
			types = palloc(ntypes * sizeof(Oid));
			memcpy(types, call->args.types, ntypes * sizeof(Oid));
		}

		/*
		 * Folding constants can run functions that read tables, so planning
		 * needs a snapshot later than the stamp too.
		 */
		PushActiveSnapshot(GetTransactionSnapshot());
		query = cext_analyze(call->args.query, &types, &ntypes, call->args.nargs);
		{
			CextBypass	found = cext_classify(query, &user_functions, &reads_settings);

			if (found != CEXT_CACHEABLE)
				cext_tracker_refuse(found);
		}

		/* what it reads of settings it may change, too: as of now */
		if (tracker.reason == CEXT_CACHEABLE && (reads_settings || user_functions))
		{
			cext_identify_varying(ident, &before);
			varying = &before;
		}
		if (call->args.form == 'r' && expected != NULL)
			check_columns(query, expected);

		/*
		 * Functions called by functions in a parallel worker would escape the
		 * tracker, so only built-in ones may go there.
		 */
		for (int i = 0; i < call->args.nargs; i++)
			cext_tracker_type(call->args.types[i]);
		plan = cext_plan_query(query, call->args.query,
							   user_functions ? 0 : CURSOR_OPT_PARALLEL_OK,
							   bind_arguments(&call->args, types));
		PopActiveSnapshot();

		cext_buffer_init(&buf, (Size) cext_max_entry_size * 1024);
		memset(&receiver, 0, sizeof(receiver));
		receiver.pub.rStartup = receiver_startup;
		receiver.pub.rShutdown = receiver_shutdown;
		receiver.pub.rDestroy = receiver_shutdown;
		receiver.pub.mydest = DestNone;
		receiver.buf = &buf;
		receiver.row_context = AllocSetContextCreate(context, "cache_ext row",
													 ALLOCSET_DEFAULT_SIZES);
		if (call->args.form == 'r')
		{
			TupleDesc	desc = ExecCleanTypeFromTL(query->targetList);

			if (cext_desc_has_record(desc))
				cext_tracker_refuse(CEXT_BYPASS_RECORD);
			for (int i = 0; i < desc->natts; i++)
				cext_tracker_type(TupleDescAttr(desc, i)->atttypid);
			if (tracker.reason != CEXT_CACHEABLE)
				buf.limit = 0;	/* do not collect in vain */
			cext_desc_append(&buf, desc);
			receiver.pub.receiveSlot = receive_row;
			receiver.store = tuplestore;
			receiver.expected = expected;
			if (expected != NULL)
				receiver.slot = MakeSingleTupleTableSlot(cext_live_columns(expected),
														 &TTSOpsMinimalTuple);
		}
		else
		{
			receiver.pub.receiveSlot = receive_json;
			receiver.desc = BlessTupleDesc(ExecCleanTypeFromTL(query->targetList));
			receiver.to_jsonb = row_to_jsonb();
			receiver.json_context = context;
			cext_push_jsonb(&receiver.state, WJB_BEGIN_ARRAY, NULL);
		}

		/* steps 4 and 5 */
		xmax = execute(plan, call->args.query, bind_arguments(&call->args, types),
					   &receiver);

		if (receiver.slot != NULL)
			ExecDropSingleTupleTableSlot(receiver.slot);
		if (call->args.form == 'j')
		{
			Jsonb	   *json;

			cext_push_jsonb(&receiver.state, WJB_END_ARRAY, NULL);
			json = JsonbValueToJsonb(receiver.state.result);
			cext_buffer_append(&buf, json, VARSIZE(json));
			result = PointerGetDatum(memcpy(MemoryContextAlloc(caller, VARSIZE(json)),
											json, VARSIZE(json)));
		}
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		*us = INSTR_TIME_GET_DOUBLE(end) * 1e6;
		if (call->compare != NULL)
			call->verdict = tracker.reason == CEXT_CACHEABLE &&
				!TransactionIdIsValid(GetTopTransactionIdIfAny()) ?
				cext_verify_compare(call->compare, call->args.form, &buf) :
				CEXT_VERDICT_OPEN;
		else if (cext_active() && cext_enabled && cext_enable_writes)
			*stored = store_result(call, ident, varying, &tracker, globs, xmax,
								   call->ttl, *us, &buf, reason);
		else
			*reason = tracker.reason;
		failed = false;
	}
	PG_FINALLY();
	{
		if (failed && call->compare == NULL)
			cext_stats_add(CEXT_STAT_ERRORS, 1);
		/* an outer entry lives no longer than this one, stored or not */
		tracker.expires = Min(tracker.expires, GetCurrentTimestamp() +
							  (TimestampTz) (call->ttl * USECS_PER_SEC));
		cext_tracker_pop(&tracker, call->args.key, call->args.keylen);
	}
	PG_END_TRY();

	error_context_stack = errcallback.previous;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}
