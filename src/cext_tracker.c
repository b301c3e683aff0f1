/*-------------------------------------------------------------------------
 *
 * cext_tracker.c
 *		What a fill turns out to read while it runs.
 *
 * What happens inside functions cannot be read off the query (cext_analyze.c):
 * every executor start below a fill, by a hook, names the relations it reads and
 * whether row-level security shaped its plan; every function about to be
 * executed is seen by object_access_hook, which fires when its expression is
 * initialized, built-in functions included.
 *
 * PL/pgSQL initializes a simple expression once a transaction.  A function that
 * was called before the fill may therefore read a setting without our seeing
 * it; and a wrapper that is IMMUTABLE by declaration is folded into a cached
 * plan once and for all.  So after the first current_setting() in a session, by
 * anybody, every later fill in it that calls a user's function is taken to
 * vary; and after the first function of the session, or that looks into the
 * catalogs by itself, in a transaction, such fills in it are not stored.
 *
 * C functions of extensions may read settings through their own variables
 * (pg_trgm's thresholds, say): a query that calls one varies too, and so does
 * one that calls a user's function after one was called in the transaction.
 *
 * Trackers live in their callers' stack frames and memory contexts, and are
 * popped by PG_FINALLY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "cext_analyze.h"
#include "cext_compat.h"
#include "cext_function.h"
#include "cext_guc.h"
#include "cext_relation.h"
#include "cext_tracker.h"

#define MAX_TAGS	2048
#define MAX_RELS	4096

static CextTracker *current;

/* see above */
static bool settings_read;		/* in this session */
static bool session_function_called;	/* in this transaction; */
static bool catalog_function_called;	/* likewise, */
static bool c_function_called;	/* likewise */

static ExecutorStart_hook_type prev_executor_start;
static object_access_hook_type prev_object_access;


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
	outer->caught |= tracker->caught;
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

/* Names of relations were looked up, which ones is not known. */
void
cext_tracker_names(void)
{
	if (current != NULL)
		add_tag(current, cext_tag_any_name(MyDatabaseId));
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
		char	   *name;
		ListCell   *lc2;
		bool		covered = false;

		/* a child scanned for its parent's sake: the parent's tag tells */
		foreach(lc2, above)
			covered |= list_member_oid(t->rels, lfirst_oid(lc2));
		if (covered)
			continue;
		all = list_append_unique_int(all, cext_tag_relation(MyDatabaseId, relid));
		name = get_rel_name(relid);
		if (name != NULL)
			all = list_append_unique_int(all, cext_tag_name(MyDatabaseId, name));
		foreach(lc2, above)
			all = list_append_unique_int(all, cext_tag_tree(MyDatabaseId, lfirst_oid(lc2)));
		if (list_length(all) > MAX_TAGS)
			return 0;
	}

	if (t->caught)
		all = list_append_unique_int(all, cext_tag_any_name(MyDatabaseId));

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
	if (unlikely(current != NULL) && queryDesc->planstate != NULL &&
		cext_plan_reads_system_columns(queryDesc->planstate, NULL))
		cext_tracker_refuse(CEXT_BYPASS_SYSTEM_COLUMN);
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
	switch (cext_function_kind(funcid))
	{
		case CEXT_FUNCTION_PLAIN:
			break;
		case CEXT_FUNCTION_OURS:
		case CEXT_FUNCTION_C_IMMUTABLE:
			cext_tracker_varies();
			break;
		case CEXT_FUNCTION_SETTING:
			cext_note_setting_read();
			break;
		case CEXT_FUNCTION_SESSION:
			session_function_called = true;
			cext_tracker_refuse(CEXT_BYPASS_SESSION_FUNCTION);
			break;
		case CEXT_FUNCTION_TEMPORARY:
			session_function_called = true;
			cext_tracker_refuse(CEXT_BYPASS_TEMPORARY);
			break;
		case CEXT_FUNCTION_CATALOG:
			catalog_function_called = true;
			cext_tracker_refuse(CEXT_BYPASS_CATALOG);
			break;
		case CEXT_FUNCTION_C:
			c_function_called = true;
			break;
	}
	if (current == NULL || funcid < FirstNormalObjectId)
		return;
	if (settings_read || c_function_called)
		current->varies = true;
	if (session_function_called)
		cext_tracker_refuse(CEXT_BYPASS_SESSION_FUNCTION);
	if (catalog_function_called)
		cext_tracker_refuse(CEXT_BYPASS_CATALOG);
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
	session_function_called = catalog_function_called = c_function_called = false;
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PREPARE)
		current = NULL;
}

/*
 * A function has caught an error, maybe that a table does not exist.  Which, is
 * not known, so any that comes into being may make the answer another one.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	if (likely(current == NULL) || event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (CextTracker *t = current; t != NULL; t = t->parent)
		t->caught = true;
}

void
cext_tracker_init(void)
{
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
