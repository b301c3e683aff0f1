/*-------------------------------------------------------------------------
 *
 * cext_value.c
 *		cache_get(), cache_set(), cache_delete(): plain values.
 *
 * A value belongs to a database, a role, the identity settings and a key.  What
 * the transaction itself has made of it comes first: cext_pending.c.
 *
 * Where there is no cache nothing is found, and setting does nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "cext_compat.h"
#include "cext_event.h"
#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_log.h"
#include "cext_pattern.h"
#include "cext_pending.h"
#include "cext_policy.h"
#include "cext_prepared.h"
#include "cext_query.h"
#include "cext_row.h"
#include "cext_tracker.h"
#include "cext_writeback.h"

PG_FUNCTION_INFO_V1(cache_get);
PG_FUNCTION_INFO_V1(cache_get_many);
PG_FUNCTION_INFO_V1(cache_set);
PG_FUNCTION_INFO_V1(cache_set_many);
PG_FUNCTION_INFO_V1(cache_delete);

static void
check_key(const char *key, int len)
{
	if (len < 1 || len > CEXT_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache key must have 1 to %d bytes", CEXT_MAX_KEY),
				 errdetail("It has %d.", len)));
}

static void
null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", name)));
}

/* The value of a pinned entry, which is unpinned: palloc'd. */
static Jsonb *
take_value(CextEntry *e)
{
	CextReader	reader;
	char	   *result = palloc(e->payload_size);

	cext_store_read(&reader, e);
	cext_reader_copy(&reader, result, e->payload_size);
	cext_store_hit(e);
	cext_last_status.from_redis = (e->flags & CEXT_ENTRY_LOCAL) != 0;
	cext_last_status.created = e->created;
	cext_last_status.expires = e->expires;
	cext_store_unpin(e);
	return (Jsonb *) result;
}

/* Count a reading, and log it. */
static void
end_get(CextStatus status, CextBypass reason, uint16 ns, const CextIdent *id,
		instr_time start)
{
	cext_count_call(status, reason, false, ns, 0, start);
	if (cext_logs(status == CEXT_STATUS_HIT ? CEXT_LOG_HIT :
				  status == CEXT_STATUS_MISS ? CEXT_LOG_MISS : CEXT_LOG_BYPASS))
	{
		if (status == CEXT_STATUS_BYPASS)
			cext_log("bypass", id->key, id->keylen, cext_last_status.elapsed_us,
					 " reason=\"%s\"", cext_bypass_name(reason));
		else
			cext_log(status == CEXT_STATUS_HIT ? "hit" : "miss", id->key, id->keylen,
					 cext_last_status.elapsed_us, " kind=value");
	}
}

/*
 * A value as this transaction sees it: palloc'd, or NULL.  "fetched" is what
 * Redis has given for it already; "asked" says that it was asked.
 */
static Jsonb *
get_value(const CextIdent *id, CextEntry *fetched, bool asked)
{
	CextBypass	reason;
	CextEntry  *e = fetched;
	const char *own;
	Size		size;
	Jsonb	   *result;
	uint16		ns;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	reason = cext_session_bypass();
	ns = cext_stats_namespace(MyDatabaseId, id->key, id->keylen);
	if (cext_pending_find(id, &own, &size))
	{
		end_get(own != NULL ? CEXT_STATUS_HIT : CEXT_STATUS_MISS,
				CEXT_CACHEABLE, ns, id, start);
		cext_last_status.from_cache = false;
		return own == NULL ? NULL : (Jsonb *) memcpy(palloc(size), own, size);
	}
	if (reason == CEXT_CACHEABLE && !cext_enable_reads)
		reason = CEXT_BYPASS_READS_OFF;
	if (e == NULL && reason == CEXT_CACHEABLE)
		e = asked ? cext_find_near(id, -1, &reason) : cext_find(id, -1, &reason, NULL);
	if (e == NULL)
	{
		end_get(reason == CEXT_CACHEABLE ? CEXT_STATUS_MISS : CEXT_STATUS_BYPASS,
				reason, ns, id, start);
		return NULL;
	}
	result = take_value(e);
	end_get(CEXT_STATUS_HIT, CEXT_CACHEABLE, ns, id, start);
	return result;
}

/* Before any reading: is there a cache at all? */
static bool
begin_reading(void)
{
	cext_tracker_refuse(CEXT_BYPASS_VOLATILE);
	if (cext_session_bypass() == CEXT_BYPASS_NOT_PRELOADED)
		return false;
	cext_prepared_recover();
	return true;
}

/* May this session, now, take a value out of the cache that it has not set? */
static bool
may_fetch(const CextIdent *id)
{
	const char *own;
	Size		size;

	return !cext_pending_find(id, &own, &size) &&
		!(cext_inval_pending() && cext_inval_pending_key(id->key, id->keylen));
}

/* Where the values of this key are, if that is a question. */
static void
take_tier(FunctionCallInfo fcinfo, const char *key, int keylen)
{
	const CextPolicy *policy;

	cext_storage_of_policy = CEXT_STORAGE_DEFAULT;
	if (likely(cext_redis_target == NULL))
		return;
	policy = cext_policy_for_key(get_func_namespace(fcinfo->flinfo->fn_oid), key, keylen);
	if (policy != NULL)
		cext_storage_of_policy = policy->tier;
}

/*
 * What of these Redis alone has, in one round trip.  True if Redis is not to be
 * asked for one of them again.
 */
static bool
fetch_values(FunctionCallInfo fcinfo, const CextIdent *ids, int n, CextEntry **fetched)
{
	int		   *which = palloc(n * sizeof(int));
	CextIdent  *wanted = palloc(n * sizeof(CextIdent));
	CextEntry **found = palloc(n * sizeof(CextEntry *));
	int			nwanted = 0;
	bool		asked;

	memset(fetched, 0, n * sizeof(CextEntry *));
	if (cext_session_bypass() != CEXT_CACHEABLE || !cext_enable_reads)
		return false;
	for (int i = 0; i < n; i++)
	{
		take_tier(fcinfo, ids[i].key, ids[i].keylen);
		if (!cext_storage_redis() || !may_fetch(&ids[i]))
			continue;
		which[nwanted] = i;
		wanted[nwanted++] = ids[i];
	}
	cext_storage_of_policy = nwanted > 0 ? CEXT_STORAGE_TIERED : CEXT_STORAGE_DEFAULT;
	asked = nwanted > 0 && cext_find_remote(wanted, nwanted, found);
	for (int k = 0; asked && k < nwanted; k++)
		fetched[which[k]] = found[k];
	pfree(which);
	pfree(wanted);
	pfree(found);

	/* what it does not have it is not asked for again */
	return true;
}

/* Set a value, or delete it, when the transaction commits. */
static void
set_value(FunctionCallInfo fcinfo, const char *key, int keylen, Jsonb *value, double ttl)
{
	CextIdent	id;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	check_key(key, keylen);
	if (cext_session_bypass() == CEXT_BYPASS_NOT_PRELOADED ||
		cext_session_bypass() == CEXT_BYPASS_RECOVERY)
		return;
	if (value != NULL && (!cext_enabled || !cext_enable_writes))
		value = NULL;			/* what is there must not stay */
	if (value != NULL && VARSIZE(value) > (Size) cext_max_entry_size * 1024)
	{
		cext_stats_bypass(CEXT_BYPASS_TOO_LARGE);
		value = NULL;
	}
	cext_prepared_recover();
	(void) cext_prepared_sweep();	/* later, it would be newer than the value */
	take_tier(fcinfo, key, keylen);
	cext_writeback_prepare();
	cext_identify_value(key, keylen, &id);
	cext_inval_add_value(cext_tag_value(id.hash));
	cext_event(CEXT_RELAY_KEY, key, keylen);
	cext_pending_add(&id, (char *) value, value != NULL ? VARSIZE(value) : 0, ttl);
	if (cext_logs(CEXT_LOG_SET))
		cext_log(value != NULL ? "set" : "delete", key, keylen, cext_elapsed_us(start),
				 " bytes=%zu", value != NULL ? (Size) VARSIZE(value) : 0);
}

/* The time to live in argument n, which need not be there. */
static double
get_ttl(FunctionCallInfo fcinfo, int n, const char *key, int keylen)
{
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	const CextPolicy *policy;

	if (PG_NARGS() > n && !PG_ARGISNULL(n))
		return cext_ttl_argument(fcinfo, n, schema, &policy);
	policy = cext_policy_for_key(schema, key, keylen);
	return policy != NULL ? cext_ttl_from_number(policy->ttl) : cext_default_ttl;
}

/* cache_get(key) returns jsonb */
Datum
cache_get(PG_FUNCTION_ARGS)
{
	text	   *key;
	CextIdent	id;
	Jsonb	   *value;

	if (PG_ARGISNULL(0))
		null_argument("cache key");
	key = PG_GETARG_TEXT_PP(0);
	check_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	if (!begin_reading())
		PG_RETURN_NULL();
	cext_identify_value(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &id);
	take_tier(fcinfo, id.key, id.keylen);
	value = get_value(&id, NULL, false);
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value);
}

/* cache_get_many(keys) returns a row for each key, in order */
Datum
cache_get_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum	   *keys;
	bool	   *nulls;
	int			n;
	CextIdent  *ids;
	CextEntry **fetched;
	bool		cached;
	bool		asked = false;

	cext_begin_rows(fcinfo, 2);
	if (PG_ARGISNULL(0))
		null_argument("array of cache keys");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT,
					  &keys, &nulls, &n);
	ids = palloc(Max(n, 1) * sizeof(CextIdent));
	fetched = palloc0(Max(n, 1) * sizeof(CextEntry *));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			null_argument("cache key");
		keys[i] = PointerGetDatum(DatumGetTextPP(keys[i]));
		check_key(VARDATA_ANY(DatumGetPointer(keys[i])),
				  VARSIZE_ANY_EXHDR(DatumGetPointer(keys[i])));
	}
	cached = begin_reading();
	if (cached && n > 0)
	{
		for (int i = 0; i < n; i++)
			cext_identify_value(VARDATA_ANY(DatumGetPointer(keys[i])),
								VARSIZE_ANY_EXHDR(DatumGetPointer(keys[i])), &ids[i]);
		asked = fetch_values(fcinfo, ids, n, fetched);
	}
	for (int i = 0; i < n; i++)
	{
		Jsonb	   *value = cached ? get_value(&ids[i], fetched[i], asked) : NULL;
		Datum		values[2] = {keys[i], PointerGetDatum(value)};
		bool		isnull[2] = {false, value == NULL};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}

/* cache_set(key, value [, ttl]) returns void */
Datum
cache_set(PG_FUNCTION_ARGS)
{
	text	   *key;

	if (PG_ARGISNULL(0))
		null_argument("cache key");
	if (PG_ARGISNULL(1))
		null_argument("cache value");
	key = PG_GETARG_TEXT_PP(0);
	check_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	set_value(fcinfo, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), PG_GETARG_JSONB_P(1),
			  get_ttl(fcinfo, 2, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
	PG_RETURN_VOID();
}

/* cache_set_many(entries [, ttl]) returns how many */
Datum
cache_set_many(PG_FUNCTION_ARGS)
{
	Jsonb	   *entries;
	JsonbIterator *it;
	JsonbValue	v;
	int64		n = 0;

	if (PG_ARGISNULL(0))
		null_argument("object of cache entries");
	entries = PG_GETARG_JSONB_P(0);
	if (!JB_ROOT_IS_OBJECT(entries))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache entries must be a JSON object of keys and values")));
	it = JsonbIteratorInit(&entries->root);
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_KEY)
	{
		char	   *key = v.val.string.val;
		int			keylen = v.val.string.len;

		(void) JsonbIteratorNext(&it, &v, true);
		check_key(key, keylen);
		set_value(fcinfo, key, keylen, JsonbValueToJsonb(&v), get_ttl(fcinfo, 1, key, keylen));
		n++;
	}
	PG_RETURN_INT64(n);
}

/* cache_delete(key) returns whether there was a value */
Datum
cache_delete(PG_FUNCTION_ARGS)
{
	text	   *key;
	CextIdent	id;
	const char *own;
	Size		size;
	bool		found;

	if (PG_ARGISNULL(0))
		null_argument("cache key");
	key = PG_GETARG_TEXT_PP(0);
	check_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	if (cext_session_bypass() == CEXT_BYPASS_NOT_PRELOADED)
		PG_RETURN_BOOL(false);
	cext_identify_value(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &id);
	if (cext_pending_find(&id, &own, &size))
		found = own != NULL;
	else
	{
		CextBypass	reason = CEXT_CACHEABLE;
		CextEntry  *e;

		take_tier(fcinfo, id.key, id.keylen);
		e = cext_find(&id, -1, &reason, NULL);

		found = e != NULL;
		if (e != NULL)
			cext_store_unpin(e);
	}
	set_value(fcinfo, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), NULL, 0);
	PG_RETURN_BOOL(found);
}
