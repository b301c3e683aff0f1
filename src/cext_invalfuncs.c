/*-------------------------------------------------------------------------
 *
 * cext_invalfuncs.c
 *		cache_invalidate() and its relatives.
 *
 * Each invalidates when the transaction commits.  The count they return is of
 * the entries alive now; it walks the index, which invalidating does not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_log.h"
#include "cext_pattern.h"
#include "cext_query.h"
#include "cext_queue.h"
#include "cext_relation.h"
#include "cext_store.h"

PG_FUNCTION_INFO_V1(cache_invalidate);
PG_FUNCTION_INFO_V1(cache_invalidate_many);
PG_FUNCTION_INFO_V1(cache_invalidate_table);
PG_FUNCTION_INFO_V1(cache_clear);

#define MAX_PATTERN 4096

typedef bool (*EntryTest) (CextEntry *entry, void *arg);

/* How many live entries of this database, with this prefix, pass the test? */
static int64
count_entries(const char *prefix, int prefixlen, EntryTest test, void *arg)
{
	CextScan	scan;
	CextEntry  *e;
	TimestampTz now = GetCurrentTimestamp();
	int64		n = 0;

	if (!cext_active())
		return 0;
	cext_store_scan_begin(&scan, MyDatabaseId, prefix, prefixlen);
	while ((e = cext_store_scan_next(&scan)) != NULL)
	{
		if ((e->flags & CEXT_ENTRY_VARIES) == 0 && e->expires > now &&
			test(e, arg) && cext_entry_alive(e))
			n++;
		cext_store_unpin(e);
	}
	return n;
}

typedef struct Patterns
{
	int			n;
	text	  **patterns;
} Patterns;

static bool
matches_any(CextEntry *e, void *arg)
{
	Patterns   *p = arg;

	for (int i = 0; i < p->n; i++)
		if (cext_pattern_match(VARDATA_ANY(p->patterns[i]),
							   VARSIZE_ANY_EXHDR(p->patterns[i]),
							   CEXT_ENTRY_KEY(e), e->keylen))
			return true;
	return false;
}

/* A pattern that may reach every key needs the privilege of cache_clear(). */
static void
check_pattern(FunctionCallInfo fcinfo, text *pattern)
{
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	int			len = VARSIZE_ANY_EXHDR(pattern);

	if (len < 1 || len > MAX_PATTERN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache key pattern must have 1 to %d bytes", MAX_PATTERN),
				 errdetail("It has %d.", len)));
	if (cext_pattern_has_literal_start(VARDATA_ANY(pattern), len))
		return;
	if (!cext_may_clear(schema, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for a pattern that can match every key"),
				 errdetail("A pattern that starts with a wildcard needs the privilege to execute cache_clear()."),
				 errhint("Start the pattern with a literal character.")));
}

static void
null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", name)));
}

static void
log_invalidation(const char *pattern, int len, instr_time start, int64 n)
{
	if (cext_logs(CEXT_LOG_INVALIDATE))
		cext_log("invalidate", pattern, len, cext_elapsed_us(start),
				 " entries=" INT64_FORMAT, n);
}

/* cache_invalidate(pattern) returns bigint */
Datum
cache_invalidate(PG_FUNCTION_ARGS)
{
	text	   *pattern;
	Patterns	p;
	StringInfoData prefix;
	int64		n;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	if (PG_ARGISNULL(0))
		null_argument("cache key pattern");
	pattern = PG_GETARG_TEXT_PP(0);
	check_pattern(fcinfo, pattern);
	p.n = 1;
	p.patterns = &pattern;
	initStringInfo(&prefix);
	(void) cext_pattern_classify(VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern), &prefix);
	n = count_entries(prefix.data, prefix.len, matches_any, &p);
	cext_inval_pattern(VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern));
	log_invalidation(VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern), start, n);
	PG_RETURN_INT64(n);
}

/* cache_invalidate_many(patterns) returns bigint */
Datum
cache_invalidate_many(PG_FUNCTION_ARGS)
{
	Datum	   *elements;
	bool	   *nulls;
	Patterns	p;
	int64		n;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	if (PG_ARGISNULL(0))
		null_argument("array of cache key patterns");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &p.n);
	p.patterns = palloc((p.n + 1) * sizeof(text *));
	for (int i = 0; i < p.n; i++)
	{
		if (nulls[i])
			null_argument("cache key pattern");
		p.patterns[i] = DatumGetTextPP(elements[i]);
		check_pattern(fcinfo, p.patterns[i]);
	}
	n = p.n > 0 ? count_entries("", 0, matches_any, &p) : 0;
	for (int i = 0; i < p.n; i++)
	{
		cext_inval_pattern(VARDATA_ANY(p.patterns[i]), VARSIZE_ANY_EXHDR(p.patterns[i]));
		log_invalidation(VARDATA_ANY(p.patterns[i]), VARSIZE_ANY_EXHDR(p.patterns[i]),
						 start, n);
	}
	PG_RETURN_INT64(n);
}

typedef struct TagPair
{
	CextTag		relation;
	CextTag		tree;
	Oid			relid;
} TagPair;

static bool
reads_relation(CextEntry *e, void *arg)
{
	TagPair    *t = arg;

	for (int i = 0; i < e->nrels; i++)
		if (CEXT_ENTRY_RELS(e)[i] == t->relid)
			return true;
	for (int i = 0; i < e->ntags; i++)
		if (CEXT_ENTRY_TAGS(e)[i] == t->relation || CEXT_ENTRY_TAGS(e)[i] == t->tree)
			return true;
	return false;
}

/* cache_invalidate_table(rel) returns bigint */
Datum
cache_invalidate_table(PG_FUNCTION_ARGS)
{
	TagPair		t;
	int64		n;
	instr_time	start;
	char	   *name;

	INSTR_TIME_SET_CURRENT(start);
	if (PG_ARGISNULL(0))
		null_argument("relation");
	t.relid = PG_GETARG_OID(0);
	name = get_rel_name(t.relid);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", t.relid)));
	if (!cext_active())
		PG_RETURN_INT64(0);
	t.relation = cext_tag_relation(MyDatabaseId, t.relid);
	t.tree = cext_tag_tree(MyDatabaseId, t.relid);
	n = count_entries("", 0, reads_relation, &t);
	cext_inval_relation_tree(t.relid);
	if (cext_logs(CEXT_LOG_INVALIDATE))
		cext_log("invalidate", NULL, 0, cext_elapsed_us(start),
				 " relation=%s entries=" INT64_FORMAT,
				 cext_quote_key(name, strlen(name)), n);
	PG_RETURN_INT64(n);
}

static bool
any_entry(CextEntry *e, void *arg)
{
	return true;
}

/* cache_clear() returns bigint */
Datum
cache_clear(PG_FUNCTION_ARGS)
{
	int64		n;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	n = count_entries("", 0, any_entry, NULL);
	cext_inval_all();
	if (cext_active())
		cext_queue_notice_at_commit(CEXT_NOTICE_REWARM);
	log_invalidation("*", 1, start, n);
	PG_RETURN_INT64(n);
}
