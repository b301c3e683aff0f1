/*-------------------------------------------------------------------------
 *
 * cext_job.c
 *		The state of warm jobs: when they run next, how far they are.
 *
 * What a job does is in a row of cache_warm_job, in its database.  When it is
 * due and what became of it is here, in a fixed array in shared memory, because
 * the launcher has no connection to that database.  A worker that reads the
 * table brings the array up to date; after a restart it begins empty, and every
 * job is due.
 *
 * A job that failed, wholly or for some of its entries, is tried again after 1,
 * 2, 4, ... seconds, up to RETRIES times; entries that an attempt before has
 * filled are left alone then.  Regular runs are moved at random by up to a tenth
 * of their interval, so that jobs of one interval spread out.
 *
 * One LWLock protects the array.  Nothing is done under it but copying.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_job.h"
#include "cext_queue.h"
#include "cext_row.h"

PG_FUNCTION_INFO_V1(cache_warm);
PG_FUNCTION_INFO_V1(cache_warm_job_changed);
PG_FUNCTION_INFO_V1(cache_warm_job_permitted);
PG_FUNCTION_INFO_V1(cache_warm_progress);

#define JOBS		256
#define RETRIES		8
#define MAX_BACKOFF (300 * USECS_PER_SEC)

typedef enum JobState
{
	JOB_UNUSED,
	JOB_WAITING,
	JOB_RUNNING
} JobState;

typedef struct Job
{
	JobState	state;
	Oid			dbid;
	CextJobRow	row;
	TimestampTz next;			/* DT_NOEND: only when asked for */
	bool		again;			/* asked for while it runs */
	bool		gone;			/* its row went while it runs */
	int			attempts;		/* that failed, since the last success */
	TimestampTz since;			/* the first of these attempts */
	int64		runs;
	TimestampTz started;		/* 0: never */
	TimestampTz finished;
	int64		total;			/* -1: not known yet */
	int64		done;
	int64		failed;
	char		error[CEXT_JOB_ERROR];	/* of the last run; empty: none */
} Job;

typedef struct Jobs
{
	LWLock	   *lock;
	Job			jobs[JOBS];
} Jobs;

static Jobs *shared;

Size
cext_job_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(Jobs));
}

void
cext_job_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("cache_ext jobs", cext_job_shmem_size(), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Jobs));
		shared->lock = &GetNamedLWLockTranche("cache_ext_jobs")->lock;
	}
}

/* Lock held. */
static Job *
find_job(Oid dbid, const char *name)
{
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &shared->jobs[i];

		if (job->state != JOB_UNUSED && job->dbid == dbid &&
			strcmp(job->row.name, name) == 0)
			return job;
	}
	return NULL;
}

/* Lock held. */
static Job *
add_job(Oid dbid, const CextJobRow *row, TimestampTz next)
{
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &shared->jobs[i];

		if (job->state != JOB_UNUSED)
			continue;
		memset(job, 0, sizeof(Job));
		job->state = JOB_WAITING;
		job->dbid = dbid;
		job->row = *row;
		job->next = next;
		job->total = -1;
		return job;
	}
	return NULL;
}

/* From a tenth less to a tenth more. */
static int64
jittered(int64 us)
{
	return (int64) (us * (0.9 + 0.2 * pg_prng_double(&pg_global_prng_state)));
}


/* ----------------------------------------------------------------
 *		The table, and who reads it
 * ----------------------------------------------------------------
 */

/* These are all jobs of a database. */
void
cext_job_scan(Oid dbid, const CextJobRow *rows, int nrows)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		full = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &shared->jobs[i];
		bool		there = false;

		if (job->state == JOB_UNUSED || job->dbid != dbid)
			continue;
		for (int j = 0; j < nrows && !there; j++)
			there = strcmp(rows[j].name, job->row.name) == 0;
		if (there)
			continue;
		if (job->state == JOB_RUNNING)
			job->gone = true;
		else
			job->state = JOB_UNUSED;
	}
	for (int j = 0; j < nrows; j++)
	{
		Job		   *job = find_job(dbid, rows[j].name);

		if (job == NULL)
			full |= add_job(dbid, &rows[j], now) == NULL;
		else if (job->row.version != rows[j].version)
		{
			if (job->state == JOB_RUNNING)
				job->again = true;
			else
				job->next = now;
			job->row = rows[j];
			job->gone = false;
			job->attempts = 0;
		}
	}
	LWLockRelease(shared->lock);
	if (full)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many warm jobs"),
				 errdetail("There can be %d in all databases; the others do not run.", JOBS)));
}


/* ----------------------------------------------------------------
 *		The launcher
 * ----------------------------------------------------------------
 */

/*
 * Walk over the jobs that are due, beginning with *pos = 0.  *next is brought
 * forward to when one of the others will be.
 */
bool
cext_job_due(int *pos, TimestampTz now, Oid *dbid, Oid *roleid, TimestampTz *next)
{
	bool		found = false;

	LWLockAcquire(shared->lock, LW_SHARED);
	while (*pos < JOBS && !found)
	{
		Job		   *job = &shared->jobs[(*pos)++];

		if (job->state != JOB_WAITING)
			continue;
		if (job->next <= now)
		{
			*dbid = job->dbid;
			*roleid = job->row.roleid;
			found = true;
		}
		else
			*next = Min(*next, job->next);
	}
	LWLockRelease(shared->lock);
	return found;
}

/* An error's message, as far as there is room, in whole characters; lock held. */
static void
note_error(Job *job, const char *error)
{
	int			len = pg_mbcliplen(error, strlen(error), CEXT_JOB_ERROR - 1);

	memcpy(job->error, error, len);
	job->error[len] = '\0';
}

/* A run is over; lock held. */
static void
finish(Job *job, const char *error)
{
	TimestampTz now = GetCurrentTimestamp();

	job->state = job->gone ? JOB_UNUSED : JOB_WAITING;
	job->finished = now;
	job->runs++;
	if (error != NULL)
		note_error(job, error);
	if (error == NULL && job->failed == 0)
		job->attempts = 0;
	else if (++job->attempts > RETRIES)
		job->attempts = 0;

	if (job->again)
		job->next = now;
	else if (job->attempts > 0)
		job->next = now + Min(MAX_BACKOFF, jittered(USECS_PER_SEC << (job->attempts - 1)));
	else if (job->row.every > 0)
		job->next = Max(now, job->started + jittered(job->row.every));
	else
		job->next = DT_NOEND;
	job->again = false;
}

/*
 * A worker of this role has ended: what it was running, and if nobody else can,
 * all that is due, has failed.
 */
void
cext_job_abandon(Oid dbid, Oid roleid, bool all, const char *why)
{
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &shared->jobs[i];

		if (job->state == JOB_UNUSED || job->dbid != dbid || job->row.roleid != roleid ||
			(job->state == JOB_WAITING && (!all || job->next > now)))
			continue;
		if (job->state == JOB_WAITING)
		{
			job->started = now;
			job->total = -1;
			job->done = job->failed = 0;
			if (job->attempts == 0)
				job->since = now;
		}
		finish(job, why);
	}
	LWLockRelease(shared->lock);
}

/* No job of a database is to run any more. */
void
cext_job_forget_database(Oid dbid)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &shared->jobs[i];

		if (job->state == JOB_UNUSED || job->dbid != dbid)
			continue;
		/* while its worker is there, its place is not another's */
		if (job->state == JOB_RUNNING)
			job->gone = true;
		else
			job->state = JOB_UNUSED;
	}
	LWLockRelease(shared->lock);
}


/* ----------------------------------------------------------------
 *		A worker
 * ----------------------------------------------------------------
 */

/* Begin one that is due. */
bool
cext_job_take(Oid dbid, Oid roleid, CextJobRun *run)
{
	TimestampTz now = GetCurrentTimestamp();
	Job		   *first = NULL;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &shared->jobs[i];

		if (job->state == JOB_WAITING && job->dbid == dbid &&
			job->row.roleid == roleid && job->next <= now &&
			(first == NULL || job->next < first->next))
			first = job;
	}
	if (first != NULL)
	{
		first->state = JOB_RUNNING;
		first->started = now;
		if (first->attempts == 0)
			first->since = now;
		first->total = -1;
		first->done = first->failed = 0;
		first->error[0] = '\0';
		run->slot = first - shared->jobs;
		run->since = first->since;
		strlcpy(run->name, first->row.name, NAMEDATALEN);
	}
	LWLockRelease(shared->lock);
	return first != NULL;
}

void
cext_job_total(const CextJobRun *run, int64 total)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->jobs[run->slot].total = total;
	LWLockRelease(shared->lock);
}

/* One entry is done, or failed. */
void
cext_job_progress(const CextJobRun *run, bool ok, const char *error)
{
	Job		   *job = &shared->jobs[run->slot];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (ok)
		job->done++;
	else
	{
		job->failed++;
		note_error(job, error);
	}
	LWLockRelease(shared->lock);
}

/* The run is over; error, if any, is what ended it. */
void
cext_job_finish(const CextJobRun *run, const char *error)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	finish(&shared->jobs[run->slot], error);
	LWLockRelease(shared->lock);
}

/* There is no such row, or it is none for this role. */
void
cext_job_gone(const CextJobRun *run)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->jobs[run->slot].state = JOB_UNUSED;
	LWLockRelease(shared->lock);
}


/* ----------------------------------------------------------------
 *		SQL functions
 * ----------------------------------------------------------------
 */

/* Trigger on cache_warm_job: at commit, the launcher has it read. */
Datum
cache_warm_job_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cache_warm_job_changed")));
	if (cext_active())
		cext_queue_notice_at_commit(CEXT_NOTICE_JOBS);
	return PointerGetDatum(NULL);
}

/* For row-level security: may the caller act as this role? */
Datum
cache_warm_job_permitted(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cext_may_become(GetUserId(), PG_GETARG_OID(0)));
}

/* cache_warm(name) returns void: let a job run now */
Datum
cache_warm(PG_FUNCTION_ARGS)
{
	CextJobRow	row;
	Job		   *job;
	bool		found;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name of a warm job must not be null")));
	found = cext_jobtable_find(get_func_namespace(fcinfo->flinfo->fn_oid),
							   text_to_cstring(PG_GETARG_TEXT_PP(0)), &row);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no warm job \"%s\"",
						text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	if (!cext_queue_served())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no background worker to run warm jobs"),
				 errhint("Add cache_ext to \"shared_preload_libraries\", set \"cache_ext.worker_limit\" above zero, and raise \"max_worker_processes\" if need be; a standby has none.")));

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	job = find_job(MyDatabaseId, row.name);
	if (job == NULL)
		job = add_job(MyDatabaseId, &row, 0);
	if (job != NULL && job->state == JOB_RUNNING)
		job->again = true;
	else if (job != NULL)
	{
		job->next = GetCurrentTimestamp();
		job->attempts = 0;
	}
	LWLockRelease(shared->lock);
	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many warm jobs"),
				 errdetail("There can be %d in all databases.", JOBS)));
	cext_worker_nudge(MyDatabaseId, row.roleid);
	cext_queue_notice(MyDatabaseId, 0);
	PG_RETURN_VOID();
}

/* columns, in the order of the install script */
enum
{
	PROGRESS_JOB,
	PROGRESS_ROLE,
	PROGRESS_STATE,
	PROGRESS_TOTAL,
	PROGRESS_DONE,
	PROGRESS_FAILED,
	PROGRESS_ETA,
	PROGRESS_STARTED,
	PROGRESS_FINISHED,
	PROGRESS_NEXT_RUN,
	PROGRESS_RUNS,
	PROGRESS_ATTEMPTS,
	PROGRESS_ERROR,
	PROGRESS_COLUMNS
};

static void
set_time(Datum *value, bool *null, TimestampTz time)
{
	*value = TimestampTzGetDatum(time);
	*null = time == 0 || TIMESTAMP_NOT_FINITE(time);
}

static void
show_job(const Job *job, TimestampTz now, Datum *values, bool *nulls)
{
	char	   *role = GetUserNameFromId(job->row.roleid, true);
	bool		running = job->state == JOB_RUNNING;

	values[PROGRESS_JOB] = CStringGetTextDatum(job->row.name);
	if (role != NULL)
		values[PROGRESS_ROLE] = DirectFunctionCall1(namein, CStringGetDatum(role));
	else
		nulls[PROGRESS_ROLE] = true;
	values[PROGRESS_STATE] = CStringGetTextDatum(running ? "running" :
												 job->attempts > 0 ? "retrying" :
												 job->next <= now ? "queued" :
												 job->runs == 0 ? "waiting" :
												 job->error[0] != '\0' ? "failed" : "done");
	values[PROGRESS_TOTAL] = Int64GetDatum(job->total);
	nulls[PROGRESS_TOTAL] = job->total < 0;
	values[PROGRESS_DONE] = Int64GetDatum(job->done);
	values[PROGRESS_FAILED] = Int64GetDatum(job->failed);
	if (running && job->total >= 0 && job->done + job->failed > 0)
	{
		int64		treated = job->done + job->failed;
		Interval   *eta = palloc0(sizeof(Interval));

		eta->time = (int64) ((double) (now - job->started) / treated *
							 (job->total - treated));
		values[PROGRESS_ETA] = IntervalPGetDatum(eta);
	}
	else
		nulls[PROGRESS_ETA] = true;
	set_time(&values[PROGRESS_STARTED], &nulls[PROGRESS_STARTED], job->started);
	set_time(&values[PROGRESS_FINISHED], &nulls[PROGRESS_FINISHED],
			 running ? 0 : job->finished);
	set_time(&values[PROGRESS_NEXT_RUN], &nulls[PROGRESS_NEXT_RUN],
			 running ? 0 : job->next);
	values[PROGRESS_RUNS] = Int64GetDatum(job->runs);
	values[PROGRESS_ATTEMPTS] = Int32GetDatum(job->attempts);
	if (job->error[0] != '\0')
		values[PROGRESS_ERROR] = CStringGetTextDatum(job->error);
	else
		nulls[PROGRESS_ERROR] = true;
}

/* The rows of the view: jobs of roles whose privileges the caller has. */
Datum
cache_warm_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTimestamp();
	Jobs	   *copy;
	bool		all;

	cext_begin_rows(fcinfo, PROGRESS_COLUMNS);
	if (!cext_active())
		return (Datum) 0;
	copy = palloc(sizeof(Jobs));
	LWLockAcquire(shared->lock, LW_SHARED);
	memcpy(copy, shared, sizeof(Jobs));
	LWLockRelease(shared->lock);

	all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	for (int i = 0; i < JOBS; i++)
	{
		Job		   *job = &copy->jobs[i];
		Datum		values[PROGRESS_COLUMNS] = {0};
		bool		nulls[PROGRESS_COLUMNS] = {0};

		if (job->state == JOB_UNUSED || job->dbid != MyDatabaseId ||
			!(all || has_privs_of_role(GetUserId(), job->row.roleid)))
			continue;
		show_job(job, now, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
