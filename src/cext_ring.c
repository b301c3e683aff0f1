/*-------------------------------------------------------------------------
 *
 * cext_ring.c
 *		Committed invalidations as text, in the order of commits.
 *
 * A bounded ring in shared memory.  A record is one transaction's invalidations
 * as text.
 *
 *	PRE_COMMIT		reserve: the text is copied here, OPEN, with the WAL insert
 *					position as its "floor"
 *	resource release	resolve: COMMITTED with the LSN of the commit record,
 *	  AFTER_LOCKS		or DONE after an abort
 *	worker			take: COMMITTED to TAKEN; sent: DONE; the head moves past
 *					what is DONE
 *
 * All that can fail happens at PRE_COMMIT.  After the commit there are only
 * stores to memory that is already there.
 *
 * Commit order.  Records resolve in an order that need not be that of their
 * commit records, and they are reserved in yet another.  The worker reads, with
 * the lock held, the ring's tail and the WAL insert position, then walks the
 * ring up to that tail.  The horizon is that position or the least floor of
 * a record found OPEN, whichever is less.  It takes the COMMITTED records whose
 * LSN is not beyond the horizon, by LSN.  No record that is missing can belong
 * before one of these:
 *
 *	- One found OPEN in the walk will commit beyond its floor, so not before the
 *	  horizon.
 *	- One reserved after the tail was read took its floor later, under the same
 *	  lock, so it is not less than the insert position that we read.
 *
 * So each batch is complete up to the horizon, the next one lies beyond it,
 * and the whole is sent in the order of commit records.  That includes a commit
 * that waits for a synchronous standby: its record is in the WAL and later ones
 * wait for it here; those that wait for nothing are few then.  A transaction
 * without an xid has no commit record; it counts as of the insert position when
 * it resolves, which is not before anything that it saw.  Where two are equal,
 * the order of reservation decides, which is that of cause and effect.
 *
 * One lock protects head and tail; the worker alone moves the head.  The
 * content of a record belongs to its backend while OPEN, and to the worker
 * after; the state is written last, behind a barrier.  Crash: as all of shared
 * memory, the ring starts empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "cext_guc.h"
#include "cext_ring.h"

#define MAX_RECORD	((Size) 4 * 1024 * 1024)

/* states of a record */
#define OPEN		0
#define COMMITTED	1
#define TAKEN		2
#define DONE		3

typedef struct RingShared
{
	LWLock	   *lock;			/* protects head and tail */
	uint64		head;			/* positions in an endless ring */
	uint64		tail;
} RingShared;

static RingShared *shared;
static char *ring;
static uint64 ring_size;

static Size
ring_bytes(void)
{
	return MAXALIGN((Size) cext_redis_relay_queue * 1024);
}

Size
cext_ring_shmem_size(void)
{
	return add_size(CACHELINEALIGN(sizeof(RingShared)), ring_bytes());
}

void
cext_ring_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("cache_ext ring", cext_ring_shmem_size(), &found);
	ring = (char *) shared + CACHELINEALIGN(sizeof(RingShared));
	ring_size = ring_bytes();
	if (!found)
	{
		memset(shared, 0, sizeof(RingShared));
		shared->lock = &GetNamedLWLockTranche("cache_ext_relay")->lock;
	}
}

/* What is too short for a record at the end of the ring is passed over. */
static uint64
skip_end(uint64 pos)
{
	uint64		left = ring_size - pos % ring_size;

	return left < sizeof(CextRelayRecord) ? pos + left : pos;
}

static CextRelayRecord *
record_at(uint64 pos)
{
	return (CextRelayRecord *) (ring + pos % ring_size);
}

/*
 * One transaction gets no more than a quarter of the ring; nor than makes a
 * message, with up to six bytes of JSON for each, that gets to Redis within its
 * timeout.  Or it would be sent again and again, and hold up all others.
 */
Size
cext_ring_max_len(void)
{
	return Min(ring_size / 4, MAX_RECORD) - offsetof(CextRelayRecord, items);
}

/*
 * Queue what the committing transaction has invalidated, OPEN.  NULL if there
 * is no room.
 */
CextRelayRecord *
cext_ring_reserve(const char *items, Size len, int encoding)
{
	Size		size = MAXALIGN(offsetof(CextRelayRecord, items) + len);
	CextRelayRecord *rec = NULL;
	uint64		pos;
	uint64		left;
	uint64		pad = 0;

	Assert(len <= cext_ring_max_len());
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	pos = skip_end(shared->tail);
	left = ring_size - pos % ring_size;
	if (left < size)
		pad = left;
	if (pos + pad + size - shared->head <= ring_size)
	{
		if (pad > 0)
		{
			rec = record_at(pos);
			rec->size = (uint32) pad;
			pg_atomic_init_u32(&rec->state, DONE);
			pos += pad;
		}
		rec = record_at(pos);
		rec->size = (uint32) size;
		pg_atomic_init_u32(&rec->state, OPEN);
		rec->floor = GetXLogInsertRecPtr();
		rec->lsn = InvalidXLogRecPtr;
		rec->encoding = encoding;
		rec->len = (uint32) len;
		memcpy(rec->items, items, len);
		shared->tail = pos + size;
	}
	LWLockRelease(shared->lock);
	return rec;
}

/* The transaction that reserved it has ended, and is visible if committed. */
void
cext_ring_resolve(CextRelayRecord *rec, bool committed)
{
	if (committed)
		rec->lsn = TransactionIdIsValid(GetTopTransactionIdIfAny()) ?
			XactLastCommitEnd : GetXLogInsertRecPtr();
	pg_write_barrier();
	pg_atomic_write_u32(&rec->state, committed ? COMMITTED : DONE);
}


/* ----------------------------------------------------------------
 *		The worker's side
 * ----------------------------------------------------------------
 */

static uint64
read_tail(XLogRecPtr *insert)
{
	uint64		tail;

	LWLockAcquire(shared->lock, LW_SHARED);
	tail = shared->tail;
	*insert = GetXLogInsertRecPtr();
	LWLockRelease(shared->lock);
	return tail;
}

/* Give room back: the head moves past what is DONE. */
static void
advance_head(void)
{
	XLogRecPtr	insert;
	uint64		tail = read_tail(&insert);
	uint64		pos = shared->head;

	for (;;)
	{
		uint64		next = skip_end(pos);

		if (next >= tail ||
			pg_atomic_read_u32(&record_at(next)->state) != DONE)
			break;
		pos = next + record_at(next)->size;
	}
	if (pos == shared->head)
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->head = pos;
	LWLockRelease(shared->lock);
}

/* What was taken and never done is to be taken again. */
void
cext_ring_untake(void)
{
	XLogRecPtr	insert;
	uint64		tail = read_tail(&insert);

	for (uint64 pos = skip_end(shared->head); pos < tail;)
	{
		CextRelayRecord *rec = record_at(pos);

		if (pg_atomic_read_u32(&rec->state) == TAKEN)
			pg_atomic_write_u32(&rec->state, COMMITTED);
		pos = skip_end(pos + rec->size);
	}
}

/* Forget what is committed; so many. */
int64
cext_ring_discard(void)
{
	XLogRecPtr	insert;
	uint64		tail = read_tail(&insert);
	int64		n = 0;

	for (uint64 pos = skip_end(shared->head); pos < tail;)
	{
		CextRelayRecord *rec = record_at(pos);
		uint32		state = pg_atomic_read_u32(&rec->state);

		if (state == COMMITTED || state == TAKEN)
		{
			pg_atomic_write_u32(&rec->state, DONE);
			n++;
		}
		pos = skip_end(pos + rec->size);
	}
	advance_head();
	return n;
}

typedef struct Candidate
{
	XLogRecPtr	lsn;
	uint64		pos;
} Candidate;

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	return x->pos < y->pos ? -1 : (x->pos > y->pos);
}

/*
 * The next committed records, by LSN; see above.  Allocates in
 * the current memory context.
 */
int
cext_ring_take(CextRelayRecord **out, int max)
{
	XLogRecPtr	horizon;
	uint64		tail = read_tail(&horizon);
	Candidate  *found;
	int			size = 64;
	int			n = 0;
	int			taken = 0;

	if (shared->head == tail)
		return 0;
	found = palloc(size * sizeof(Candidate));
	for (uint64 pos = skip_end(shared->head); pos < tail;)
	{
		CextRelayRecord *rec = record_at(pos);
		uint32		state = pg_atomic_read_u32(&rec->state);

		pg_read_barrier();
		if (state == OPEN)
			horizon = Min(horizon, rec->floor);
		else if (state == COMMITTED)
		{
			if (n == size)
			{
				size *= 2;
				found = repalloc_huge(found, size * sizeof(Candidate));
			}
			found[n].lsn = rec->lsn;
			found[n++].pos = pos;
		}
		pos = skip_end(pos + rec->size);
	}
	qsort(found, n, sizeof(Candidate), compare_candidates);
	while (taken < n && taken < max && found[taken].lsn <= horizon)
	{
		out[taken] = record_at(found[taken].pos);
		pg_atomic_write_u32(&out[taken]->state, TAKEN);
		taken++;
	}
	pfree(found);
	advance_head();
	return taken;
}

/* These need not be kept any more. */
void
cext_ring_done(CextRelayRecord **recs, int n)
{
	for (int i = 0; i < n; i++)
		pg_atomic_write_u32(&recs[i]->state, DONE);
	advance_head();
}


/* ----------------------------------------------------------------
 *		A clean restart
 * ----------------------------------------------------------------
 */

/*
 * The next record that is committed and not done, beginning with *pos = 0; for a
 * process that is alone.
 */
CextRelayRecord *
cext_ring_next_unlocked(uint64 *pos)
{
	if (*pos == 0)
		*pos = shared->head;
	for (;;)
	{
		CextRelayRecord *rec;
		uint32		state;

		*pos = skip_end(*pos);
		if (*pos >= shared->tail)
			return NULL;
		rec = record_at(*pos);
		*pos += rec->size;
		state = pg_atomic_read_u32(&rec->state);
		if (state == COMMITTED || state == TAKEN)
			return rec;
	}
}

/* Put one back.  False if it does not fit. */
bool
cext_ring_restore(const char *items, Size len, int encoding, XLogRecPtr lsn)
{
	CextRelayRecord *rec = len > cext_ring_max_len() ? NULL :
		cext_ring_reserve(items, len, encoding);

	if (rec == NULL)
		return false;
	rec->lsn = lsn;
	pg_atomic_write_u32(&rec->state, COMMITTED);
	return true;
}

uint64
cext_ring_used(void)
{
	uint64		used;

	LWLockAcquire(shared->lock, LW_SHARED);
	used = shared->tail - shared->head;
	LWLockRelease(shared->lock);
	return used;
}

uint64
cext_ring_size(void)
{
	return ring_size;
}
