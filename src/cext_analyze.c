/*-------------------------------------------------------------------------
 *
 * cext_analyze.c
 *		What a query is, and whether its result may be stored.
 *
 * Questions to a query, analyzed and rewritten, to a plan and to a function,
 * before anything runs: what is refused, and what speaks against storing
 * (volatile functions, temporary tables, row-level security and the like).
 * What only shows while it runs is learned by cext_tracker.c, which puts some
 * of the same questions to what it sees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_param.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_guc.h"

/*
 * STABLE by catalog, but of the session, its transaction, or its snapshot.
 */
static const Oid session_functions[] = {
	F_SESSION_USER,
	F_PG_BACKEND_PID,
	F_PG_MY_TEMP_SCHEMA,
	F_CURRENT_SCHEMAS,
	F_PG_IS_OTHER_TEMP_SCHEMA,
	F_PG_TRIGGER_DEPTH,
	F_PG_CURRENT_SNAPSHOT,
	F_TXID_CURRENT_SNAPSHOT,
	F_PG_CURRENT_XACT_ID,
	F_TXID_CURRENT,
	F_PG_CURRENT_XACT_ID_IF_ASSIGNED,
	F_TXID_CURRENT_IF_ASSIGNED,
	F_PG_LISTENING_CHANNELS,
	F_PG_PREPARED_STATEMENT,
	F_PG_PREPARED_XACT,
	F_PG_CURSOR,
	F_PG_CONF_LOAD_TIME,
	F_PG_SHOW_ALL_SETTINGS,
	F_INET_CLIENT_ADDR,
	F_INET_CLIENT_PORT,
	F_INET_SERVER_ADDR,
	F_INET_SERVER_PORT,
	F_DATABASE_TO_XML,
	F_DATABASE_TO_XMLSCHEMA,
	F_DATABASE_TO_XML_AND_XMLSCHEMA,
	F_SCHEMA_TO_XML,
	F_SCHEMA_TO_XMLSCHEMA,
	F_SCHEMA_TO_XML_AND_XMLSCHEMA,
	F_AGE_XID,
	F_MXID_AGE,
	CEXT_LATER_SESSION_FUNCTIONS
};


/* ----------------------------------------------------------------
 *		Plans and functions
 * ----------------------------------------------------------------
 */

/* Does reading this relation speak against storing? */
static CextBypass
relation_bypass(Oid relid)
{
	HeapTuple	tup;
	Form_pg_class rel;
	CextBypass	result = CEXT_CACHEABLE;

	if (relid < FirstNormalObjectId)
		return CEXT_BYPASS_CATALOG;
	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tup))
		return CEXT_CACHEABLE;
	rel = (Form_pg_class) GETSTRUCT(tup);
	if (rel->relpersistence == RELPERSISTENCE_TEMP)
		result = CEXT_BYPASS_TEMPORARY;
	else if (rel->relkind == RELKIND_SEQUENCE)
		result = CEXT_BYPASS_SEQUENCE;
	ReleaseSysCache(tup);
	return result;
}

/* Is it temporary, be it named only? */
static bool
relation_is_temporary(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tup))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tup))->relpersistence == RELPERSISTENCE_TEMP;
	ReleaseSysCache(tup);
	return result;
}

/* ... reading those of this plan? */
CextBypass
cext_plan_bypass(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		CextBypass	reason;

		/* since 16, the subquery that a view became still names the view */
		if (rte->rtekind != RTE_RELATION && rte->rtekind != RTE_SUBQUERY)
			continue;
		if (!OidIsValid(rte->relid))
			continue;
		reason = relation_bypass(rte->relid);
		if (reason != CEXT_CACHEABLE)
			return reason;
	}

	/* a regclass constant is another in each session */
	foreach(lc, stmt->relationOids)
	{
		if (relation_is_temporary(lfirst_oid(lc)))
			return CEXT_BYPASS_TEMPORARY;
	}
	return CEXT_CACHEABLE;
}

/*
 * Do policies restrict what this plan reads?  Where they do not apply, to a
 * table's owner say, is a matter of the role and the setting row_security,
 * which are in the identity, and of the catalogs.
 */
bool
cext_row_security_in_force(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION &&
			check_enable_rls(rte->relid, cext_check_as_user(stmt, rte), true) == RLS_ENABLED)
			return true;
	}
	return false;
}

/* Is this one of them? */
static bool
is_session_function(Oid funcid)
{
	for (int i = 0; i < (int) lengthof(session_functions); i++)
		if (session_functions[i] == funcid)
			return true;
	return false;
}

/*
 * STABLE built-in functions that look into the catalogs or the statistics by
 * themselves.  They have names of these forms.  The input and output functions
 * of types that stand for objects are not among them.
 */
static bool
is_catalog_function(Oid funcid)
{
	char	   *name;
	bool		result;

	if (funcid == F_PG_TYPEOF || funcid == F_PG_COLUMN_SIZE ||
		funcid == F_PG_COLUMN_COMPRESSION ||
		func_volatile(funcid) != PROVOLATILE_STABLE)
		return false;
	if (funcid == F_REGCLASS || funcid == F_FORMAT_TYPE ||
		funcid == F_ROW_SECURITY_ACTIVE_OID ||
		funcid == F_ROW_SECURITY_ACTIVE_TEXT)
		return true;
	name = get_func_name(funcid);
	if (name == NULL)
		return false;
	result = strncmp(name, "pg_", 3) == 0 || strncmp(name, "to_reg", 6) == 0 ||
		strncmp(name, "has_", 4) == 0;
	pfree(name);
	return result;
}

/* Is it in this library? */
static bool
is_ours(HeapTuple proc)
{
	bool		isnull;
	Datum		bin = SysCacheGetAttr(PROCOID, proc, Anum_pg_proc_probin, &isnull);
	char	   *library;
	bool		result;

	if (isnull)
		return false;
	library = TextDatumGetCString(bin);
	result = strstr(library, "cache_ext") != NULL;
	pfree(library);
	return result;
}

static CextFunctionKind
find_function_kind(Oid funcid)
{
	CextFunctionKind kind = CEXT_FUNCTION_PLAIN;
	HeapTuple	tup;
	Form_pg_proc proc;

	if (funcid < FirstNormalObjectId)
	{
		if (funcid == F_CURRENT_SETTING_TEXT || funcid == F_CURRENT_SETTING_TEXT_BOOL)
			return CEXT_FUNCTION_SETTING;
		return is_session_function(funcid) ? CEXT_FUNCTION_SESSION :
			is_catalog_function(funcid) ? CEXT_FUNCTION_CATALOG : CEXT_FUNCTION_PLAIN;
	}
	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tup))
		return CEXT_FUNCTION_PLAIN;
	proc = (Form_pg_proc) GETSTRUCT(tup);
	if (isAnyTempNamespace(proc->pronamespace))
		kind = CEXT_FUNCTION_TEMPORARY;
	else if (proc->prolang == ClanguageId)
		kind = is_ours(tup) ? CEXT_FUNCTION_OURS :
			proc->provolatile == PROVOLATILE_IMMUTABLE ? CEXT_FUNCTION_C_IMMUTABLE :
			CEXT_FUNCTION_C;
	ReleaseSysCache(tup);
	return kind;
}

/* What functions are, by OID; forgotten when pg_proc changes. */
static struct
{
	Oid			funcid;
	CextFunctionKind kind;
}			known_functions[256];

static void
pg_proc_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	memset(known_functions, 0, sizeof(known_functions));
}

/* Asked for every function anybody executes. */
CextFunctionKind
cext_function_kind(Oid funcid)
{
	int			i = funcid % lengthof(known_functions);
	CextFunctionKind kind;
	static bool registered = false;

	if (likely(known_functions[i].funcid == funcid))
		return known_functions[i].kind;
	if (unlikely(!registered))
	{
		CacheRegisterSyscacheCallback(PROCOID, pg_proc_changed, (Datum) 0);
		registered = true;
	}
	kind = find_function_kind(funcid);
	known_functions[i].funcid = funcid;
	known_functions[i].kind = kind;
	return kind;
}

/* Does the text of a value of this type name a relation, or its row type? */
bool
cext_type_has_names(Oid type)
{
	Oid			element;
	TupleDesc	desc;
	bool		result = false;

	check_stack_depth();
	type = getBaseType(type);
	if (type == REGCLASSOID || type == REGTYPEOID)
		return true;
	element = get_element_type(type);
	if (OidIsValid(element))
		return cext_type_has_names(element);
	if (get_typtype(type) != TYPTYPE_COMPOSITE)
		return false;
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	for (int i = 0; i < desc->natts && !result; i++)
		result = !TupleDescAttr(desc, i)->attisdropped &&
			cext_type_has_names(TupleDescAttr(desc, i)->atttypid);
	return result;
}


/* ----------------------------------------------------------------
 *		Queries
 * ----------------------------------------------------------------
 */

/* Error for a parameter beyond the arguments; arg points to their number. */
static bool
check_parameters(Node *node, void *arg)
{
	int			nargs = *(int *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, ParamRef) && ((ParamRef *) node)->number > nargs)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no argument for parameter $%d",
						((ParamRef *) node)->number),
				 errhint_plural("The call passes %d argument after the time to live.",
								"The call passes %d arguments after the time to live.",
								nargs, nargs)));
	return raw_expression_tree_walker(node, check_parameters, arg);
}

/*
 * Parse and analyze.  *types are the arguments' types, UNKNOWNOID for one to be
 * inferred; on return what they are, for at least as many as the query uses.
 */
Query *
cext_analyze(const char *query, Oid **types, int *ntypes, int nargs)
{
	List	   *raw = pg_parse_query(query);
	List	   *rewritten;
	Query	   *result;
	RawStmt    *stmt;

	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must be exactly one statement"),
				 errdetail("It has %d statements.", list_length(raw))));
	stmt = linitial_node(RawStmt, raw);
	if (!IsA(stmt->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must be a SELECT, VALUES or TABLE statement"),
				 errdetail("It is %s.",
						   GetCommandTagName(CreateCommandTag(stmt->stmt)))));
	check_parameters(stmt->stmt, &nargs);

	rewritten = pg_analyze_and_rewrite_varparams(stmt, query, types, ntypes, NULL);
	if (list_length(rewritten) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must be exactly one statement")));
	result = linitial_node(Query, rewritten);
	if (result->commandType != CMD_SELECT || result->utilityStmt != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must not be SELECT INTO")));
	if (result->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached query must not modify data in WITH")));
	return result;
}

/* Our own read functions do not make a query volatile. */
static bool
is_read_function(Oid funcid)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		result = false;

	if (!HeapTupleIsValid(tup))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tup))->prolang == ClanguageId && is_ours(tup))
	{
		bool		isnull;
		char	   *s = TextDatumGetCString(SysCacheGetAttr(PROCOID, tup,
															Anum_pg_proc_prosrc, &isnull));

		result = strcmp(s, "cached_query") == 0 || strcmp(s, "cached_rows") == 0 ||
			strcmp(s, "cached_json") == 0;
	}
	ReleaseSysCache(tup);
	return result;
}

/*
 * The planner adds the defaults of arguments that a call leaves out.  NIL if it
 * leaves out none.
 */
static List *
default_arguments(Oid funcid, Oid result_type, List *args)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	List	   *result = NIL;

	if (!HeapTupleIsValid(tup))
		return NIL;
	if (list_length(args) < ((Form_pg_proc) GETSTRUCT(tup))->pronargs)
		result = expand_function_arguments(args, false, result_type, tup);
	ReleaseSysCache(tup);
	return result;
}

typedef struct ClassifyContext
{
	CextBypass	reason;
	bool		user_functions;
	bool		reads_settings;
} ClassifyContext;

static bool
classify_function(Oid funcid, void *arg)
{
	ClassifyContext *c = arg;
	CextFunctionKind kind = cext_function_kind(funcid);

	if (funcid >= FirstNormalObjectId)
		c->user_functions = true;
	if (kind == CEXT_FUNCTION_SETTING)
		c->reads_settings = true;
	if (kind == CEXT_FUNCTION_SESSION)
		c->reason = CEXT_BYPASS_SESSION_FUNCTION;
	else if (c->reason == CEXT_CACHEABLE && kind == CEXT_FUNCTION_TEMPORARY)
		c->reason = CEXT_BYPASS_TEMPORARY;
	else if (c->reason == CEXT_CACHEABLE && kind == CEXT_FUNCTION_CATALOG)
		c->reason = CEXT_BYPASS_CATALOG;
	else if (c->reason == CEXT_CACHEABLE &&
			 cext_volatile_functions == CEXT_VOLATILE_BYPASS &&
			 func_volatile(funcid) == PROVOLATILE_VOLATILE &&
			 !is_read_function(funcid))
		c->reason = CEXT_BYPASS_VOLATILE;
	return false;				/* look at all of them */
}

static bool
classify_walker(Node *node, void *arg)
{
	ClassifyContext *c = arg;

	if (node == NULL)
		return false;
	check_functions_in_node(node, classify_function, c);
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *f = (FuncExpr *) node;

		classify_walker((Node *) default_arguments(f->funcid, f->funcresulttype, f->args), arg);
	}
	else if (IsA(node, WindowFunc))
	{
		WindowFunc *f = (WindowFunc *) node;

		classify_walker((Node *) default_arguments(f->winfnoid, f->wintype, f->args), arg);
	}
	if (IsA(node, SQLValueFunction) &&
		((SQLValueFunction *) node)->op == SVFOP_SESSION_USER)
		c->reason = CEXT_BYPASS_SESSION_FUNCTION;
	else if (IsA(node, NextValueExpr) && c->reason == CEXT_CACHEABLE)
		c->reason = CEXT_BYPASS_VOLATILE;
	else if (IsA(node, TableSampleClause) && c->reason == CEXT_CACHEABLE &&
			 ((TableSampleClause *) node)->repeatable == NULL &&
			 cext_volatile_functions == CEXT_VOLATILE_BYPASS)
		c->reason = CEXT_BYPASS_VOLATILE;
	else if (IsA(node, Const) && ((Const *) node)->consttype == REGTYPEOID &&
			 c->reason == CEXT_CACHEABLE && !((Const *) node)->constisnull &&
			 relation_is_temporary(get_typ_typrelid(DatumGetObjectId(((Const *) node)->constvalue))))
		c->reason = CEXT_BYPASS_TEMPORARY;
	else if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->rowMarks != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cached query must not lock rows"),
					 errhint("Remove FOR UPDATE or FOR SHARE.")));
		return query_tree_walker(query, classify_walker, arg, 0);
	}
	return expression_tree_walker(node, classify_walker, arg);
}

/* The types, added to a list, that are named, where a value is made or as one. */
static bool
types_walker(Node *node, void *arg)
{
	List	  **types = arg;
	Oid			named;

	if (node == NULL)
		return false;
	if (IsA(node, Const) && ((Const *) node)->consttype == REGTYPEOID &&
		!((Const *) node)->constisnull)
	{
		named = DatumGetObjectId(((Const *) node)->constvalue);
		if (named >= FirstNormalObjectId && SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(named)))
			*types = list_append_unique_oid(*types, named);
		return false;
	}
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, types_walker, arg, 0);
		case T_Const:
		case T_FuncExpr:
		case T_CoerceViaIO:
		case T_RowExpr:
		case T_ConvertRowtypeExpr:
		case T_ArrayExpr:
		case T_ArrayCoerceExpr:
			if (exprType(node) >= FirstNormalObjectId)
				*types = list_append_unique_oid(*types, exprType(node));
			break;
		default:
			break;
	}
	return expression_tree_walker(node, types_walker, arg);
}

/*
 * The types that are not built in of what the query makes.  That they are not
 * columns of a relation it reads does not keep their relations from changing.
 */
List *
cext_types_made(Query *query)
{
	List	   *types = NIL;

	types_walker((Node *) query, &types);
	return types;
}

static bool
conversion_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, conversion_walker, arg, 0);
	if (IsA(node, CoerceViaIO) &&
		(cext_type_has_names(((CoerceViaIO *) node)->resulttype) ||
		 cext_type_has_names(exprType((Node *) ((CoerceViaIO *) node)->arg))))
		return true;
	return expression_tree_walker(node, conversion_walker, arg);
}

/* Does the query make text of names of relations, or the reverse? */
bool
cext_converts_names(Query *query)
{
	return conversion_walker((Node *) query, NULL);
}

/*
 * May the result be stored, as far as the query itself tells?  Also whether it
 * calls functions that are not built in, and reads settings.  Row locks are an
 * error.
 */
CextBypass
cext_classify(Query *query, bool *user_functions, bool *reads_settings)
{
	ClassifyContext c = {CEXT_CACHEABLE, false, false};

	classify_walker((Node *) query, &c);
	*user_functions = c.user_functions;
	*reads_settings = c.reads_settings;
	return c.reason;
}
