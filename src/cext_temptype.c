/*-------------------------------------------------------------------------
 *
 * cext_temptype.c
 *		Temporary types of this session, which may hide permanent ones.
 *
 * pg_temp is searched first for types as it is for relations, but what types a
 * query names is not known: they are in casts, in the bodies of functions.  So
 * the whole session goes past the cache while it has a temporary type of its
 * own, or a temporary relation whose row type may hide, in this search path or
 * one of a function's own, a type that is none of a relation.  (Hidden relations
 * are compared entry by entry: see cext_find.c.)  Both are rare.
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
#include "utils/catcache.h"
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

/* Does any schema but the temporary ones have a type of this name of its own? */
static bool
hides_type(const char *name)
{
	CatCList   *list = SearchSysCacheList1(TYPENAMENSP, CStringGetDatum(name));
	bool		result = false;

	for (int i = 0; i < list->n_members && !result; i++)
	{
		Form_pg_type t = (Form_pg_type) GETSTRUCT(&list->members[i]->tuple);

		result = !is_row_type(t->oid) && !isAnyTempNamespace(t->typnamespace);
	}
	ReleaseSysCacheList(list);
	return result;
}

/* Could what this session makes of a query depend on a temporary type? */
bool
cext_temptype_matters(void)
{
	Oid			temp;
	Oid			toast;
	ListCell   *lc;

	if (likely(names == NIL))
		return false;
	GetTempNamespaceState(&temp, &toast);
	if (!OidIsValid(temp))
		return false;
	foreach(lc, names)
	{
		Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
										   CStringGetDatum(lfirst(lc)),
										   ObjectIdGetDatum(temp));

		if (OidIsValid(type) && (!is_row_type(type) || hides_type(lfirst(lc))))
			return true;
	}
	return false;
}
