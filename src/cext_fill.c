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
#include "cext_find.h"
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

/* One fill. */
typedef struct Fill
{
	CextCall   *call;
	const CextIdent *ident;
	TupleDesc	expected;		/* the caller's columns; NULL: nobody's */
	Tuplestorestate *tuplestore;
	MemoryContext caller;
	MemoryContext context;		/* ends with the fill */
	CextTracker tracker;
	Query	   *query;
	Oid		   *types;			/* of the arguments, inferred */
	CextIdent	before;			/* with the settings of before the query */
	const CextIdent *varying;	/* that, if it may be needed */
	uint64		globs;			/* resolved up to here at the stamp */
	bool		recovery;		/* it began on a standby */
	uint64		xmax;			/* of the snapshot */
	CextBuffer	buf;			/* the payload */
	Receiver	receiver;
	Datum		result;			/* json */
}			Fill;

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

/* What is known of the result; false: it may not be stored. */
static bool
describe_result(Fill * f, double us, CextEntryInfo *info)
{
	CextCall   *call = f->call;
	CextTracker *tracker = &f->tracker;
	const char *key = f->ident->key;
	int			keylen = f->ident->keylen;
	CextTag    *tags;
	List	   *rels;
	Oid		   *relids;
	ListCell   *lc;

	memset(info, 0, sizeof(CextEntryInfo));
	if (tracker->reason == CEXT_CACHEABLE &&
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		tracker->reason = CEXT_BYPASS_QUERY_WROTE;
	if (tracker->reason == CEXT_CACHEABLE && f->buf.overflowed)
		tracker->reason = CEXT_BYPASS_TOO_LARGE;
	if (tracker->reason != CEXT_CACHEABLE)
		return false;
	info->ntags = cext_tracker_tags(tracker, key, keylen, &tags, &rels);
	if (info->ntags == 0)
	{
		tracker->reason = CEXT_BYPASS_TOO_MANY_RELATIONS;
		return false;
	}

	relids = palloc((list_length(rels) + 1) * sizeof(Oid));
	foreach(lc, rels)
		relids[info->nrels++] = lfirst_oid(lc);
	info->rels = relids;
	info->tags = tags;
	info->stamp = tracker->stamp;
	info->globs = f->globs;
	info->created = GetCurrentTimestamp();
	info->expires = info->created + (TimestampTz)
		((call->staying.ttl_max > 0 ? call->staying.ttl_first : call->ttl) * USECS_PER_SEC);
	info->xmax = f->xmax;
	info->nrows = f->buf.nrows;
	info->fill_us = (uint32) Min(us, (double) PG_UINT32_MAX);
	info->ns = cext_stats_namespace(MyDatabaseId, key, keylen);
	info->flags = f->recovery ? CEXT_ENTRY_RECOVERY : 0;
	return true;
}

/* Say under the plain identity that the result is under a varying one. */
static bool
store_mark(Fill * f, const CextEntryInfo *info)
{
	CextEntryInfo mark = *info;

	mark.flags |= CEXT_ENTRY_VARIES;
	mark.nrows = 0;
	mark.fill_us = 0;
	return cext_tier_store(f->ident, &mark, "", 0);
}

/*
 * Step 6.  Returns whether the result is stored, and in *reason what spoke
 * against it.
 */
static bool
store_result(Fill * f, double us, CextBypass *reason)
{
	CextEntryInfo info;
	CextIdent	ident = *f->ident;
	bool		stored;

	if (!describe_result(f, us, &info))
	{
		*reason = f->tracker.reason;
		return false;
	}
	if (f->tracker.varies && f->varying != NULL)
		ident = *f->varying;
	else if (f->tracker.varies)
		cext_identify_varying(f->ident, &ident);
	cext_storage_of_policy = f->call->tier;
	cext_refill(&ident, &info, &f->buf, &f->call->staying);
	info.expires = Min(info.expires, f->tracker.expires);
	info.refresh = cext_refresh_from(&f->call->staying, info.created, info.expires, us);

	/* has any of it moved? */
	if (info.expires <= info.created ||
		!cext_version_alive(info.stamp, info.tags, info.ntags) ||
		(f->tracker.varies && !store_mark(f, &info)))
	{
		cext_stats_add(CEXT_STAT_FILLS_DISCARDED, 1);
		return false;
	}

	if (unlikely(f->call->staying.rewarm))
		info.recipe = cext_recipe_make(f->call, ident.hash, ident.seed, &info.recipe_size);
	stored = cext_tier_store(&ident, &info, f->buf.data, f->buf.size);
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
 * Steps 1 and 2, in this order.  Before them, whether the server is a standby:
 * what is replayed until its promotion has no version.
 */
static void
take_stamp(Fill * f, bool claimed)
{
	uint64		stamp = 0;

	if (cext_active())
	{
		f->recovery = RecoveryInProgress();
		cext_prepared_recover();	/* it may have been one at the lookup */
		cext_prepared_sweep();
		f->globs = cext_glob_resolved();
		stamp = cext_version_clock();
		if (claimed)
			cext_flight_stamp(stamp);
		/* messages are looked for after the stamp was read, on any machine */
		pg_memory_barrier();
	}
	AcceptInvalidationMessages();
	cext_tracker_push(&f->tracker);
	f->tracker.stamp = stamp;
}

/*
 * Step 3.  Folding constants can run functions that read tables, so planning
 * needs a snapshot later than the stamp too.
 */
static PlannedStmt *
plan_query(Fill * f)
{
	CextArgs   *args = &f->call->args;
	PlannedStmt *plan;
	CextBypass	found;
	bool		user_functions;
	bool		reads_settings;
	int			ntypes = args->nargs;
	ListCell   *lc;

	if (ntypes > 0)
	{
		f->types = palloc(ntypes * sizeof(Oid));
		memcpy(f->types, args->types, ntypes * sizeof(Oid));
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	f->query = cext_analyze(args->query, &f->types, &ntypes, args->nargs);
	found = cext_classify(f->query, &user_functions, &reads_settings);
	if (found != CEXT_CACHEABLE)
		cext_tracker_refuse(found);

	/* what it reads of settings it may change, too: as of now */
	if (f->tracker.reason == CEXT_CACHEABLE && (reads_settings || user_functions))
	{
		cext_identify_varying(f->ident, &f->before);
		f->varying = &f->before;
	}
	if (args->form == 'r' && f->expected != NULL)
		check_columns(f->query, f->expected);

	/*
	 * Functions called by functions in a parallel worker would escape the
	 * tracker, so only built-in ones may go there.
	 */
	for (int i = 0; i < args->nargs; i++)
		cext_tracker_type(args->types[i]);
	foreach(lc, cext_types_made(f->query))
		cext_tracker_type(lfirst_oid(lc));
	if (cext_converts_names(f->query))
		cext_tracker_names();
	plan = cext_plan_query(f->query, args->query,
						   user_functions ? 0 : CURSOR_OPT_PARALLEL_OK,
						   bind_arguments(args, f->types));
	PopActiveSnapshot();
	return plan;
}

/* Whoever receives the rows. */
static void
open_receiver(Fill * f)
{
	Receiver   *r = &f->receiver;
	TupleDesc	desc = ExecCleanTypeFromTL(f->query->targetList);

	cext_buffer_init(&f->buf, (Size) cext_max_entry_size * 1024);
	r->pub.rStartup = receiver_startup;
	r->pub.rShutdown = receiver_shutdown;
	r->pub.rDestroy = receiver_shutdown;
	r->pub.mydest = DestNone;
	r->buf = &f->buf;
	r->row_context = AllocSetContextCreate(f->context, "cache_ext row",
										   ALLOCSET_DEFAULT_SIZES);
	if (f->call->args.form == 'j')
	{
		for (int i = 0; i < desc->natts; i++)
			if (cext_type_has_names(TupleDescAttr(desc, i)->atttypid))
				cext_tracker_names();
		r->pub.receiveSlot = receive_json;
		r->desc = BlessTupleDesc(desc);
		r->to_jsonb = row_to_jsonb();
		r->json_context = f->context;
		cext_push_jsonb(&r->state, WJB_BEGIN_ARRAY, NULL);
		return;
	}

	if (cext_desc_has_record(desc))
		cext_tracker_refuse(CEXT_BYPASS_RECORD);
	for (int i = 0; i < desc->natts; i++)
		cext_tracker_type(TupleDescAttr(desc, i)->atttypid);
	if (f->tracker.reason != CEXT_CACHEABLE)
		f->buf.limit = 0;		/* do not collect in vain */
	cext_desc_append(&f->buf, desc);
	r->pub.receiveSlot = receive_row;
	r->store = f->tuplestore;
	r->expected = f->expected;
	if (f->expected != NULL)
		r->slot = MakeSingleTupleTableSlot(cext_live_columns(f->expected),
										   &TTSOpsMinimalTuple);
}

/* All rows are there.  The json, in the caller's memory. */
static Datum
close_receiver(Fill * f)
{
	Jsonb	   *json;

	if (f->receiver.slot != NULL)
		ExecDropSingleTupleTableSlot(f->receiver.slot);
	if (f->call->args.form == 'r')
		return (Datum) 0;
	cext_push_jsonb(&f->receiver.state, WJB_END_ARRAY, NULL);
	json = JsonbValueToJsonb(f->receiver.state.result);
	cext_buffer_append(&f->buf, json, VARSIZE(json));
	return PointerGetDatum(memcpy(MemoryContextAlloc(f->caller, VARSIZE(json)),
								  json, VARSIZE(json)));
}

/* Step 6, or what stands for it.  Was it stored? */
static bool
settle(Fill * f, double us, CextBypass *reason)
{
	CextCall   *call = f->call;

	if (call->compare != NULL)
	{
		call->verdict = f->tracker.reason == CEXT_CACHEABLE &&
			!TransactionIdIsValid(GetTopTransactionIdIfAny()) ?
			cext_verify_compare(call->compare, call->args.form, &f->buf) :
			CEXT_VERDICT_OPEN;
		return false;
	}
	if (cext_active() && cext_enabled && cext_enable_writes)
		return store_result(f, us, reason);
	*reason = f->tracker.reason;
	return false;
}

/*
 * Compute the answer, and store it unless there is a reason not to.  For rows
 * it goes into the tuplestore if there is one, for json it is returned.
 */
Datum
cext_fill(CextCall *call, const CextIdent *ident, CextBypass *reason, bool claimed,
		  bool *stored, double *us, TupleDesc expected, Tuplestorestate *tuplestore)
{
	ErrorContextCallback errcallback;
	Fill		f;
	instr_time	start;
	instr_time	end;
	volatile bool failed = true;

	*stored = false;
	INSTR_TIME_SET_CURRENT(start);
	memset(&f, 0, sizeof(f));
	f.call = call;
	f.ident = ident;
	f.expected = expected;
	f.tuplestore = tuplestore;
	f.tracker.reason = *reason;
	f.tracker.rls_covered = call->args.rls_covered;
	f.caller = CurrentMemoryContext;
	f.context = AllocSetContextCreate(f.caller, "cache_ext fill", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(f.context);
	errcallback.callback = error_context;
	errcallback.arg = call;
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;

	take_stamp(&f, claimed);
	PG_TRY();
	{
		PlannedStmt *plan = plan_query(&f);

		open_receiver(&f);
		f.xmax = execute(plan, call->args.query, bind_arguments(&call->args, f.types),
						 &f.receiver);
		f.result = close_receiver(&f);
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		*us = INSTR_TIME_GET_DOUBLE(end) * 1e6;
		*stored = settle(&f, *us, reason);
		failed = false;
	}
	PG_FINALLY();
	{
		if (failed && call->compare == NULL)
			cext_stats_add(CEXT_STAT_ERRORS, 1);
		/* an outer entry lives no longer than this one, stored or not */
		f.tracker.expires = Min(f.tracker.expires, GetCurrentTimestamp() + (TimestampTz)
								((call->staying.ttl_max > 0 ? call->staying.ttl_min :
								  call->ttl) * USECS_PER_SEC));
		cext_tracker_pop(&f.tracker, call->args.key, call->args.keylen);
	}
	PG_END_TRY();

	error_context_stack = errcallback.previous;
	MemoryContextSwitchTo(f.caller);
	MemoryContextDelete(f.context);
	return f.result;
}
