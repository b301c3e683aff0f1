/*-------------------------------------------------------------------------
 *
 * cext_warm.c
 *		What workers do: refresh requests, and the jobs of cache_warm_job.
 *
 * Everything here runs in a background worker that is connected as the role in
 * question, and never as anybody else, so a query can do no more than its
 * role.  The exception is cext_warm_scan(), which runs as the server; it runs no
 * SQL, and hands on names, roles and times only.
 *
 * Each entry is computed in a transaction of its own, so that no snapshot lives
 * longer than one query, and an error costs one entry.  An error is caught
 * here, logged, and the transaction aborted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_pattern.h"
#include "cext_prepared.h"
#include "cext_queue.h"
#include "cext_recipe.h"
#include "cext_refresh.h"
#include "cext_warm.h"

/* One entry of a job: its key, and arguments as cext_append_arg() has them. */
typedef struct JobItem
{
	char	   *key;
	int			nargs;
	char	   *args;
	int			argslen;
} JobItem;


/* ----------------------------------------------------------------
 *		Transactions that may fail
 * ----------------------------------------------------------------
 */

typedef void (*Work) (void *arg);

/* The role's own statement_timeout, if it is shorter than ours; 0: none. */
static int
timeout_in_force(void)
{
	if (StatementTimeout > 0 &&
		(cext_worker_timeout == 0 || StatementTimeout < cext_worker_timeout))
		return StatementTimeout;
	return cext_worker_timeout;
}

/*
 * Do something in a transaction.  False if it failed; the message is in *error,
 * in the caller's context.
 */
static bool
in_transaction(Work work, void *arg, const char *activity, char **error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = false;

	*error = NULL;
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
	PG_TRY();
	{
		StartTransactionCommand();
		XactIsoLevel = XACT_READ_COMMITTED;
		if (timeout_in_force() > 0)
			enable_timeout_after(STATEMENT_TIMEOUT, timeout_in_force());
		work(arg);
		disable_timeout(STATEMENT_TIMEOUT, false);
		CommitTransactionCommand();
		ok = true;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		HOLD_INTERRUPTS();
		disable_all_timeouts(false);
		QueryCancelPending = false;
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
		*error = edata->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return ok;
}


/* ----------------------------------------------------------------
 *		Which jobs there are
 * ----------------------------------------------------------------
 */

static void
scan_jobs(void *arg)
{
	CextJobRow *rows;
	int			n = cext_jobtable_all(&rows);

	cext_job_scan(MyDatabaseId, rows, n);
}

/* Tell which jobs this database has.  False if that failed. */
bool
cext_warm_scan(void)
{
	char	   *error;

	if (in_transaction(scan_jobs, NULL, "reading cache_warm_job", &error))
		return true;
	ereport(LOG,
			(errmsg("could not read warm jobs: %s", error)));
	return false;
}


/* ----------------------------------------------------------------
 *		One entry
 * ----------------------------------------------------------------
 */

typedef struct Refresh
{
	const char *bytes;
	CextRecipe	recipe;
} Refresh;

/* If the entry that the recipe is for has not been renewed, no worker can. */
static void
check_renewed(const CextRecipe *recipe, const CextIdent *plain)
{
	CextIdent	target = *plain;
	CextEntry  *e;

	target.hash = recipe->hash;
	memcpy(target.seed, recipe->seed, CEXT_SEED_SIZE);
	e = cext_store_lookup(&target);
	if (e != NULL)
	{
		if (e->created < recipe->when)
			e->foreground = true;
		cext_store_unpin(e);
	}
}

/* Is there a policy that still wants the hottest entries back? */
static bool
rewarm_wanted(Oid schema)
{
	ListCell   *lc;

	foreach(lc, cext_policies(schema))
	{
		if (((CextPolicy *) lfirst(lc))->staying.rewarm)
			return true;
	}
	return false;
}

static void
refresh(void *arg)
{
	Refresh    *r = arg;
	const CextPolicy *policy;
	CextCall	call;
	CextIdent	ident;
	CextEntry  *mark;
	bool		varies = false;

	cext_recipe_apply_settings(r->bytes, &r->recipe);
	cext_recipe_call(r->bytes, &r->recipe, &call);
	policy = cext_policy_for_key(call.schema, call.args.key, call.args.keylen);
	call.args.rls_covered = policy != NULL && policy->rls_covered;
	if (cext_session_bypass() != CEXT_CACHEABLE ||
		(r->recipe.when == 0 && !rewarm_wanted(call.schema)))
		return;
	cext_prepared_recover();
	cext_identify(&call.args, &ident);
	if (ident.hash != r->recipe.hash ||
		memcmp(ident.seed, r->recipe.seed, CEXT_SEED_SIZE) != 0)
	{
		/*
		 * Another identity than the one asked for.  If the query reads
		 * settings, it has one more, which is known when it has run.
		 */
		mark = cext_store_lookup(&ident);
		if (mark != NULL)
		{
			varies = (mark->flags & CEXT_ENTRY_VARIES) != 0;
			cext_store_unpin(mark);
		}
		if (!varies && r->recipe.when > 0)
		{
			check_renewed(&r->recipe, &ident);
			return;
		}
	}
	cext_renew(&call, &ident, r->recipe.when);
	check_renewed(&r->recipe, &ident);
}

/* Carry out a request. */
static void
run_request(const char *bytes, Size size)
{
	Refresh		r = {bytes};
	char	   *error;
	TimestampTz begun = GetCurrentTimestamp();

	if (!cext_recipe_read(bytes, size, &r.recipe) || r.recipe.dbid != MyDatabaseId ||
		r.recipe.roleid != GetUserId())
		return;
	if (r.recipe.when > 0)
		cext_refresh_took((double) (begun - r.recipe.when));
	if (!in_transaction(refresh, &r, "refreshing a cache entry", &error))
		ereport(LOG,
				(errmsg("could not refresh cache entry with key \"%.*s\": %s",
						(int) r.recipe.keylen, bytes + sizeof(CextRecipe), error)));
}

/* Carry out the oldest request for this role.  False if there is none. */
bool
cext_refresh_next(void)
{
	static char *recipe = NULL;
	uint32		size;

	if (recipe == NULL)
		recipe = MemoryContextAlloc(TopMemoryContext, CEXT_REQUEST_SIZE);
	size = cext_queue_take(MyDatabaseId, GetSessionUserId(), recipe);
	if (size > 0)
		run_request(recipe, size);
	return size > 0;
}


/* ----------------------------------------------------------------
 *		A job
 * ----------------------------------------------------------------
 */

typedef struct JobWork
{
	const CextJobRun *run;
	MemoryContext context;		/* of what lives as long as the run */
	bool		found;
	CextJobText text;
	JobItem    *items;
	int64		nitems;
	JobItem    *item;			/* the one to compute */
	bool		stored;
} JobWork;

static void
apply_job_settings(const CextJobText *job)
{
	for (int i = 0; i < job->nsettings; i++)
	{
		char	   *name = pstrdup(job->settings[i]);
		char	   *equals = strchr(name, '=');

		if (equals == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid setting of a warm job: \"%s\"", name),
					 errhint("Write name=value.")));
		*equals = '\0';
		(void) set_config_option(name, equals + 1,
								 superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	}
}

/* Replace the {column}s of a key by their values. */
static char *
render_key(const char *source, TupleDesc desc, char **values)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (const char *p = source; *p != '\0'; p++)
	{
		const char *end;
		char	   *name;
		int			attno;

		if (*p == '\\' && (p[1] == '{' || p[1] == '}' || p[1] == '\\'))
		{
			appendStringInfoChar(&buf, *++p);
			continue;
		}
		end = *p == '{' ? strchr(p, '}') : NULL;
		if (end == NULL)
		{
			appendStringInfoChar(&buf, *p);
			continue;
		}
		name = pnstrdup(p + 1, end - p - 1);
		attno = desc != NULL ? SPI_fnumber(desc, name) : SPI_ERROR_NOATTRIBUTE;
		if (attno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of the key of a warm job is not among its parameters",
							name)));
		appendStringInfoString(&buf, values[attno - 1] != NULL ? values[attno - 1] : "");
		p = end;
	}
	return buf.data;
}

/* Make an item of a row of parameters. */
static void
make_item(JobWork *work, HeapTuple row, TupleDesc desc, JobItem *item)
{
	StringInfoData args;
	char	  **values = palloc(desc->natts * sizeof(char *));
	MemoryContext old;

	initStringInfo(&args);
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			type = SPI_gettypeid(desc, i + 1);
		bool		isnull;
		Datum		value = SPI_getbinval(row, desc, i + 1, &isnull);

		values[i] = SPI_getvalue(row, desc, i + 1);
		if (work->text.untyped)
			cext_append_arg(&args, UNKNOWNOID,
							isnull ? (Datum) 0 : CStringGetDatum(values[i]), isnull);
		else
			cext_append_arg(&args, type, value, isnull);
	}
	old = MemoryContextSwitchTo(work->context);
	item->key = pstrdup(render_key(work->text.key, desc, values));
	item->nargs = desc->natts;
	item->args = memcpy(palloc(args.len + 1), args.data, args.len);
	item->argslen = args.len;
	MemoryContextSwitchTo(old);
}

/*
 * Read the job and its list of parameters.  Their values make keys as in
 * cache_attach(): as pg_dump would write them, in UTC.
 */
static void
prepare_job(void *arg)
{
	JobWork    *work = arg;
	CextJobText *job = &work->text;
	int			level;

	work->found = cext_jobtable_text(work->run->name, work->context, job);
	if (!work->found)
		return;
	apply_job_settings(job);
	if (job->parameters == NULL)
	{
		work->items = MemoryContextAllocZero(work->context, sizeof(JobItem));
		work->items->key = MemoryContextStrdup(work->context,
											   render_key(job->key, NULL, NULL));
		work->nitems = 1;
		return;
	}

	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute(job->parameters, true, 0) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("parameters of a warm job must be a query that returns rows")));
	level = NewGUCNestLevel();
	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("timezone", "UTC", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("bytea_output", "hex", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	work->nitems = SPI_processed;
	work->items = MemoryContextAllocHuge(work->context,
										 (work->nitems + 1) * sizeof(JobItem));
	for (int64 i = 0; i < work->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		make_item(work, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &work->items[i]);
	}
	AtEOXact_GUC(true, level);
	SPI_finish();
	PopActiveSnapshot();
}

/* Compute one of its entries. */
static void
warm_item(void *arg)
{
	JobWork    *work = arg;
	JobItem    *item = work->item;
	CextCall	call;
	CextArgs   *args = &call.args;
	CextIdent	ident;
	const CextPolicy *policy = NULL;
	const char *p = item->args;

	memset(&call, 0, sizeof(call));
	call.schema = work->text.schema;
	args->form = work->text.form;
	args->key = item->key;
	args->keylen = strlen(item->key);
	if (args->keylen < 1 || args->keylen > CEXT_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache key must have 1 to %d bytes", CEXT_MAX_KEY)));
	args->query = work->text.query;
	args->querylen = strlen(args->query);
	args->nargs = item->nargs;
	args->types = palloc((item->nargs + 1) * sizeof(Oid));
	args->values = palloc((item->nargs + 1) * sizeof(Datum));
	args->nulls = palloc((item->nargs + 1) * sizeof(bool));
	for (int i = 0; i < item->nargs; i++)
		p = cext_read_arg(p, item->args + item->argslen, &args->types[i],
						  &args->values[i], &args->nulls[i]);

	apply_job_settings(&work->text);
	if (work->text.ttl != NULL)
		call.ttl = cext_ttl_from_text(call.schema, work->text.ttl,
									  strlen(work->text.ttl), &policy);
	cext_call_policy(&call, policy);
	if (cext_session_bypass() != CEXT_CACHEABLE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("caching is off")));
	cext_prepared_recover();
	cext_identify(args, &ident);
	work->stored = cext_renew(&call, &ident, work->run->since);
}

/* Between two things to do. */
void
cext_worker_check(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Run a job that has been taken. */
void
cext_warm_run(const CextJobRun *run)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cache_ext warm job",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext item_context = AllocSetContextCreate(context, "cache_ext warm entry",
													   ALLOCSET_DEFAULT_SIZES);
	JobWork		work;
	char	   *error;
	int64		failed = 0;

	memset(&work, 0, sizeof(work));
	work.run = run;
	work.context = context;
	if (!in_transaction(prepare_job, &work, "preparing a warm job", &error))
	{
		ereport(LOG,
				(errmsg("could not run warm job \"%s\": %s", run->name, error)));
		cext_job_finish(run, error);
	}
	else if (!work.found)
		cext_job_gone(run);
	else
	{
		cext_job_total(run, work.nitems);
		MemoryContextSwitchTo(item_context);
		for (int64 i = 0; i < work.nitems; i++)
		{
			const char *why = NULL;

			cext_worker_check();
			/* those who ask for one entry do not wait for all of these */
			while (cext_refresh_next())
				cext_worker_check();
			work.item = &work.items[i];
			work.stored = false;
			if (!in_transaction(warm_item, &work, "running a warm job", &error))
				why = error;
			else if (!work.stored)
				why = "the result could not be stored";
			if (why != NULL && failed++ == 0)
				ereport(LOG,
						(errmsg("warm job \"%s\" failed for key \"%s\": %s",
								run->name, work.item->key, why)));
			cext_job_progress(run, why == NULL, why);
			MemoryContextReset(item_context);
		}
		cext_job_finish(run, NULL);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
