/*-------------------------------------------------------------------------
 *
 * cext_read.c
 *		cached_query(), cached_rows(), cached_json().
 *
 * Each SQL name has nine forms: three types of time to live, times no
 * arguments, VARIADIC "any", and VARIADIC text[], whose elements are bound as
 * literals of unknown type.  One C function serves the nine; it tells them
 * apart by the types of the call's expression.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/inval.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_function.h"
#include "cext_guc.h"
#include "cext_pattern.h"
#include "cext_policy.h"
#include "cext_query.h"
#include "cext_read.h"
#include "cext_send.h"

PG_FUNCTION_INFO_V1(cached_query);
PG_FUNCTION_INFO_V1(cached_rows);
PG_FUNCTION_INFO_V1(cached_json);

/* What functions are, by OID; forgotten when pg_proc changes. */
static struct
{
	Oid			funcid;
	CextReadKind kind;
}			known_functions[64];

/*
 * Is this one of ours, to be called as it is?  Not if a setting or another
 * owner comes with it, or a security module wants to see the call: then the
 * function manager calls it by way of another.
 */
CextReadKind
cext_read_kind(Oid funcid)
{
	int			i = funcid % lengthof(known_functions);
	FmgrInfo	flinfo;
	CextReadKind kind = CEXT_READ_NONE;

	if (likely(known_functions[i].funcid == funcid))
		return known_functions[i].kind;
	/* no other library is to be loaded before it is asked who may */
	if (cext_function_kind(funcid) == CEXT_FUNCTION_OURS)
	{
		fmgr_info(funcid, &flinfo);
		kind = flinfo.fn_addr == cached_query ? CEXT_READ_QUERY :
			flinfo.fn_addr == cached_rows ? CEXT_READ_ROWS :
			flinfo.fn_addr == cached_json ? CEXT_READ_JSON : CEXT_READ_NONE;
	}
	known_functions[i].funcid = funcid;
	known_functions[i].kind = kind;
	return kind;
}

static void
pg_proc_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	memset(known_functions, 0, sizeof(known_functions));
}

void
cext_read_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, pg_proc_changed, (Datum) 0);
}

static void
null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s of a cached query must not be null", name)));
}

/* Arguments that came as an array of text: each a literal of unknown type. */
static void
take_untyped(CextArgs *args, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &args->nulls, &args->nargs);
	args->values = elements;
	args->types = palloc(args->nargs * sizeof(Oid));
	for (int i = 0; i < args->nargs; i++)
	{
		args->types[i] = UNKNOWNOID;
		args->values[i] = args->nulls[i] ? (Datum) 0 :
			CStringGetDatum(TextDatumGetCString(elements[i]));
	}
}

/*
 * Take the call apart.  "first" is the number of the key's argument.
 */
void
cext_take_call(FunctionCallInfo fcinfo, int first, char form, CextCall *call)
{
	text	   *key;
	text	   *query;
	int			ttl = first + 2;
	int			rest = first + 3;
	const CextPolicy *named = NULL;

	memset(call, 0, sizeof(CextCall));
	if (PG_ARGISNULL(first))
		null_argument("key");
	if (PG_ARGISNULL(first + 1))
		null_argument("query");
	key = PG_GETARG_TEXT_PP(first);
	query = PG_GETARG_TEXT_PP(first + 1);
	call->args.form = form;
	call->args.key = VARDATA_ANY(key);
	call->args.keylen = VARSIZE_ANY_EXHDR(key);
	if (call->args.keylen < 1 || call->args.keylen > CEXT_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache key must have 1 to %d bytes", CEXT_MAX_KEY),
				 errdetail("It has %d.", call->args.keylen)));

	/* the parser wants a terminated string */
	call->args.query = text_to_cstring(query);
	call->args.querylen = VARSIZE_ANY_EXHDR(query);
	call->schema = get_func_namespace(fcinfo->flinfo->fn_oid);

	if (!PG_ARGISNULL(ttl))
		call->ttl = cext_ttl_argument(fcinfo, ttl, call->schema, &named);
	cext_call_policy(call, named);

	if (PG_NARGS() > rest)
	{
		if ((fcinfo->flinfo->fn_expr == NULL || get_fn_expr_variadic(fcinfo->flinfo)) &&
			cext_argument_type(fcinfo, rest) == TEXTARRAYOID)
		{
			if (!PG_ARGISNULL(rest))
				take_untyped(&call->args, PG_GETARG_DATUM(rest));
		}
		else
			call->args.nargs = Max(0, extract_variadic_args(fcinfo, rest, false,
															&call->args.values,
															&call->args.types,
															&call->args.nulls));
	}
}

/* An empty tuplestore for a materialized result, described by desc. */
static Tuplestorestate *
begin_rows(FunctionCallInfo fcinfo, TupleDesc desc)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);

	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setDesc = CreateTupleDescCopy(desc);
	rsinfo->setResult = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
											  false, work_mem);
	MemoryContextSwitchTo(old);
	return rsinfo->setResult;
}

static ReturnSetInfo *
check_set_context(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		(rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	return rsinfo;
}

/* cached_query(key, query, ttl [, args]) returns setof record */
Datum
cached_query(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = check_set_context(fcinfo);
	CextCall	call;

	if (rsinfo->expectedDesc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached_query needs a column definition list"),
				 errhint("Write SELECT * FROM cached_query(...) AS t(id integer, name text), or use cached_rows or cached_json.")));
	cext_take_call(fcinfo, 0, 'r', &call);
	cext_read_rows(&call, rsinfo->expectedDesc, begin_rows(fcinfo, rsinfo->expectedDesc));
	return (Datum) 0;
}

/* Check the rows of a domain over a row type, in place. */
static void
check_domain(Oid domain, TupleDesc desc, Tuplestorestate *store)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	void	   *extra = NULL;

	while (tuplestore_gettupleslot(store, true, false, slot))
		domain_check(ExecFetchSlotHeapTupleDatum(slot), false, domain, &extra,
					 CurrentMemoryContext);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_rescan(store);
}

/* cached_rows(rowtype, key, query, ttl [, args]) returns setof anyelement */
Datum
cached_rows(PG_FUNCTION_ARGS)
{
	CextCall	call;
	Oid			type;
	TupleDesc	desc;
	TypeFuncClass class;
	Tuplestorestate *store;

	check_set_context(fcinfo);
	class = get_call_result_type(fcinfo, &type, &desc);
	switch (class)
	{
		case TYPEFUNC_COMPOSITE:
		case TYPEFUNC_COMPOSITE_DOMAIN:
			break;
		case TYPEFUNC_SCALAR:
			desc = CreateTemplateTupleDesc(1);
			TupleDescInitEntry(desc, 1, "cached_rows", type, -1, 0);
			cext_finish_desc(desc);
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cached_rows needs a row type"),
					 errhint("Write cached_rows(NULL::some_table, ...), or use cached_query with a column definition list.")));
	}
	cext_take_call(fcinfo, 1, 'r', &call);
	store = begin_rows(fcinfo, desc);
	cext_read_rows(&call, desc, store);
	if (class == TYPEFUNC_COMPOSITE_DOMAIN)
		check_domain(type, desc, store);
	return (Datum) 0;
}

/* cached_json(key, query, ttl [, args]) returns jsonb */
Datum
cached_json(PG_FUNCTION_ARGS)
{
	CextSend   *send = cext_send_of_call(fcinfo->flinfo->fn_expr);
	CextCall	call;

	cext_take_call(fcinfo, 0, 'j', &call);
	PG_RETURN_DATUM(send == NULL ? cext_read_json(&call) : cext_send_json(send, &call));
}
