/*-------------------------------------------------------------------------
 *
 * cext_refresh.c
 *		Computing an entry anew before anybody misses it.
 *
 * Early refresh is XFetch (Vattani, Chierichetti, Lowenstein: Optimal
 * Probabilistic Cache Stampede Prevention, VLDB 2015): a hit computes the
 * entry anew if
 *
 *		now - delta * beta * ln(random()) >= expiry
 *
 * where delta is what computing takes and random() is in (0, 1].  So the nearer
 * the end and the more hits there are, the surer somebody does it in time, and
 * rarely many do.  beta is the policy's refresh_ahead.  delta is what the query
 * took last, and what lately passed between asking a worker for something and
 * its beginning.
 *
 * A hit does not draw.  It compares the time with entry->refresh, before which
 * the chance is nothing (e^-WINDOW) or half the time to live is not over.
 * Whoever then draws a refresh moves entry->refresh into the future by
 * compare-and-swap, which makes it his alone to see to it; if nothing comes of
 * it, the next one after that time tries again.
 *
 * What came from Redis is a copy of this process, so there the claim is in an
 * array, by the hash of the identity; two entries that share a place may keep
 * each other from being refreshed for that time.  If shared memory is a tier,
 * the entry is there now, and the next hit may draw.
 *
 * Stale while revalidate uses the same claim on an entry that has expired.
 *
 * Who holds the claim hands a recipe to a background worker, and goes on with
 * the entry as it is; if there is no worker for it, he computes it himself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_guc.h"
#include "cext_queue.h"
#include "cext_recipe.h"
#include "cext_refresh.h"

#define WINDOW			20.0	/* e^-20: once in half a billion hits */
#define FIRST_LEAD_US	50000	/* before any refresh was seen */
#define RETRY_US		USECS_PER_SEC	/* at least, between two claims */
#define REMOTE_CLAIMS	1024

typedef struct RefreshShared
{
	pg_atomic_uint64 lead_us;	/* moving average */
	pg_atomic_uint64 remote[REMOTE_CLAIMS]; /* of entries in Redis: until when
											 * they are claimed */
} RefreshShared;

static RefreshShared *shared;

Size
cext_refresh_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(RefreshShared));
}

void
cext_refresh_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("cache_ext refresh", cext_refresh_shmem_size(), &found);
	if (!found)
	{
		pg_atomic_init_u64(&shared->lead_us, FIRST_LEAD_US);
		for (int i = 0; i < REMOTE_CLAIMS; i++)
			pg_atomic_init_u64(&shared->remote[i], 0);
	}
}

/* XFetch's delta. */
static double
cost_us(double fill_us)
{
	return fill_us + (double) pg_atomic_read_u64(&shared->lead_us);
}

/* From when on a hit is to think of a refresh; 0 if never. */
TimestampTz
cext_refresh_from(const CextStaying *staying, TimestampTz created,
				  TimestampTz expires, double fill_us)
{
	double		window;

	if (staying->ahead <= 0)
		return staying->stale > 0 ? expires : 0;
	window = Min(WINDOW * staying->ahead * cost_us(fill_us),
				 (double) (expires - created) / 2);
	return expires - (TimestampTz) window;
}

/* A hit after that time: draw, and claim. */
bool
cext_refresh_due(CextEntry *e, const CextStaying *staying)
{
	double		early;

	if (staying->ahead <= 0 || !cext_enable_writes ||
		((e->flags & CEXT_ENTRY_LOCAL) != 0 && cext_storage_memory()))
		return false;
	early = -cost_us(e->fill_us) * staying->ahead *
		log(1.0 - pg_prng_double(&pg_global_prng_state));
	return GetCurrentTimestamp() + early >= e->expires && cext_refresh_claim(e);
}

/* Is it for us to see that this entry is computed anew? */
bool
cext_refresh_claim(CextEntry *e)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_atomic_uint64 *claim = (e->flags & CEXT_ENTRY_LOCAL) != 0 ?
		&shared->remote[e->hash % REMOTE_CLAIMS] : &e->refresh;
	uint64		from = pg_atomic_read_u64(claim);
	uint64		again = now + (uint64) Max(RETRY_US, 4 * cost_us(e->fill_us));

	if (!cext_enable_writes || (from != CEXT_NO_REFRESH && (uint64) now < from))
		return false;
	return pg_atomic_compare_exchange_u64(claim, &from, again);
}

/* Leave a pinned entry to a worker.  False if we have to do it ourselves. */
bool
cext_refresh_hand_over(const CextCall *call, const CextEntry *e)
{
	char	   *recipe;
	uint32		size;
	bool		put;

	if (e->foreground || !cext_queue_served())
		return false;
	recipe = cext_recipe_make(call, e->hash, e->seed, &size);
	if (recipe == NULL)
		return false;
	put = cext_queue_put(e->dbid, e->roleid, e->hash, recipe, size);
	pfree(recipe);
	return put;
}

/* So long a request lay around until it was begun. */
void
cext_refresh_took(double us)
{
	uint64		old = pg_atomic_read_u64(&shared->lead_us);

	us = Max(Min(us, 10 * USECS_PER_SEC), 1000);
	pg_atomic_write_u64(&shared->lead_us, (uint64) ((old * 7 + us) / 8));
}
