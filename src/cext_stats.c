/*-------------------------------------------------------------------------
 *
 * cext_stats.c
 *		Counters: bump, read, reset.
 *
 * Every backend has a block of counters in shared memory and adds to it
 * without a lock or an atomic instruction, so counting a hit touches no line
 * that another backend writes.  Whoever wants the totals adds the blocks up.
 *
 * A block belongs to a backend's number, not to the backend: the next one
 * with that number goes on where the last one stopped.  So a counter never
 * goes back, and a reset writes to no block either: it remembers the totals of
 * that moment in the base block, which every reading subtracts.  A reader may
 * see a hit counted and its time not yet; nothing is lost by that.
 *
 * Namespaces, the first segments of the keys, are numbered as they come up,
 * for the whole cluster, and keep their number, across clean restarts, too,
 * because entries in the store carry it.  A name is written once, and only then
 * counted in nnames, behind a write barrier; so a lookup scans the table
 * without a lock.  What comes when the table is full, and the namespaces of an
 * application that gives every key one of its own, go under number 0.
 *
 * Locking: one LWLock, shared to read the base block, exclusive to write it
 * and to add a name.  Nothing here throws or allocates.
 *
 * Where the library was not preloaded there is no shared memory: everything
 * is counted in a block of the process, which nobody reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_stats.h"

/* What this backend looked up last, by hash; a power of two. */
#define RECENT_NAMES	32

#define HISTOGRAM_START_US	0.125

typedef struct CextNamespace
{
	Oid			dbid;
	uint32		hash;
	int			len;
	char		name[CEXT_NAMESPACE_LENGTH];	/* with a final zero */
} CextNamespace;

typedef struct CextStatsShared
{
	LWLock	   *lock;
	TimestampTz reset_time;		/* protected by lock */
	CextStatsBlock base;		/* protected by lock */

	/* read without a lock, appended to under it; number 0 is not used */
	uint32		nnames;			/* the next number */
	CextNamespace names[CEXT_NAMESPACES];
} CextStatsShared;

typedef struct RecentName
{
	CextNamespace ns;			/* len -1: empty */
	uint16		number;
} RecentName;

static const struct
{
	const char *name;
	const char *detail;
}			bypasses[] =

{
	[CEXT_CACHEABLE] = {
		"cacheable",
		"The result can be cached."
	},
	[CEXT_BYPASS_NOT_PRELOADED] = {
		"not preloaded",
		"There is no cache, because cache_ext is not in \"shared_preload_libraries\"."
	},
	[CEXT_BYPASS_DISABLED] = {
		"disabled",
		"The setting \"cache_ext.enabled\" is off."
	},
	[CEXT_BYPASS_READS_OFF] = {
		"reads disabled",
		"The setting \"cache_ext.enable_reads\" is off."
	},
	[CEXT_BYPASS_RECOVERY] = {
		"recovery",
		"The server is in recovery, where invalidations do not arrive, and \"cache_ext.allow_in_recovery\" is off."
	},
	[CEXT_BYPASS_SERIALIZABLE] = {
		"serializable transaction",
		"A SERIALIZABLE transaction must run its queries itself, so that conflicts are noticed."
	},
	[CEXT_BYPASS_REPEATABLE_READ] = {
		"repeatable read transaction",
		"No entry fits the snapshot of the REPEATABLE READ transaction, and its own results may be too old to be stored."
	},
	[CEXT_BYPASS_WRITTEN] = {
		"transaction has written",
		"The transaction has written something, so its results may show what is not committed."
	},
	[CEXT_BYPASS_OWN_INVALIDATION] = {
		"own invalidation",
		"The transaction has itself invalidated the key and gets its own, fresh result."
	},
	[CEXT_BYPASS_PARALLEL_WORKER] = {
		"parallel worker",
		"A parallel worker does not use the cache."
	},
	[CEXT_BYPASS_ROW_SECURITY] = {
		"row-level security",
		"Row-level security is in force for a relation of the query."
	},
	[CEXT_BYPASS_TEMPORARY] = {
		"temporary table",
		"The query reads a temporary table, or the session has temporary types or functions, which only it can see."
	},
	[CEXT_BYPASS_CATALOG] = {
		"system catalog",
		"The query reads a system catalog or a statistics view, whose changes are not tracked."
	},
	[CEXT_BYPASS_SEQUENCE] = {
		"sequence",
		"The query reads a sequence, which changes outside of transactions."
	},
	[CEXT_BYPASS_VOLATILE] = {
		"volatile function",
		"The query calls a VOLATILE function, and \"cache_ext.volatile_functions\" is not \"cache\"."
	},
	[CEXT_BYPASS_SESSION_FUNCTION] = {
		"session function",
		"The query calls a function whose result belongs to the session or the snapshot."
	},
	[CEXT_BYPASS_SYSTEM_COLUMN] = {
		"system column",
		"The query reads a system column, which row locks, VACUUM FULL or CLUSTER change without the row."
	},
	[CEXT_BYPASS_QUERY_WROTE] = {
		"query wrote",
		"The query itself wrote something, in a function that it calls."
	},
	[CEXT_BYPASS_RECORD] = {
		"anonymous record",
		"The query has an argument or a column of an anonymous record type, which means nothing outside the session."
	},
	[CEXT_BYPASS_TOO_LARGE] = {
		"too large",
		"The result is larger than \"cache_ext.max_entry_size\"."
	},
	[CEXT_BYPASS_TOO_MANY_RELATIONS] = {
		"too many relations",
		"The query reads more relations than an entry can name."
	},
};

StaticAssertDecl(lengthof(bypasses) == CEXT_BYPASS_COUNT,
				 "every bypass needs a name");

CextStatsBlock *cext_my_stats = NULL;

static CextStatsShared *shared;
static char *blocks;
static CextStatsBlock unread;
static RecentName recent[RECENT_NAMES];
static bool recent_ready;

#define BLOCK_SIZE		CACHELINEALIGN(sizeof(CextStatsBlock))
#define BLOCK(i)		((CextStatsBlock *) (blocks + (Size) (i) * BLOCK_SIZE))

/* Sums and differences go over a block as over an array. */
#define BLOCK_LENGTH	(sizeof(CextStatsBlock) / sizeof(uint64))

StaticAssertDecl(CEXT_HISTOGRAM_BUCKETS % 4 == 0,
				 "buckets come in whole powers of two");

static uint16 shared_namespace(const CextNamespace *ns);


/* ----------------------------------------------------------------
 *		Size and start
 * ----------------------------------------------------------------
 */

Size
cext_stats_shmem_size(void)
{
	return add_size(CACHELINEALIGN(sizeof(CextStatsShared)),
					mul_size(MaxBackends, BLOCK_SIZE));
}

void
cext_stats_shmem_init(void)
{
	bool		found;
	char	   *p;

	p = ShmemInitStruct("cache_ext statistics", cext_stats_shmem_size(), &found);
	shared = (CextStatsShared *) p;
	blocks = p + CACHELINEALIGN(sizeof(CextStatsShared));

	if (!found)
	{
		memset(p, 0, cext_stats_shmem_size());
		shared->lock = &GetNamedLWLockTranche("cache_ext_stats")->lock;
		shared->reset_time = GetCurrentTimestamp();
		shared->nnames = 1;
	}
}

/*
 * Point cext_my_stats at this backend's block.  Whatever has no backend's
 * number, an auxiliary process say, counts for itself.
 */
void
cext_stats_attach(void)
{
	if (cext_shmem_ready && MyProc != NULL && cext_proc_number() < MaxBackends)
		cext_my_stats = BLOCK(cext_proc_number());
	else
		cext_my_stats = &unread;
}


/* ----------------------------------------------------------------
 *		Counting
 * ----------------------------------------------------------------
 */

void
cext_stats_bypass(CextBypass reason)
{
	Assert(reason != CEXT_CACHEABLE && reason < CEXT_BYPASS_COUNT);
	cext_stats_add(CEXT_STAT_BYPASSES, 1);
	cext_my_stats->bypasses[reason]++;
}

/*
 * Bucket b counts times from 2^(b/4) up to 2^((b+1)/4) times the start, which
 * is less than any hit takes.  What is below goes into the first bucket, what
 * is above all of them into the last.
 */
static int
bucket_of(double us)
{
	double		mantissa;
	int			exponent;

	us /= HISTOGRAM_START_US;
	/* written so that NaN comes here, too */
	if (!(us >= 1.0))
		return 0;
	if (us >= ldexp(1.0, CEXT_HISTOGRAM_BUCKETS / 4))
		return CEXT_HISTOGRAM_BUCKETS - 1;

	/* us = mantissa * 2^exponent, 0.5 <= mantissa < 1; cheaper than log2() */
	mantissa = frexp(us, &exponent);
	return (exponent - 1) * 4 +
		(mantissa >= 0.59460355750136054) + /* 2^(-3/4) */
		(mantissa >= 0.70710678118654752) + /* 2^(-2/4) */
		(mantissa >= 0.84089641525371454);	/* 2^(-1/4) */
}

/* Where a bucket begins, in milliseconds. */
static double
bucket_ms(double b)
{
	return HISTOGRAM_START_US * exp2(b / 4.0) / 1000.0;
}

/* Count the time of a hit or a fill in its histogram; the sum is not ours. */
void
cext_stats_time(CextHistogram histogram, double us)
{
	if (unlikely(cext_my_stats == NULL))
		cext_stats_attach();
	cext_my_stats->histograms[histogram][bucket_of(us)]++;
}


/* ----------------------------------------------------------------
 *		Namespaces
 * ----------------------------------------------------------------
 */

static inline bool
same_namespace(const CextNamespace *a, const CextNamespace *b)
{
	return a->hash == b->hash && a->dbid == b->dbid && a->len == b->len &&
		memcmp(a->name, b->name, a->len) == 0;
}

/*
 * The number of a key's namespace: the part before the first colon, or all of
 * it, cut to fit.  The key is in the encoding of the current database.
 */
uint16
cext_stats_namespace(Oid dbid, const char *key, int keylen)
{
	const char *colon;
	CextNamespace ns;
	RecentName *r;

	if (!cext_active())
		return 0;

	colon = memchr(key, ':', keylen);
	ns.len = colon != NULL ? (int) (colon - key) : keylen;
	if (ns.len >= CEXT_NAMESPACE_LENGTH)
		ns.len = pg_mbcliplen(key, ns.len, CEXT_NAMESPACE_LENGTH - 1);
	ns.dbid = dbid;
	ns.hash = hash_bytes((const unsigned char *) key, ns.len);
	memcpy(ns.name, key, ns.len);
	ns.name[ns.len] = '\0';

	if (unlikely(!recent_ready))
	{
		for (int i = 0; i < RECENT_NAMES; i++)
			recent[i].ns.len = -1;
		recent_ready = true;
	}
	r = &recent[ns.hash & (RECENT_NAMES - 1)];
	if (!same_namespace(&r->ns, &ns))
	{
		/* numbers do not change, and a full table stays full */
		r->number = shared_namespace(&ns);
		r->ns = ns;
	}
	return r->number;
}

/* Look among names [from, to). */
static uint16
find_namespace(const CextNamespace *ns, uint32 from, uint32 to)
{
	for (uint32 i = from; i < to; i++)
		if (same_namespace(&shared->names[i], ns))
			return i;
	return 0;
}

static uint32
names_published(void)
{
	uint32		n = *(volatile uint32 *) &shared->nnames;

	pg_read_barrier();
	return n;
}

/* Find a name in the table or add it; 0 if the table is full. */
static uint16
shared_namespace(const CextNamespace *ns)
{
	uint32		n = names_published();
	uint16		number = find_namespace(ns, 1, n);

	if (number != 0 || n >= CEXT_NAMESPACES)
		return number;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	number = find_namespace(ns, n, shared->nnames);
	if (number == 0 && shared->nnames < CEXT_NAMESPACES)
	{
		number = shared->nnames;
		shared->names[number] = *ns;
		pg_write_barrier();
		shared->nnames = number + 1;
	}
	LWLockRelease(shared->lock);
	return number;
}

/*
 * The number, in this run of the server, of a namespace of the one before.  For
 * the postmaster: what it remembered, its children would, even after a crash.
 */
uint16
cext_stats_restore_namespace(Oid dbid, const char *name)
{
	CextNamespace ns;

	if (name[0] == '\0')
		return 0;
	memset(&ns, 0, sizeof(ns));
	ns.dbid = dbid;
	ns.len = strnlen(name, CEXT_NAMESPACE_LENGTH - 1);
	ns.hash = hash_bytes((const unsigned char *) name, ns.len);
	memcpy(ns.name, name, ns.len);
	return shared_namespace(&ns);
}

/*
 * The name of a namespace, into CEXT_NAMESPACE_LENGTH bytes.  False if the
 * number is not in use.  Number 0 belongs to no database.
 */
bool
cext_stats_namespace_name(uint16 ns, Oid *dbid, char *name)
{
	if (ns == 0)
	{
		*dbid = InvalidOid;
		strlcpy(name, "(other)", CEXT_NAMESPACE_LENGTH);
		return true;
	}
	if (shared == NULL || ns >= names_published())
		return false;
	*dbid = shared->names[ns].dbid;
	strlcpy(name, shared->names[ns].name, CEXT_NAMESPACE_LENGTH);
	return true;
}


/* ----------------------------------------------------------------
 *		Reading
 * ----------------------------------------------------------------
 */

/*
 * All backends' counters since the server started, whatever was reset; they
 * never go back.  Needs no lock.
 */
void
cext_stats_sum(CextStatsBlock *sum)
{
	uint64	   *to = (uint64 *) sum;

	memset(sum, 0, sizeof(CextStatsBlock));
	for (int b = 0; b < MaxBackends; b++)
	{
		const volatile uint64 *from = (const volatile uint64 *) BLOCK(b);

		for (int i = 0; i < BLOCK_LENGTH; i++)
			to[i] += from[i];
	}
}

/* All backends' counters since the last reset; zero without shared memory. */
void
cext_stats_read(CextStatsBlock *sum)
{
	uint64	   *to = (uint64 *) sum;
	const uint64 *base;

	if (!cext_active())
	{
		memset(sum, 0, sizeof(CextStatsBlock));
		return;
	}

	/* a reset between the two would make the difference negative */
	LWLockAcquire(shared->lock, LW_SHARED);
	cext_stats_sum(sum);
	base = (const uint64 *) &shared->base;
	for (int i = 0; i < BLOCK_LENGTH; i++)
		to[i] -= base[i];
	LWLockRelease(shared->lock);
}

void
cext_stats_reset(void)
{
	if (!cext_active())
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	cext_stats_sum(&shared->base);
	shared->reset_time = GetCurrentTimestamp();
	LWLockRelease(shared->lock);
}

/* When the counters began; DT_NOBEGIN without shared memory. */
TimestampTz
cext_stats_reset_time(void)
{
	TimestampTz result;

	if (!cext_active())
		return DT_NOBEGIN;

	LWLockAcquire(shared->lock, LW_SHARED);
	result = shared->reset_time;
	LWLockRelease(shared->lock);
	return result;
}

/*
 * The time in milliseconds that this fraction of the events stayed below, NaN
 * if there were none.  Right to about a tenth: within a bucket, events are
 * taken to be spread evenly on the logarithmic scale.
 */
double
cext_stats_percentile(const uint64 *histogram, double fraction)
{
	uint64		total = 0;
	uint64		below = 0;
	double		rank;

	for (int b = 0; b < CEXT_HISTOGRAM_BUCKETS; b++)
		total += histogram[b];
	if (total == 0)
		return NAN;

	rank = fraction * (double) total;
	for (int b = 0; b < CEXT_HISTOGRAM_BUCKETS; b++)
	{
		if (histogram[b] == 0)
			continue;
		if ((double) (below + histogram[b]) >= rank)
		{
			double		inside = (rank - (double) below) / (double) histogram[b];

			return bucket_ms(b + Max(inside, 0.0));
		}
		below += histogram[b];
	}

	/* not reached with a fraction up to 1 */
	return bucket_ms(CEXT_HISTOGRAM_BUCKETS);
}

/* A short name that does not change between releases. */
const char *
cext_bypass_name(CextBypass reason)
{
	Assert(reason < CEXT_BYPASS_COUNT);
	return bypasses[reason].name;
}

/* A sentence for people. */
const char *
cext_bypass_detail(CextBypass reason)
{
	Assert(reason < CEXT_BYPASS_COUNT);
	return bypasses[reason].detail;
}
