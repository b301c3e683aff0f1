/*-------------------------------------------------------------------------
 *
 * cext_relay.c
 *		The queue of committed invalidations that go to Redis.
 *
 * Backends queue records (cext_ring.c) and resolve them, one worker
 * (cext_relay_worker.c) sends and removes.  If there is no room, the backend
 * notes that at PRE_COMMIT, and asks for a flush once it has committed.
 *
 * At least once.  A record stays until its sender says that Redis has answered.
 * If the worker ends before that, the next one finds it TAKEN and sends it
 * again.  A backend that ends by FATAL aborts first, and resolves.  A crash
 * reinitializes shared memory: then, as after any start that does not find the
 * queue as it was, the first event is a flush.
 *
 * A flush is a number requested and a number done for each reason.  It is
 * requested after the transaction that caused it has become visible, so whoever
 * obeys it and reads anew sees its rows.  It concerns all databases.
 *
 * The switch.  The worker turns the relay on and off, not the setting: it is
 * on while somebody sends.  Having turned it on, it waits until each backend
 * that was committing is through, before it sends the flush this begins with.
 * A backend publishes (cext_version.c) before it reads the switch, with a
 * barrier between, the worker writes the switch before it looks who has
 * published: so each commit is either queued, or waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_relay.h"
#include "cext_row.h"
#include "cext_state.h"

PG_FUNCTION_INFO_V1(cache_relay);

#define ERROR_LENGTH	256

typedef struct RelayShared
{
	/* read by every invalidation, seldom written */
	union
	{
		pg_atomic_uint32 on;
		char		pad[PG_CACHE_LINE_SIZE];
	}			s;
	Latch	   *latch;			/* the worker's, or NULL */
	pid_t		pid;
	bool		started;		/* the worker has seen the setting */
	bool		settling;		/* see cext_relay_start() */
	uint64		seq;			/* of the last message; worker only */
	pg_atomic_uint64 requested[CEXT_FLUSH_REASONS];
	pg_atomic_uint64 flushed[CEXT_FLUSH_REASONS];
	pg_atomic_uint64 queued;	/* committed, and not yet sent */
	pg_atomic_uint64 sent;
	pg_atomic_uint64 failed;
	pg_atomic_uint64 lost;		/* no room */
	pg_atomic_uint64 flushes;
	pg_atomic_uint64 retries;
	pg_atomic_uint64 last_lsn;
	slock_t		error_lock;		/* protects the next two */
	bool		retrying;
	char		error[ERROR_LENGTH];
} RelayShared;

static RelayShared *relay;

pg_atomic_uint32 *cext_relay_switch;

Size
cext_relay_shmem_size(void)
{
	return add_size(CACHELINEALIGN(sizeof(RelayShared)), cext_ring_shmem_size());
}

void
cext_relay_shmem_init(void)
{
	bool		found;

	relay = ShmemInitStruct("cache_ext relay", CACHELINEALIGN(sizeof(RelayShared)), &found);
	cext_ring_shmem_init();
	cext_relay_switch = &relay->s.on;
	if (!found)
	{
		memset(relay, 0, sizeof(RelayShared));
		pg_atomic_init_u32(&relay->s.on, 0);
		for (int i = 0; i < CEXT_FLUSH_REASONS; i++)
		{
			pg_atomic_init_u64(&relay->requested[i], 0);
			pg_atomic_init_u64(&relay->flushed[i], 0);
		}
		pg_atomic_init_u64(&relay->queued, 0);
		pg_atomic_init_u64(&relay->sent, 0);
		pg_atomic_init_u64(&relay->failed, 0);
		pg_atomic_init_u64(&relay->lost, 0);
		pg_atomic_init_u64(&relay->flushes, 0);
		pg_atomic_init_u64(&relay->retries, 0);
		pg_atomic_init_u64(&relay->last_lsn, 0);
		SpinLockInit(&relay->error_lock);
	}
}


/* Have the worker look what there is to do. */
void
cext_relay_wake(void)
{
	Latch	   *latch = relay->latch;

	if (latch != NULL)
		SetLatch(latch);
}

/* The transaction that reserved it has ended, and is visible if committed. */
void
cext_relay_resolve(CextRelayRecord *rec, bool committed)
{
	if (committed)
		pg_atomic_fetch_add_u64(&relay->queued, 1);
	cext_ring_resolve(rec, committed);

	/* also after an abort: others may have waited for this one */
	cext_relay_wake();
}

/* A transaction has committed some of whose invalidations are not queued. */
void
cext_relay_lost(CextFlushReason why)
{
	if (why == CEXT_FLUSH_OVERFLOW)
		pg_atomic_fetch_add_u64(&relay->lost, 1);
	cext_relay_flush(why);
}

/* Tell subscribers to drop all they have.  What they missed is visible. */
void
cext_relay_flush(CextFlushReason reason)
{
	if (!cext_relay_on())
		return;
	pg_atomic_fetch_add_u64(&relay->requested[reason], 1);
	cext_relay_wake();
}


/* ----------------------------------------------------------------
 *		The worker's side
 * ----------------------------------------------------------------
 */

static void
detach(int code, Datum arg)
{
	relay->latch = NULL;
	relay->pid = 0;
}

/*
 * This process is the worker from now on.  What the last one had taken and
 * not sent is sent again.
 */
void
cext_relay_attach(void)
{
	cext_ring_untake();
	relay->pid = MyProcPid;
	relay->latch = MyLatch;
	on_shmem_exit(detach, (Datum) 0);
}

/* Forget what is committed: a flush will cover it. */
static void
discard(void)
{
	pg_atomic_fetch_sub_u64(&relay->queued, cext_ring_discard());
}

/*
 * Turn the relay on.  While this is true, the caller waits for those who were
 * committing when it was turned on, and then says that they have settled.
 */
bool
cext_relay_start(void)
{
	if (!cext_relay_on())
	{
		CextFlushReason reason = relay->started ? CEXT_FLUSH_ENABLED : CEXT_FLUSH_RESTART;

		discard();
		relay->settling = true;
		relay->started = true;
		pg_atomic_fetch_add_u64(&relay->requested[reason], 1);
		pg_atomic_write_u32(&relay->s.on, 1);
		pg_memory_barrier();
	}
	return relay->settling;
}

void
cext_relay_settled(void)
{
	relay->settling = false;
}

void
cext_relay_stop(void)
{
	relay->started = true;
	if (!cext_relay_on())
		return;
	pg_atomic_write_u32(&relay->s.on, 0);
	for (int i = 0; i < CEXT_FLUSH_REASONS; i++)
		pg_atomic_write_u64(&relay->flushed[i],
							pg_atomic_read_u64(&relay->requested[i]));
	discard();
}

/* Redis has answered for these. */
void
cext_relay_done(CextRelayRecord **recs, int n)
{
	if (n > 0)
		pg_atomic_write_u64(&relay->last_lsn, recs[n - 1]->lsn);
	pg_atomic_fetch_sub_u64(&relay->queued, n);
	pg_atomic_fetch_add_u64(&relay->sent, n);
	cext_ring_done(recs, n);
}

/* Is a flush due?  It covers what was asked for up to now. */
bool
cext_relay_flush_wanted(CextFlush *flush)
{
	for (int i = 0; i < CEXT_FLUSH_REASONS; i++)
	{
		uint64		requested = pg_atomic_read_u64(&relay->requested[i]);

		if (requested > pg_atomic_read_u64(&relay->flushed[i]))
		{
			flush->reason = i;
			flush->upto = requested;
			return true;
		}
	}
	return false;
}

void
cext_relay_flushed(const CextFlush *flush)
{
	pg_atomic_write_u64(&relay->flushed[flush->reason], flush->upto);
	pg_atomic_fetch_add_u64(&relay->flushes, 1);
}

uint64
cext_relay_next_seq(void)
{
	return ++relay->seq;
}

/* Redis refused a command for good. */
void
cext_relay_count_failed(void)
{
	pg_atomic_fetch_add_u64(&relay->failed, 1);
}

/* Why the worker is about to try again; NULL: it goes well. */
void
cext_relay_note_retry(const char *error)
{
	if (error == NULL && !relay->retrying)
		return;
	if (error != NULL)
		pg_atomic_fetch_add_u64(&relay->retries, 1);
	SpinLockAcquire(&relay->error_lock);
	relay->retrying = error != NULL;
	if (error != NULL)
		strlcpy(relay->error, error, ERROR_LENGTH);
	SpinLockRelease(&relay->error_lock);
}


/* ----------------------------------------------------------------
 *		A clean restart
 * ----------------------------------------------------------------
 */

typedef struct RelayState
{
	uint64		seq;
	bool		on;
	bool		flush[CEXT_FLUSH_REASONS];
} RelayState;

/* What a record is saved as; the items follow. */
typedef struct RecordState
{
	XLogRecPtr	lsn;
	int			encoding;
	uint32		len;
} RecordState;

/* All other processes are gone. */
static void
save_relay(CextStateFile *file)
{
	RelayState	state;
	CextRelayRecord *rec;
	uint64		pos = 0;

	memset(&state, 0, sizeof(state));
	state.seq = relay->seq;
	state.on = cext_relay_on();
	for (int i = 0; i < CEXT_FLUSH_REASONS; i++)
		state.flush[i] = pg_atomic_read_u64(&relay->requested[i]) >
			pg_atomic_read_u64(&relay->flushed[i]);
	cext_state_write(file, &state, sizeof(state));
	while (state.on && (rec = cext_ring_next_unlocked(&pos)) != NULL)
	{
		RecordState r;

		memset(&r, 0, sizeof(r));
		r.lsn = rec->lsn;
		r.encoding = rec->encoding;
		r.len = rec->len;
		cext_state_write(file, &r, sizeof(r));
		cext_state_write(file, rec->items, rec->len);
	}
}

/* What does not fit any more, or is not wanted, a flush stands for. */
static bool
load_relay(CextStateFile *file)
{
	RelayState	state;
	bool		fits = true;

	if (!cext_state_read(file, &state, sizeof(state)))
		return false;
	while (cext_state_left(file) > 0)
	{
		RecordState r;
		char	   *items;

		if (!cext_state_read(file, &r, sizeof(r)) || r.len > cext_state_left(file))
			return false;
		items = palloc(r.len);
		if (!cext_state_read(file, items, r.len))
			return false;
		if (cext_redis_relay && cext_ring_restore(items, r.len, r.encoding, r.lsn))
			pg_atomic_fetch_add_u64(&relay->queued, 1);
		else
			fits = false;
		pfree(items);
	}
	relay->seq = state.seq;
	if (state.on && cext_redis_relay)
	{
		pg_atomic_write_u32(&relay->s.on, 1);
		relay->started = true;
		for (int i = 0; i < CEXT_FLUSH_REASONS; i++)
			pg_atomic_write_u64(&relay->requested[i], state.flush[i] ? 1 : 0);
		if (!fits)
			cext_relay_flush(CEXT_FLUSH_OVERFLOW);
	}
	return true;
}

void
cext_relay_init(void)
{
	static const CextStateSection section = {"relay", save_relay, load_relay};

	cext_state_register(&section);
}


/* ----------------------------------------------------------------
 *		What cache_relay shows
 * ----------------------------------------------------------------
 */

/* columns, in the order of the install script */
enum
{
	RELAY_STATE,
	RELAY_PID,
	RELAY_QUEUE_LENGTH,
	RELAY_QUEUE_USED,
	RELAY_QUEUE_SIZE,
	RELAY_SENT,
	RELAY_FAILED,
	RELAY_OVERFLOWED,
	RELAY_FLUSHES,
	RELAY_RETRIES,
	RELAY_LAST_LSN,
	RELAY_LAST_ERROR,
	RELAY_COLUMNS
};

/* cache_relay() returns one row */
Datum
cache_relay(PG_FUNCTION_ARGS)
{
	Datum		values[RELAY_COLUMNS] = {0};
	bool		nulls[RELAY_COLUMNS];
	bool		retrying;
	char		error[ERROR_LENGTH];
	XLogRecPtr	lsn;

	if (!cext_active())
	{
		memset(nulls, true, sizeof(nulls));
		values[RELAY_STATE] = CStringGetTextDatum("off");
		nulls[RELAY_STATE] = false;
		return cext_one_row(fcinfo, RELAY_COLUMNS, values, nulls);
	}

	memset(nulls, false, sizeof(nulls));
	values[RELAY_QUEUE_USED] = Int64GetDatum(cext_ring_used());
	SpinLockAcquire(&relay->error_lock);
	retrying = relay->retrying;
	memcpy(error, relay->error, ERROR_LENGTH);
	SpinLockRelease(&relay->error_lock);

	values[RELAY_STATE] = CStringGetTextDatum(!cext_relay_on() ? "off" :
											  retrying ? "retrying" : "on");
	values[RELAY_PID] = Int32GetDatum(relay->pid);
	nulls[RELAY_PID] = relay->pid == 0;
	values[RELAY_QUEUE_LENGTH] = Int64GetDatum(pg_atomic_read_u64(&relay->queued));
	values[RELAY_QUEUE_SIZE] = Int64GetDatum(cext_ring_size());
	values[RELAY_SENT] = Int64GetDatum(pg_atomic_read_u64(&relay->sent));
	values[RELAY_FAILED] = Int64GetDatum(pg_atomic_read_u64(&relay->failed));
	values[RELAY_OVERFLOWED] = Int64GetDatum(pg_atomic_read_u64(&relay->lost));
	values[RELAY_FLUSHES] = Int64GetDatum(pg_atomic_read_u64(&relay->flushes));
	values[RELAY_RETRIES] = Int64GetDatum(pg_atomic_read_u64(&relay->retries));
	lsn = pg_atomic_read_u64(&relay->last_lsn);
	values[RELAY_LAST_LSN] = LSNGetDatum(lsn);
	nulls[RELAY_LAST_LSN] = lsn == InvalidXLogRecPtr;
	values[RELAY_LAST_ERROR] = CStringGetTextDatum(error);
	nulls[RELAY_LAST_ERROR] = error[0] == '\0';
	return cext_one_row(fcinfo, RELAY_COLUMNS, values, nulls);
}
