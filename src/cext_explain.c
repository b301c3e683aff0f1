/*-------------------------------------------------------------------------
 *
 * cext_explain.c
 *		cache_explain(): what a call would do, and why.
 *
 * The query is analyzed and planned, not run.  What only shows while it runs
 * (relations and settings read inside functions) is therefore not known here;
 * if an entry exists, it tells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_query.h"
#include "cext_relation.h"
#include "cext_result.h"
#include "cext_row.h"
#include "cext_temptype.h"

PG_FUNCTION_INFO_V1(cache_explain);

/* The relations a plan reads, and the first reason against storing. */
static CextBypass
examine_plan(PlannedStmt *plan, List **rels, bool rls_covered)
{
	CextBypass	reason = cext_plan_bypass(plan);
	ListCell   *lc;

	*rels = NIL;
	foreach(lc, plan->relationOids)
	{
		*rels = list_append_unique_oid(*rels, lfirst_oid(lc));
	}
	if (reason == CEXT_CACHEABLE && !rls_covered && cext_row_security_in_force(plan))
		reason = CEXT_BYPASS_ROW_SECURITY;
	return reason;
}

static Datum
text_array(List *strings)
{
	Datum	   *elements = palloc((list_length(strings) + 1) * sizeof(Datum));
	ListCell   *lc;
	int			n = 0;

	foreach(lc, strings)
		elements[n++] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Relations by name, as far as they still have one. */
static List *
relation_names(List *rels, const char *before)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, rels)
	{
		char	   *name = get_rel_name(lfirst_oid(lc));
		char	   *schema = get_namespace_name(get_rel_namespace(lfirst_oid(lc)));

		if (name != NULL && schema != NULL)
			result = lappend(result, psprintf("%s%s", before,
											  quote_qualified_identifier(schema, name)));
	}
	return result;
}

/* In the words of the view cache_entries. */
static List *
tag_names(CextCall *call, List *rels)
{
	List	   *result = list_make1(pnstrdup(call->args.key, call->args.keylen));
	int			depth = 0;

	for (int i = 0; i < call->args.keylen && depth < CEXT_MAX_PREFIXES; i++)
	{
		if (call->args.key[i] == ':')
		{
			result = lappend(result, psprintf("%.*s*", i + 1, call->args.key));
			depth++;
		}
	}
	result = list_concat(result, relation_names(rels, "relation:"));
	return result;
}

/* absent, alive, expired or invalidated */
static const char *
entry_state(const CextIdent *id, CextEntry **entry)
{
	CextEntry  *e = cext_store_lookup(id);

	*entry = NULL;
	if (e != NULL && (e->flags & CEXT_ENTRY_VARIES) != 0)
	{
		CextIdent	varying;

		cext_store_unpin(e);
		cext_identify_varying(id, &varying);
		e = cext_store_lookup(&varying);
	}
	if (e == NULL)
		return "absent";
	*entry = e;
	if (!cext_entry_alive(e))
		return "invalidated";
	if (e->expires <= GetCurrentTimestamp())
		return "expired";
	return "alive";
}

/* What speaks against storing, as far as the query itself tells. */
static CextBypass
examine_query(CextCall *call, List **rels)
{
	Oid		   *types = NULL;
	int			ntypes = call->args.nargs;
	Query	   *query;
	CextBypass	of_query;
	CextBypass	of_plan;
	bool		user_functions;
	bool		reads_settings;

	if (ntypes > 0)
	{
		types = palloc(ntypes * sizeof(Oid));
		memcpy(types, call->args.types, ntypes * sizeof(Oid));
	}
	query = cext_analyze(call->args.query, &types, &ntypes, call->args.nargs);
	of_query = cext_classify(query, &user_functions, &reads_settings);
	if (of_query == CEXT_CACHEABLE &&
		(cext_desc_has_record(ExecCleanTypeFromTL(query->targetList)) ||
		 cext_args_have_record(&call->args)))
		of_query = CEXT_BYPASS_RECORD;
	of_plan = examine_plan(cext_plan_query(query, call->args.query, 0, NULL),
						   rels, call->args.rls_covered);
	return of_query != CEXT_CACHEABLE ? of_query : of_plan;
}

/*
 * Would there be a hit?  If not, *reason, which tells about the query, is
 * replaced by what keeps this session from it, if anything does.
 */
static bool
would_hit(CextCall *call, const CextIdent *ident, CextBypass *reason)
{
	CextBypass	why = CEXT_CACHEABLE;
	CextEntry  *usable = cext_find(ident, call->ttl, &why, NULL);

	if (usable != NULL)
		cext_store_unpin(usable);
	if (usable != NULL && cext_enable_reads)
		return true;
	if (*reason != CEXT_CACHEABLE)
		return false;
	if (why != CEXT_CACHEABLE)
		*reason = why;
	else if (!cext_enable_reads)
		*reason = CEXT_BYPASS_READS_OFF;
	else if (IsolationUsesXactSnapshot())
		*reason = CEXT_BYPASS_REPEATABLE_READ;
	else if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		*reason = CEXT_BYPASS_WRITTEN;
	return false;
}

static Datum
interval_datum(TimeOffset time)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = time;
	return IntervalPGetDatum(interval);
}

/*
 * cache_explain(key, query, ttl [, args]) returns a row: outcome, cacheable,
 * reason, detail, ttl, relations, tags, entry_state, entry_age, entry_ttl_left
 */
Datum
cache_explain(PG_FUNCTION_ARGS)
{
	CextCall	call;
	Datum		values[10];
	bool		nulls[10] = {0};
	List	   *rels;
	CextBypass	session;
	CextBypass	reason;
	CextEntry  *e = NULL;
	const char *state = "absent";
	bool		hit = false;

	cext_take_call(fcinfo, 0, 'r', &call);
	cext_storage_of_policy = call.tier;

	reason = examine_query(&call, &rels);
	session = cext_session_bypass();
	if (session == CEXT_CACHEABLE && cext_temptype_matters())
		session = CEXT_BYPASS_TEMPORARY;
	if (session == CEXT_CACHEABLE)
	{
		CextIdent	ident;

		cext_identify(&call.args, &ident);
		state = entry_state(&ident, &e);
		if (e == NULL)
		{
			/* the same call may be there for cached_json() */
			call.args.form = 'j';
			cext_identify(&call.args, &ident);
			state = entry_state(&ident, &e);
		}
		hit = would_hit(&call, &ident, &reason);
	}
	else
		reason = session;

	values[0] = CStringGetTextDatum(hit ? "hit" :
									reason == CEXT_CACHEABLE ? "miss" : "bypass");
	values[1] = BoolGetDatum(reason == CEXT_CACHEABLE);
	nulls[2] = nulls[3] = reason == CEXT_CACHEABLE;
	if (reason != CEXT_CACHEABLE)
	{
		values[2] = CStringGetTextDatum(cext_bypass_name(reason));
		values[3] = CStringGetTextDatum(cext_bypass_detail(reason));
	}
	values[4] = interval_datum((TimeOffset) (call.ttl * USECS_PER_SEC));
	values[5] = text_array(relation_names(rels, ""));
	values[6] = text_array(tag_names(&call, rels));
	values[7] = CStringGetTextDatum(state);
	nulls[8] = nulls[9] = e == NULL;
	if (e != NULL)
	{
		TimestampTz now = GetCurrentTimestamp();

		values[8] = interval_datum(now - e->created);
		values[9] = interval_datum(e->expires - now);
		cext_store_unpin(e);
	}
	return cext_one_row(fcinfo, lengthof(values), values, nulls);
}
