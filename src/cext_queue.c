/*-------------------------------------------------------------------------
 *
 * cext_queue.c
 *		What is to be done in the background, and who does it.
 *
 * Shared memory between the backends that want an entry refreshed, the
 * launcher that starts workers, and the workers: a fixed array of requests, a
 * fixed array of workers, and notices for the launcher.  cext_worker.c has the
 * processes.
 *
 * A request is a recipe (see cext_recipe.c), which is bytes here.  A backend
 * copies it in, a worker of its database and role copies it out, which frees
 * the place.  Nothing says whether it was done: who finds, a while later, that
 * the entry is still the old one asks again, or computes it himself.  So a
 * worker may die with a request in its hands.
 *
 * One LWLock protects it all, held for the copy of a recipe at the longest.
 * Latches are set after it has been released; they lie in PGPROCs, which are
 * never freed, so the worst that a late one does is to wake somebody for
 * nothing.
 *
 * Nobody waits here, nothing throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "cext_guc.h"
#include "cext_queue.h"

#define REQUESTS	64
#define NOTICES		32
#define REFUSED		16
#define REFUSED_FOR (60 * USECS_PER_SEC)

typedef struct Request
{
	bool		used;
	Oid			dbid;
	Oid			roleid;
	uint64		hash;			/* of the entry */
	uint64		number;			/* they are served in this order */
	uint32		size;
	char		recipe[CEXT_REQUEST_SIZE];
} Request;

typedef struct Worker
{
	bool		used;			/* reserved by the launcher */
	CextWorkerKind kind;
	Oid			dbid;
	Oid			roleid;
	pid_t		pid;			/* 0 until it is there, and when it is gone */
	bool		succeeded;		/* in connecting, or in scanning */
	Latch	   *latch;
} Worker;

/* Whom no worker could connect as, a moment ago. */
typedef struct Refused
{
	Oid			dbid;
	Oid			roleid;
	TimestampTz until;
} Refused;

typedef struct WorkQueue
{
	LWLock	   *lock;
	Latch	   *launcher;		/* NULL: there is none */
	uint64		next_number;
	bool		is_short;		/* some work waits for a worker to leave */
	int			nnotices;
	CextNotice	notices[NOTICES];
	int			next_refused;
	Refused		refused[REFUSED];
	Worker		workers[CEXT_MAX_WORKERS];
	Request		requests[REQUESTS];
} WorkQueue;

static WorkQueue *queue;

/* what the launcher is to be told when this transaction has committed */
static int	pending_notice;

Size
cext_queue_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(WorkQueue));
}

void
cext_queue_shmem_init(void)
{
	bool		found;

	queue = ShmemInitStruct("cache_ext queue", cext_queue_shmem_size(), &found);
	if (!found)
	{
		memset(queue, 0, sizeof(WorkQueue));
		queue->lock = &GetNamedLWLockTranche("cache_ext_queue")->lock;
	}
}

/* The latch of a worker for this, or of the launcher; lock held. */
static Latch *
latch_for(Oid dbid, Oid roleid)
{
	for (int i = 0; i < CEXT_MAX_WORKERS; i++)
	{
		Worker	   *w = &queue->workers[i];

		if (w->used && w->pid != 0 && w->kind == CEXT_WORKER_ROLE &&
			w->dbid == dbid && w->roleid == roleid)
			return w->latch;
	}
	return queue->launcher;
}


/* Lock held. */
static bool
is_refused(Oid dbid, Oid roleid, TimestampTz now)
{
	for (int i = 0; i < REFUSED; i++)
	{
		Refused    *r = &queue->refused[i];

		if (r->dbid == dbid && r->roleid == roleid && now < r->until)
			return true;
	}
	return false;
}


/* ----------------------------------------------------------------
 *		Backends
 * ----------------------------------------------------------------
 */

/*
 * Ask for an entry to be computed.  False if nobody would do it: there is no
 * launcher, no room, no worker could connect as this role, or the same was
 * asked before and not even begun.
 */
bool
cext_queue_put(Oid dbid, Oid roleid, uint64 hash, const char *recipe, uint32 size)
{
	Request    *free = NULL;
	Latch	   *latch = NULL;
	TimestampTz now = GetCurrentTimestamp();

	if (size > CEXT_REQUEST_SIZE || cext_worker_limit == 0)
		return false;
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	if (queue->launcher != NULL && !is_refused(dbid, roleid, now))
	{
		for (int i = 0; i < REQUESTS; i++)
		{
			Request    *r = &queue->requests[i];

			if (!r->used)
				free = r;
			else if (r->hash == hash && r->dbid == dbid && r->roleid == roleid)
			{
				free = NULL;
				break;
			}
		}
	}
	if (free != NULL)
	{
		free->used = true;
		free->dbid = dbid;
		free->roleid = roleid;
		free->hash = hash;
		free->number = queue->next_number++;
		free->size = size;
		memcpy(free->recipe, recipe, size);
		latch = latch_for(dbid, roleid);
	}
	LWLockRelease(queue->lock);
	if (latch != NULL)
		SetLatch(latch);
	return free != NULL;
}

/* Is there anybody to work in the background? */
bool
cext_queue_served(void)
{
	bool		served;

	if (!cext_active() || cext_worker_limit == 0)
		return false;
	LWLockAcquire(queue->lock, LW_SHARED);
	served = queue->launcher != NULL;
	LWLockRelease(queue->lock);
	return served;
}

/*
 * Tell the launcher something of a database.  If too much is said at once, it
 * is told of all of them.  CEXT_NOTICE_LEAVE also ends the workers there.
 */
void
cext_queue_notice(Oid dbid, int what)
{
	Latch	   *latch;
	int			i;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	for (i = 0; i < queue->nnotices; i++)
		if (queue->notices[i].dbid == dbid)
			break;
	if (i == NOTICES)
	{
		i = NOTICES - 1;
		queue->notices[i].dbid = InvalidOid;
	}
	else if (i == queue->nnotices)
	{
		queue->notices[i].dbid = dbid;
		queue->notices[i].what = 0;
		queue->nnotices++;
	}
	queue->notices[i].what |= what;
	if ((what & CEXT_NOTICE_LEAVE) != 0)
	{
		/* a pid is valid while the lock is held: its owner clears it first */
		for (i = 0; i < CEXT_MAX_WORKERS; i++)
		{
			Worker	   *w = &queue->workers[i];

			if (!w->used || w->pid == 0 || w->dbid != dbid)
				continue;
			/* that it ends while it connects is not for want of a right to */
			if (w->kind == CEXT_WORKER_ROLE)
				w->succeeded = true;
			kill(w->pid, SIGTERM);
		}
	}
	latch = queue->launcher;
	LWLockRelease(queue->lock);
	if (latch != NULL)
		SetLatch(latch);
}


/* The same of this database, once this transaction has committed. */
void
cext_queue_notice_at_commit(int what)
{
	pending_notice |= what;
}

/*
 * The transaction's locks are gone, and cext_inval.c has drawn its versions:
 * this was registered before its callback, and they are called in reverse.
 */
static void
release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	int			what = pending_notice;

	if (likely(what == 0) || phase != RESOURCE_RELEASE_AFTER_LOCKS || !isTopLevel)
		return;
	pending_notice = 0;
	if (isCommit)
		cext_queue_notice(MyDatabaseId, what);
}

void
cext_queue_init(void)
{
	RegisterResourceReleaseCallback(release_callback, NULL);
}


/* ----------------------------------------------------------------
 *		The launcher
 * ----------------------------------------------------------------
 */

/* Begin to serve.  False if somebody else does. */
bool
cext_queue_launcher_enter(void)
{
	bool		mine;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	mine = queue->launcher == NULL;
	if (mine)
		queue->launcher = MyLatch;
	LWLockRelease(queue->lock);
	return mine;
}

void
cext_queue_launcher_leave(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	if (queue->launcher == MyLatch)
		queue->launcher = NULL;
	LWLockRelease(queue->lock);
}

/* Walk over the requests, beginning with *pos = 0, for whom they are. */
bool
cext_queue_next(int *pos, Oid *dbid, Oid *roleid)
{
	bool		found = false;

	LWLockAcquire(queue->lock, LW_SHARED);
	while (*pos < REQUESTS && !found)
	{
		Request    *r = &queue->requests[(*pos)++];

		if (r->used)
		{
			*dbid = r->dbid;
			*roleid = r->roleid;
			found = true;
		}
	}
	LWLockRelease(queue->lock);
	return found;
}

/* How many places are free? */
int
cext_queue_free(void)
{
	int			n = 0;

	LWLockAcquire(queue->lock, LW_SHARED);
	for (int i = 0; i < REQUESTS; i++)
		n += !queue->requests[i].used;
	LWLockRelease(queue->lock);
	return n;
}

/* Take the notices. */
int
cext_queue_notices(CextNotice *notices, int max)
{
	int			n;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	n = Min(queue->nnotices, max);
	memcpy(notices, queue->notices, n * sizeof(CextNotice));
	memmove(queue->notices, queue->notices + n,
			(queue->nnotices - n) * sizeof(CextNotice));
	queue->nnotices -= n;
	LWLockRelease(queue->lock);
	return n;
}

/* Does work wait that no worker could be started for? */
void
cext_queue_short(bool is_short)
{
	if (queue->is_short != is_short)
		queue->is_short = is_short;
}

/* A place for a worker to be started; -1 if there are enough of them. */
int
cext_worker_reserve(Oid dbid, Oid roleid, CextWorkerKind kind)
{
	int			used = 0;
	int			free = -1;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	for (int i = 0; i < CEXT_MAX_WORKERS; i++)
	{
		if (queue->workers[i].used)
			used++;
		else if (free < 0)
			free = i;
	}
	if (used >= cext_worker_limit)
		free = -1;
	if (free >= 0)
	{
		Worker	   *w = &queue->workers[free];

		memset(w, 0, sizeof(Worker));
		w->used = true;
		w->kind = kind;
		w->dbid = dbid;
		w->roleid = roleid;
	}
	LWLockRelease(queue->lock);
	return free;
}

/*
 * The process of a place has ended, or was not started.  If it was started and
 * could not connect, nobody need ask for the same soon.  Returns whether it
 * succeeded.
 */
bool
cext_worker_vacate(int slot, bool started)
{
	Worker	   *w = &queue->workers[slot];
	TimestampTz until = GetCurrentTimestamp() + REFUSED_FOR;
	bool		succeeded;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	succeeded = w->succeeded;
	if (started && !succeeded && w->kind == CEXT_WORKER_ROLE)
	{
		Refused    *refused = &queue->refused[queue->next_refused++ % REFUSED];

		refused->dbid = w->dbid;
		refused->roleid = w->roleid;
		refused->until = until;
		for (int i = 0; i < REQUESTS; i++)
		{
			Request    *r = &queue->requests[i];

			if (r->dbid == w->dbid && r->roleid == w->roleid)
				r->used = false;
		}
	}
	w->used = false;
	w->pid = 0;
	LWLockRelease(queue->lock);
	return succeeded;
}

/* Whose is this place?  False if nobody's; *gone: and no process is there. */
bool
cext_worker_place(int slot, Oid *dbid, Oid *roleid, CextWorkerKind *kind, bool *gone)
{
	Worker	   *w = &queue->workers[slot];
	bool		used;

	LWLockAcquire(queue->lock, LW_SHARED);
	used = w->used;
	*gone = w->pid == 0;
	*dbid = w->dbid;
	*roleid = w->roleid;
	*kind = w->kind;
	LWLockRelease(queue->lock);
	return used;
}

/* Could no worker connect as this role lately? */
bool
cext_worker_refused(Oid dbid, Oid roleid)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		refused;

	LWLockAcquire(queue->lock, LW_SHARED);
	refused = is_refused(dbid, roleid, now);
	LWLockRelease(queue->lock);
	return refused;
}

/* Is there, or will there be, a worker for this role in this database? */
bool
cext_worker_of(Oid dbid, Oid roleid)
{
	bool		found = false;

	LWLockAcquire(queue->lock, LW_SHARED);
	for (int i = 0; i < CEXT_MAX_WORKERS && !found; i++)
	{
		Worker	   *w = &queue->workers[i];

		found = w->used && w->dbid == dbid && w->roleid == roleid;
	}
	LWLockRelease(queue->lock);
	return found;
}

/* Tell the worker for a role, if it is there, that it has something to do. */
void
cext_worker_nudge(Oid dbid, Oid roleid)
{
	Latch	   *latch;

	LWLockAcquire(queue->lock, LW_SHARED);
	latch = latch_for(dbid, roleid);
	if (latch == queue->launcher)
		latch = NULL;
	LWLockRelease(queue->lock);
	if (latch != NULL)
		SetLatch(latch);
}


/* ----------------------------------------------------------------
 *		Workers
 * ----------------------------------------------------------------
 */

/* Take one's place.  False if it was meant for somebody else. */
bool
cext_worker_enter(int slot, Oid *dbid, Oid *roleid, CextWorkerKind *kind)
{
	Worker	   *w;
	bool		mine;

	if (slot < 0 || slot >= CEXT_MAX_WORKERS)
		return false;
	w = &queue->workers[slot];
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	mine = w->used && w->pid == 0;
	if (mine)
	{
		w->pid = MyProcPid;
		w->latch = MyLatch;
		*dbid = w->dbid;
		*roleid = w->roleid;
		*kind = w->kind;
	}
	LWLockRelease(queue->lock);
	return mine;
}

/* The connection is there; for a scan, it is done. */
void
cext_worker_succeeded(int slot)
{
	queue->workers[slot].succeeded = true;
}

void
cext_worker_leave(int slot)
{
	Latch	   *latch;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	if (queue->workers[slot].pid == MyProcPid)
		queue->workers[slot].pid = 0;
	latch = queue->launcher;
	LWLockRelease(queue->lock);
	/* it may not be the one whom the postmaster tells */
	if (latch != NULL)
		SetLatch(latch);
}

/*
 * The oldest request for a role in a database, copied out, and its size; 0 if
 * there is none.
 */
uint32
cext_queue_take(Oid dbid, Oid roleid, char *recipe)
{
	Request    *oldest = NULL;
	uint32		size = 0;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	for (int i = 0; i < REQUESTS; i++)
	{
		Request    *r = &queue->requests[i];

		if (r->used && r->dbid == dbid && r->roleid == roleid &&
			(oldest == NULL || r->number < oldest->number))
			oldest = r;
	}
	if (oldest != NULL)
	{
		size = oldest->size;
		memcpy(recipe, oldest->recipe, size);
		oldest->used = false;
	}
	LWLockRelease(queue->lock);
	return size;
}

bool
cext_queue_is_short(void)
{
	return *(volatile bool *) &queue->is_short;
}
