/*-------------------------------------------------------------------------
 *
 * cext_store.c
 *		The shared-memory store: entries of bytes under an identity.
 *
 * Memory
 *		An array of chunks of 256 bytes, all there ever is.  An entry is a
 *		chain of chunks; the links are in an array of their own, so chunks with
 *		consecutive numbers are one piece of memory, and a reader usually gets a
 *		row without copying it.  A bitmap says which chunks are free.  No
 *		allocator that can throw, and no fragmentation that could keep a free
 *		chunk from being used.
 *
 * Index
 *		A fixed array of buckets, each a chain of entries, in partitions with a
 *		lock each.
 *
 * Pins
 *		entry->refs counts the backends that are reading, and one while the
 *		entry is linked into its bucket.  Whoever brings it to zero frees the
 *		chunks, so neither eviction nor replacement waits for a reader.  A
 *		lookup pins under the shared partition lock, which is all the locking a
 *		hit does.  A backend remembers its pins and drops them when its
 *		transaction or the process ends, whatever happened in between.
 *
 * Eviction
 *		S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction",
 *		SOSP 2023): a small queue of about a tenth of the memory, from which
 *		entries that were not hit leave for good; a main queue; and a table of
 *		hashes of those that left the small queue lately, who enter the main
 *		queue when they come again.  A hit sets one byte and moves nothing.
 *		Added to it: an entry known to be dead or expired goes first, and one
 *		that cost much more per byte than the average gets second chances as
 *		if it had been hit.
 *
 * Lock order
 *		partition lock, then alloc_lock.  alloc_lock protects the bitmap, the
 *		queues and the ghosts; a victim is pinned under it, then unlinked under
 *		its partition lock.  Interrupts are held while any of them is.  Nothing
 *		here throws: no memory means "not stored".
 *
 * Crash
 *		When a backend dies without cleaning up, the postmaster reinitializes
 *		all shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cext_guc.h"
#include "cext_stats.h"
#include "cext_store.h"

#define CHUNK_SIZE		256
#define NO_CHUNK				PG_UINT32_MAX
#define MAX_PINS		64		/* by one backend at a time */
#define MAX_EVICTIONS	256		/* for one insertion, besides the dead */

enum
{
	QUEUE_SMALL,
	QUEUE_MAIN,
	QUEUE_NONE
};

typedef struct Queue
{
	uint32		newest;
	uint32		oldest;
	uint64		chunks;
} Queue;

typedef struct CextStoreShared
{
	uint32		nchunks;
	uint32		nbuckets;		/* power of two */
	uint32		nghosts;		/* power of two */
	LWLockPadded *partitions;
	LWLock	   *alloc_lock;

	/* all below under alloc_lock */
	uint32		free;
	uint32		cursor;			/* where the next search starts */
	Queue		queues[2];
	uint64		entries;
	uint64		overhead;		/* bytes of the entries that are not payload */
	int32		density;		/* running mean of log2(us per chunk), times 16 */
} CextStoreShared;

static CextStoreShared *store;
static uint32 *buckets;			/* heads of chains; partition locks */
static uint32 *ghosts;			/* alloc_lock */
static uint32 *links;			/* next chunk of a chain; owner of the chain */
static uint64 *bitmap;			/* one is free; alloc_lock */
static char *chunks;

static bool (*surely_dead) (const CextEntry *entry);

/* this backend's pins */
static CextEntry *pins[MAX_PINS];
static int	npins;
static bool exit_registered;

#define ENTRY(c) ((CextEntry *) (chunks + (Size) (c) * CHUNK_SIZE))
#define CHUNK_OF(e) ((uint32) (((char *) (e) - chunks) / CHUNK_SIZE))


/* ----------------------------------------------------------------
 *		Size and start
 * ----------------------------------------------------------------
 */

typedef struct Layout
{
	uint32		nchunks;
	uint32		nbuckets;
	Size		total;
} Layout;

static Layout
layout(Size budget)
{
	Layout		l;
	Size		fixed;

	/* links, a bit, and the bucket and ghost of every fourth chunk */
	l.nbuckets = Max(pg_nextpower2_32((uint32) Min(budget / CHUNK_SIZE / 4, 1 << 28)) / 2,
					 1024);
	fixed = CACHELINEALIGN(sizeof(CextStoreShared)) +
		2 * (Size) l.nbuckets * sizeof(uint32);
	l.nchunks = (uint32) Min((budget - Min(budget / 2, fixed)) /
							 (CHUNK_SIZE + sizeof(uint32) + 1), PG_UINT32_MAX / 2);
	l.nchunks &= ~(uint32) 63;
	l.total = CACHELINEALIGN(sizeof(CextStoreShared)) +
		CACHELINEALIGN(2 * (Size) l.nbuckets * sizeof(uint32)) +
		CACHELINEALIGN((Size) l.nchunks * sizeof(uint32)) +
		CACHELINEALIGN((Size) l.nchunks / 8) +
		(Size) l.nchunks * CHUNK_SIZE;
	return l;
}

Size
cext_store_shmem_size(Size budget)
{
	return layout(budget).total;
}

void
cext_store_shmem_init(Size budget)
{
	Layout		l = layout(budget);
	bool		found;
	char	   *p;

	p = ShmemInitStruct("cache_ext store", l.total, &found);
	store = (CextStoreShared *) p;
	p += CACHELINEALIGN(sizeof(CextStoreShared));
	buckets = (uint32 *) p;
	ghosts = buckets + l.nbuckets;
	p += CACHELINEALIGN(2 * (Size) l.nbuckets * sizeof(uint32));
	links = (uint32 *) p;
	p += CACHELINEALIGN((Size) l.nchunks * sizeof(uint32));
	bitmap = (uint64 *) p;
	p += CACHELINEALIGN((Size) l.nchunks / 8);
	chunks = p;

	if (!found)
	{
		memset(store, 0, sizeof(CextStoreShared));
		store->nchunks = l.nchunks;
		store->nbuckets = l.nbuckets;
		store->nghosts = l.nbuckets;
		store->partitions = GetNamedLWLockTranche("cache_ext_partition");
		store->alloc_lock = &GetNamedLWLockTranche("cache_ext_alloc")->lock;
		store->free = l.nchunks;
		for (int i = 0; i < 2; i++)
			store->queues[i].newest = store->queues[i].oldest = NO_CHUNK;
		memset(buckets, 0xFF, (Size) l.nbuckets * sizeof(uint32));
		memset(ghosts, 0, (Size) l.nbuckets * sizeof(uint32));
		memset(bitmap, 0xFF, (Size) l.nchunks / 8);
	}
}

/* Let eviction recognize dead entries.  Called under alloc_lock. */
void
cext_store_set_dead_check(bool (*check) (const CextEntry *entry))
{
	surely_dead = check;
}

static inline uint32
bucket_of(uint64 hash)
{
	return (uint32) hash & (store->nbuckets - 1);
}

static inline LWLock *
partition_of(uint32 bucket)
{
	return &store->partitions[bucket % CEXT_PARTITIONS].lock;
}


/* ----------------------------------------------------------------
 *		Chunks
 * ----------------------------------------------------------------
 */

/*
 * The next run of free chunks at or after "from", before "end", no longer than
 * "want".  Returns its length, 0 if there is none.
 */
static uint32
find_run(uint32 from, uint32 end, uint32 want, uint32 *start)
{
	uint32		i = from;
	uint32		n = 0;

	while (i < end)
	{
		uint64		word = bitmap[i / 64] >> (i % 64);

		if (word == 0)
			i = (i / 64 + 1) * 64;
		else
		{
			i += pg_rightmost_one_pos64(word);
			break;
		}
	}
	if (i >= end)
		return 0;
	*start = i;
	while (i < end && n < want)
	{
		if (i % 64 == 0 && want - n >= 64 && end - i >= 64 &&
			bitmap[i / 64] == ~UINT64CONST(0))
		{
			n += 64;
			i += 64;
		}
		else if (bitmap[i / 64] & (UINT64CONST(1) << (i % 64)))
		{
			n++;
			i++;
		}
		else
			break;
	}
	return n;
}

static void
take_run(uint32 start, uint32 n, uint32 *last)
{
	for (uint32 i = start; i < start + n; i++)
	{
		bitmap[i / 64] &= ~(UINT64CONST(1) << (i % 64));
		if (*last != NO_CHUNK)
			links[*last] = i;
		*last = i;
	}
	store->free -= n;
}

/*
 * A chain of n chunks whose first "whole" ones are consecutive, or NO_CHUNK.
 * alloc_lock held.
 */
static uint32
allocate(uint32 n, uint32 whole)
{
	uint32		first = NO_CHUNK;
	uint32		last = NO_CHUNK;
	uint32		start;
	uint32		run;
	uint32		from;

	if (store->free < n)
		return NO_CHUNK;

	/* the head, from the cursor on and then from the beginning */
	for (int pass = 0; pass < 2 && first == NO_CHUNK; pass++)
	{
		uint32		end = pass == 0 ? store->nchunks : store->cursor;

		from = pass == 0 ? store->cursor : 0;
		while ((run = find_run(from, end, n, &start)) > 0)
		{
			if (run >= whole)
			{
				first = start;
				break;
			}
			from = start + run;
		}
	}
	if (first == NO_CHUNK)
		return NO_CHUNK;
	take_run(first, run, &last);
	n -= run;
	from = first + run;

	/* the rest, wherever it is */
	while (n > 0)
	{
		run = find_run(from, store->nchunks, n, &start);
		if (run == 0)
		{
			Assert(from != 0);
			from = 0;
			continue;
		}
		take_run(start, run, &last);
		n -= run;
		from = start + run;
	}
	links[last] = NO_CHUNK;
	store->cursor = from < store->nchunks ? from : 0;
	return first;
}

/* alloc_lock held. */
static void
release_chain(uint32 c)
{
	/* in a full store, the next search had better start here */
	if (store->free < store->nchunks / 16)
		store->cursor = c;
	while (c != NO_CHUNK)
	{
		uint32		next = links[c];

		bitmap[c / 64] |= UINT64CONST(1) << (c % 64);
		store->free++;
		c = next;
	}
}


/* ----------------------------------------------------------------
 *		Queues and ghosts (alloc_lock held)
 * ----------------------------------------------------------------
 */

static void
enqueue(CextEntry *e, int queue)
{
	Queue	   *q = &store->queues[queue];
	uint32		c = CHUNK_OF(e);

	e->queue = queue;
	e->newer = NO_CHUNK;
	e->older = q->newest;
	if (q->newest != NO_CHUNK)
		ENTRY(q->newest)->newer = c;
	else
		q->oldest = c;
	q->newest = c;
	q->chunks += e->nchunks;
}

static void
dequeue(CextEntry *e)
{
	Queue	   *q = &store->queues[e->queue];

	if (e->newer != NO_CHUNK)
		ENTRY(e->newer)->older = e->older;
	else
		q->newest = e->older;
	if (e->older != NO_CHUNK)
		ENTRY(e->older)->newer = e->newer;
	else
		q->oldest = e->newer;
	q->chunks -= e->nchunks;
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
	int32		d = 16 * pg_leftmost_one_pos32(e->fill_us / e->nchunks + 1);
	int32		above = d - store->density;

	return above < 48 ? 0 : Min(above / 48, 3);
}

/*
 * Choose a victim and pin it.  alloc_lock held; NULL if there is nothing.
 */
static CextEntry *
choose_victim(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (;;)
	{
		Queue	   *small = &store->queues[QUEUE_SMALL];
		Queue	   *main = &store->queues[QUEUE_MAIN];
		bool		from_small;
		CextEntry  *e;

		from_small = small->oldest != NO_CHUNK &&
			(small->chunks > store->nchunks / 10 || main->oldest == NO_CHUNK);
		if (from_small)
			e = ENTRY(small->oldest);
		else if (main->oldest != NO_CHUNK)
			e = ENTRY(main->oldest);
		else
			return NULL;

		/* a round over everything ends: each step takes a chance away */
		if (e->expires > now && !(surely_dead != NULL && surely_dead(e)))
		{
			if (from_small)
			{
				uint8		lives = credit(e);

				if (e->visited || lives > 0)
				{
					e->visited = 0;
					e->lives = lives;
					dequeue(e);
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
				dequeue(e);
				enqueue(e, QUEUE_MAIN);
				continue;
			}
			if (from_small)
				ghosts[(uint32) e->hash & (store->nghosts - 1)] = fingerprint(e->hash);
		}
		pg_atomic_fetch_add_u32(&e->refs, 1);
		return e;
	}
}


/* ----------------------------------------------------------------
 *		Pins
 * ----------------------------------------------------------------
 */

static void
drop_ref(CextEntry *e)
{
	if (pg_atomic_sub_fetch_u32(&e->refs, 1) > 0)
		return;

	/* not linked and nobody's: ours to free */
	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	store->overhead -= e->payload_offset;
	release_chain(CHUNK_OF(e));
	LWLockRelease(store->alloc_lock);
}

static void
drop_all_pins(void)
{
	while (npins > 0)
		drop_ref(pins[--npins]);
}

static void
pins_at_exit(int code, Datum arg)
{
	drop_all_pins();
}

static void
pins_at_xact(XactEvent event, void *arg)
{
	if (npins > 0 && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
					  event == XACT_EVENT_PREPARE))
		drop_all_pins();
}

static bool
may_pin(void)
{
	if (unlikely(!exit_registered))
	{
		before_shmem_exit(pins_at_exit, (Datum) 0);
		RegisterXactCallback(pins_at_xact, NULL);
		exit_registered = true;
	}
	return npins < MAX_PINS;
}

/* Give a pinned entry back. */
void
cext_store_unpin(CextEntry *e)
{
	for (int i = npins - 1; i >= 0; i--)
	{
		if (pins[i] == e)
		{
			pins[i] = pins[--npins];
			drop_ref(e);
			return;
		}
	}
}


/* ----------------------------------------------------------------
 *		Lookup
 * ----------------------------------------------------------------
 */

static inline bool
same(const CextEntry *e, const CextIdent *id)
{
	return e->hash == id->hash &&
		e->dbid == id->dbid &&
		e->roleid == id->roleid &&
		e->form == id->form &&
		e->keylen == id->keylen &&
		e->argslen == id->argslen &&
		memcmp(e->seed, id->seed, CEXT_SEED_SIZE) == 0 &&
		memcmp(CEXT_ENTRY_KEY(e), id->key, id->keylen) == 0 &&
		memcmp(CEXT_ENTRY_ARGS(e), id->args, id->argslen) == 0;
}

/* The entry, or NULL; partition lock held. */
static CextEntry *
find(const CextIdent *id, uint32 bucket)
{
	for (uint32 c = buckets[bucket]; c != NO_CHUNK; c = ENTRY(c)->next)
		if (same(ENTRY(c), id))
			return ENTRY(c);
	return NULL;
}

/*
 * Find and pin an entry, alive or not; NULL if there is none.  The caller
 * unpins it.  One shared lock.
 */
CextEntry *
cext_store_lookup(const CextIdent *id)
{
	uint32		bucket = bucket_of(id->hash);
	LWLock	   *lock = partition_of(bucket);
	CextEntry  *e;

	if (!may_pin())
		return NULL;
	LWLockAcquire(lock, LW_SHARED);
	e = find(id, bucket);
	if (e != NULL)
	{
		pg_atomic_fetch_add_u32(&e->refs, 1);
		pins[npins++] = e;
	}
	LWLockRelease(lock);
	return e;
}

/* Tell that a pinned entry served a hit.  Its own line only. */
void
cext_store_hit(CextEntry *e)
{
	if (!e->visited)
		e->visited = 1;
	pg_atomic_fetch_add_u32(&e->hits, 1);
}


/* ----------------------------------------------------------------
 *		Changes
 * ----------------------------------------------------------------
 */

/* Take an entry out of bucket and queue.  Partition lock held exclusively. */
static void
unlink_entry(CextEntry *e, uint32 bucket)
{
	uint32		c = CHUNK_OF(e);
	uint32	   *prev = &buckets[bucket];

	while (*prev != c)
		prev = &ENTRY(*prev)->next;
	*prev = e->next;
	e->linked = false;

	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	dequeue(e);
	store->entries--;
	LWLockRelease(store->alloc_lock);
}

/* Evict one entry.  False if there is nothing to evict. */
static bool
evict_one(void)
{
	CextEntry  *e;
	uint32		bucket;
	LWLock	   *lock;
	bool		mine = false;

	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	e = choose_victim();
	LWLockRelease(store->alloc_lock);
	if (e == NULL)
		return false;

	bucket = bucket_of(e->hash);
	lock = partition_of(bucket);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (e->linked)
	{
		unlink_entry(e, bucket);
		mine = true;
	}
	LWLockRelease(lock);
	if (mine)
	{
		cext_stats_add(e->expires <= GetCurrentTimestamp() ?
					   CEXT_STAT_EXPIRATIONS : CEXT_STAT_EVICTIONS, 1);
		drop_ref(e);
	}
	drop_ref(e);
	return true;
}

/* Allocate, evicting until there is room; NO_CHUNK if that does not help. */
static uint32
make_room(uint32 n, uint32 whole)
{
	for (uint32 tries = 0; tries < MAX_EVICTIONS + n; tries++)
	{
		uint32		c;

		LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
		c = allocate(n, whole);
		LWLockRelease(store->alloc_lock);
		if (c != NO_CHUNK)
			return c;
		if (!evict_one())
			return NO_CHUNK;
	}
	return NO_CHUNK;
}

/* Copy into a chain, from a position on. */
static void
write_chain(uint32 c, Size pos, const char *src, Size len)
{
	for (; pos >= CHUNK_SIZE; pos -= CHUNK_SIZE)
		c = links[c];
	while (len > 0)
	{
		Size		n = Min(len, CHUNK_SIZE - pos);

		memcpy(chunks + (Size) c * CHUNK_SIZE + pos, src, n);
		src += n;
		len -= n;
		pos = 0;
		c = links[c];
	}
}

/*
 * Store bytes under an identity, in place of what is there, unless that has a
 * later stamp.  False if there is no room; what was there then stays.
 */
bool
cext_store_insert(const CextIdent *id, const CextEntryInfo *info,
				  const char *payload, Size size)
{
	uint32		bucket = bucket_of(id->hash);
	LWLock	   *lock = partition_of(bucket);
	Size		head;
	uint32		c;
	CextEntry  *e;
	CextEntry  *old;

	head = MAXALIGN(sizeof(CextEntry)) + info->ntags * sizeof(uint32) +
		info->nrels * sizeof(Oid) + id->keylen + id->argslen;
	head = MAXALIGN(head);
	if (head + size > (Size) store->nchunks * CHUNK_SIZE / 4 ||
		info->ntags > PG_UINT16_MAX || info->nrels > PG_UINT16_MAX)
		return false;

	HOLD_INTERRUPTS();
	c = make_room((head + size + CHUNK_SIZE - 1) / CHUNK_SIZE,
				  (head + CHUNK_SIZE - 1) / CHUNK_SIZE);
	if (c == NO_CHUNK)
	{
		RESUME_INTERRUPTS();
		return false;
	}

	/* private until linked */
	e = ENTRY(c);
	memset(e, 0, sizeof(CextEntry));
	pg_atomic_init_u32(&e->refs, 1);
	pg_atomic_init_u32(&e->hits, 0);
	pg_atomic_init_u64(&e->globs, info->globs);
	e->hash = id->hash;
	e->stamp = info->stamp;
	e->created = info->created;
	e->expires = info->expires;
	e->xmax = info->xmax;
	e->dbid = id->dbid;
	e->roleid = id->roleid;
	e->payload_size = size;
	e->payload_offset = head;
	e->nchunks = (head + size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	e->nrows = info->nrows;
	e->fill_us = info->fill_us;
	e->keylen = id->keylen;
	e->argslen = id->argslen;
	e->ntags = info->ntags;
	e->nrels = info->nrels;
	e->ns = info->ns;
	e->form = id->form;
	e->flags = info->flags;
	e->queue = QUEUE_NONE;
	memcpy(e->seed, id->seed, CEXT_SEED_SIZE);
	memcpy(CEXT_ENTRY_TAGS(e), info->tags, info->ntags * sizeof(uint32));
	if (info->nrels > 0)
		memcpy(CEXT_ENTRY_RELS(e), info->rels, info->nrels * sizeof(Oid));
	memcpy(CEXT_ENTRY_KEY(e), id->key, id->keylen);
	memcpy(CEXT_ENTRY_ARGS(e), id->args, id->argslen);
	write_chain(c, head, payload, size);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	old = find(id, bucket);
	if (old != NULL && old->stamp > info->stamp)
	{
		/* somebody else's fill is the fresher one */
		LWLockRelease(lock);
		LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
		release_chain(c);
		LWLockRelease(store->alloc_lock);
		RESUME_INTERRUPTS();
		return true;
	}
	if (old != NULL)
		unlink_entry(old, bucket);
	e->next = buckets[bucket];
	e->linked = true;
	buckets[bucket] = c;

	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	{
		uint32	   *ghost = &ghosts[(uint32) e->hash & (store->nghosts - 1)];
		bool		again = *ghost == fingerprint(e->hash);

		store->density += (16 * pg_leftmost_one_pos32(e->fill_us / e->nchunks + 1) -
						   store->density) / 16;
		if (again)
		{
			*ghost = 0;
			e->lives = credit(e);
		}
		/* a refill keeps the place its forerunner earned */
		enqueue(e, again || (old != NULL && pg_atomic_read_u32(&old->hits) > 0) ?
				QUEUE_MAIN : QUEUE_SMALL);
		store->entries++;
		store->overhead += head;
	}
	LWLockRelease(store->alloc_lock);
	LWLockRelease(lock);
	if (old != NULL)
		drop_ref(old);
	RESUME_INTERRUPTS();
	return true;
}

/* Remove an entry.  Was there one? */
bool
cext_store_remove(const CextIdent *id)
{
	uint32		bucket = bucket_of(id->hash);
	LWLock	   *lock = partition_of(bucket);
	CextEntry  *e;

	HOLD_INTERRUPTS();
	LWLockAcquire(lock, LW_EXCLUSIVE);
	e = find(id, bucket);
	if (e != NULL)
		unlink_entry(e, bucket);
	LWLockRelease(lock);
	if (e != NULL)
		drop_ref(e);
	RESUME_INTERRUPTS();
	return e != NULL;
}


/* ----------------------------------------------------------------
 *		Reading the payload of a pinned entry
 * ----------------------------------------------------------------
 */

void
cext_reader_init(CextReader *r, CextEntry *e)
{
	uint32		off = e->payload_offset;

	r->entry = e;
	r->chunk = CHUNK_OF(e);
	for (; off >= CHUNK_SIZE; off -= CHUNK_SIZE)
		r->chunk = links[r->chunk];
	r->offset = off;
	r->left = e->payload_size;
	r->scratch = NULL;
	r->scratch_size = 0;
}

/* The next four bytes, without moving on.  The position must be aligned. */
uint32
cext_reader_peek(const CextReader *r)
{
	if (r->left < sizeof(uint32))
		elog(ERROR, "cache entry is shorter than its contents");
	return *(uint32 *) (chunks + (Size) r->chunk * CHUNK_SIZE + r->offset);
}

/* Copy the next bytes out.  Reading past the end is an error of the caller. */
void
cext_reader_copy(CextReader *r, char *dest, Size len)
{
	if (len > r->left)
		elog(ERROR, "cache entry is shorter than its contents");
	r->left -= len;
	while (len > 0)
	{
		Size		n = Min(len, CHUNK_SIZE - r->offset);

		memcpy(dest, chunks + (Size) r->chunk * CHUNK_SIZE + r->offset, n);
		dest += n;
		len -= n;
		r->offset += n;
		if (r->offset == CHUNK_SIZE)
		{
			r->offset = 0;
			r->chunk = links[r->chunk];
		}
	}
}

/*
 * The next bytes, in one piece: in place where their chunks are neighbours,
 * else put together in scratch memory that the next call overwrites.
 */
const char *
cext_reader_get(CextReader *r, Size len)
{
	uint32		c = r->chunk;
	Size		have = CHUNK_SIZE - r->offset;

	if (len > r->left)
		elog(ERROR, "cache entry is shorter than its contents");
	while (have < len && links[c] == c + 1)
	{
		have += CHUNK_SIZE;
		c++;
	}
	if (have >= len)
	{
		const char *result = chunks + (Size) r->chunk * CHUNK_SIZE + r->offset;
		Size		end = r->offset + len;

		/* c is the chunk of the last byte; at its end, go on to the next */
		r->left -= len;
		if (end / CHUNK_SIZE > c - r->chunk)
		{
			r->chunk = links[c];
			r->offset = 0;
		}
		else
		{
			r->chunk += end / CHUNK_SIZE;
			r->offset = end % CHUNK_SIZE;
		}
		return result;
	}

	if (r->scratch_size < len)
	{
		if (r->scratch != NULL)
			pfree(r->scratch);
		r->scratch_size = Max(len, 1024);
		r->scratch = MemoryContextAllocHuge(CurrentMemoryContext, r->scratch_size);
	}
	cext_reader_copy(r, r->scratch, len);
	return r->scratch;
}


/* ----------------------------------------------------------------
 *		Looking at all
 * ----------------------------------------------------------------
 */

void
cext_store_scan_begin(CextScan *scan)
{
	memset(scan, 0, sizeof(CextScan));
}

/*
 * The next entry, pinned for the caller to unpin; NULL at the end.  Entries
 * that come or go meanwhile may be seen or not.  An abandoned scan leaves its
 * pins to the end of the transaction.
 */
CextEntry *
cext_store_scan_next(CextScan *scan)
{
	while (scan->i >= scan->n)
	{
		LWLock	   *lock;
		uint32		seen = 0;

		CHECK_FOR_INTERRUPTS();
		if (scan->bucket >= store->nbuckets)
			return NULL;
		scan->i = scan->n = 0;
		if (!may_pin() || MAX_PINS - npins < (int) lengthof(scan->found))
			return NULL;
		lock = partition_of(scan->bucket);
		LWLockAcquire(lock, LW_SHARED);
		for (uint32 c = buckets[scan->bucket];
			 c != NO_CHUNK && scan->n < (int) lengthof(scan->found);
			 c = ENTRY(c)->next)
		{
			if (seen++ < scan->skip)
				continue;
			pg_atomic_fetch_add_u32(&ENTRY(c)->refs, 1);
			scan->found[scan->n++] = pins[npins++] = ENTRY(c);
		}
		LWLockRelease(lock);
		if (scan->n < (int) lengthof(scan->found))
		{
			scan->bucket++;
			scan->skip = 0;
		}
		else
			scan->skip += scan->n;
	}
	return scan->found[scan->i++];
}

void
cext_store_usage(CextStoreUsage *usage)
{
	LWLockAcquire(store->alloc_lock, LW_SHARED);
	usage->entries = store->entries;
	usage->used = (uint64) (store->nchunks - store->free) * CHUNK_SIZE;
	usage->limit = (uint64) store->nchunks * CHUNK_SIZE;
	usage->bookkeeping = store->overhead;
	LWLockRelease(store->alloc_lock);
}
