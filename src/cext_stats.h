/*-------------------------------------------------------------------------
 *
 * cext_stats.h
 *		Counters: bump, read, reset.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_STATS_H
#define CEXT_STATS_H

#include "datatype/timestamp.h"

typedef enum CextStat
{
	CEXT_STAT_HITS,
	CEXT_STAT_MISSES,
	CEXT_STAT_BYPASSES,
	CEXT_STAT_FILLS,
	CEXT_STAT_FILLS_DISCARDED,	/* invalidated while filling, or no room */
	CEXT_STAT_EVICTIONS,
	CEXT_STAT_EXPIRATIONS,
	CEXT_STAT_INVALIDATIONS,
	CEXT_STAT_COALESCED,		/* hits after waiting for a fill */
	CEXT_STAT_STALE_HITS,		/* hits beyond the time to live */
	CEXT_STAT_REFRESHES,		/* fills for nobody, by workers */
	CEXT_STAT_ERRORS,			/* queries that failed */
	CEXT_STAT_REDIS_HITS,
	CEXT_STAT_REDIS_MISSES,
	CEXT_STAT_REDIS_ERRORS,		/* no answer, or an odd one */
	CEXT_STAT_REDIS_WRITES,
	CEXT_STAT_VERIFIED,			/* hits recomputed and compared */
	CEXT_STAT_DIVERGENCES,		/* and found to differ */
	CEXT_STAT_HIT_NS,			/* sums of times, in nanoseconds */
	CEXT_STAT_FILL_NS,
	CEXT_STAT_SAVED_US,			/* and in microseconds */
	CEXT_STAT_COUNT
} CextStat;

/* Why a query was answered past the cache.  Order as in bypass_names[]. */
typedef enum CextBypass
{
	CEXT_CACHEABLE,
	CEXT_BYPASS_NOT_PRELOADED,
	CEXT_BYPASS_DISABLED,
	CEXT_BYPASS_READS_OFF,
	CEXT_BYPASS_RECOVERY,
	CEXT_BYPASS_SERIALIZABLE,
	CEXT_BYPASS_REPEATABLE_READ,
	CEXT_BYPASS_WRITTEN,
	CEXT_BYPASS_OWN_INVALIDATION,
	CEXT_BYPASS_PARALLEL_WORKER,
	CEXT_BYPASS_ROW_SECURITY,
	CEXT_BYPASS_TEMPORARY,
	CEXT_BYPASS_CATALOG,
	CEXT_BYPASS_SEQUENCE,
	CEXT_BYPASS_VOLATILE,
	CEXT_BYPASS_SESSION_FUNCTION,
	CEXT_BYPASS_SYSTEM_COLUMN,
	CEXT_BYPASS_QUERY_WROTE,
	CEXT_BYPASS_RECORD,
	CEXT_BYPASS_TOO_LARGE,
	CEXT_BYPASS_TOO_MANY_RELATIONS,
	CEXT_BYPASS_COUNT
} CextBypass;

/* Times fall into buckets that grow by 2^(1/4). */
#define CEXT_HISTOGRAM_BUCKETS	160

typedef enum CextHistogram
{
	CEXT_HISTOGRAM_HIT,
	CEXT_HISTOGRAM_FILL,
	CEXT_HISTOGRAM_COUNT
} CextHistogram;

typedef enum CextNsStat
{
	/* a hit adds to these three, so they lie together */
	CEXT_NS_HITS,
	CEXT_NS_HIT_NS,
	CEXT_NS_SAVED_US,
	CEXT_NS_MISSES,
	CEXT_NS_BYPASSES,
	CEXT_NS_FILLS,
	CEXT_NS_QUERIES,			/* misses for which we ran a query */
	CEXT_NS_QUERY_NS,			/* what the queries took, */
	CEXT_NS_MISS_NS,			/* and what those calls took in all */
	CEXT_NS_REFILLS_SAME,		/* what had not been invalidated, recomputed: */
	CEXT_NS_REFILLS_CHANGED,	/* the same result, or another */
	CEXT_NS_REFILL_AGE_US,		/* how old the results in their place were */
	CEXT_NS_COUNT
} CextNsStat;

#define CEXT_NAMESPACES		128 /* number 0 takes what does not fit */
#define CEXT_NAMESPACE_LENGTH 64

/* One backend's counters, written by it alone. */
typedef struct CextStatsBlock
{
	/* these are kept by the hour, too: see cext_history.c */
	uint64		counters[CEXT_STAT_COUNT];
	uint64		histograms[CEXT_HISTOGRAM_COUNT][CEXT_HISTOGRAM_BUCKETS];
	/* from here on they are not */
	uint64		bypasses[CEXT_BYPASS_COUNT];
	uint64		namespaces[CEXT_NAMESPACES][CEXT_NS_COUNT];
} CextStatsBlock;

extern CextStatsBlock *cext_my_stats;

extern Size cext_stats_shmem_size(void);
extern void cext_stats_shmem_init(void);
extern void cext_stats_attach(void);

static inline void
cext_stats_add(CextStat stat, uint64 n)
{
	if (unlikely(cext_my_stats == NULL))
		cext_stats_attach();
	cext_my_stats->counters[stat] += n;
}

static inline void
cext_stats_ns_add(uint16 ns, CextNsStat stat, uint64 n)
{
	if (unlikely(cext_my_stats == NULL))
		cext_stats_attach();
	cext_my_stats->namespaces[ns][stat] += n;
}

extern void cext_stats_bypass(CextBypass reason);
extern void cext_stats_time(CextHistogram histogram, double us);
extern uint16 cext_stats_restore_namespace(Oid dbid, const char *name);
extern uint16 cext_stats_namespace(Oid dbid, const char *key, int keylen);

/* reading */
extern void cext_stats_sum(CextStatsBlock *sum);
extern void cext_stats_read(CextStatsBlock *sum);
extern void cext_stats_reset(void);
extern TimestampTz cext_stats_reset_time(void);
extern double cext_stats_percentile(const uint64 *histogram, double fraction);
extern bool cext_stats_namespace_name(uint16 ns, Oid *dbid, char *name);
extern const char *cext_bypass_name(CextBypass reason);
extern const char *cext_bypass_detail(CextBypass reason);

#endif							/* CEXT_STATS_H */
