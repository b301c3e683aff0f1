/*-------------------------------------------------------------------------
 *
 * cext_test.c
 *		Stops a backend at a chosen point, for the tests of cache_ext.
 *
 * A session that has set cext_test.pause to the name of a point stops there
 * for as long as another session holds that point by cext_test_hold().  To
 * stop is to wait for a heavyweight lock, so that pg_locks shows it and
 * isolationtester recognizes it, and so that a cancel works wherever
 * PostgreSQL lets one work.
 *
 *	plan		a query is about to be planned.  In a fill of cache_ext: the
 *				stamp has been read, no snapshot taken
 *	start		... about to be executed: the snapshot has been taken
 *	end			... was executed, and its result not yet stored
 *	pre_commit	all PRE_COMMIT callbacks have run, the rows are not visible
 *	commit		the rows are visible, no COMMIT callback has run
 *	inval		... all have, but catalog invalidations are not out
 *	release		... they are, and all locks have been released
 *	messages	COMMIT PREPARED: the rows are visible, catalog invalidations are not
 *				out.  Only for a transaction that has changed the catalog entry
 *				of a catalog, which needs a lock there, and a lightweight one:
 *				it shows as wait event RelCacheInit and cannot be canceled, and
 *				while somebody holds the point nobody can connect
 *
 * The first three are passed over at the top level, by statements as the
 * client sends them.  PostgreSQL has no hook at pre_commit; but a transaction
 * that has sent a notification takes a lock there, on "database 0", so we send
 * one from our callback and stop at that lock.
 *
 * The callbacks run in the reverse order of their registration, so this
 * library has to be preloaded after cache_ext.
 *
 * cext_test.query_jitter and cext_test.commit_jitter make a session sleep for a
 * random time, up to so many microseconds, at one in four of the first three and
 * of the other points that it passes (these only if it has written), to make
 * rare interleavings common.
 * cext_test.error makes it fail at a point.  cext_test.pre_commit_sql is run at
 * pre_commit, as a library might.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/async.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/planner.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "../../../src/cext_compat.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

PG_FUNCTION_INFO_V1(cext_test_hold);
PG_FUNCTION_INFO_V1(cext_test_release);
PG_FUNCTION_INFO_V1(cext_test_waiting);
PG_FUNCTION_INFO_V1(cext_test_setting);

typedef enum Point
{
	POINT_NONE,
	POINT_PLAN,
	POINT_START,
	POINT_END,
	POINT_PRE_COMMIT,
	POINT_COMMIT,
	POINT_INVAL,
	POINT_RELEASE,
	POINT_MESSAGES
} Point;

static const struct config_enum_entry point_options[] = {
	{"none", POINT_NONE, false},
	{"plan", POINT_PLAN, false},
	{"start", POINT_START, false},
	{"end", POINT_END, false},
	{"pre_commit", POINT_PRE_COMMIT, false},
	{"commit", POINT_COMMIT, false},
	{"inval", POINT_INVAL, false},
	{"release", POINT_RELEASE, false},
	{"messages", POINT_MESSAGES, false},
	{NULL, 0, false}
};

/* first key of our advisory locks; the second is the point */
#define LOCK_CLASS	0x63657874

static int	pause_at = POINT_NONE;
static int	error_at = POINT_NONE;
static int	query_jitter = 0;
static int	commit_jitter = 0;
static char *pre_commit_sql = NULL;

/* depth of ExecutorRun, and the next point of this commit */
static int	depth;
static Point next_release = POINT_NONE;

static planner_hook_type prev_planner;
static ExecutorStart_hook_type prev_executor_start;
static ExecutorRun_hook_type prev_executor_run;
static ExecutorEnd_hook_type prev_executor_end;


/* ----------------------------------------------------------------
 *		Points
 * ----------------------------------------------------------------
 */

static Point
point_by_name(text *name)
{
	char	   *s = text_to_cstring(name);

	for (int i = 1; point_options[i].name != NULL; i++)
		if (strcmp(s, point_options[i].name) == 0)
			return point_options[i].val;
	elog(ERROR, "there is no point \"%s\"", s);
}

static void
set_locktag(LOCKTAG *tag, Point point)
{
	if (point == POINT_PRE_COMMIT)
		SET_LOCKTAG_OBJECT(*tag, InvalidOid, DatabaseRelationId, InvalidOid, 0);
	else
		SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, LOCK_CLASS, point, 2);
}

static void
sleep_at_random(Point point)
{
	int			jitter = point < POINT_PRE_COMMIT ? query_jitter : commit_jitter;

	/* the commit of a transaction that has only read interests nobody */
	if (point >= POINT_PRE_COMMIT && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	if (jitter > 0 && pg_prng_uint64(&pg_global_prng_state) % 4 == 0)
		pg_usleep(1 + (long) (pg_prng_uint64(&pg_global_prng_state) % jitter));
}

static void
reach(Point point)
{
	LOCKTAG		tag;

	sleep_at_random(point);
	if (error_at == (int) point)
		elog(ERROR, "cext_test.error");
	if (pause_at != (int) point)
		return;
	if (point == POINT_PRE_COMMIT)
	{
		Async_Notify("cext_test", "");
		return;
	}
	set_locktag(&tag, point);
	(void) LockAcquire(&tag, ShareLock, true, false);
	(void) LockRelease(&tag, ShareLock, true);
}

static PlannedStmt *
planner(CEXT_PLANNER_PARAMETERS)
{
	if (depth > 0)
		reach(POINT_PLAN);
	if (prev_planner)
		return prev_planner(CEXT_PLANNER_ARGUMENTS);
	return standard_planner(CEXT_PLANNER_ARGUMENTS);
}

static void
executor_start(QueryDesc *queryDesc, int eflags)
{
	if (depth > 0)
		reach(POINT_START);
	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

#if PG_VERSION_NUM >= 180000
#define RUN_PARAMS	QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define RUN_ARGS	queryDesc, direction, count
#else
#define RUN_PARAMS	QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool once
#define RUN_ARGS	queryDesc, direction, count, once
#endif

static void
executor_run(RUN_PARAMS)
{
	depth++;
	PG_TRY();
	{
		if (prev_executor_run)
			prev_executor_run(RUN_ARGS);
		else
			standard_ExecutorRun(RUN_ARGS);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

static void
executor_end(QueryDesc *queryDesc)
{
	if (depth > 0)
		reach(POINT_END);
	if (prev_executor_end)
		prev_executor_end(queryDesc);
	else
		standard_ExecutorEnd(queryDesc);
}

static void
run_sql(const char *sql)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
	PopActiveSnapshot();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (pre_commit_sql != NULL && *pre_commit_sql != '\0')
				run_sql(pre_commit_sql);
			reach(POINT_PRE_COMMIT);
			break;
		case XACT_EVENT_COMMIT:
			next_release = POINT_INVAL;
			reach(POINT_COMMIT);
			break;
		default:
			break;
	}
}

static void
release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (!isCommit || !isTopLevel)
		return;
	/* called once for each resource owner; the first call counts */
	if (phase == RESOURCE_RELEASE_BEFORE_LOCKS && next_release == POINT_INVAL)
	{
		next_release = POINT_RELEASE;
		reach(POINT_INVAL);
	}
	else if (phase == RESOURCE_RELEASE_AFTER_LOCKS && next_release == POINT_RELEASE)
	{
		next_release = POINT_NONE;
		reach(POINT_RELEASE);
	}
}


/* ----------------------------------------------------------------
 *		SQL functions
 * ----------------------------------------------------------------
 */

/* cext_test_hold(point) returns void */
Datum
cext_test_hold(PG_FUNCTION_ARGS)
{
	Point		point = point_by_name(PG_GETARG_TEXT_PP(0));
	LOCKTAG		tag;

	if (point == POINT_MESSAGES)
	{
		LWLockAcquire(RelCacheInitLock, LW_EXCLUSIVE);
		PG_RETURN_VOID();
	}
	set_locktag(&tag, point);
	(void) LockAcquire(&tag, AccessExclusiveLock, true, false);
	PG_RETURN_VOID();
}

/* cext_test_release(point) returns void */
Datum
cext_test_release(PG_FUNCTION_ARGS)
{
	Point		point = point_by_name(PG_GETARG_TEXT_PP(0));
	LOCKTAG		tag;

	if (point == POINT_MESSAGES)
	{
		LWLockRelease(RelCacheInitLock);
		PG_RETURN_VOID();
	}
	set_locktag(&tag, point);
	if (!LockRelease(&tag, AccessExclusiveLock, true))
		elog(ERROR, "this session does not hold the point");
	PG_RETURN_VOID();
}

/* cext_test_waiting() returns setof (pid, point) */
Datum
cext_test_waiting(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LockData   *locks = GetLockStatusData();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *l = &locks->locks[i];
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (l->waitLockMode == NoLock)
			continue;
		for (int p = 1; point_options[p].name != NULL; p++)
		{
			LOCKTAG		tag;

			set_locktag(&tag, point_options[p].val);
			if (memcmp(&tag, &l->locktag, sizeof(LOCKTAG)) != 0)
				continue;
			values[0] = Int32GetDatum(l->pid);
			values[1] = CStringGetTextDatum(point_options[p].name);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* cext_test_setting() returns integer: what current_setting() would, unseen */
Datum
cext_test_setting(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(query_jitter);
}


void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	DefineCustomEnumVariable("cext_test.pause",
							 "Point at which this session stops while another holds it.",
							 NULL,
							 &pause_at,
							 POINT_NONE,
							 point_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("cext_test.error",
							 "Point at which this session fails.",
							 NULL,
							 &error_at,
							 POINT_NONE,
							 point_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("cext_test.query_jitter",
							"Longest random sleep in a query, in microseconds.",
							NULL,
							&query_jitter,
							0,
							0,
							1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cext_test.commit_jitter",
							"Longest random sleep in a commit, in microseconds.",
							NULL,
							&commit_jitter,
							0,
							0,
							1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
	DefineCustomStringVariable("cext_test.pre_commit_sql",
							   "Statement that the PRE_COMMIT callback executes.",
							   NULL,
							   &pre_commit_sql,
							   "",
							   PGC_SUSET,
							   0,
							   NULL, NULL, NULL);
	MarkGUCPrefixReserved("cext_test");

	prev_planner = planner_hook;
	planner_hook = planner;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
	prev_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = executor_end;
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}
