/*-------------------------------------------------------------------------
 *
 * cext_worker.c
 *		Background processes: the launcher, and its workers.
 *
 * The launcher starts when recovery has finished, is connected to no database,
 * and so is in nobody's way.  It starts dynamic workers where there is something
 * to do, cache_ext.worker_limit at a time:
 *
 *	scan	reads the jobs of one database and ends.  For each database after the
 *			start, for one that is new, and after its table has changed; again
 *			after a nap if it did not succeed.
 *	role	connected as one role to one database, carries out the refresh
 *			requests and due jobs of that role, stays for LINGER_MS in case there
 *			are more, and ends.
 *
 * CREATE DATABASE, DROP DATABASE and the like end the workers in the database
 * they need for themselves (see cext_ddl.c), and the launcher starts none there
 * for LEAVE_US.
 *
 * A worker that fails to connect, because its role may not log in, say, is not
 * started for the same work again for a minute.  If one dies with a job, the job
 * has failed and is tried again like any other; a request is lost, and will be
 * asked for again.
 *
 * On SIGTERM the launcher ends with status 1, so that the postmaster starts it
 * again unless it is shutting down.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_hot.h"
#include "cext_job.h"
#include "cext_queue.h"
#include "cext_redis_conf.h"
#include "cext_warm.h"
#include "cext_worker.h"

#define LINGER_MS	1000
#define LEAVE_US	(10 * USECS_PER_SEC)
#define RETRY_US	USECS_PER_SEC	/* when no process could be had */
#define SAY_US		(60 * USECS_PER_SEC)	/* that it is so, so often */
#define NOTICES_AT_ONCE 32

PGDLLEXPORT void cext_launcher_main(Datum arg);
PGDLLEXPORT void cext_worker_main(Datum arg);

/* What the launcher knows of a database. */
typedef struct KnownDatabase
{
	Oid			dbid;
	TimestampTz scan_at;		/* DT_NOEND: no need */
	TimestampTz leave_until;
	bool		seen;
} KnownDatabase;

static void scan_later(Oid dbid, TimestampTz now);

static const char *const refused_message =
"no background worker could connect as the role; see the server log";

static KnownDatabase *databases;
static int	ndatabases;
static int	databases_size;

/* of those that this process has started */
static BackgroundWorkerHandle *handles[CEXT_MAX_WORKERS];


/* ----------------------------------------------------------------
 *		Starting
 * ----------------------------------------------------------------
 */

static void
describe(BackgroundWorker *worker, const char *function, const char *type)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "cache_ext", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_name, type, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, type, sizeof(worker->bgw_type));
}

void
cext_worker_register(void)
{
	BackgroundWorker worker;

	describe(&worker, "cext_launcher_main", "cache_ext launcher");
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}

/*
 * Start a worker or, if there is one, tell it.  False if that was not possible
 * now.
 */
static bool
start_worker(Oid dbid, Oid roleid, CextWorkerKind kind)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	MemoryContext old;
	int			slot;
	bool		ok;
	TimestampTz now = GetCurrentTimestamp();
	static TimestampTz said = 0;	/* when, that there is no process */

	if (cext_worker_of(dbid, roleid))
	{
		if (kind == CEXT_WORKER_ROLE)
			cext_worker_nudge(dbid, roleid);
		return true;
	}
	slot = cext_worker_reserve(dbid, roleid, kind);
	if (slot < 0)
		return false;
	describe(&worker, "cext_worker_main", "cache_ext worker");
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot);
	old = MemoryContextSwitchTo(TopMemoryContext);
	ok = RegisterDynamicBackgroundWorker(&worker, &handle);
	MemoryContextSwitchTo(old);
	if (!ok)
	{
		(void) cext_worker_vacate(slot, false);
		ereport(now < said + SAY_US ? DEBUG1 : LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not register background worker of cache_ext"),
				 errhint("You may need to increase \"max_worker_processes\".")));
		if (now >= said + SAY_US)
			said = now;
		return false;
	}
	handles[slot] = handle;
	return true;
}

/*
 * Free the places of workers that have ended.  Those that a launcher before this
 * one has started tell it themselves.
 */
static void
reap_workers(TimestampTz now)
{
	for (int i = 0; i < CEXT_MAX_WORKERS; i++)
	{
		BackgroundWorkerHandle *handle = handles[i];
		Oid			dbid;
		Oid			roleid;
		CextWorkerKind kind;
		bool		gone;
		bool		succeeded;
		pid_t		pid;

		if (!cext_worker_place(i, &dbid, &roleid, &kind, &gone))
			continue;
		if (handle != NULL)
			gone = GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
		if (!gone)
			continue;
		handles[i] = NULL;
		succeeded = cext_worker_vacate(i, handle != NULL);
		if (handle != NULL)
			pfree(handle);
		if (kind != CEXT_WORKER_ROLE)
		{
			if (!succeeded)
				scan_later(dbid, now);
			continue;
		}
		if (cext_worker_refused(dbid, roleid))
			cext_job_abandon(dbid, roleid, true, refused_message);
		else
			cext_job_abandon(dbid, roleid, false, "the background worker ended");
	}
}


/* ----------------------------------------------------------------
 *		Databases
 * ----------------------------------------------------------------
 */

static KnownDatabase *
find_database(Oid dbid)
{
	for (int i = 0; i < ndatabases; i++)
		if (databases[i].dbid == dbid)
			return &databases[i];
	return NULL;
}

/* What was to scan a database has ended without having done so. */
static void
scan_later(Oid dbid, TimestampTz now)
{
	KnownDatabase *db = find_database(dbid);

	if (db != NULL && db->scan_at == DT_NOEND)
		db->scan_at = now + (TimestampTz) cext_worker_naptime * USECS_PER_SEC;
}

static void
add_database(Oid dbid)
{
	KnownDatabase *db;

	if (ndatabases == databases_size)
	{
		databases_size = Max(16, 2 * databases_size);
		databases = databases == NULL ?
			MemoryContextAlloc(TopMemoryContext, databases_size * sizeof(KnownDatabase)) :
			repalloc(databases, databases_size * sizeof(KnownDatabase));
	}
	db = &databases[ndatabases++];
	db->dbid = dbid;
	db->scan_at = 0;
	db->leave_until = 0;
	db->seen = true;
}

/* Learn of databases that have come and gone. */
static void
list_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tup;

	for (int i = 0; i < ndatabases; i++)
		databases[i].seen = false;
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tup = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tup);
		KnownDatabase *db = find_database(form->oid);

		/* below -1, DROP DATABASE has begun and not ended */
		if (!form->datallowconn || form->datconnlimit < -1)
			continue;
		if (db != NULL)
			db->seen = true;
		else
			add_database(form->oid);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	for (int i = ndatabases - 1; i >= 0; i--)
	{
		if (databases[i].seen)
			continue;
		cext_job_forget_database(databases[i].dbid);
		databases[i] = databases[--ndatabases];
	}
}

static void
take_notices(TimestampTz now)
{
	CextNotice	notices[NOTICES_AT_ONCE];
	int			n = cext_queue_notices(notices, NOTICES_AT_ONCE);

	for (int i = 0; i < n; i++)
	{
		/* a new one */
		if (OidIsValid(notices[i].dbid) && find_database(notices[i].dbid) == NULL)
			list_databases();
		for (int j = 0; j < ndatabases; j++)
		{
			KnownDatabase *db = &databases[j];

			if (OidIsValid(notices[i].dbid) && db->dbid != notices[i].dbid)
				continue;
			if ((notices[i].what & CEXT_NOTICE_JOBS) != 0)
				db->scan_at = 0;
			if ((notices[i].what & CEXT_NOTICE_LEAVE) != 0)
				db->leave_until = now + LEAVE_US;
		}
		if ((notices[i].what & CEXT_NOTICE_REWARM) != 0)
			cext_hot_rewarm(notices[i].dbid);
	}
}


/* ----------------------------------------------------------------
 *		The launcher
 * ----------------------------------------------------------------
 */

/* May there be a worker in this database now?  Else, *next says when. */
static bool
may_enter(Oid dbid, TimestampTz now, TimestampTz *next)
{
	KnownDatabase *db = find_database(dbid);

	if (db == NULL || db->leave_until <= now)
		return true;
	*next = Min(*next, db->leave_until);
	return false;
}

/* Start what is due.  Returns when to look again at the latest. */
static TimestampTz
start_what_is_due(TimestampTz now, TimestampTz next)
{
	bool		is_short = false;
	int			pos;
	Oid			dbid;
	Oid			roleid;

	for (pos = 0; cext_queue_next(&pos, &dbid, &roleid);)
		if (may_enter(dbid, now, &next))
			is_short |= !start_worker(dbid, roleid, CEXT_WORKER_ROLE);
	for (int i = 0; i < ndatabases; i++)
	{
		if (databases[i].scan_at > now || !may_enter(databases[i].dbid, now, &next))
			continue;
		if (!cext_worker_of(databases[i].dbid, InvalidOid) &&
			start_worker(databases[i].dbid, InvalidOid, CEXT_WORKER_SCAN))
			databases[i].scan_at = DT_NOEND;
		else
			is_short = true;
	}
	for (pos = 0; cext_job_due(&pos, now, &dbid, &roleid, &next);)
	{
		if (!may_enter(dbid, now, &next))
			continue;
		if (cext_worker_refused(dbid, roleid))
			cext_job_abandon(dbid, roleid, true, refused_message);
		else
			is_short |= !start_worker(dbid, roleid, CEXT_WORKER_ROLE);
	}
	cext_queue_short(is_short);
	return is_short ? Min(next, now + RETRY_US) : next;
}

static void
launcher_exit(int code, Datum arg)
{
	cext_queue_launcher_leave();
}

void
cext_launcher_main(Datum arg)
{
	TimestampTz nap_end = 0;
	MemoryContext context;

	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!cext_queue_launcher_enter())
		proc_exit(1);
	before_shmem_exit(launcher_exit, (Datum) 0);
	context = AllocSetContextCreate(TopMemoryContext, "cache_ext launcher",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	cext_hot_load();

	while (!ShutdownRequestPending)
	{
		TimestampTz now;
		TimestampTz next;
		bool		more;

		now = GetCurrentTimestamp();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			nap_end = Min(nap_end, now);
		}
		if (now >= nap_end)
		{
			list_databases();
			MemoryContextSwitchTo(context);
			if (nap_end != 0)
				cext_hot_save(true);
			nap_end = now + (TimestampTz) cext_worker_naptime * USECS_PER_SEC;
		}
		reap_workers(now);
		take_notices(now);
		MemoryContextSwitchTo(context);
		more = cext_worker_limit > 0 && cext_hot_feed();
		next = cext_worker_limit > 0 ? start_what_is_due(now, nap_end) : nap_end;
		if (more)
			next = Min(next, now + RETRY_US / 10);
		MemoryContextReset(context);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	cext_hot_save(false);
	proc_exit(1);
}


/* ----------------------------------------------------------------
 *		A worker
 * ----------------------------------------------------------------
 */

static void
worker_exit(int code, Datum arg)
{
	cext_worker_leave(DatumGetInt32(arg));
}

/* Do what there is for this role.  False if there was nothing. */
static bool
work_for_role(Oid dbid, Oid roleid)
{
	CextJobRun	run;

	if (cext_refresh_next())
		return true;
	if (!cext_job_take(dbid, roleid, &run))
		return false;
	cext_warm_run(&run);
	return true;
}

void
cext_worker_main(Datum arg)
{
	int			slot = DatumGetInt32(arg);
	Oid			dbid;
	Oid			roleid;
	CextWorkerKind kind;
	MemoryContext context;
	TimestampTz begun = GetCurrentTimestamp();
	bool		lingered = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	if (!cext_worker_enter(slot, &dbid, &roleid, &kind))
		proc_exit(0);
	before_shmem_exit(worker_exit, arg);
	BackgroundWorkerUnblockSignals();
	cext_worker_connect(dbid, kind == CEXT_WORKER_ROLE ? roleid : InvalidOid);
	if (kind == CEXT_WORKER_SCAN)
	{
		if (cext_warm_scan())
			cext_worker_succeeded(slot);
		proc_exit(0);
	}
	cext_worker_succeeded(slot);

	context = AllocSetContextCreate(TopMemoryContext, "cache_ext worker",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	for (;;)
	{
		ResetLatch(MyLatch);
		cext_worker_check();
		if (work_for_role(dbid, roleid))
		{
			lingered = false;
			MemoryContextReset(context);
			/* let others have a turn */
			if (cext_queue_is_short() &&
				GetCurrentTimestamp() - begun > LINGER_MS * INT64CONST(1000))
				break;
			continue;
		}
		if (lingered || cext_queue_is_short())
			break;
		lingered = (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							  LINGER_MS, PG_WAIT_EXTENSION) & WL_TIMEOUT) != 0;
	}
	proc_exit(0);
}
