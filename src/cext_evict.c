/*-------------------------------------------------------------------------
 *
 * cext_evict.c
 *		Which entry goes when the store is full.
 *
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
 * 2023): a small queue of about a tenth of the memory, from which entries that
 * were not hit leave for good; a main queue; and a table of hashes of those
 * that left the small queue lately ("ghosts"), who enter the main queue when
 * they come again.  A hit sets one byte and moves nothing.
 *
 * Added to it: an entry known to be dead or expired goes first, and one that
 * cost much more per byte than the average gets second chances as if it had
 * been hit.
 *
 * Everything here is protected by the store's alloc_lock, except for the byte
 * that a hit sets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_chunk.h"
#include "cext_evict.h"

enum
{
	QUEUE_SMALL,
	QUEUE_MAIN,
	QUEUE_NONE
};

#define MAX_CHANCES 256			/* in the search for one victim */

typedef struct Queue
{
	uint32		newest;
	uint32		oldest;
	uint64		chunks;
} Queue;

typedef struct EvictShared
{
	Queue		queues[2];
	int32		density;		/* running mean of log2(us per chunk), times
								 * 16 */
	uint32		nghosts;		/* power of two */
	uint32		ghosts[FLEXIBLE_ARRAY_MEMBER];
} EvictShared;

static EvictShared *ev;
static bool (*surely_dead) (const CextEntry *entry);

#define ENTRY(c) ((CextEntry *) CEXT_CHUNK_ADDRESS(c))
#define CHUNK_OF(e) ((uint32) (((char *) (e) - cext_chunk_base) / CEXT_CHUNK_SIZE))

Size
cext_evict_shmem_size(uint32 nghosts)
{
	return CACHELINEALIGN(offsetof(EvictShared, ghosts) +
						  (Size) nghosts * sizeof(uint32));
}

void
cext_evict_shmem_init(uint32 nghosts)
{
	bool		found;

	ev = ShmemInitStruct("cache_ext eviction", cext_evict_shmem_size(nghosts), &found);
	if (!found)
	{
		memset(ev, 0, cext_evict_shmem_size(nghosts));
		ev->nghosts = nghosts;
		for (int i = 0; i < 2; i++)
			ev->queues[i].newest = ev->queues[i].oldest = CEXT_NO_CHUNK;
	}
}

/* Let eviction recognize dead entries without knowing why they are. */
void
cext_evict_set_dead_check(bool (*check) (const CextEntry *entry))
{
	surely_dead = check;
}

static void
enqueue(CextEntry *e, int queue)
{
	Queue	   *q = &ev->queues[queue];
	uint32		c = CHUNK_OF(e);

	e->queue = queue;
	e->newer = CEXT_NO_CHUNK;
	e->older = q->newest;
	if (q->newest != CEXT_NO_CHUNK)
		ENTRY(q->newest)->newer = c;
	else
		q->oldest = c;
	q->newest = c;
	q->chunks += CEXT_ENTRY_CHUNKS(e);
}

void
cext_evict_remove(CextEntry *e)
{
	Queue	   *q = &ev->queues[e->queue];

	if (e->newer != CEXT_NO_CHUNK)
		ENTRY(e->newer)->older = e->older;
	else
		q->newest = e->older;
	if (e->older != CEXT_NO_CHUNK)
		ENTRY(e->older)->newer = e->newer;
	else
		q->oldest = e->newer;
	q->chunks -= CEXT_ENTRY_CHUNKS(e);
	e->queue = QUEUE_NONE;
}

static inline uint32
fingerprint(uint64 hash)
{
	return (uint32) (hash >> 32) | 1;
}

/* Second chances for what the entry cost: none near the mean, at most 3. */
static uint8
credit(const CextEntry *e)
{
	int32		d = 16 * pg_leftmost_one_pos32(e->fill_us / CEXT_ENTRY_CHUNKS(e) + 1);
	int32		above = d - ev->density;

	return above < 48 ? 0 : Min(above / 48, 3);
}

/* Is nobody ever going to hit this entry again?  Needs no lock. */
bool
cext_evict_surely_dead(const CextEntry *e)
{
	return surely_dead != NULL && surely_dead(e);
}

static bool
is_gone(const CextEntry *e, TimestampTz now)
{
	return e->expires <= now || cext_evict_surely_dead(e);
}

/*
 * Choose a victim and pin it.  NULL if there is nothing.
 */
CextEntry *
cext_evict_choose(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int chances = 0;; chances++)
	{
		Queue	   *small = &ev->queues[QUEUE_SMALL];
		Queue	   *main = &ev->queues[QUEUE_MAIN];
		bool		from_small;
		CextEntry  *e;

		/* what is gone anyway goes first, from whichever end it shows */
		if (main->oldest != CEXT_NO_CHUNK && is_gone(ENTRY(main->oldest), now))
		{
			e = ENTRY(main->oldest);
			pg_atomic_fetch_add_u32(&e->refs, 1);
			return e;
		}
		from_small = small->oldest != CEXT_NO_CHUNK &&
			(small->chunks > cext_chunk_count() / 10 || main->oldest == CEXT_NO_CHUNK);
		if (from_small)
			e = ENTRY(small->oldest);
		else if (main->oldest != CEXT_NO_CHUNK)
			e = ENTRY(main->oldest);
		else
			return NULL;

		/* second chances are given under the lock, so not without end */
		if (!is_gone(e, now) && chances < MAX_CHANCES)
		{
			if (from_small)
			{
				uint8		lives = credit(e);

				if (e->visited || lives > 0)
				{
					e->visited = 0;
					e->lives = lives;
					cext_evict_remove(e);
					enqueue(e, QUEUE_MAIN);
					continue;
				}
			}
			else if (e->visited || e->lives > 0)
			{
				if (e->visited)
					e->visited = 0;
				else
					e->lives--;
				cext_evict_remove(e);
				enqueue(e, QUEUE_MAIN);
				continue;
			}
			if (from_small)
				ev->ghosts[(uint32) e->hash & (ev->nghosts - 1)] = fingerprint(e->hash);
		}
		pg_atomic_fetch_add_u32(&e->refs, 1);
		return e;
	}
}

/*
 * A new entry.  A refill of one that was in use keeps the place its forerunner
 * earned; so does one that left the small queue not long ago.
 */
void
cext_evict_add(CextEntry *e, bool in_use)
{
	uint32	   *ghost = &ev->ghosts[(uint32) e->hash & (ev->nghosts - 1)];
	bool		again = *ghost == fingerprint(e->hash);

	ev->density += (16 * pg_leftmost_one_pos32(e->fill_us / CEXT_ENTRY_CHUNKS(e) + 1) -
					ev->density) / 16;
	if (again)
	{
		*ghost = 0;
		e->lives = credit(e);
	}
	enqueue(e, again || in_use ? QUEUE_MAIN : QUEUE_SMALL);
}
