/*-------------------------------------------------------------------------
 *
 * cext_writeback.c
 *		Plain values on their way to Redis.
 *
 * cache_set() takes effect at commit, where nothing may wait for a network.  So
 * the value is put into shared memory, and its name into a ring here; the
 * background worker finds the value by that and writes it to Redis.  A query's
 * result needs none of this, since the fill that stores it is not a commit.
 *
 * What finds the ring full, or is evicted or replaced before its turn, is in
 * shared memory alone, or nowhere: a cache forgets.  It cannot become wrong,
 * because what is in Redis from before is dead by its tags.
 *
 * A spinlock protects the ring.  The latch is the worker's, or NULL while
 * there is none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "cext_tier.h"
#include "cext_writeback.h"

#define RING_SIZE	1024

typedef struct WritebackItem
{
	uint64		hash;			/* of the identity */
	char		database[NAMEDATALEN];
} WritebackItem;

typedef struct WritebackShared
{
	slock_t		mutex;
	uint32		head;			/* of the oldest */
	uint32		count;
	Latch	   *latch;
	WritebackItem ring[RING_SIZE];
} WritebackShared;

static WritebackShared *shared;
static const char *database;	/* this backend's */

Size
cext_writeback_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(WritebackShared));
}

void
cext_writeback_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("cache_ext writeback", cext_writeback_shmem_size(), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WritebackShared));
		SpinLockInit(&shared->mutex);
	}
}

/* Learn what cext_writeback_add() may not look up any more. */
void
cext_writeback_prepare(void)
{
	if (unlikely(database == NULL) && cext_storage_redis())
		database = cext_tier_database();
}

/* A value has been stored.  Neither throws nor waits. */
void
cext_writeback_add(const CextIdent *id)
{
	Latch	   *latch = NULL;

	if (likely(database == NULL) || !cext_storage_redis())
		return;
	SpinLockAcquire(&shared->mutex);
	if (shared->count < RING_SIZE && shared->latch != NULL)
	{
		WritebackItem *item = &shared->ring[(shared->head + shared->count++) % RING_SIZE];

		item->hash = id->hash;
		strlcpy(item->database, database, NAMEDATALEN);
		latch = shared->latch;
	}
	SpinLockRelease(&shared->mutex);
	if (latch != NULL)
		SetLatch(latch);
}

/* The worker has come, or goes (NULL). */
void
cext_writeback_attach(Latch *latch)
{
	SpinLockAcquire(&shared->mutex);
	shared->latch = latch;
	SpinLockRelease(&shared->mutex);
}

static bool
take_item(WritebackItem *item)
{
	bool		any;

	SpinLockAcquire(&shared->mutex);
	any = shared->count > 0;
	if (any)
	{
		*item = shared->ring[shared->head];
		shared->head = (shared->head + 1) % RING_SIZE;
		shared->count--;
	}
	SpinLockRelease(&shared->mutex);
	return any;
}

/* Write a pinned value as it is. */
static void
write_value(const char *dbname, CextEntry *e)
{
	CextIdent	id;
	CextEntryInfo info;
	CextReader	reader;
	char	   *payload = palloc(e->payload_size);

	cext_entry_describe(e, &id, &info);
	cext_store_read(&reader, e);
	cext_reader_copy(&reader, payload, e->payload_size);
	(void) cext_tier_write(dbname, &id, &info, payload, e->payload_size);
	pfree(payload);
}

/*
 * Write the oldest value in the ring to Redis.  False if there is none.  An
 * error leaves the entry's pin to the caller's cleanup.
 */
bool
cext_writeback_run(void)
{
	WritebackItem item;
	CextEntry  *e;

	if (!take_item(&item))
		return false;
	e = cext_storage_redis() ? cext_store_lookup_hash(item.hash, 'v') : NULL;
	if (e != NULL)
	{
		write_value(item.database, e);
		cext_store_unpin(e);
	}
	return true;
}
