/*-------------------------------------------------------------------------
 *
 * cext_store.c
 *		The shared-memory store: entries of bytes under an identity.
 *
 * Memory
 *		Each entry is a chain of chunks: see cext_chunk.c.
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
 *		hit does.  cext_pin.c remembers a backend's pins.
 *
 * Eviction
 *		See cext_evict.c.
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

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_evict.h"
#include "cext_guc.h"
#include "cext_pin.h"
#include "cext_stats.h"

#define MAX_EVICTIONS	256		/* for one insertion, besides the dead */

typedef struct CextStoreShared
{
	uint32		nbuckets;		/* power of two */
	LWLockPadded *partitions;
	LWLock	   *alloc_lock;

	/* under alloc_lock */
	uint64		entries;
	uint64		overhead;		/* bytes of the entries that are not payload */

	uint32		buckets[FLEXIBLE_ARRAY_MEMBER]; /* heads of chains; partition
												 * locks */
} CextStoreShared;

static CextStoreShared *store;

static void drop_ref(CextEntry *e);

#define ENTRY(c) ((CextEntry *) CEXT_CHUNK_ADDRESS(c))
#define CHUNK_OF(e) ((uint32) (((char *) (e) - cext_chunk_base) / CEXT_CHUNK_SIZE))


/* ----------------------------------------------------------------
 *		Size and start
 * ----------------------------------------------------------------
 */

typedef struct Layout
{
	uint32		nchunks;
	uint32		nbuckets;
} Layout;

/* Buckets and ghosts for every fourth chunk at the most; the rest is chunks. */
static Layout
layout(Size budget)
{
	Layout		l;
	Size		fixed;

	l.nbuckets = Max(pg_nextpower2_32((uint32) Min(budget / CEXT_CHUNK_SIZE / 4, 1 << 28)) / 2,
					 1024);
	fixed = offsetof(CextStoreShared, buckets) + 2 * (Size) l.nbuckets * sizeof(uint32);
	l.nchunks = (uint32) Min((budget - Min(budget / 2, fixed)) /
							 (CEXT_CHUNK_SIZE + sizeof(uint32) + 1), PG_UINT32_MAX / 2);
	l.nchunks &= ~(uint32) 63;
	return l;
}

static Size
index_size(Layout l)
{
	return CACHELINEALIGN(offsetof(CextStoreShared, buckets) +
						  (Size) l.nbuckets * sizeof(uint32));
}

Size
cext_store_shmem_size(Size budget)
{
	Layout		l = layout(budget);

	return index_size(l) + cext_chunk_shmem_size(l.nchunks) +
		cext_evict_shmem_size(l.nbuckets);
}

void
cext_store_shmem_init(Size budget)
{
	Layout		l = layout(budget);
	bool		found;

	store = ShmemInitStruct("cache_ext store", index_size(l), &found);
	cext_chunk_shmem_init(l.nchunks);
	cext_evict_shmem_init(l.nbuckets);
	cext_pin_init(drop_ref);
	if (!found)
	{
		memset(store, 0, sizeof(CextStoreShared));
		store->nbuckets = l.nbuckets;
		store->partitions = GetNamedLWLockTranche("cache_ext_partition");
		store->alloc_lock = &GetNamedLWLockTranche("cache_ext_alloc")->lock;
		memset(store->buckets, 0xFF, (Size) l.nbuckets * sizeof(uint32));
	}
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
 *		Pins
 * ----------------------------------------------------------------
 */

/* Partition lock held; room was asked for. */
static inline void
pin(CextEntry *e)
{
	pg_atomic_fetch_add_u32(&e->refs, 1);
	cext_pin_note(e);
}

static void
drop_ref(CextEntry *e)
{
	if (pg_atomic_sub_fetch_u32(&e->refs, 1) > 0)
		return;

	/* not linked and nobody's: ours to free */
	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	store->overhead -= e->payload_offset;
	cext_chunk_release(CHUNK_OF(e));
	LWLockRelease(store->alloc_lock);
}

/* Give a pinned entry back, or free a copy. */
void
cext_store_unpin(CextEntry *e)
{
	if (unlikely((e->flags & CEXT_ENTRY_LOCAL) != 0))
	{
		pfree(e);
		return;
	}
	cext_pin_drop(e);
}


/* ----------------------------------------------------------------
 *		Lookup
 * ----------------------------------------------------------------
 */

/* The entry, or NULL; partition lock held. */
static CextEntry *
find(const CextIdent *id, uint32 bucket)
{
	for (uint32 c = store->buckets[bucket]; c != CEXT_NO_CHUNK; c = ENTRY(c)->next)
		if (ENTRY(c)->hash == id->hash && cext_entry_is(ENTRY(c), id))
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

	if (!cext_pin_possible(1))
		return NULL;
	LWLockAcquire(lock, LW_SHARED);
	e = find(id, bucket);
	if (e != NULL)
		pin(e);
	LWLockRelease(lock);
	return e;
}

/*
 * Find and pin an entry of this form by its hash alone.  There may be several;
 * any will do.
 */
CextEntry *
cext_store_lookup_hash(uint64 hash, char form)
{
	uint32		bucket = bucket_of(hash);
	LWLock	   *lock = partition_of(bucket);
	CextEntry  *e = NULL;

	if (!cext_pin_possible(1))
		return NULL;
	LWLockAcquire(lock, LW_SHARED);
	for (uint32 c = store->buckets[bucket]; c != CEXT_NO_CHUNK && e == NULL; c = ENTRY(c)->next)
		if (ENTRY(c)->hash == hash && ENTRY(c)->form == form)
			e = ENTRY(c);
	if (e != NULL)
		pin(e);
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
	uint32	   *prev = &store->buckets[bucket];

	while (*prev != c)
		prev = &ENTRY(*prev)->next;
	*prev = e->next;
	e->linked = false;

	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	cext_evict_remove(e);
	store->entries--;
	LWLockRelease(store->alloc_lock);
}

/* What expired or was invalidated made room without a loss. */
static void
count_removal(const CextEntry *e)
{
	if (e->expires <= GetCurrentTimestamp())
		cext_stats_add(CEXT_STAT_EXPIRATIONS, 1);
	else if (!cext_evict_surely_dead(e))
		cext_stats_add(CEXT_STAT_EVICTIONS, 1);
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
	e = cext_evict_choose();
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
		count_removal(e);
		drop_ref(e);
	}
	drop_ref(e);
	return true;
}

/* Allocate, evicting until there is room; CEXT_NO_CHUNK if that does not help. */
static uint32
make_room(uint32 n, uint32 whole)
{
	for (uint32 tries = 0; tries < MAX_EVICTIONS + n; tries++)
	{
		uint32		c;

		LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
		c = cext_chunk_allocate(n, whole);
		LWLockRelease(store->alloc_lock);
		if (c != CEXT_NO_CHUNK)
			return c;
		if (!evict_one())
			return CEXT_NO_CHUNK;
	}
	return CEXT_NO_CHUNK;
}

/*
 * Fill the chunks of a new entry, which is private until it is linked.  What
 * takes the place of "instead" keeps its past.
 */
static CextEntry *
write_entry(uint32 c, Size head, const CextIdent *id, const CextEntryInfo *info,
			const char *payload, Size size, const char *ready, Size ready_size,
			CextEntry *instead)
{
	CextEntry  *e = ENTRY(c);

	cext_entry_begin(e, head, id, info, size);
	e->ready_size = ready_size;
	if (instead != NULL)
	{
		pg_atomic_write_u32(&e->hits, pg_atomic_read_u32(&instead->hits));
		e->foreground = instead->foreground;
	}
	cext_chunk_write(c, head, payload, size);
	if (ready_size > 0)
		cext_chunk_write(c, CEXT_ENTRY_READY(e), ready, ready_size);
	if (info->recipe_size > 0)
		cext_chunk_write(c, CEXT_ENTRY_RECIPE(e), info->recipe, info->recipe_size);
	return e;
}

/*
 * Link a new entry.  If "instead" is given, only in its place; else in place
 * of what is there, unless that has a later stamp.  False if there is no room,
 * or the place is taken; what was there then stays.
 */
static bool
insert(const CextIdent *id, const CextEntryInfo *info, const char *payload, Size size,
	   const char *ready, Size ready_size, CextEntry *instead)
{
	uint32		bucket = bucket_of(id->hash);
	LWLock	   *lock = partition_of(bucket);
	Size		head;
	uint32		c;
	CextEntry  *e;
	CextEntry  *old;
	Size		total;

	head = cext_entry_head(id, info);
	total = head + size;
	if (ready_size > 0 || info->recipe_size > 0)
		total = MAXALIGN(total) + ready_size + info->recipe_size;
	if (total > (Size) cext_chunk_count() * CEXT_CHUNK_SIZE / 4 ||
		info->ntags > PG_UINT16_MAX || info->nrels > PG_UINT16_MAX)
		return false;

	HOLD_INTERRUPTS();
	c = make_room((total + CEXT_CHUNK_SIZE - 1) / CEXT_CHUNK_SIZE,
				  (head + CEXT_CHUNK_SIZE - 1) / CEXT_CHUNK_SIZE);
	if (c == CEXT_NO_CHUNK)
	{
		RESUME_INTERRUPTS();
		return false;
	}

	e = write_entry(c, head, id, info, payload, size, ready, ready_size, instead);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	old = find(id, bucket);
	if (instead != NULL ? old != instead : old != NULL && old->stamp > info->stamp)
	{
		/* somebody else's fill is the fresher one */
		LWLockRelease(lock);
		LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
		cext_chunk_release(c);
		LWLockRelease(store->alloc_lock);
		RESUME_INTERRUPTS();
		return instead == NULL;
	}
	if (old != NULL)
		unlink_entry(old, bucket);
	e->next = store->buckets[bucket];
	e->linked = true;
	store->buckets[bucket] = c;

	LWLockAcquire(store->alloc_lock, LW_EXCLUSIVE);
	cext_evict_add(e, old != NULL ? pg_atomic_read_u32(&old->hits) > 0 : info->hits > 0);
	store->entries++;
	store->overhead += head;
	LWLockRelease(store->alloc_lock);
	LWLockRelease(lock);
	if (old != NULL)
	{
		if (old->expires <= info->created)
			cext_stats_add(CEXT_STAT_EXPIRATIONS, 1);
		drop_ref(old);
	}
	RESUME_INTERRUPTS();
	return true;
}

bool
cext_store_insert(const CextIdent *id, const CextEntryInfo *info,
				  const char *payload, Size size)
{
	return insert(id, info, payload, size, NULL, 0, NULL);
}

/* Could so much be added to an entry, without evicting any? */
bool
cext_store_has_room(const CextEntry *e, Size ready_size)
{
	uint64		need = CEXT_ENTRY_CHUNKS(e) + ready_size / CEXT_CHUNK_SIZE + 1;

	/* a look without the lock will do; leave something for fills */
	return cext_chunk_count_free() >= need + cext_chunk_count() / 16;
}

/*
 * Put a copy that also has this, ready to be sent, in the place of a pinned
 * entry.  False if there is no room, or that is no longer the one in use.
 */
bool
cext_store_add_ready(CextEntry *e, const char *ready, Size size)
{
	CextIdent	id;
	CextEntryInfo info;
	CextReader	reader;
	char	   *payload;
	bool		result;

	if ((e->flags & CEXT_ENTRY_LOCAL) != 0 || !e->linked)
		return false;
	payload = MemoryContextAllocExtended(CurrentMemoryContext,
										 (Size) e->payload_size + e->recipe_size + 1,
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (payload == NULL)
		return false;
	cext_store_read(&reader, e);
	cext_reader_copy(&reader, payload, e->payload_size);
	cext_entry_describe(e, &id, &info);
	cext_store_read_recipe(&reader, e);
	cext_reader_copy(&reader, payload + e->payload_size, e->recipe_size);
	info.recipe = payload + e->payload_size;
	info.recipe_size = e->recipe_size;
	result = insert(&id, &info, payload, e->payload_size, ready, size, e);
	pfree(payload);
	return result;
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


/* Read the payload of a pinned entry, or of a copy. */
void
cext_store_read(CextReader *reader, CextEntry *e)
{
	if (unlikely((e->flags & CEXT_ENTRY_LOCAL) != 0))
		cext_reader_start_flat(reader, (char *) e + e->payload_offset, e->payload_size);
	else
		cext_reader_start(reader, CHUNK_OF(e), e->payload_offset, e->payload_size);
}

/* Read what is ready to be sent. */
void
cext_store_read_ready(CextReader *reader, CextEntry *e)
{
	cext_reader_start(reader, CHUNK_OF(e), CEXT_ENTRY_READY(e), e->ready_size);
}

/* Read its recipe. */
void
cext_store_read_recipe(CextReader *reader, CextEntry *e)
{
	cext_reader_start(reader, CHUNK_OF(e), CEXT_ENTRY_RECIPE(e), e->recipe_size);
}


/* ----------------------------------------------------------------
 *		Looking at all
 * ----------------------------------------------------------------
 */

/*
 * Begin to look at all entries, or those of one database, whose key begins with
 * this.
 */
void
cext_store_scan_begin(CextScan *scan, Oid dbid, const char *prefix, int prefixlen)
{
	memset(scan, 0, sizeof(CextScan));
	scan->dbid = dbid;
	scan->prefix = prefix;
	scan->prefixlen = prefixlen;
}

/* Looked at before it is pinned, which for most costs more. */
static inline bool
is_wanted(const CextScan *scan, CextEntry *e)
{
	return (!OidIsValid(scan->dbid) || e->dbid == scan->dbid) &&
		e->keylen >= scan->prefixlen &&
		memcmp(CEXT_ENTRY_KEY(e), scan->prefix, scan->prefixlen) == 0;
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
		if (!cext_pin_possible(lengthof(scan->found)))
			return NULL;
		lock = partition_of(scan->bucket);
		LWLockAcquire(lock, LW_SHARED);
		for (uint32 c = store->buckets[scan->bucket];
			 c != CEXT_NO_CHUNK && scan->n < (int) lengthof(scan->found);
			 c = ENTRY(c)->next)
		{
			if (!is_wanted(scan, ENTRY(c)) || seen++ < scan->skip)
				continue;
			pin(ENTRY(c));
			scan->found[scan->n++] = ENTRY(c);
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

/*
 * The entry after this one, beginning with *bucket = 0 and NULL; without locks
 * or pins, for the postmaster when it is alone.
 */
CextEntry *
cext_store_next_unlocked(uint32 *bucket, CextEntry *e)
{
	uint32		c = e != NULL ? e->next : store->buckets[*bucket];

	while (c == CEXT_NO_CHUNK)
	{
		if (++*bucket >= store->nbuckets)
			return NULL;
		c = store->buckets[*bucket];
	}
	return ENTRY(c);
}

void
cext_store_usage(CextStoreUsage *usage)
{
	LWLockAcquire(store->alloc_lock, LW_SHARED);
	usage->entries = store->entries;
	usage->used = (uint64) (cext_chunk_count() - cext_chunk_count_free()) * CEXT_CHUNK_SIZE;
	usage->limit = (uint64) cext_chunk_count() * CEXT_CHUNK_SIZE;
	usage->bookkeeping = store->overhead;
	LWLockRelease(store->alloc_lock);
}
