/*-------------------------------------------------------------------------
 *
 * cext_analyze.c
 *		What a query reads, and whether its result may be stored.
 *
 * Two sources.  The analyzed and rewritten query tells of volatile functions,
 * row locks and the like before it runs.  What only happens inside functions
 * is seen while it runs: every executor start below a fill, by a hook, names
 * the relations it reads and whether row-level security shaped its plan; every
 * function about to be executed is seen by object_access_hook, which fires when
 * its expression is initialized, built-in functions included.
 *
 * PL/pgSQL initializes a simple expression once a transaction.  A function that
 * was called before the fill may therefore read a setting without our seeing
 * it; and a wrapper that is IMMUTABLE by declaration is folded into a cached
 * plan once and for all.  So after the first current_setting() in a session, by
 * anybody, every later fill in it that calls a user's function is taken to
 * vary; and after the first function of the session in a transaction, such
 * fills in it are not stored.
 *
 * C functions of extensions may read settings through their own variables
 * (pg_trgm's thresholds, say): a query that calls one varies too.
 *
 * Trackers live in their callers' stack frames and memory contexts, and are
 * popped by PG_FINALLY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_param.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_relation.h"

#define MAX_TAGS	1024
#define MAX_RELS	4096

static CextTracker *current;

/* see above */
static bool settings_read;		/* in this session */
static bool session_function_called;	/* in this transaction */

static ExecutorStart_hook_type prev_executor_start;
static object_access_hook_type prev_object_access;

/*
 * STABLE by catalog, but of the session, its transaction, or its snapshot.
 */
static const Oid session_functions[] = {
	F_SESSION_USER,
	F_PG_BACKEND_PID,
	F_PG_MY_TEMP_SCHEMA,
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
 *		Trackers
 * ----------------------------------------------------------------
 */

/* Start to learn about a fill.  The caller has zeroed it. */
void
cext_tracker_push(CextTracker *tracker)
{
	tracker->parent = current;
	tracker->context = CurrentMemoryContext;
	tracker->expires = DT_NOEND;
	current = tracker;
}

static void
add_rel(CextTracker *t, Oid relid)
{
	MemoryContext old;

	if (list_member_oid(t->rels, relid))
		return;
	if (list_length(t->rels) >= MAX_RELS)
	{
		t->reason = CEXT_BYPASS_TOO_MANY_RELATIONS;
		return;
	}
	old = MemoryContextSwitchTo(t->context);
	t->rels = lappend_oid(t->rels, relid);
	MemoryContextSwitchTo(old);
}

static void
add_tag(CextTracker *t, CextTag tag)
{
	MemoryContext old;

	if (list_member_int(t->inherited, tag))
		return;
	if (list_length(t->inherited) >= MAX_TAGS)
	{
		t->reason = CEXT_BYPASS_TOO_MANY_RELATIONS;
		return;
	}
	old = MemoryContextSwitchTo(t->context);
	t->inherited = lappend_int(t->inherited, tag);
	MemoryContextSwitchTo(old);
}

/*
 * Stop.  What was learned is true of the outer fill as well, even if this one
 * failed: a function may have caught the error.  And whoever invalidates the
 * inner key means the outer entry too, stored or not.
 */
void
cext_tracker_pop(CextTracker *tracker, const char *key, int keylen)
{
	CextTracker *outer = tracker->parent;
	CextTag		tags[CEXT_MAX_PREFIXES + 1];
	int			ntags;
	ListCell   *lc;

	/* an inner one that an error skipped goes too */
	current = outer;
	if (outer == NULL || !cext_active())
		return;
	ntags = cext_tags_of_key(MyDatabaseId, key, keylen, tags);
	for (int i = 0; i < ntags; i++)
		add_tag(outer, tags[i]);
	/* patterns are compared with the outer key alone: see the tag */
	add_tag(outer, cext_tag_globs(MyDatabaseId));
	foreach(lc, tracker->rels)
		add_rel(outer, lfirst_oid(lc));
	foreach(lc, tracker->inherited)
		add_tag(outer, lfirst_int(lc));
	outer->expires = Min(outer->expires, tracker->expires);
	outer->varies |= tracker->varies;
	if (tracker->reason != CEXT_CACHEABLE)
		outer->reason = tracker->reason;
}

bool
cext_tracking(void)
{
	return current != NULL;
}

/*
 * A nested call was answered from this entry, so it held after the current
 * fill's stamp was read.  An invalidation of it from then on draws a version
 * later than that stamp: the tags are enough, the entry's own older stamp does
 * not matter.
 */
void
cext_tracker_entry(CextEntry *entry)
{
	if (current == NULL)
		return;
	for (int i = 0; i < entry->ntags; i++)
		add_tag(current, CEXT_ENTRY_TAGS(entry)[i]);
	/* patterns are compared with the outer key alone: see the tag */
	add_tag(current, cext_tag_globs(entry->dbid));
	for (int i = 0; i < entry->nrels; i++)
		add_rel(current, CEXT_ENTRY_RELS(entry)[i]);
	current->expires = Min(current->expires, entry->expires);
}

/*
 * A value of this type is part of the entry: its bytes mean nothing once a row
 * type in it has changed.
 */
void
cext_tracker_type(Oid type)
{
	Oid			inner;

	check_stack_depth();
	type = getBaseType(type);
	if (type < FirstNormalObjectId && type != RECORDOID)
	{
		inner = get_element_type(type);
		if (OidIsValid(inner) && inner >= FirstNormalObjectId)
			cext_tracker_type(inner);
		return;
	}
	if (OidIsValid(inner = get_element_type(type)) ||
		OidIsValid(inner = get_range_subtype(type)) ||
		OidIsValid(inner = get_multirange_range(type)))
		cext_tracker_type(inner);
	else if (get_typtype(type) == TYPTYPE_COMPOSITE)
	{
		Oid			relid = get_typ_typrelid(type);
		TupleDesc	desc;

		if (list_member_oid(current->rels, relid))
			return;
		add_rel(current, relid);
		desc = lookup_rowtype_tupdesc(type, -1);
		for (int i = 0; i < desc->natts; i++)
			if (!TupleDescAttr(desc, i)->attisdropped)
				cext_tracker_type(TupleDescAttr(desc, i)->atttypid);
		ReleaseTupleDesc(desc);
	}
}

void
cext_tracker_varies(void)
{
	if (current != NULL)
		current->varies = true;
}

void
cext_tracker_refuse(CextBypass reason)
{
	if (current != NULL && current->reason == CEXT_CACHEABLE)
		current->reason = reason;
}

static int
compare_tags(const void *a, const void *b)
{
	CextTag		x = *(const CextTag *) a;
	CextTag		y = *(const CextTag *) b;

	return x < y ? -1 : x > y;
}

/*
 * The tags of an entry for this fill, sorted and distinct, and the relations
 * to remember with it.  0 if there are too many.
 */
int
cext_tracker_tags(CextTracker *t, const char *key, int keylen,
				  CextTag **tags, List **rels)
{
	List	   *all = NIL;
	ListCell   *lc;
	CextTag		own[CEXT_MAX_PREFIXES + 1];
	int			nown = cext_tags_of_key(MyDatabaseId, key, keylen, own);
	int			n = 0;
	int			distinct = 0;

	foreach(lc, t->rels)
	{
		Oid			relid = lfirst_oid(lc);
		List	   *above = cext_relation_ancestors(relid);
		ListCell   *lc2;
		bool		covered = false;

		/* a child scanned for its parent's sake: the parent's tag tells */
		foreach(lc2, above)
			covered |= list_member_oid(t->rels, lfirst_oid(lc2));
		if (covered)
			continue;
		all = list_append_unique_int(all, cext_tag_relation(MyDatabaseId, relid));
		foreach(lc2, above)
			all = list_append_unique_int(all, cext_tag_tree(MyDatabaseId, lfirst_oid(lc2)));
		if (list_length(all) > MAX_TAGS)
			return 0;
	}

	*tags = palloc((list_length(all) + list_length(t->inherited) + nown + 2) *
				   sizeof(CextTag));
	(*tags)[n++] = CEXT_TAG_CLUSTER;
	(*tags)[n++] = cext_tag_database(MyDatabaseId);
	for (int i = 0; i < nown; i++)
		(*tags)[n++] = own[i];
	foreach(lc, all)
		(*tags)[n++] = lfirst_int(lc);
	foreach(lc, t->inherited)
		(*tags)[n++] = lfirst_int(lc);
	qsort(*tags, n, sizeof(CextTag), compare_tags);
	for (int i = 0; i < n; i++)
		if (i == 0 || (*tags)[i] != (*tags)[i - 1])
			(*tags)[distinct++] = (*tags)[i];
	*rels = t->rels;
	return distinct;
}


/* ----------------------------------------------------------------
 *		What runs
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

static void
executor_start(QueryDesc *queryDesc, int eflags)
{
	if (unlikely(current != NULL))
	{
		PlannedStmt *stmt = queryDesc->plannedstmt;
		ListCell   *lc;

		/*
		 * The relations to depend on are more than those read: a regclass
		 * constant is among them.
		 */
		foreach(lc, stmt->relationOids)
			add_rel(current, lfirst_oid(lc));
		cext_tracker_refuse(cext_plan_bypass(stmt));
		if (!current->rls_covered && cext_row_security_in_force(stmt))
			cext_tracker_refuse(CEXT_BYPASS_ROW_SECURITY);
		if (stmt->commandType != CMD_SELECT || stmt->hasModifyingCTE)
			cext_tracker_refuse(CEXT_BYPASS_QUERY_WROTE);
	}
	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

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
 * themselves.  They have names of these forms.
 */
static bool
is_catalog_function(Oid funcid)
{
	char	   *name;

	if (funcid == F_PG_TYPEOF || funcid == F_PG_COLUMN_SIZE ||
		funcid == F_PG_COLUMN_COMPRESSION ||
		func_volatile(funcid) != PROVOLATILE_STABLE)
		return false;
	name = get_func_name(funcid);
	return name != NULL &&
		(strncmp(name, "pg_", 3) == 0 || strncmp(name, "to_reg", 6) == 0);
}

/* A setting has been read past current_setting(). */
void
cext_note_setting_read(void)
{
	settings_read = true;
	cext_tracker_varies();
}

/* A function is about to be executed. */
static void
note_function(Oid funcid)
{
	if (funcid < FirstNormalObjectId)
	{
		if (funcid == F_CURRENT_SETTING_TEXT || funcid == F_CURRENT_SETTING_TEXT_BOOL)
		{
			cext_note_setting_read();
		}
		else if (is_session_function(funcid))
		{
			session_function_called = true;
			cext_tracker_refuse(CEXT_BYPASS_SESSION_FUNCTION);
		}
		else if (current != NULL && is_catalog_function(funcid))
			cext_tracker_refuse(CEXT_BYPASS_CATALOG);
	}
	else if (current != NULL)
	{
		HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));

		if (settings_read)
			current->varies = true;
		if (session_function_called)
			cext_tracker_refuse(CEXT_BYPASS_SESSION_FUNCTION);
		if (HeapTupleIsValid(tup))
		{
			if (((Form_pg_proc) GETSTRUCT(tup))->prolang == ClanguageId)
				current->varies = true;
			ReleaseSysCache(tup);
		}
	}
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);
	if (access == OAT_FUNCTION_EXECUTE)
		note_function(objectId);
}

static void
xact_callback(XactEvent event, void *arg)
{
	session_function_called = false;
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PREPARE)
		current = NULL;
}


/* ----------------------------------------------------------------
 *		What is asked
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
	if (((Form_pg_proc) GETSTRUCT(tup))->prolang == ClanguageId)
	{
		bool		isnull;
		Datum		src = SysCacheGetAttr(PROCOID, tup, Anum_pg_proc_prosrc, &isnull);
		Datum		bin = isnull ? 0 :
			SysCacheGetAttr(PROCOID, tup, Anum_pg_proc_probin, &isnull);

		if (!isnull)
		{
			char	   *s = TextDatumGetCString(src);
			char	   *b = TextDatumGetCString(bin);

			result = strstr(b, "cache_ext") != NULL &&
				(strcmp(s, "cached_query") == 0 || strcmp(s, "cached_rows") == 0 ||
				 strcmp(s, "cached_json") == 0);
		}
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
} ClassifyContext;

static bool
classify_function(Oid funcid, void *arg)
{
	ClassifyContext *c = arg;

	if (funcid >= FirstNormalObjectId)
		c->user_functions = true;
	else if (funcid == F_CURRENT_SETTING_TEXT || funcid == F_CURRENT_SETTING_TEXT_BOOL)
		cext_tracker_varies();
	if (is_session_function(funcid))
		c->reason = CEXT_BYPASS_SESSION_FUNCTION;
	else if (c->reason == CEXT_CACHEABLE && funcid < FirstNormalObjectId &&
			 is_catalog_function(funcid))
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

/*
 * May the result be stored, as far as the query itself tells?  Also whether it
 * calls functions that are not built in.  Row locks are an error.
 */
CextBypass
cext_classify(Query *query, bool *user_functions)
{
	ClassifyContext c = {CEXT_CACHEABLE, false};

	classify_walker((Node *) query, &c);
	*user_functions = c.user_functions;
	return c.reason;
}

void
cext_analyze_init(void)
{
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(xact_callback, NULL);
}
