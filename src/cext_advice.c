/*-------------------------------------------------------------------------
 *
 * cext_advice.c
 *		What caching costs and saves, by namespace, and what time to live suits.
 *
 * Break-even
 *		Without the cache a call costs the query, Q.  With it, a hit costs H and
 *		a miss M, which is Q with the looking up and storing.  At hit ratio h the
 *		two are equal where h H + (1 - h) M = Q, so h = (M - Q) / (M - H).  There
 *		is no such ratio if a hit is not cheaper than the query.
 *
 * Time to live
 *		Whenever a result takes the place of an older one that nothing had
 *		invalidated, cext_refill.c compares the two.  If changes come at a steady
 *		rate r, a share of exp(-r a) of the results of age a is still the same.
 *		From n comparisons of mean age a, s of them equal, we take
 *
 *			r a = -ln((s + 0.5) / (n + 0.5))
 *
 *		(Cho and Garcia-Molina, "Estimating frequency of change", ACM TOIT 3(3),
 *		2003; the halves take out the bias and allow for s = 0).  The suggested
 *		time to live is the age at which TOLERATED of the results have changed,
 *		but not beyond MAX_STRETCH times either way of what was observed.  A time
 *		to live T in place of a spares the share 1 - a / T of these refills, each
 *		of which costs M where a hit costs H.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "cext_row.h"
#include "cext_stats.h"
#include "cext_views.h"

PG_FUNCTION_INFO_V1(cache_advice);

#define MIN_REFILLS		10		/* comparisons to draw a conclusion from */
#define TOLERATED		0.05	/* share of results that may be outdated */
#define MAX_STRETCH		4.0
#define MAX_TTL_MS		86400000.0	/* a day */

enum
{
	ADVICE_NAMESPACE,
	ADVICE_CALLS,
	ADVICE_QUERY_MS,
	ADVICE_HIT_MS,
	ADVICE_MISS_MS,
	ADVICE_HIT_RATIO,
	ADVICE_BREAK_EVEN,
	ADVICE_WORTHWHILE,
	ADVICE_REFILLS_IDENTICAL,
	ADVICE_REFILLS_CHANGED,
	ADVICE_REFILL_AGE,
	ADVICE_SUGGESTED_TTL,
	ADVICE_TTL_SAVES,
	ADVICE_COLUMNS
};

/* The time to live for these comparisons, in milliseconds. */
static double
suggested_ttl(uint64 same, uint64 changed, double age)
{
	double		changes = -log((same + 0.5) / (same + changed + 0.5));
	double		ttl = age * -log(1.0 - TOLERATED) / Max(changes, 1e-9);

	ttl = Min(Max(ttl, age / MAX_STRETCH), age * MAX_STRETCH);
	ttl = Min(ttl, MAX_TTL_MS);
	/* nobody wants to read fractions */
	return ttl >= 10000 ? rint(ttl / 1000) * 1000 : ttl >= 100 ? rint(ttl / 10) * 10 : ttl;
}

static void
advise_ttl(const uint64 *counters, double miss_ms, double hit_ms,
		   Datum *values, bool *nulls)
{
	uint64		same = counters[CEXT_NS_REFILLS_SAME];
	uint64		changed = counters[CEXT_NS_REFILLS_CHANGED];
	double		age;
	double		ttl;

	values[ADVICE_REFILLS_IDENTICAL] = Int64GetDatum((int64) same);
	values[ADVICE_REFILLS_CHANGED] = Int64GetDatum((int64) changed);
	nulls[ADVICE_REFILL_AGE] = same + changed == 0;
	nulls[ADVICE_SUGGESTED_TTL] = nulls[ADVICE_TTL_SAVES] = true;
	if (same + changed == 0)
		return;

	age = counters[CEXT_NS_REFILL_AGE_US] / 1e3 / (same + changed);
	values[ADVICE_REFILL_AGE] = cext_microseconds((int64) (age * 1000));
	if (same + changed < MIN_REFILLS || age <= 0)
		return;

	ttl = suggested_ttl(same, changed, age);
	values[ADVICE_SUGGESTED_TTL] = cext_microseconds((int64) (ttl * 1000));
	nulls[ADVICE_SUGGESTED_TTL] = false;

	/* less than nothing: what fresher results cost */
	if (!isnan(hit_ms))
	{
		values[ADVICE_TTL_SAVES] =
			cext_microseconds((int64) ((same + changed) * (1.0 - age / ttl) *
									   Max(miss_ms - hit_ms, 0.0) * 1000));
		nulls[ADVICE_TTL_SAVES] = false;
	}
}

/*
 * The namespaces of the current database for which queries were run since the
 * last reset.
 */
Datum
cache_advice(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CextStatsBlock *sum = palloc(sizeof(CextStatsBlock));

	double		any_hit_ms = NAN;

	cext_begin_rows(fcinfo, ADVICE_COLUMNS);
	cext_stats_read(sum);

	/* for a namespace without hits, they cost what they do elsewhere */
	if (sum->counters[CEXT_STAT_HITS] > 0)
		any_hit_ms = sum->counters[CEXT_STAT_HIT_NS] / 1e6 / sum->counters[CEXT_STAT_HITS];

	for (int ns = 0; ns < CEXT_NAMESPACES; ns++)
	{
		Datum		values[ADVICE_COLUMNS] = {0};
		bool		nulls[ADVICE_COLUMNS] = {0};
		const uint64 *counters = sum->namespaces[ns];
		uint64		hits = counters[CEXT_NS_HITS];
		uint64		misses = counters[CEXT_NS_MISSES];
		uint64		queries = counters[CEXT_NS_QUERIES];
		char		name[CEXT_NAMESPACE_LENGTH];
		Oid			dbid;
		double		query_ms;
		double		miss_ms;
		double		hit_ms = any_hit_ms;
		double		ratio = NAN;

		if (queries == 0 || !cext_stats_namespace_name(ns, &dbid, name) ||
			(OidIsValid(dbid) && dbid != MyDatabaseId))
			continue;

		query_ms = counters[CEXT_NS_QUERY_NS] / 1e6 / queries;
		miss_ms = counters[CEXT_NS_MISS_NS] / 1e6 / queries;
		if (hits > 0)
			hit_ms = counters[CEXT_NS_HIT_NS] / 1e6 / hits;
		if (hit_ms < query_ms && miss_ms > hit_ms)
			ratio = Max(miss_ms - query_ms, 0.0) / (miss_ms - hit_ms);

		values[ADVICE_NAMESPACE] = CStringGetTextDatum(name);
		values[ADVICE_CALLS] = Int64GetDatum((int64) (hits + misses));
		values[ADVICE_QUERY_MS] = Float8GetDatum(query_ms);
		values[ADVICE_HIT_MS] = Float8GetDatum(hit_ms);
		nulls[ADVICE_HIT_MS] = hits == 0;
		values[ADVICE_MISS_MS] = Float8GetDatum(miss_ms);
		cext_set_ratio(&values[ADVICE_HIT_RATIO], &nulls[ADVICE_HIT_RATIO], hits, misses);
		values[ADVICE_BREAK_EVEN] = Float8GetDatum(ratio);
		nulls[ADVICE_BREAK_EVEN] = isnan(ratio);
		values[ADVICE_WORTHWHILE] =
			BoolGetDatum(!isnan(ratio) && (double) hits / (hits + misses) > ratio);
		advise_ttl(counters, miss_ms, hit_ms, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
