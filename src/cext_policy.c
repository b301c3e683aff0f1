/*-------------------------------------------------------------------------
 *
 * cext_policy.c
 *		Times to live and named policies.
 *
 * Policies are the built-in ones and the rows of the table cache_policy in the
 * extension's schema, which override them by name.  A backend reads the table
 * once and again after it changed: its trigger sends a relcache invalidation,
 * so a change is seen when and where any other catalog change is.  It is
 * read without a permission check, since a policy governs every caller.
 *
 * Where no policy is named, the one whose key pattern matches applies; of
 * several, that with the longest pattern, then the first by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_pattern.h"
#include "cext_policy.h"
#include "cext_row.h"

PG_FUNCTION_INFO_V1(cache_policy_changed);
PG_FUNCTION_INFO_V1(cache_policies_list);

#define MAX_TTL		(100.0 * 365.25 * 86400)

static const struct
{
	const char *name;
	double		ttl;
}			builtin_policies[] =

{
	{"short", 60},
	{"medium", 300},
	{"long", 1800},
	{"very_long", 3600},
	{"day", 86400},
};

/* the table's columns */
enum
{
	COL_NAME,
	COL_KEY_PATTERN,
	COL_TTL,
	COL_RLS_COVERED,
	COL_REFRESH_AHEAD,
	COL_STALE,
	COL_STALE_ERROR,
	COL_REWARM,
	COL_TIER,
	COL_TTL_MIN,
	COL_TTL_MAX,
	COL_COUNT
};

static MemoryContext policy_context;
static List *policies;			/* of CextPolicy, best pattern first */
static Oid	policy_schema = InvalidOid;
static Oid	policy_table = InvalidOid;
static bool policies_valid;
static uint64 policy_generation = 1;

/* the last text understood as a TTL */
static char last_text[64];
static int	last_text_len = -1;
static uint64 last_text_generation;
static Oid	last_text_schema;
static double last_text_ttl;
static const CextPolicy *last_text_policy;	/* of that generation */


/* ----------------------------------------------------------------
 *		The table
 * ----------------------------------------------------------------
 */

static void
relcache_callback(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == policy_table || policy_table == InvalidOid)
		policies_valid = false;
}

void
cext_policy_init(void)
{
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
}

/* Trigger on cache_policy: tell every backend to read it again. */
Datum
cache_policy_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cache_policy_changed")));
	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}

/* Months have 30 days, and nothing lasts for longer than MAX_TTL. */
double
cext_interval_seconds(const Interval *i)
{
	double		seconds = i->time / 1000000.0 +
		((double) i->day + (double) i->month * DAYS_PER_MONTH) * SECS_PER_DAY;

	return Min(seconds, MAX_TTL);
}

static int
compare_policies(const ListCell *a, const ListCell *b)
{
	const CextPolicy *x = lfirst(a);
	const CextPolicy *y = lfirst(b);
	int			xlen = x->key_pattern ? strlen(x->key_pattern) : -1;
	int			ylen = y->key_pattern ? strlen(y->key_pattern) : -1;

	if (xlen != ylen)
		return xlen > ylen ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The bounds of a time to live that adapts; both, or it does not. */
static void
read_bounds(CextPolicy *policy, const Datum *values, const bool *nulls)
{
	if (nulls[COL_TTL_MIN] || nulls[COL_TTL_MAX])
		return;
	policy->staying.ttl_first = policy->ttl;
	policy->staying.ttl_min = cext_interval_seconds(DatumGetIntervalP(values[COL_TTL_MIN]));
	policy->staying.ttl_max = cext_interval_seconds(DatumGetIntervalP(values[COL_TTL_MAX]));
}

static CextStorage
read_tier(const Datum *values, const bool *nulls)
{
	char	   *tier;

	if (nulls[COL_TIER])
		return CEXT_STORAGE_DEFAULT;
	tier = TextDatumGetCString(values[COL_TIER]);
	return strcmp(tier, "redis") == 0 ? CEXT_STORAGE_REDIS :
		strcmp(tier, "tiered") == 0 ? CEXT_STORAGE_TIERED : CEXT_STORAGE_SHARED_MEMORY;
}

static List *
read_rows(Relation rel, MemoryContext context)
{
	List	   *list = NIL;

	/* a catalog snapshot is as new, and to be had while a plan runs parallel */
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	HeapTuple	tup;

	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		CextPolicy *policy;
		MemoryContext old;

		heap_deform_tuple(tup, desc, values, nulls);
		if (nulls[COL_NAME] || nulls[COL_TTL])
			continue;
		old = MemoryContextSwitchTo(context);
		policy = palloc0(sizeof(CextPolicy));
		text_to_cstring_buffer(DatumGetTextPP(values[COL_NAME]),
							   policy->name, NAMEDATALEN);
		if (!nulls[COL_KEY_PATTERN])
			policy->key_pattern = TextDatumGetCString(values[COL_KEY_PATTERN]);
		policy->ttl = cext_interval_seconds(DatumGetIntervalP(values[COL_TTL]));
		policy->rls_covered = !nulls[COL_RLS_COVERED] &&
			DatumGetBool(values[COL_RLS_COVERED]);
		if (!nulls[COL_REFRESH_AHEAD])
			policy->staying.ahead = DatumGetFloat8(values[COL_REFRESH_AHEAD]);
		if (!nulls[COL_STALE])
			policy->staying.stale = cext_interval_seconds(DatumGetIntervalP(values[COL_STALE]));
		if (!nulls[COL_STALE_ERROR])
			policy->staying.stale_error =
				cext_interval_seconds(DatumGetIntervalP(values[COL_STALE_ERROR]));
		policy->staying.rewarm = !nulls[COL_REWARM] && DatumGetBool(values[COL_REWARM]);
		policy->tier = read_tier(values, nulls);
		read_bounds(policy, values, nulls);
		list = lappend(list, policy);
		MemoryContextSwitchTo(old);
	}
	systable_endscan(scan);
	return list;
}

static const CextPolicy *
find_policy(List *list, const char *name)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (strcmp(((CextPolicy *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/* All policies that apply, best pattern first. */
List *
cext_policies(Oid schema)
{
	MemoryContext context;
	MemoryContext old;
	List	   *volatile list = NIL;
	Oid			table;

	if (likely(policies_valid && policy_schema == schema))
		return policies;

	context = AllocSetContextCreate(CurrentMemoryContext, "cache_ext policies",
									ALLOCSET_SMALL_SIZES);

	/* an invalidation that arrives while we read must not be lost */
	table = get_relname_relid("cache_policy", schema);
	policy_table = table;
	policy_schema = schema;
	policies_valid = true;
	PG_TRY();
	{
		if (OidIsValid(table))
		{
			Relation	rel = table_open(table, AccessShareLock);

			if (RelationGetDescr(rel)->natts >= COL_COUNT)
				list = read_rows(rel, context);
			table_close(rel, AccessShareLock);
		}
		old = MemoryContextSwitchTo(context);
		for (int i = 0; i < (int) lengthof(builtin_policies); i++)
		{
			CextPolicy *policy;

			if (find_policy(list, builtin_policies[i].name) != NULL)
				continue;
			policy = palloc0(sizeof(CextPolicy));
			strlcpy(policy->name, builtin_policies[i].name, NAMEDATALEN);
			policy->ttl = builtin_policies[i].ttl;
			policy->builtin = true;
			list = lappend(list, policy);
		}
		list_sort(list, compare_policies);
		MemoryContextSwitchTo(old);
	}
	PG_CATCH();
	{
		policies_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();

	MemoryContextSetParent(context, TopMemoryContext);
	if (policy_context != NULL)
		MemoryContextDelete(policy_context);
	policy_context = context;
	policies = list;
	policy_generation++;
	return policies;
}

/* The policy whose pattern fits the key best, or NULL. */
const CextPolicy *
cext_policy_for_key(Oid schema, const char *key, int keylen)
{
	ListCell   *lc;

	foreach(lc, cext_policies(schema))
	{
		const CextPolicy *policy = lfirst(lc);

		if (policy->key_pattern == NULL)
			break;				/* those without come last */
		if (cext_pattern_match(policy->key_pattern, strlen(policy->key_pattern),
							   key, keylen))
			return policy;
	}
	return NULL;
}

#define POLICY_COLUMNS 12

/* Seconds as an interval, null for none. */
static Datum
seconds_interval(double seconds, bool *null)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (TimeOffset) (Min(seconds, MAX_TTL) * USECS_PER_SEC);
	*null = seconds <= 0;
	return IntervalPGetDatum(interval);
}

/* The rows of the view cache_policies. */
Datum
cache_policies_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	cext_begin_rows(fcinfo, POLICY_COLUMNS);
	foreach(lc, cext_policies(get_func_namespace(fcinfo->flinfo->fn_oid)))
	{
		const CextPolicy *policy = lfirst(lc);
		const CextStaying *staying = &policy->staying;
		Datum		values[POLICY_COLUMNS];
		bool		nulls[POLICY_COLUMNS] = {0};

		values[0] = CStringGetTextDatum(policy->name);
		if (policy->key_pattern != NULL)
			values[1] = CStringGetTextDatum(policy->key_pattern);
		else
			nulls[1] = true;
		values[2] = seconds_interval(policy->ttl, &nulls[2]);
		values[3] = BoolGetDatum(policy->rls_covered);
		values[4] = Float8GetDatum(staying->ahead);
		nulls[4] = staying->ahead <= 0;
		values[5] = seconds_interval(staying->stale, &nulls[5]);
		values[6] = seconds_interval(staying->stale_error, &nulls[6]);
		values[7] = BoolGetDatum(staying->rewarm);
		nulls[8] = policy->tier == CEXT_STORAGE_DEFAULT;
		if (!nulls[8])
			values[8] = CStringGetTextDatum(cext_storage_name(policy->tier));
		values[9] = seconds_interval(staying->ttl_min, &nulls[9]);
		values[10] = seconds_interval(staying->ttl_max, &nulls[10]);
		values[11] = BoolGetDatum(policy->builtin);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}


/* ----------------------------------------------------------------
 *		Times to live
 * ----------------------------------------------------------------
 */

double
cext_ttl_from_number(double seconds)
{
	if (isnan(seconds) || isinf(seconds) || seconds <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time to live must be greater than zero and finite"),
				 errhint("NULL takes the policy for the key, or \"cache_ext.default_ttl\".")));
	return Min(seconds, MAX_TTL);
}

double
cext_ttl_from_interval(const Interval *interval)
{
	/* 17 and later have infinite intervals, at the ends of each field */
	if (interval->month == PG_INT32_MAX && interval->day == PG_INT32_MAX &&
		interval->time == PG_INT64_MAX)
		return cext_ttl_from_number(INFINITY);
	return cext_ttl_from_number(cext_interval_seconds(interval));
}

/* Asking for others may read them all anew. */
static const CextPolicy *
copy_policy(const CextPolicy *policy)
{
	if (policy == NULL)
		return NULL;
	return memcpy(palloc(sizeof(CextPolicy)), policy, sizeof(CextPolicy));
}

/*
 * A policy's name, a number of seconds, or an interval.  If it is a policy,
 * *named is set to a copy of it, but for its pattern.
 */
double
cext_ttl_from_text(Oid schema, const char *ttl_text, int len, const CextPolicy **named)
{
	char	   *str;
	char	   *end;
	double		ttl;
	const CextPolicy *policy;
	List	   *list = cext_policies(schema);

	*named = NULL;
	if (len == last_text_len && last_text_generation == policy_generation &&
		last_text_schema == schema && memcmp(ttl_text, last_text, len) == 0)
	{
		*named = copy_policy(last_text_policy);
		return last_text_ttl;
	}

	str = pnstrdup(ttl_text, len);
	policy = find_policy(list, str);
	if (policy != NULL)
		ttl = cext_ttl_from_number(policy->ttl);
	else
	{
		errno = 0;
		ttl = strtod(str, &end);
		while (end != str && isspace((unsigned char) *end))
			end++;
		if (end != str && *end == '\0' && errno == 0)
			ttl = cext_ttl_from_number(ttl);
		else
		{
			MemoryContext context = CurrentMemoryContext;
			Interval   *interval = NULL;

			PG_TRY();
			{
				interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
																 CStringGetDatum(str),
																 ObjectIdGetDatum(InvalidOid),
																 Int32GetDatum(-1)));
			}
			PG_CATCH();
			{
				ErrorData  *edata;

				/* interval_in() touches nothing that an abort would release */
				MemoryContextSwitchTo(context);
				edata = CopyErrorData();
				if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
					PG_RE_THROW();
				FlushErrorState();
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("invalid time to live: \"%s\"", str),
						 errhint("Use a policy of the view cache_policies, an interval such as '5 minutes', or a number of seconds.")));
			}
			PG_END_TRY();
			ttl = cext_ttl_from_interval(interval);
		}
	}

	if (len < (int) sizeof(last_text))
	{
		memcpy(last_text, ttl_text, len);
		last_text_len = len;
		last_text_generation = policy_generation;
		last_text_schema = schema;
		last_text_ttl = ttl;
		last_text_policy = policy;
	}
	*named = copy_policy(policy);
	pfree(str);
	return ttl;
}

/* The type of a call's argument, also where no expression tells. */
Oid
cext_argument_type(FunctionCallInfo fcinfo, int n)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);
	Oid		   *types;
	int			ntypes;

	if (OidIsValid(type))
		return type;
	(void) get_func_signature(fcinfo->flinfo->fn_oid, &types, &ntypes);
	return n < ntypes ? types[n] : InvalidOid;
}

/* The time to live in argument n, which is not null. */
double
cext_ttl_argument(FunctionCallInfo fcinfo, int n, Oid schema, const CextPolicy **named)
{
	text	   *t;

	*named = NULL;
	switch (cext_argument_type(fcinfo, n))
	{
		case FLOAT8OID:
			return cext_ttl_from_number(PG_GETARG_FLOAT8(n));
		case INTERVALOID:
			return cext_ttl_from_interval(PG_GETARG_INTERVAL_P(n));
		case TEXTOID:
			t = PG_GETARG_TEXT_PP(n);
			return cext_ttl_from_text(schema, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), named);
		default:
			elog(ERROR, "unexpected type of time to live");
	}
}
