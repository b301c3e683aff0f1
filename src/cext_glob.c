/*-------------------------------------------------------------------------
 *
 * cext_glob.c
 *		The log of patterns that no tag stands for.
 *
 * Patterns that are neither a key nor "prefix:*" go to a bounded log of
 * (sequence, pattern, xid, version).  A record is appended unresolved before
 * its transaction becomes visible, and resolved, with a version drawn from the
 * clock, after: the same two steps as for a slot in cext_version.c, and the same
 * argument.  An entry remembers the sequence up to which it was compared, never
 * past an unresolved record.  What falls out of the log leaves its version in
 * "dropped": entries not compared by then, with a stamp before it, are dead.
 *
 * A hit reads one word while nothing was logged since the entry was last
 * compared; else it takes the lock, shared.  Nothing throws or allocates while
 * it is held: whether a transaction is running is asked afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "storage/shmem.h"

#include "cext_glob.h"
#include "cext_pattern.h"
#include "cext_state.h"
#include "cext_version.h"

#define GLOB_RECORDS	1024
#define MAX_RUNNING		16		/* whose patterns one hit looks behind */

typedef struct CextGlob
{
	uint64		version;		/* 0: not resolved */
	Oid			dbid;
	TransactionId xid;
	int			len;
	char		pattern[CEXT_GLOB_LENGTH];
} CextGlob;

typedef struct GlobLog
{
	/* read without the lock, written under it */
	pg_atomic_uint64 next;		/* sequence of the next record */
	pg_atomic_uint64 resolved;	/* all before this one are resolved */
	LWLock	   *lock;			/* protects the rest */
	uint64		dropped;		/* newest version that fell out */
	CextGlob	records[GLOB_RECORDS];
} GlobLog;

static GlobLog *globs;

Size
cext_glob_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(GlobLog));
}

void
cext_glob_shmem_init(void)
{
	bool		found;

	globs = ShmemInitStruct("cache_ext glob log", cext_glob_shmem_size(), &found);
	if (!found)
	{
		memset(globs, 0, sizeof(GlobLog));
		pg_atomic_init_u64(&globs->next, 1);
		pg_atomic_init_u64(&globs->resolved, 1);
		globs->lock = &GetNamedLWLockTranche("cache_ext_glob")->lock;
	}
}

static void
save_globs(CextStateFile *file)
{
	uint64		next = pg_atomic_read_u64(&globs->next);

	cext_state_write(file, &next, sizeof(next));
	cext_state_write(file, &globs->dropped, sizeof(globs->dropped));
	cext_state_write(file, globs->records, sizeof(globs->records));
}

/* Records left unresolved count as committed: see load_versions(). */
static bool
load_globs(CextStateFile *file)
{
	uint64		next;

	if (!cext_state_read(file, &next, sizeof(next)) ||
		!cext_state_read(file, &globs->dropped, sizeof(globs->dropped)) ||
		!cext_state_read(file, globs->records, sizeof(globs->records)))
		return false;
	for (int i = 0; i < GLOB_RECORDS; i++)
		if (globs->records[i].version == 0 && globs->records[i].len > 0)
			globs->records[i].version = cext_version_draw();
	pg_atomic_write_u64(&globs->next, next);
	pg_atomic_write_u64(&globs->resolved, next);
	return true;
}

void
cext_glob_init(void)
{
	static const CextStateSection section = {"globs", save_globs, load_globs};

	cext_state_register(&section);
}

#define GLOB(seq) (&globs->records[(seq) % GLOB_RECORDS])

/* Move "resolved" past what is resolved.  lock held exclusively. */
static void
advance_resolved(void)
{
	uint64		seq = pg_atomic_read_u64(&globs->resolved);
	uint64		next = pg_atomic_read_u64(&globs->next);

	while (seq < next && GLOB(seq)->version != 0)
		seq++;
	pg_atomic_write_u64(&globs->resolved, seq);
}

/*
 * Log a pattern of the committing transaction, unresolved.  False if it does
 * not fit: too long, or the log is full of unresolved ones.
 */
bool
cext_glob_append(Oid dbid, const char *pattern, int len,
				 TransactionId xid, uint64 *seq)
{
	uint64		next;
	CextGlob   *rec;

	if (len > CEXT_GLOB_LENGTH)
		return false;

	LWLockAcquire(globs->lock, LW_EXCLUSIVE);
	next = pg_atomic_read_u64(&globs->next);
	if (next - pg_atomic_read_u64(&globs->resolved) >= GLOB_RECORDS)
	{
		LWLockRelease(globs->lock);
		return false;
	}
	rec = GLOB(next);
	globs->dropped = Max(globs->dropped, rec->version);
	rec->version = 0;
	rec->dbid = dbid;
	rec->xid = xid;
	rec->len = len;
	memcpy(rec->pattern, pattern, len);
	pg_atomic_write_u64(&globs->next, next + 1);
	LWLockRelease(globs->lock);

	*seq = next;
	return true;
}

/* The transaction that logged it has ended. */
void
cext_glob_resolve(uint64 seq)
{
	LWLockAcquire(globs->lock, LW_EXCLUSIVE);
	GLOB(seq)->version = cext_version_draw();
	advance_resolved();
	LWLockRelease(globs->lock);
}

/* Entries stamped after this call need not look at records before it. */
uint64
cext_glob_resolved(void)
{
	uint64		seq = pg_atomic_read_u64(&globs->resolved);

	pg_read_barrier();
	return seq;
}

/*
 * Has no logged pattern killed this entry?  *checked is the sequence up to
 * which that is known; it moves forward here.
 */
bool
cext_glob_alive(Oid dbid, const char *key, int keylen,
				uint64 stamp, pg_atomic_uint64 *checked)
{
	uint64		seq = pg_atomic_read_u64(checked);
	uint64		next = pg_atomic_read_u64(&globs->next);
	uint64		oldest;
	uint64		known;
	bool		alive = true;
	bool		waiting = false;
	TransactionId running[MAX_RUNNING];
	int			nrunning = 0;

	if (likely(seq == next))
		return true;

	LWLockAcquire(globs->lock, LW_SHARED);
	next = pg_atomic_read_u64(&globs->next);
	oldest = next > GLOB_RECORDS ? next - GLOB_RECORDS : 1;
	if (seq < oldest)
	{
		if (stamp < globs->dropped)
			alive = false;
		seq = oldest;
	}
	for (known = seq; alive && seq < next; seq++)
	{
		CextGlob   *rec = GLOB(seq);

		if (rec->version == 0)
			waiting = true;
		if ((rec->version == 0 || rec->version > stamp) && rec->dbid == dbid &&
			cext_pattern_match(rec->pattern, rec->len, key, keylen))
		{
			if (rec->version == 0 && TransactionIdIsValid(rec->xid) &&
				nrunning < MAX_RUNNING)
				running[nrunning++] = rec->xid;
			else
				alive = false;
		}
		if (!waiting)
			known = seq + 1;
	}
	LWLockRelease(globs->lock);

	/* one that has ended meanwhile is a miss, whether resolved by now or not */
	for (int i = 0; i < nrunning && alive; i++)
		alive = TransactionIdIsInProgress(running[i]);
	if (alive)
		pg_atomic_write_u64(checked, known);
	return alive;
}

/*
 * For a value set by a transaction that has drawn its version: has no pattern
 * but its own killed this key after "since"?  What is not resolved yet will
 * draw a version later than the value's.  Neither throws nor allocates.
 */
bool
cext_glob_settled(Oid dbid, const char *key, int keylen,
				  uint64 since, uint64 from, bool (*own) (uint64 seq))
{
	bool		settled = true;
	uint64		next;
	uint64		oldest;

	LWLockAcquire(globs->lock, LW_SHARED);
	next = pg_atomic_read_u64(&globs->next);
	oldest = next > GLOB_RECORDS ? next - GLOB_RECORDS : 1;
	if (from < oldest && since < globs->dropped)
		settled = false;
	for (uint64 seq = Max(from, oldest); settled && seq < next; seq++)
	{
		CextGlob   *rec = GLOB(seq);

		settled = rec->version <= since || rec->dbid != dbid ||
			!cext_pattern_match(rec->pattern, rec->len, key, keylen) || own(seq);
	}
	LWLockRelease(globs->lock);
	return settled;
}
