/*-------------------------------------------------------------------------
 *
 * cext_query.c
 *		Reading a query's result through the cache.
 *
 * A hit: identify, look up (one shared lock, one pin), test that the entry
 * holds, replay, unpin.  No parsing, no catalog access, no snapshot.
 *
 * A miss: claim the fill or wait for who has (cext_flight.c), then compute and
 * store (cext_fill.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "cext_redis_claim.h"
#include "cext_compat.h"
#include "cext_fill.h"
#include "cext_flight.h"
#include "cext_glob.h"
#include "cext_guc.h"
#include "cext_history.h"
#include "cext_inval.h"
#include "cext_log.h"
#include "cext_prepared.h"
#include "cext_refresh.h"
#include "cext_result.h"
#include "cext_subxact.h"
#include "cext_temptype.h"
#include "cext_tier.h"
#include "cext_tracker.h"
#include "cext_verify.h"

CextLastStatus cext_last_status;


/* ----------------------------------------------------------------
 *		Reading
 * ----------------------------------------------------------------
 */

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
	cext_last_status.from_cache = status == CEXT_STATUS_HIT || status == CEXT_STATUS_STALE;
	cext_last_status.elapsed_us = us;

	/* a hit has looked at the clock when it found the entry */
	if (status != CEXT_STATUS_HIT)
		cext_history_tick(GetCurrentTimestamp());

	switch (status)
	{
		case CEXT_STATUS_STALE:
		case CEXT_STATUS_HIT:
			{
				uint64		saved = saved_us > us ? (uint64) (saved_us - us) : 0;

				if (status == CEXT_STATUS_STALE)
					cext_stats_add(CEXT_STAT_STALE_HITS, 1);
				cext_stats_add(CEXT_STAT_HITS, 1);
				cext_stats_add(CEXT_STAT_HIT_NS, (uint64) (us * 1000));
				cext_stats_add(CEXT_STAT_SAVED_US, saved);
				cext_stats_time(CEXT_HISTOGRAM_HIT, us);
				cext_stats_ns_add(ns, CEXT_NS_HITS, 1);
				cext_stats_ns_add(ns, CEXT_NS_HIT_NS, (uint64) (us * 1000));
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
	cext_store_read(&reader, e);
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

/* Look in Redis once more; a claim that is not needed after that is given back. */
static CextEntry *
find_again(const CextIdent *ident, double ttl, CextBypass *reason, CextClaim claim)
{
	CextEntry  *e;

	PG_TRY();
	{
		e = cext_find_in(ident, ttl, 0, reason, NULL, true);
	}
	PG_CATCH();
	{
		if (claim == CEXT_CLAIM_MINE)
			cext_claim_release();
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (e != NULL && claim == CEXT_CLAIM_MINE)
		cext_claim_release();
	return e;
}

/* Look up while holding a claim. */
static pg_noinline CextEntry *
find_with_claim(const CextIdent *ident, double ttl, CextBypass *reason,
				TimestampTz deadline)
{
	CextEntry  *e;
	bool		waited = false;

	/* not in Redis once more, if the fill would be here as well */
	e = cext_find_in(ident, ttl, 0, reason, NULL, !cext_storage_memory());
	while (e == NULL && *reason == CEXT_CACHEABLE && cext_claim_wanted())
	{
		CextClaim	claim = cext_claim_try(ident, deadline);

		if (claim == CEXT_CLAIM_NONE || (claim == CEXT_CLAIM_MINE && !waited))
			break;
		/* who had it may have stored the entry and let go since we looked */
		e = find_again(ident, ttl, reason, claim);
		waited = true;
	}
	return e;
}

/*
 * Look up; on a miss take what the policy lets be stale, or either claim the
 * fill or wait for who has, and look again.
 */
static CextEntry *
find_or_claim(const CextCall *call, const CextIdent *ident, CextBypass *reason,
			  bool *claimed, bool *stale, uint64 *hash)
{
	double		ttl = call->ttl;
	TimestampTz deadline = 0;
	CextTag		tags[CEXT_MAX_PREFIXES + 3];
	int			ntags = 0;
	CextEntry  *e;

	while ((e = cext_find(ident, ttl, reason, hash)) == NULL)
	{
		CextFlight	flight;

		if (unlikely(call->staying.stale > 0) && *reason == CEXT_CACHEABLE &&
			(e = cext_find_stale(ident, ttl, call->staying.stale)) != NULL)
		{
			*stale = true;
			if (!cext_refresh_claim(e) || cext_refresh_hand_over(call, e) ||
				fill_bypass() != CEXT_CACHEABLE)
				return e;

			/* nobody else does it: as any miss, while others take the old one */
			*stale = false;
			cext_store_unpin(e);
		}
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
			return find_with_claim(ident, ttl, reason, deadline);
		}
	}
	if (deadline != 0)
		cext_stats_add(CEXT_STAT_COALESCED, 1);
	return e;
}

/*
 * May a pinned entry be served?  If not, it is unpinned.  The time that it takes
 * to find out is not the hit's.
 */
static pg_noinline bool
verify(CextCall *call, CextLookup *l, CextEntry *e)
{
	instr_time	before;
	instr_time	after;
	bool		result;

	INSTR_TIME_SET_CURRENT(before);
	result = cext_verify(call, &l->ident, e);
	INSTR_TIME_SET_CURRENT(after);
	INSTR_TIME_SUBTRACT(after, before);
	INSTR_TIME_ADD(l->start, after);
	return result;
}

/*
 * What policies say of a call: the one its time to live names, else the one its
 * key fits.  A time to live that adapts is the policy's own; while entries are
 * looked up, its upper bound counts.
 */
void
cext_call_policy(CextCall *call, const CextPolicy *named)
{
	const CextPolicy *fitting = cext_policy_for_key(call->schema, call->args.key,
													call->args.keylen);
	const CextPolicy *policy = named != NULL ? named : fitting;
	bool		its_ttl = named != NULL || (call->ttl <= 0 && policy != NULL);

	if (call->ttl <= 0)
		call->ttl = policy != NULL ? cext_ttl_from_number(policy->ttl) : cext_default_ttl;
	call->args.rls_covered = fitting != NULL && fitting->rls_covered;
	if (policy == NULL)
		return;
	call->staying = policy->staying;

	/* a key that is to stay out of Redis does, whatever the call names */
	call->tier = fitting != NULL && fitting->tier != CEXT_STORAGE_DEFAULT ?
		fitting->tier : policy->tier;
	if (!its_ttl)
		call->staying.ttl_max = 0;
	else if (call->staying.ttl_max > 0)
		call->ttl = cext_ttl_from_number(call->staying.ttl_max);
}

/*
 * Begin a call: the entry that answers it, pinned, or NULL.  Nothing that can
 * fail may come between this and remembering the pin.
 */
CextEntry *
cext_lookup(CextCall *call, CextLookup *l)
{
	CextEntry  *e = NULL;

	INSTR_TIME_SET_CURRENT(l->start);
	cext_storage_of_policy = call->tier;
	l->reason = cext_session_bypass();
	l->claimed = false;
	l->stale = false;
	l->hash = 0;
	memset(&l->ident, 0, sizeof(CextIdent));
	l->ident.key = call->args.key;
	l->ident.keylen = call->args.keylen;

	if (l->reason == CEXT_CACHEABLE && call->args.nargs > 0 &&
		cext_args_have_record(&call->args))
		l->reason = CEXT_BYPASS_RECORD;
	if (l->reason == CEXT_CACHEABLE && cext_temptype_matters())
		l->reason = CEXT_BYPASS_TEMPORARY;
	if (l->reason == CEXT_CACHEABLE)
	{
		cext_prepared_recover();
		cext_identify(&call->args, &l->ident);
		cext_refresh_near = false;
		if (cext_enable_reads)
			e = find_or_claim(call, &l->ident, &l->reason, &l->claimed, &l->stale, &l->hash);
		else
			l->reason = CEXT_BYPASS_READS_OFF;
	}
	if (e != NULL && l->claimed)
	{
		cext_flight_end(CEXT_LANDED_STORED);
		l->claimed = false;
	}
	else if (unlikely(cext_refresh_near) && e != NULL && !l->stale &&
			 cext_refresh_due(e, &call->staying) &&
			 !cext_refresh_hand_over(call, e) && fill_bypass() == CEXT_CACHEABLE)
	{
		/* before its end; it is our turn to see to it, and no worker can */
		cext_store_unpin(e);
		e = NULL;
	}
	if (unlikely(cext_verify_fraction > 0) && e != NULL && !l->stale &&
		!verify(call, l, e))
		return NULL;
	return e;
}

/* Note that the entry found answers the call. */
void
cext_lookup_hit(CextCall *call, CextLookup *l, CextEntry *e)
{
	cext_last_status.from_redis = (e->flags & CEXT_ENTRY_LOCAL) != 0;
	cext_last_status.created = e->created;
	cext_last_status.expires = Min(e->expires,
								   e->created + (TimestampTz) (call->ttl * USECS_PER_SEC));
	if (unlikely(cext_tracking()))
		cext_tracker_entry(e);
	cext_store_hit(e);
	cext_count_call(unlikely(l->stale) ? CEXT_STATUS_STALE : CEXT_STATUS_HIT,
					CEXT_CACHEABLE, false, e->ns, e->fill_us, l->start);
	if (cext_logs(CEXT_LOG_HIT))
		cext_log("hit", l->ident.key, l->ident.keylen, cext_last_status.elapsed_us,
				 " saved_ms=%.3f", e->fill_us / 1000.0);
}

/* The answer from a pinned entry, which is unpinned here. */
static Datum
serve(CextCall *call, CextLookup *l, CextEntry *e, TupleDesc expected,
	  Tuplestorestate *tuplestore)
{
	Datum		result = replay(e, expected, tuplestore);

	/* after an error, the pin goes with the subtransaction */
	cext_lookup_hit(call, l, e);
	cext_store_unpin(e);
	return result;
}

/* The answer as computed here. */
static pg_noinline Datum
compute(CextCall *call, CextLookup *l, TupleDesc expected, Tuplestorestate *tuplestore)
{
	const CextBypass why = l->reason;
	CextBypass	reason;
	CextBypass	fill_reason = why;
	const bool	shared_claim = cext_claim_adopt();
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
		result = cext_fill(call, &l->ident, &fill_reason, l->claimed, &stored, &us,
						   expected, tuplestore);
		/* a reason found before is this session's, one found now the query's */
		landing = stored ? CEXT_LANDED_STORED :
			why == CEXT_CACHEABLE && fill_reason != CEXT_CACHEABLE ?
			CEXT_LANDED_NOT_STORED : CEXT_LANDED_FAILED;
	}
	PG_FINALLY();
	{
		if (l->claimed)
			cext_flight_end(landing);
		if (shared_claim)
			cext_claim_release();
	}
	PG_END_TRY();

	if (stored && !l->claimed)
		cext_flight_worthwhile(l->hash);
	ns = cext_active() ?
		cext_stats_namespace(MyDatabaseId, l->ident.key, l->ident.keylen) : 0;
	reason = why == CEXT_CACHEABLE || fill_reason != CEXT_CACHEABLE ? fill_reason : why;
	if (reason == CEXT_CACHEABLE)
	{
		cext_stats_add(CEXT_STAT_FILL_NS, (uint64) (us * 1000));
		cext_stats_time(CEXT_HISTOGRAM_FILL, us);
	}
	cext_count_call(reason == CEXT_CACHEABLE ? CEXT_STATUS_MISS : CEXT_STATUS_BYPASS,
					reason, stored, ns, 0, l->start);
	if (reason == CEXT_CACHEABLE)
	{
		cext_stats_ns_add(ns, CEXT_NS_QUERIES, 1);
		cext_stats_ns_add(ns, CEXT_NS_QUERY_NS, (uint64) (us * 1000));
		cext_stats_ns_add(ns, CEXT_NS_MISS_NS,
						  (uint64) (cext_last_status.elapsed_us * 1000));
		if (cext_logs(CEXT_LOG_MISS))
			cext_log("miss", l->ident.key, l->ident.keylen, cext_last_status.elapsed_us,
					 " query_ms=%.3f stored=%s", us / 1000.0, stored ? "true" : "false");
	}
	else if (cext_logs(CEXT_LOG_BYPASS))
		cext_log("bypass", l->ident.key, l->ident.keylen, cext_last_status.elapsed_us,
				 " reason=\"%s\"", cext_bypass_name(reason));
	return result;
}

/* May an old result stand for this error? */
static bool
error_may_be_hidden(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION: /* canceled, shut down */
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INTERNAL_ERROR:
			return false;
		default:
			return true;
	}
}

typedef struct Attempt
{
	CextCall   *call;
	CextLookup *lookup;
	TupleDesc	expected;
	Tuplestorestate *tuplestore;
	Datum		result;
} Attempt;

static void
attempt(void *arg)
{
	Attempt    *a = arg;

	a->result = compute(a->call, a->lookup, a->expected, a->tuplestore);
}

/*
 * The answer as computed here or, if that fails and there is an entry that
 * expired not longer ago than the policy allows, from there.
 */
static Datum
compute_or_stale(CextCall *call, CextLookup *l, TupleDesc expected,
				 Tuplestorestate *tuplestore)
{
	Attempt		a = {call, l, expected, tuplestore, (Datum) 0};
	ErrorData  *error = cext_in_subtransaction(attempt, &a);
	CextEntry  *e = NULL;

	if (error == NULL)
		return a.result;
	if (error_may_be_hidden(error->sqlerrcode))
		e = cext_find_stale(&l->ident, call->ttl, call->staying.stale_error);
	if (e == NULL)
		ReThrowError(error);
	FreeErrorData(error);
	if (tuplestore != NULL)
		tuplestore_clear(tuplestore);
	l->stale = true;
	return serve(call, l, e, expected, tuplestore);
}

/* Is there something to fall back on if computing fails? */
static bool
may_fall_back(const CextCall *call, const CextIdent *ident)
{
	CextEntry  *e;

	if (IsInParallelMode())
		return false;			/* no subtransactions there */
	e = cext_find_stale(ident, call->ttl, call->staying.stale_error);
	if (e != NULL)
		cext_store_unpin(e);
	return e != NULL;
}

/* Where nothing was found: the answer as computed here, or what may stand for it. */
Datum
cext_lookup_compute(CextCall *call, CextLookup *l, TupleDesc expected,
					Tuplestorestate *tuplestore)
{
	if (unlikely(call->staying.stale_error > 0) && l->reason == CEXT_CACHEABLE &&
		may_fall_back(call, &l->ident))
		return compute_or_stale(call, l, expected, tuplestore);
	return compute(call, l, expected, tuplestore);
}

/* One call: from the cache, or computed. */
static Datum
read_through(CextCall *call, TupleDesc expected, Tuplestorestate *tuplestore)
{
	CextLookup	l;
	CextEntry  *e = cext_lookup(call, &l);

	if (e == NULL)
		return cext_lookup_compute(call, &l, expected, tuplestore);
	return serve(call, &l, e, expected, tuplestore);
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


/* ----------------------------------------------------------------
 *		Filling for nobody
 * ----------------------------------------------------------------
 */

/* Compute an answer and store it; it goes nowhere else.  Was it stored? */
static bool
fill_for_nobody(CextCall *call, const CextIdent *ident, bool claimed)
{
	CextBypass	reason = fill_bypass();
	CextLanding volatile landing = CEXT_LANDED_FAILED;
	bool		stored = false;
	double		us;

	PG_TRY();
	{
		cext_fill(call, ident, &reason, claimed, &stored, &us, NULL, NULL);
		landing = stored ? CEXT_LANDED_STORED : CEXT_LANDED_FAILED;
	}
	PG_FINALLY();
	{
		if (claimed)
			cext_flight_end(landing);
	}
	PG_END_TRY();
	if (stored)
	{
		cext_stats_add(CEXT_STAT_REFRESHES, 1);
		cext_stats_add(CEXT_STAT_FILL_NS, (uint64) (us * 1000));
		cext_stats_time(CEXT_HISTOGRAM_FILL, us);
	}
	return stored;
}

/*
 * See to it that there is an entry no older than "since": computed here, or by
 * whoever is at it already.  False if it could not be stored.
 */
bool
cext_renew(CextCall *call, const CextIdent *ident, TimestampTz since)
{
	CextTag		tags[CEXT_MAX_PREFIXES + 3];
	int			ntags = cext_tags_of_key(MyDatabaseId, ident->key, ident->keylen, tags);
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   cext_coalesce_timeout);

	tags[ntags++] = cext_tag_database(MyDatabaseId);
	tags[ntags++] = CEXT_TAG_CLUSTER;
	for (;;)
	{
		CextBypass	reason = CEXT_CACHEABLE;
		uint64		hash;
		CextEntry  *e;
		bool		there;

		cext_storage_of_policy = call->tier;
		e = cext_find(ident, call->ttl, &reason, &hash);
		there = e != NULL && e->created >= since;

		if (e != NULL)
			cext_store_unpin(e);
		if (there)
			return true;
		if (reason != CEXT_CACHEABLE)
			return false;
		switch (cext_flight_begin(hash, tags, ntags, deadline))
		{
			case CEXT_FLIGHT_FILL:
				return fill_for_nobody(call, ident, true);
			case CEXT_FLIGHT_ALONE:
				return fill_for_nobody(call, ident, false);
			case CEXT_FLIGHT_RETRY:
				break;
		}
	}
}
