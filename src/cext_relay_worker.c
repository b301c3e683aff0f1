/*-------------------------------------------------------------------------
 *
 * cext_relay_worker.c
 *		The background worker that sends what the relay has queued.
 *
 * One process, "cache_ext redis", connected to no database (it only reads the
 * names of all), started with the server (after recovery, on a standby).
 *
 * It has some events in hand, in commit order, taken from the queue; see
 * cext_ring.c for what makes the order right.  Over and over it
 *
 *	1. puts a flush that was asked for, and newly committed events, in the row
 *	2. drops the keys that new ones name
 *	3. does one step of a sweep, if patterns wait for one
 *	4. publishes those at the front of the row that are through with 2 and 3
 *
 * So keys do not wait for an earlier event's sweep, which can take long;
 * messages do, because they are sent in order, and after what they announce.
 *
 * When Redis does not answer, or says that it cannot just now, the same is done
 * again after a delay that doubles up to a second, and with twice the patience:
 * or what takes longer than cache_ext.redis_timeout would never get through.
 * The circuit breaker decides whether anything is sent then.  Events stay in the queue until all is done.
 * An error ends the process; the postmaster starts the next, which begins with
 * what is in the queue.
 *
 * It also writes the values that cache_set() has put into shared memory (see
 * cext_writeback.c), whether the relay is on or off.
 *
 * While transactions are prepared, it also looks several times a second whether
 * they have ended: nobody else may, and their keys are not known.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_prepared.h"
#include "cext_redis.h"
#include "cext_redis_conf.h"
#include "cext_relay_send.h"
#include "cext_relay_worker.h"
#include "cext_version.h"
#include "cext_writeback.h"

#define MAX_EVENTS		512		/* in hand */
#define MIN_DELAY		50		/* milliseconds */
#define MAX_DELAY		1000
#define MAX_PATIENCE	64
#define PREPARED_DELAY	100

PGDLLEXPORT void cext_relay_main(Datum arg);

static CextRelayEvent events[MAX_EVENTS];
static int	nevents;

static void
reload_if_asked(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		uint64		generation = cext_redis_generation;

		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		cext_relay_abandon_sweep(events, nevents);

		/* who listens at another Redis has heard nothing until now */
		if (generation != cext_redis_generation)
			cext_relay_flush(CEXT_FLUSH_ENABLED);
	}
}

/* Sleep until there is something to do, at most so long; -1: no limit. */
static void
doze(long milliseconds)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (milliseconds >= 0 ? WL_TIMEOUT : 0),
					 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	reload_if_asked();
}

/* Sleep so long, whatever is queued meanwhile. */
static void
hold_off(int milliseconds)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
	long		left;

	while (cext_redis_relay &&
		   (left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0)
		doze(left);
}

/*
 * The relay was just turned on.  Wait until everybody is through who may not
 * have seen that.
 */
static void
wait_for_committing(void)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		TransactionId first;
		TransactionId now;

		if (!cext_version_committing(i, &first))
			continue;
		while (cext_version_committing(i, &now) && now == first)
			doze(10);
	}
}

/* Follow the settings.  Is the relay on? */
static bool
switch_on_or_off(void)
{
	static bool complained = false;

	if (!cext_redis_relay || cext_redis_target == NULL)
	{
		if (cext_redis_relay && !complained)
			ereport(LOG,
					(errmsg("cache_ext's relay is on, but there is no Redis"),
					 errhint("Set \"cache_ext.redis_url\".")));
		complained = cext_redis_relay;
		nevents = 0;
		cext_relay_abandon_sweep(events, nevents);
		cext_relay_stop();
		return false;
	}
	complained = false;
	if (cext_relay_start())
	{
		wait_for_committing();
		cext_relay_settled();
	}
	return true;
}

/* Step 1. */
static void
take_events(void)
{
	CextRelayRecord *recs[MAX_EVENTS];
	CextFlush	flush;
	bool		flushing = false;
	int			n;

	for (int i = 0; i < nevents; i++)
		flushing |= (events[i].rec == NULL);
	if (!flushing && nevents < MAX_EVENTS && cext_relay_flush_wanted(&flush))
	{
		CextRelayEvent *ev = &events[nevents++];

		memset(ev, 0, sizeof(CextRelayEvent));
		ev->flush = flush;
		ev->sweep = cext_relay_needs_sweep(NULL);
	}
	n = nevents < MAX_EVENTS ? cext_ring_take(recs, MAX_EVENTS - nevents) : 0;
	for (int i = 0; i < n; i++)
	{
		CextRelayEvent *ev = &events[nevents++];

		memset(ev, 0, sizeof(CextRelayEvent));
		ev->rec = recs[i];
		ev->sweep = cext_relay_needs_sweep(recs[i]);
	}
}

/* The first n are through. */
static void
drop_events(int n)
{
	CextRelayRecord *recs[MAX_EVENTS];
	int			nrecs = 0;

	for (int i = 0; i < n; i++)
	{
		if (events[i].rec != NULL)
			recs[nrecs++] = events[i].rec;
		else
			cext_relay_flushed(&events[i].flush);
	}
	if (nrecs > 0)
		cext_relay_done(recs, nrecs);
	nevents -= n;
	memmove(events, events + n, nevents * sizeof(CextRelayEvent));
}

/* Steps 1 to 4.  False: Redis does not do its part. */
static bool
work(bool *idle)
{
	int			published;

	take_events();
	*idle = nevents == 0;
	if (*idle)
		return true;
	if (!cext_relay_send_keys(events, nevents) ||
		!cext_relay_send_sweep(events, nevents) ||
		!cext_relay_send_messages(events, nevents, &published))
		return false;
	drop_events(published);
	return true;
}

/* What cache_set() has left to be written, relay or not. */
static void
write_values(void)
{
	while (cext_writeback_run())
	{
		MemoryContextReset(CurrentMemoryContext);
		reload_if_asked();
	}
}

static void
leave(int code, Datum arg)
{
	cext_writeback_attach(NULL);
}

void
cext_relay_main(Datum arg)
{
	MemoryContext context;
	int			delay = 0;
	bool		idle;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	/* for the locks by which the end of a prepared transaction is told */
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "cache_ext redis");
	context = AllocSetContextCreate(TopMemoryContext, "cache_ext redis",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	cext_relay_attach();
	before_shmem_exit(leave, (Datum) 0);
	cext_writeback_attach(MyLatch);
	cext_prepared_recover_shmem();

	for (;;)
	{
		reload_if_asked();
		write_values();
		if (!switch_on_or_off())
		{
			doze(-1);
			continue;
		}
		(void) cext_prepared_sweep();
		if (!work(&idle))
		{
			if (delay == 0)
				ereport(LOG,
						(errmsg("cache_ext's relay waits for Redis: %s", cext_relay_error())));
			cext_relay_note_retry(cext_relay_error());
			delay = delay == 0 ? MIN_DELAY : Min(2 * delay, MAX_DELAY);
			cext_redis_patience = Min(2 * cext_redis_patience, MAX_PATIENCE);
			MemoryContextReset(context);
			hold_off(delay);
			continue;
		}
		MemoryContextReset(context);
		if (delay > 0)
			ereport(LOG, (errmsg("cache_ext's relay goes on")));
		delay = 0;
		cext_redis_patience = 1;
		cext_relay_note_retry(NULL);

		/* waiting for Redis may have consumed a wake-up: look once more then */
		if (idle && !cext_writeback_run())
			doze(cext_prepared_any() ? PREPARED_DELAY : -1);
	}
}

void
cext_relay_worker_init(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strcpy(worker.bgw_library_name, "cache_ext");
	strcpy(worker.bgw_function_name, "cext_relay_main");
	strcpy(worker.bgw_name, "cache_ext redis");
	strcpy(worker.bgw_type, "cache_ext redis");
	RegisterBackgroundWorker(&worker);
}
