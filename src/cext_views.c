/*-------------------------------------------------------------------------
 *
 * cext_views.c
 *		What the views show: counters, entries, the last call.
 *
 * Each function here has a view of the same name over it, except
 * cache_last_status and cache_stats_reset, which are called.  cache_triggers
 * reads the system catalogs and needs no C.
 *
 * Who may see what: totals are no secret.  Keys and their first segments are,
 * because applications put names and numbers into them; so the counters by
 * namespace are granted to pg_read_all_stats, and an entry is shown to the
 * members of the role that it belongs to and to those of pg_read_all_stats.
 * Results are shown to nobody.
 *
 * Where the library was not preloaded there is nothing to show: zeros, no
 * rows, but no error, so that monitoring need not know.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "cext_breaker.h"
#include "cext_guc.h"
#include "cext_history.h"
#include "cext_query.h"
#include "cext_row.h"
#include "cext_stats.h"
#include "cext_store.h"
#include "cext_version.h"
#include "cext_views.h"

PG_FUNCTION_INFO_V1(cache_stats);
PG_FUNCTION_INFO_V1(cache_stats_hourly);
PG_FUNCTION_INFO_V1(cache_stats_by_namespace);
PG_FUNCTION_INFO_V1(cache_bypass_reasons);
PG_FUNCTION_INFO_V1(cache_entries);
PG_FUNCTION_INFO_V1(cache_last_status);
PG_FUNCTION_INFO_V1(cache_stats_reset);

/* columns, in the order of the install script */
enum
{
	STATS_HITS,
	STATS_MISSES,
	STATS_HIT_RATIO,
	STATS_BYPASSES,
	STATS_FILLS,
	STATS_FILLS_DISCARDED,
	STATS_EVICTIONS,
	STATS_EXPIRATIONS,
	STATS_INVALIDATIONS,
	STATS_COALESCED,
	STATS_STALE_HITS,
	STATS_REFRESHES,
	STATS_ERRORS,
	STATS_VERIFIED,
	STATS_DIVERGENCES,
	STATS_ENTRIES,
	STATS_MEMORY_USED,
	STATS_MEMORY_LIMIT,
	STATS_HIT_TIMES,			/* mean, p50, p95, p99 */
	STATS_FILL_TIMES = STATS_HIT_TIMES + 4,
	STATS_TIME_SAVED = STATS_FILL_TIMES + 4,
	STATS_REDIS_HITS,
	STATS_REDIS_MISSES,
	STATS_REDIS_ERRORS,
	STATS_REDIS_WRITES,
	STATS_REDIS_STATE,
	STATS_RESET,
	STATS_COLUMNS
};

enum
{
	HOUR_START,
	HOUR_HITS,
	HOUR_MISSES,
	HOUR_HIT_RATIO,
	HOUR_BYPASSES,
	HOUR_FILLS,
	HOUR_FILLS_DISCARDED,
	HOUR_EVICTIONS,
	HOUR_EXPIRATIONS,
	HOUR_INVALIDATIONS,
	HOUR_COALESCED,
	HOUR_ERRORS,
	HOUR_DIVERGENCES,
	HOUR_HIT_TIMES,				/* mean, p50, p95, p99 */
	HOUR_FILL_TIMES = HOUR_HIT_TIMES + 4,
	HOUR_TIME_SAVED = HOUR_FILL_TIMES + 4,
	HOUR_COLUMNS
};

enum
{
	NAMESPACE_NAME,
	NAMESPACE_HITS,
	NAMESPACE_MISSES,
	NAMESPACE_HIT_RATIO,
	NAMESPACE_BYPASSES,
	NAMESPACE_FILLS,
	NAMESPACE_TIME_SAVED,
	NAMESPACE_COLUMNS
};

enum
{
	REASON_NAME,
	REASON_COUNT,
	REASON_DESCRIPTION,
	REASON_COLUMNS
};

enum
{
	ENTRY_KEY,
	ENTRY_ROLE,
	ENTRY_CREATED,
	ENTRY_EXPIRES,
	ENTRY_SIZE,
	ENTRY_ROWS,
	ENTRY_HITS,
	ENTRY_FILL_MS,
	ENTRY_TAGS,
	ENTRY_KIND,
	ENTRY_ALIVE,
	ENTRY_COLUMNS
};

enum
{
	LAST_STATUS,
	LAST_REASON,
	LAST_TIER,
	LAST_AGE,
	LAST_TTL_LEFT,
	LAST_ELAPSED_MS,
	LAST_STORED,
	LAST_COLUMNS
};

/* What is copied out of a pinned entry. */
typedef struct EntryCopy
{
	Oid			roleid;
	char		form;
	bool		alive;
	TimestampTz created;
	TimestampTz expires;
	Size		size;
	uint32		nrows;
	uint32		hits;
	uint32		fill_us;
	char	   *key;
	int			keylen;
	Oid		   *rels;
	int			nrels;
} EntryCopy;

static bool copy_entry(CextEntry *e, TimestampTz now, EntryCopy *copy);
static Datum readable_tags(const EntryCopy *copy);


/* ----------------------------------------------------------------
 *		Columns
 * ----------------------------------------------------------------
 */

/* An interval, with days of 24 hours. */
Datum
cext_microseconds(int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->day = (int32) (us / USECS_PER_DAY);
	interval->time = us % USECS_PER_DAY;
	return IntervalPGetDatum(interval);
}

/* Hits among the lookups; null if there were none. */
void
cext_set_ratio(Datum *value, bool *null, uint64 hits, uint64 misses)
{
	if (hits + misses > 0)
		*value = Float8GetDatum((double) hits / (double) (hits + misses));
	else
		*null = true;
}

/* Four columns: mean, p50, p95 and p99 in ms; null if there are no events. */
void
cext_set_times(Datum *values, bool *nulls, const CextStatsBlock *sum,
			   CextHistogram histogram, CextStat total_ns)
{
	static const double fractions[] = {0.50, 0.95, 0.99};
	const uint64 *h = sum->histograms[histogram];
	uint64		n = 0;

	for (int b = 0; b < CEXT_HISTOGRAM_BUCKETS; b++)
		n += h[b];
	if (n == 0)
	{
		memset(nulls, true, 4 * sizeof(bool));
		return;
	}
	values[0] = Float8GetDatum(sum->counters[total_ns] / 1e6 / n);
	for (int i = 0; i < lengthof(fractions); i++)
		values[i + 1] = Float8GetDatum(cext_stats_percentile(h, fractions[i]));
}


/* ----------------------------------------------------------------
 *		Counters
 * ----------------------------------------------------------------
 */

Datum
cache_stats(PG_FUNCTION_ARGS)
{
	Datum		values[STATS_COLUMNS] = {0};
	bool		nulls[STATS_COLUMNS] = {0};
	CextStatsBlock *sum = palloc(sizeof(CextStatsBlock));
	CextStoreUsage usage = {0};
	TimestampTz reset = cext_stats_reset_time();
	static const struct
	{
		int			column;
		CextStat	stat;
	}			counters[] =
	{
		{STATS_HITS, CEXT_STAT_HITS},
		{STATS_MISSES, CEXT_STAT_MISSES},
		{STATS_BYPASSES, CEXT_STAT_BYPASSES},
		{STATS_FILLS, CEXT_STAT_FILLS},
		{STATS_FILLS_DISCARDED, CEXT_STAT_FILLS_DISCARDED},
		{STATS_EVICTIONS, CEXT_STAT_EVICTIONS},
		{STATS_EXPIRATIONS, CEXT_STAT_EXPIRATIONS},
		{STATS_INVALIDATIONS, CEXT_STAT_INVALIDATIONS},
		{STATS_COALESCED, CEXT_STAT_COALESCED},
		{STATS_STALE_HITS, CEXT_STAT_STALE_HITS},
		{STATS_REFRESHES, CEXT_STAT_REFRESHES},
		{STATS_ERRORS, CEXT_STAT_ERRORS},
		{STATS_REDIS_HITS, CEXT_STAT_REDIS_HITS},
		{STATS_REDIS_MISSES, CEXT_STAT_REDIS_MISSES},
		{STATS_REDIS_ERRORS, CEXT_STAT_REDIS_ERRORS},
		{STATS_REDIS_WRITES, CEXT_STAT_REDIS_WRITES},
		{STATS_VERIFIED, CEXT_STAT_VERIFIED},
		{STATS_DIVERGENCES, CEXT_STAT_DIVERGENCES},
	};

	cext_stats_read(sum);
	if (cext_active())
		cext_store_usage(&usage);

	for (int i = 0; i < lengthof(counters); i++)
		values[counters[i].column] =
			Int64GetDatum((int64) sum->counters[counters[i].stat]);
	cext_set_ratio(&values[STATS_HIT_RATIO], &nulls[STATS_HIT_RATIO],
				   sum->counters[CEXT_STAT_HITS], sum->counters[CEXT_STAT_MISSES]);
	values[STATS_ENTRIES] = Int64GetDatum((int64) usage.entries);
	values[STATS_MEMORY_USED] = Int64GetDatum((int64) usage.used);
	values[STATS_MEMORY_LIMIT] = Int64GetDatum((int64) usage.limit);
	cext_set_times(&values[STATS_HIT_TIMES], &nulls[STATS_HIT_TIMES], sum,
				   CEXT_HISTOGRAM_HIT, CEXT_STAT_HIT_NS);
	cext_set_times(&values[STATS_FILL_TIMES], &nulls[STATS_FILL_TIMES], sum,
				   CEXT_HISTOGRAM_FILL, CEXT_STAT_FILL_NS);
	values[STATS_TIME_SAVED] = cext_microseconds((int64) sum->counters[CEXT_STAT_SAVED_US]);
	values[STATS_REDIS_STATE] = CStringGetTextDatum(cext_breaker_name(CEXT_BREAKER_SERVER));
	if (TIMESTAMP_NOT_FINITE(reset))
		nulls[STATS_RESET] = true;
	else
		values[STATS_RESET] = TimestampTzGetDatum(reset);

	return cext_one_row(fcinfo, STATS_COLUMNS, values, nulls);
}

/* A row for each of the last hours, as far as they are recorded. */
Datum
cache_stats_hourly(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CextStatsBlock *counts = palloc(sizeof(CextStatsBlock));
	CextHistory *history;
	TimestampTz start;
	static const struct
	{
		int			column;
		CextStat	stat;
	}			columns[] =
	{
		{HOUR_HITS, CEXT_STAT_HITS},
		{HOUR_MISSES, CEXT_STAT_MISSES},
		{HOUR_BYPASSES, CEXT_STAT_BYPASSES},
		{HOUR_FILLS, CEXT_STAT_FILLS},
		{HOUR_FILLS_DISCARDED, CEXT_STAT_FILLS_DISCARDED},
		{HOUR_EVICTIONS, CEXT_STAT_EVICTIONS},
		{HOUR_EXPIRATIONS, CEXT_STAT_EXPIRATIONS},
		{HOUR_INVALIDATIONS, CEXT_STAT_INVALIDATIONS},
		{HOUR_COALESCED, CEXT_STAT_COALESCED},
		{HOUR_ERRORS, CEXT_STAT_ERRORS},
		{HOUR_DIVERGENCES, CEXT_STAT_DIVERGENCES},
	};

	cext_begin_rows(fcinfo, HOUR_COLUMNS);
	if (!cext_active())
		return (Datum) 0;

	history = cext_history_copy();
	for (int back = CEXT_HISTORY_HOURS - 1; back >= 0; back--)
	{
		Datum		values[HOUR_COLUMNS] = {0};
		bool		nulls[HOUR_COLUMNS] = {0};

		if (!cext_history_hour(history, back, &start, counts))
			continue;
		values[HOUR_START] = TimestampTzGetDatum(start);
		for (int i = 0; i < lengthof(columns); i++)
			values[columns[i].column] =
				Int64GetDatum((int64) counts->counters[columns[i].stat]);
		cext_set_ratio(&values[HOUR_HIT_RATIO], &nulls[HOUR_HIT_RATIO],
					   counts->counters[CEXT_STAT_HITS],
					   counts->counters[CEXT_STAT_MISSES]);
		cext_set_times(&values[HOUR_HIT_TIMES], &nulls[HOUR_HIT_TIMES], counts,
					   CEXT_HISTOGRAM_HIT, CEXT_STAT_HIT_NS);
		cext_set_times(&values[HOUR_FILL_TIMES], &nulls[HOUR_FILL_TIMES], counts,
					   CEXT_HISTOGRAM_FILL, CEXT_STAT_FILL_NS);
		values[HOUR_TIME_SAVED] =
			cext_microseconds((int64) counts->counters[CEXT_STAT_SAVED_US]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * The namespaces of the current database that were used since the reset.
 * Number 0, shared by all databases, is shown in each.
 */
Datum
cache_stats_by_namespace(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CextStatsBlock *sum = palloc(sizeof(CextStatsBlock));

	cext_begin_rows(fcinfo, NAMESPACE_COLUMNS);
	cext_stats_read(sum);

	for (int ns = 0; ns < CEXT_NAMESPACES; ns++)
	{
		Datum		values[NAMESPACE_COLUMNS] = {0};
		bool		nulls[NAMESPACE_COLUMNS] = {0};
		const uint64 *counters = sum->namespaces[ns];
		char		name[CEXT_NAMESPACE_LENGTH];
		Oid			dbid;
		bool		used = false;

		for (int i = 0; i < CEXT_NS_COUNT; i++)
			used |= counters[i] > 0;
		if (!used || !cext_stats_namespace_name(ns, &dbid, name) ||
			(OidIsValid(dbid) && dbid != MyDatabaseId))
			continue;

		values[NAMESPACE_NAME] = CStringGetTextDatum(name);
		values[NAMESPACE_HITS] = Int64GetDatum((int64) counters[CEXT_NS_HITS]);
		values[NAMESPACE_MISSES] = Int64GetDatum((int64) counters[CEXT_NS_MISSES]);
		cext_set_ratio(&values[NAMESPACE_HIT_RATIO], &nulls[NAMESPACE_HIT_RATIO],
					   counters[CEXT_NS_HITS], counters[CEXT_NS_MISSES]);
		values[NAMESPACE_BYPASSES] = Int64GetDatum((int64) counters[CEXT_NS_BYPASSES]);
		values[NAMESPACE_FILLS] = Int64GetDatum((int64) counters[CEXT_NS_FILLS]);
		values[NAMESPACE_TIME_SAVED] = cext_microseconds((int64) counters[CEXT_NS_SAVED_US]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
cache_bypass_reasons(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CextStatsBlock *sum = palloc(sizeof(CextStatsBlock));

	cext_begin_rows(fcinfo, REASON_COLUMNS);
	cext_stats_read(sum);

	for (int reason = CEXT_CACHEABLE + 1; reason < CEXT_BYPASS_COUNT; reason++)
	{
		Datum		values[REASON_COLUMNS] = {0};
		bool		nulls[REASON_COLUMNS] = {0};

		if (sum->bypasses[reason] == 0)
			continue;
		values[REASON_NAME] = CStringGetTextDatum(cext_bypass_name(reason));
		values[REASON_COUNT] = Int64GetDatum((int64) sum->bypasses[reason]);
		values[REASON_DESCRIPTION] = CStringGetTextDatum(cext_bypass_detail(reason));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
cache_stats_reset(PG_FUNCTION_ARGS)
{
	cext_stats_reset();
	cext_history_reset();
	PG_RETURN_VOID();
}


/* ----------------------------------------------------------------
 *		Entries
 * ----------------------------------------------------------------
 */

/*
 * Copy what is shown out of a pinned entry.  False if it is not for this
 * database, or no result but a mark.
 */
static bool
copy_entry(CextEntry *e, TimestampTz now, EntryCopy *copy)
{
	if (e->dbid != MyDatabaseId || (e->flags & CEXT_ENTRY_VARIES) != 0)
		return false;

	copy->roleid = e->roleid;
	copy->form = pg_tolower((unsigned char) e->form);
	copy->alive = e->expires > now && cext_entry_alive(e);
	copy->created = e->created;
	copy->expires = e->expires;
	copy->size = e->ready_size > 0 ? CEXT_ENTRY_READY(e) + e->ready_size :
		(Size) e->payload_offset + e->payload_size;
	copy->nrows = e->nrows;
	copy->hits = pg_atomic_read_u32(&e->hits);
	copy->fill_us = e->fill_us;
	copy->keylen = e->keylen;
	copy->key = pnstrdup(CEXT_ENTRY_KEY(e), e->keylen);
	copy->nrels = e->nrels;
	copy->rels = palloc(e->nrels * sizeof(Oid));
	memcpy(copy->rels, CEXT_ENTRY_RELS(e), e->nrels * sizeof(Oid));
	return true;
}

/*
 * By what the entry can be invalidated: its key, the prefixes of it that have
 * a tag (see cext_tags_of_key), and its relations, as far as they still exist.
 */
static Datum
readable_tags(const EntryCopy *copy)
{
	Datum	   *elems;
	int			n = 0;
	int			nprefixes = 0;

	elems = palloc((1 + CEXT_MAX_PREFIXES + copy->nrels) * sizeof(Datum));
	elems[n++] = PointerGetDatum(cstring_to_text_with_len(copy->key, copy->keylen));
	for (int i = 0; i < copy->keylen && nprefixes < CEXT_MAX_PREFIXES; i++)
	{
		if (copy->key[i] == ':')
		{
			elems[n++] = CStringGetTextDatum(psprintf("%.*s*", i + 1, copy->key));
			nprefixes++;
		}
	}
	for (int i = 0; i < copy->nrels; i++)
	{
		char	   *relname = get_rel_name(copy->rels[i]);
		char	   *nspname;

		if (relname == NULL)
			continue;
		nspname = get_namespace_name(get_rel_namespace(copy->rels[i]));
		if (nspname == NULL)
			continue;
		elems[n++] = CStringGetTextDatum(psprintf("relation:%s",
												  quote_qualified_identifier(nspname, relname)));
	}
	return PointerGetDatum(construct_array(elems, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
cache_entries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CextScan	scan;
	CextEntry  *e;
	TimestampTz now = GetCurrentTimestamp();
	bool		all;
	MemoryContext row_context;
	MemoryContext old_context;

	cext_begin_rows(fcinfo, ENTRY_COLUMNS);
	if (!cext_active())
		return (Datum) 0;

	all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"cache_ext entry", ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(row_context);

	cext_store_scan_begin(&scan, InvalidOid, "", 0);
	while ((e = cext_store_scan_next(&scan)) != NULL)
	{
		Datum		values[ENTRY_COLUMNS] = {0};
		bool		nulls[ENTRY_COLUMNS] = {0};
		EntryCopy	copy;
		bool		shown;
		char	   *role;

		MemoryContextReset(row_context);
		shown = copy_entry(e, now, &copy);
		cext_store_unpin(e);
		if (!shown || !(all || has_privs_of_role(GetUserId(), copy.roleid)))
			continue;

		values[ENTRY_KEY] = PointerGetDatum(cstring_to_text_with_len(copy.key, copy.keylen));
		role = GetUserNameFromId(copy.roleid, true);
		if (role != NULL)
			values[ENTRY_ROLE] = DirectFunctionCall1(namein, CStringGetDatum(role));
		else
			nulls[ENTRY_ROLE] = true;
		values[ENTRY_CREATED] = TimestampTzGetDatum(copy.created);
		values[ENTRY_EXPIRES] = TimestampTzGetDatum(copy.expires);
		values[ENTRY_SIZE] = Int64GetDatum((int64) copy.size);
		values[ENTRY_ROWS] = Int64GetDatum((int64) copy.nrows);
		values[ENTRY_HITS] = Int64GetDatum((int64) copy.hits);
		values[ENTRY_FILL_MS] = Float8GetDatum(copy.fill_us / 1000.0);
		values[ENTRY_TAGS] = readable_tags(&copy);
		values[ENTRY_KIND] = CStringGetTextDatum(copy.form == 'r' ? "rows" :
												 copy.form == 'j' ? "json" : "value");
		values[ENTRY_ALIVE] = BoolGetDatum(copy.alive);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(row_context);
	return (Datum) 0;
}


/* ----------------------------------------------------------------
 *		The last call
 * ----------------------------------------------------------------
 */

/* What became of this session's last call; all null before the first. */
Datum
cache_last_status(PG_FUNCTION_ARGS)
{
	Datum		values[LAST_COLUMNS] = {0};
	bool		nulls[LAST_COLUMNS];
	const CextLastStatus *last = &cext_last_status;

	memset(nulls, true, sizeof(nulls));
	if (last->status != CEXT_STATUS_NONE)
	{
		values[LAST_ELAPSED_MS] = Float8GetDatum(last->elapsed_us / 1000.0);
		nulls[LAST_ELAPSED_MS] = false;
		nulls[LAST_STATUS] = false;
	}

	switch (last->status)
	{
		case CEXT_STATUS_NONE:
			break;

		case CEXT_STATUS_HIT:
		case CEXT_STATUS_STALE:
			values[LAST_STATUS] = CStringGetTextDatum(last->status == CEXT_STATUS_HIT ?
													  "hit" : "stale");
			if (last->from_cache)
			{
				TimestampTz now = GetCurrentTimestamp();

				values[LAST_TIER] = CStringGetTextDatum(last->from_redis ? "redis" : "shared_memory");
				values[LAST_AGE] = cext_microseconds(Max(now - last->created, 0));
				values[LAST_TTL_LEFT] = cext_microseconds(Max(last->expires - now, 0));
				nulls[LAST_TIER] = nulls[LAST_AGE] = nulls[LAST_TTL_LEFT] = false;
			}
			break;

		case CEXT_STATUS_MISS:
			values[LAST_STATUS] = CStringGetTextDatum("miss");
			values[LAST_STORED] = BoolGetDatum(last->stored);
			nulls[LAST_STORED] = false;
			break;

		case CEXT_STATUS_BYPASS:
			values[LAST_STATUS] = CStringGetTextDatum("bypass");
			values[LAST_REASON] = CStringGetTextDatum(cext_bypass_name(last->reason));
			values[LAST_STORED] = BoolGetDatum(false);
			nulls[LAST_REASON] = nulls[LAST_STORED] = false;
			break;
	}
	return cext_one_row(fcinfo, LAST_COLUMNS, values, nulls);
}
