/*-------------------------------------------------------------------------
 *
 * cext_temptype.c
 *		Temporary types of this session, which may hide permanent ones.
 *
 * pg_temp is searched first for types as it is for relations, but what types a
 * query names is not known: they are in casts, in the bodies of functions.  So
 * the whole session goes past the cache while it has a temporary type of its
 * own, or a temporary relation whose row type hides a type that is none of a
 * relation.  (Hidden relations are compared entry by entry: see cext_query.c.)
 * Both are rare.
 *
 * The names of all types ever created in this session's temporary schema are
 * kept, in TopMemoryContext, without asking what became of the transaction;
 * whether they are there, and hide something, is asked of the syscache.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cext_temptype.h"

static List *names;				/* of char *, distinct */

static void
remember(const char *name)
{
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	names = lappend(names, pstrdup(name));
	MemoryContextSwitchTo(old);
}

/* A type has been created by the current command; its row is not yet visible. */
void
cext_temptype_created(Oid type)
{
	Relation	pg_type = table_open(TypeRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;

	ScanKeyInit(&key, Anum_pg_type_oid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(type));
	scan = systable_beginscan(pg_type, TypeOidIndexId, true, SnapshotSelf, 1, &key);
	tup = systable_getnext(scan);
	if (HeapTupleIsValid(tup))
	{
		Form_pg_type t = (Form_pg_type) GETSTRUCT(tup);

		/* an array hides another where its elements do */
		if (isTempNamespace(t->typnamespace) && t->typcategory != TYPCATEGORY_ARRAY)
			remember(NameStr(t->typname));
	}
	systable_endscan(scan);
	table_close(pg_type, AccessShareLock);
}

/* Is this the row type of a table or view? */
static bool
is_row_type(Oid type)
{
	Oid			relid = get_typ_typrelid(type);

	return OidIsValid(relid) && get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE;
}

static Oid
find_type(const char *name, Oid schema)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum(name), ObjectIdGetDatum(schema));
}

/* Could what this session makes of a query depend on a temporary type? */
bool
cext_temptype_matters(void)
{
	Oid			temp;
	Oid			toast;
	List	   *path;
	ListCell   *lc;
	ListCell   *lc2;
	bool		result = false;

	if (likely(names == NIL))
		return false;
	GetTempNamespaceState(&temp, &toast);
	if (!OidIsValid(temp))
		return false;
	path = fetch_search_path(true);
	foreach(lc, names)
	{
		Oid			type = find_type(lfirst(lc), temp);

		if (!OidIsValid(type))
			continue;
		if (!is_row_type(type))
			result = true;
		foreach(lc2, path)
		{
			Oid			hidden = lfirst_oid(lc2) == temp ? InvalidOid :
				find_type(lfirst(lc), lfirst_oid(lc2));

			if (OidIsValid(hidden) && !is_row_type(hidden))
				result = true;
		}
		if (result)
			break;
	}
	list_free(path);
	return result;
}
