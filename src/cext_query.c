/*-------------------------------------------------------------------------
 *
 * cext_query.c
 *		Reading a query's result through the cache.
 *
 * A hit: identify, look up (one shared lock, one pin), test that the entry
 * holds, replay, unpin.  No parsing, no catalog access, no snapshot.
 *
 * A fill:
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
 * The caller gets its rows whatever becomes of step 6.  An error in the query
 * goes through as it is, with a context line naming the key; nothing is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_flight.h"
#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_query.h"
#include "cext_result.h"
#include "cext_version.h"

CextLastStatus cext_last_status;


/* ----------------------------------------------------------------
 *		Does an entry hold?
 * ----------------------------------------------------------------
 */

/* Against the versions alone, not its time. */
bool
cext_entry_alive(CextEntry *e)
{
	return cext_version_alive(e->stamp, CEXT_ENTRY_TAGS(e), e->ntags) &&
		cext_glob_alive(e->dbid, CEXT_ENTRY_KEY(e), e->keylen, e->stamp, &e->globs);
}

/* A recent 32-bit xid as a full one. */
static uint64
full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	int32		behind = (int32) (XidFromFullTransactionId(next) - xid);

	return U64FromFullTransactionId(next) - behind;
}

/*
 * Has this transaction locked one of the relations for writing?  Then its own
 * uncommitted rows may be in there.
 */
static bool
writes_relation_of(CextEntry *e)
{
	Oid		   *rels = CEXT_ENTRY_RELS(e);

	for (int i = 0; i < e->nrels; i++)
	{
		LOCKTAG		tag;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, rels[i]);
		if (cext_lock_held(&tag, RowExclusiveLock))
			return true;
	}
	return false;
}

/* Does a temporary relation of this session hide one of the entry's? */
static bool
shadowed_by_temporary(CextEntry *e)
{
	Oid			temp;
	Oid			toast;
	Oid		   *rels = CEXT_ENTRY_RELS(e);

	GetTempNamespaceState(&temp, &toast);
	if (likely(!OidIsValid(temp)))
		return false;
	for (int i = 0; i < e->nrels; i++)
	{
		char	   *name = get_rel_name(rels[i]);

		if (name == NULL || OidIsValid(get_relname_relid(name, temp)))
			return true;
	}
	return false;
}

/*
 * May this session, in this transaction, take this entry for an answer?  If
 * not, *reason says whether it is the session's matter.
 */
static bool
usable(CextEntry *e, double ttl, CextBypass *reason)
{
	TimestampTz now = GetCurrentTimestamp();

	/* a shorter TTL given now counts for what is already there */
	if (now >= e->expires ||
		(ttl > 0 && now - e->created >= ttl * USECS_PER_SEC))
		return false;
	if (((e->flags & CEXT_ENTRY_RECOVERY) != 0) != RecoveryInProgress())
		return false;
	if (!cext_entry_alive(e))
		return false;
	if (unlikely(cext_inval_pending()) &&
		cext_inval_pending_tags(CEXT_ENTRY_TAGS(e), e->ntags))
	{
		*reason = CEXT_BYPASS_OWN_INVALIDATION;
		return false;
	}
	if (unlikely(IsolationUsesXactSnapshot()) &&
		e->xmax > full_xid(GetTransactionSnapshot()->xmin))
	{
		*reason = CEXT_BYPASS_REPEATABLE_READ;
		return false;
	}
	if (unlikely(TransactionIdIsValid(GetTopTransactionIdIfAny())) &&
		writes_relation_of(e))
	{
		*reason = CEXT_BYPASS_WRITTEN;
		return false;
	}
	if (unlikely(shadowed_by_temporary(e)))
	{
		*reason = CEXT_BYPASS_TEMPORARY;
		return false;
	}
	return true;
}

/*
 * The entry for this identity that answers now, pinned; or NULL, and *reason
 * is set if that is no ordinary miss.  *hash, if wanted, is that of the
 * identity that was looked for in the end.
 */
CextEntry *
cext_find(const CextIdent *id, double ttl, CextBypass *reason, uint64 *hash)
{
	CextEntry  *e;

	if (hash != NULL)
		*hash = id->hash;
	if (unlikely(cext_inval_pending()) && cext_inval_pending_key(id->key, id->keylen))
	{
		*reason = CEXT_BYPASS_OWN_INVALIDATION;
		return NULL;
	}
	e = cext_store_lookup(id);
	if (e != NULL && (e->flags & CEXT_ENTRY_VARIES) != 0)
	{
		CextIdent	varying;

		cext_store_unpin(e);
		cext_tracker_varies();
		cext_identify_varying(id, &varying);
		if (hash != NULL)
			*hash = varying.hash;
		e = cext_store_lookup(&varying);
	}
	if (e == NULL)
		return NULL;
	if (!usable(e, ttl, reason))
	{
		cext_store_unpin(e);
		return NULL;
	}
	return e;
}

/* Why this session cannot use the cache at all now, if so. */
CextBypass
cext_session_bypass(void)
{
	if (!cext_active())
	{
		static bool warned = false;

		if (!warned)
		{
			warned = true;
			ereport(WARNING,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cache_ext is not loaded, queries are not cached"),
					 errhint("Add cache_ext to \"shared_preload_libraries\" and restart the server.")));
		}
		return CEXT_BYPASS_NOT_PRELOADED;
	}
	if (!cext_enabled)
		return CEXT_BYPASS_DISABLED;
	if (RecoveryInProgress() && !cext_allow_in_recovery)
		return CEXT_BYPASS_RECOVERY;
	if (IsolationIsSerializable())
		return CEXT_BYPASS_SERIALIZABLE;
	if (IsParallelWorker())
		return CEXT_BYPASS_PARALLEL_WORKER;
	return CEXT_CACHEABLE;
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
	ExecStoreMinimalTuple(row, r->slot, false);
	cext_row_put(r->store, r->slot, r->expected);
	ExecClearTuple(r->slot);
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

	/* not the slot's own row type: that has the names of what it was read from */
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
store_result(CextCall *call, const CextIdent *plain, CextTracker *tracker,
			 uint64 globs, uint64 xmax, double ttl, double us, CextBuffer *buf,
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
		if (!cext_store_insert(plain, &mark, "", 0))
		{
			cext_stats_add(CEXT_STAT_FILLS_DISCARDED, 1);
			return false;
		}
		cext_identify_varying(plain, &ident);
	}
	stored = cext_store_insert(&ident, &info, buf->data, buf->size);
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
	xmax = full_xid(GetActiveSnapshot()->xmax);
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
 * it goes into the tuplestore, for json it is returned.
 */
static Datum
fill(CextCall *call, const CextIdent *ident, CextBypass *reason, bool claimed,
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
	uint64		globs;
	uint64		stamp;
	uint64		xmax;
	instr_time	start;
	instr_time	end;
	Datum		result = (Datum) 0;

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
	}
	AcceptInvalidationMessages();

	memset(&tracker, 0, sizeof(tracker));
	tracker.reason = *reason;
	tracker.rls_covered = call->rls_covered;
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
			CextBypass	found = cext_classify(query, &user_functions);

			if (found != CEXT_CACHEABLE)
				cext_tracker_refuse(found);
		}
		if (call->args.form == 'r')
			check_columns(query, expected);

		/*
		 * Functions called by functions in a parallel worker would escape the
		 * tracker, so only built-in ones may go there.
		 */
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
			if (tracker.reason != CEXT_CACHEABLE)
				buf.limit = 0;	/* do not collect in vain */
			cext_desc_append(&buf, desc);
			receiver.pub.receiveSlot = receive_row;
			receiver.store = tuplestore;
			receiver.expected = expected;
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
		if (cext_active() && cext_enabled && cext_enable_writes)
			*stored = store_result(call, ident, &tracker, globs, xmax, call->ttl,
								   *us, &buf, reason);
		else
			*reason = tracker.reason;
	}
	PG_FINALLY();
	{
		cext_tracker_pop(&tracker);
	}
	PG_END_TRY();

	error_context_stack = errcallback.previous;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}


/* ----------------------------------------------------------------
 *		Reading
 * ----------------------------------------------------------------
 */

/*
 * Before the first use of the cache after the server's start, or after
 * recovery: list the transactions that were prepared before.  The function is
 * called as the executor would, but past the hooks.
 */
void
cext_note_recovered_prepared(void)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	flinfo;
	ReturnSetInfo rsinfo;
	TransactionId *xids;
	int			n = 0;
	int			size = 16;

	if (likely(!cext_prepared_recovery_pending()) || RecoveryInProgress())
		return;

	xids = palloc(size * sizeof(TransactionId));
	fmgr_info(F_PG_PREPARED_XACT, &flinfo);
	memset(&rsinfo, 0, sizeof(rsinfo));
	rsinfo.type = T_ReturnSetInfo;
	rsinfo.econtext = CreateStandaloneExprContext();
	rsinfo.allowedModes = SFRM_ValuePerCall;
	rsinfo.returnMode = SFRM_ValuePerCall;
	InitFunctionCallInfoData(*fcinfo, &flinfo, 0, InvalidOid, NULL, (Node *) &rsinfo);
	for (;;)
	{
		Datum		row = FunctionCallInvoke(fcinfo);
		bool		isnull;

		if (rsinfo.isDone == ExprEndResult)
			break;
		if (n == size)
		{
			size *= 2;
			xids = repalloc(xids, size * sizeof(TransactionId));
		}
		xids[n++] = DatumGetTransactionId(GetAttributeByNum(DatumGetHeapTupleHeader(row),
															1, &isnull));
	}
	FreeExprContext(rsinfo.econtext, true);
	cext_prepared_recovered(xids, n);
	pfree(xids);
}

/*
 * Note how a call ended: counters, and what cache_last_status() shows.  For a
 * hit the caller has set the entry's times.
 */
void
cext_count_call(CextStatus status, CextBypass reason, bool stored, uint16 ns,
				double saved_us, instr_time start)
{
	instr_time	end;
	double		us;

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	us = INSTR_TIME_GET_DOUBLE(end) * 1e6;
	cext_last_status.status = status;
	cext_last_status.reason = reason;
	cext_last_status.stored = stored;
	cext_last_status.from_cache = status == CEXT_STATUS_HIT;
	cext_last_status.elapsed_us = us;

	switch (status)
	{
		case CEXT_STATUS_HIT:
			{
				uint64		saved = saved_us > us ? (uint64) (saved_us - us) : 0;

				cext_stats_add(CEXT_STAT_HITS, 1);
				cext_stats_add(CEXT_STAT_HIT_NS, (uint64) (us * 1000));
				cext_stats_add(CEXT_STAT_SAVED_US, saved);
				cext_stats_time(CEXT_HISTOGRAM_HIT, us);
				cext_stats_ns_add(ns, CEXT_NS_HITS, 1);
				cext_stats_ns_add(ns, CEXT_NS_SAVED_US, saved);
				break;
			}
		case CEXT_STATUS_MISS:
			cext_stats_add(CEXT_STAT_MISSES, 1);
			cext_stats_ns_add(ns, CEXT_NS_MISSES, 1);
			break;
		case CEXT_STATUS_BYPASS:
			cext_stats_bypass(reason);
			cext_stats_ns_add(ns, CEXT_NS_BYPASSES, 1);
			break;
		case CEXT_STATUS_NONE:
			break;
	}
}

/* The answer from a pinned entry. */
static Datum
replay(CextEntry *e, TupleDesc expected, Tuplestorestate *tuplestore)
{
	CextReader	reader;
	char	   *json;

	if (tuplestore != NULL)
	{
		cext_rows_replay(e, expected, tuplestore);
		return (Datum) 0;
	}
	cext_reader_init(&reader, e);
	json = palloc(e->payload_size);
	cext_reader_copy(&reader, json, e->payload_size);
	return PointerGetDatum(json);
}

/* Why a computed answer could not be stored, as far as that is known before. */
static CextBypass
fill_bypass(void)
{
	if (IsolationUsesXactSnapshot())
		return CEXT_BYPASS_REPEATABLE_READ;
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return CEXT_BYPASS_WRITTEN;
	return CEXT_CACHEABLE;
}

/*
 * Look up; on a miss either claim the fill or wait for who has, and look again.
 */
static CextEntry *
find_or_claim(const CextIdent *ident, double ttl, CextBypass *reason, bool *claimed,
			  uint64 *hash)
{
	TimestampTz deadline = 0;
	CextTag		tags[CEXT_MAX_PREFIXES + 3];
	int			ntags = 0;
	CextEntry  *e;

	while ((e = cext_find(ident, ttl, reason, hash)) == NULL)
	{
		CextFlight	flight;

		if (*reason != CEXT_CACHEABLE || fill_bypass() != CEXT_CACHEABLE ||
			cext_coalesce_timeout == 0 || !cext_enable_writes)
			return NULL;
		if (deadline == 0)
		{
			deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   cext_coalesce_timeout);
			ntags = cext_tags_of_key(MyDatabaseId, ident->key, ident->keylen, tags);
			tags[ntags++] = cext_tag_database(MyDatabaseId);
			tags[ntags++] = CEXT_TAG_CLUSTER;
		}
		flight = cext_flight_begin(*hash, tags, ntags, deadline);
		if (flight == CEXT_FLIGHT_ALONE)
			return NULL;
		if (flight == CEXT_FLIGHT_FILL)
		{
			/* the fill before ours may have ended since we looked */
			*claimed = true;
			return cext_find(ident, ttl, reason, NULL);
		}
	}
	if (deadline != 0)
		cext_stats_add(CEXT_STAT_COALESCED, 1);
	return e;
}

/* The answer as computed here. */
static Datum
compute(CextCall *call, const CextIdent *ident, const CextBypass why, bool claimed,
		uint64 hash, TupleDesc expected, Tuplestorestate *tuplestore, instr_time start)
{
	CextBypass	reason;
	CextBypass	fill_reason = why;
	CextLanding volatile landing = CEXT_LANDED_FAILED;
	volatile Datum result = (Datum) 0;
	bool		stored;
	double		us;
	uint16		ns;

	/* what keeps from reading need not keep from storing, and the reverse */
	if (why == CEXT_BYPASS_READS_OFF)
		fill_reason = CEXT_CACHEABLE;
	if (fill_reason == CEXT_CACHEABLE)
		fill_reason = fill_bypass();

	PG_TRY();
	{
		result = fill(call, ident, &fill_reason, claimed, &stored, &us, expected, tuplestore);
		landing = stored ? CEXT_LANDED_STORED :
			fill_reason != CEXT_CACHEABLE ? CEXT_LANDED_NOT_STORED : CEXT_LANDED_FAILED;
	}
	PG_FINALLY();
	{
		if (claimed)
			cext_flight_end(landing);
	}
	PG_END_TRY();

	if (stored && !claimed)
		cext_flight_worthwhile(hash);
	ns = cext_active() ?
		cext_stats_namespace(MyDatabaseId, ident->key, ident->keylen) : 0;
	reason = why == CEXT_CACHEABLE || fill_reason != CEXT_CACHEABLE ? fill_reason : why;
	if (reason == CEXT_CACHEABLE)
	{
		cext_stats_add(CEXT_STAT_FILL_NS, (uint64) (us * 1000));
		cext_stats_time(CEXT_HISTOGRAM_FILL, us);
	}
	cext_count_call(reason == CEXT_CACHEABLE ? CEXT_STATUS_MISS : CEXT_STATUS_BYPASS,
					reason, stored, ns, 0, start);
	return result;
}

/* One call: from the cache, or computed. */
static Datum
read_through(CextCall *call, TupleDesc expected, Tuplestorestate *tuplestore)
{
	CextBypass	reason;
	CextIdent	ident;
	CextEntry  *e = NULL;
	volatile Datum result = (Datum) 0;
	instr_time	start;
	volatile bool claimed = false;
	uint64		hash = 0;

	INSTR_TIME_SET_CURRENT(start);
	reason = cext_session_bypass();
	memset(&ident, 0, sizeof(ident));
	ident.key = call->args.key;
	ident.keylen = call->args.keylen;

	if (reason == CEXT_CACHEABLE && call->args.nargs > 0 &&
		cext_args_have_record(&call->args))
		reason = CEXT_BYPASS_RECORD;
	if (reason == CEXT_CACHEABLE)
	{
		cext_note_recovered_prepared();
		cext_identify(&call->args, &ident);
		if (cext_enable_reads)
		{
			bool		mine = false;

			e = find_or_claim(&ident, call->ttl, &reason, &mine, &hash);
			claimed = mine;
		}
		else
			reason = CEXT_BYPASS_READS_OFF;
	}

	if (likely(e != NULL))
	{
		double		saved_us = e->fill_us;
		uint16		ns = e->ns;

		if (claimed)
			cext_flight_end(CEXT_LANDED_STORED);
		cext_last_status.created = e->created;
		cext_last_status.expires = Min(e->expires,
									   e->created + (TimestampTz) (call->ttl * USECS_PER_SEC));
		PG_TRY();
		{
			if (unlikely(cext_tracking()))
				cext_tracker_entry(e);
			result = replay(e, expected, tuplestore);
			cext_store_hit(e);
		}
		PG_FINALLY();
		{
			cext_store_unpin(e);
		}
		PG_END_TRY();
		cext_count_call(CEXT_STATUS_HIT, CEXT_CACHEABLE, false, ns, saved_us, start);
		return result;
	}

	return compute(call, &ident, reason, claimed, hash, expected, tuplestore, start);
}

/* cached_query(), cached_rows(): rows into the caller's tuplestore. */
void
cext_read_rows(CextCall *call, TupleDesc expected, Tuplestorestate *store)
{
	read_through(call, expected, store);
}

/* cached_json(): an array of row objects. */
Datum
cext_read_json(CextCall *call)
{
	return read_through(call, NULL, NULL);
}
