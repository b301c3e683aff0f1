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
 * What else can be made in pg_temp, functions above all, is only found where
 * pg_temp is named, but that may be in any function, and in another session it is
 * another object.  So a session that has any of these goes past the cache, too.
 *
 * The names of all types created in this session's temporary schema are kept, in
 * TopMemoryContext, without asking what became of the transaction; whether they
 * are there, and hide something, is asked of the syscache.  Likewise the numbers
 * of functions and the like.  What is not there is forgotten when the transaction
 * has changed nothing so far, and could not bring it back by its end: by a call of
 * ours, which looks at them all, and where there are many by the next utility
 * statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
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

#define MANY	64

/* A function or the like. */
typedef struct TempObject
{
	Oid			class;
	Oid			oid;
} TempObject;

static List *names;				/* of char *, distinct */
static List *objects;			/* of TempObject */
static int	many = MANY;		/* so many are worth tidying up */

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

/*
 * A type has been created or renamed by the current command; its row is not yet
 * visible.
 */
void
cext_temptype_named(Oid type)
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

static bool
is_known(Oid class, Oid oid)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		const TempObject *object = lfirst(lc);

		if (object->class == class && object->oid == oid)
			return true;
	}
	return false;
}

/* A function, or what else is found by its schema's name, has been created. */
void
cext_temptype_created(Oid class, Oid oid)
{
	Oid			temp;
	Oid			toast;
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;
	bool		isnull;

	GetTempNamespaceState(&temp, &toast);
	if (!OidIsValid(temp) || is_known(class, oid))
		return;
	catalog = table_open(class, AccessShareLock);
	ScanKeyInit(&key, get_object_attnum_oid(class), BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(catalog, get_object_oid_index(class), true, SnapshotSelf,
							  1, &key);
	tup = systable_getnext(scan);
	if (HeapTupleIsValid(tup) &&
		DatumGetObjectId(heap_getattr(tup, get_object_attnum_namespace(class),
									  RelationGetDescr(catalog), &isnull)) == temp)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TempObject *object = palloc(sizeof(TempObject));

		object->class = class;
		object->oid = oid;
		objects = lappend(objects, object);
		MemoryContextSwitchTo(old);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* Is this the row type of a table or view? */
static bool
is_row_type(Oid type)
{
	Oid			relid = get_typ_typrelid(type);

	return OidIsValid(relid) && get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE;
}

/*
 * Does any schema but the temporary ones have a type of this name that is none
 * of a relation?  A relation's row type may then hide it.
 */
bool
cext_temptype_hides(const char *name)
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

/* The type of this name in the temporary schema, if there is one now. */
static Oid
temporary_type(const char *name, Oid temp)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum(name), ObjectIdGetDatum(temp));
}

static bool
object_exists(const TempObject *object)
{
	return SearchSysCacheExists1(get_object_catcache_oid(object->class),
								 ObjectIdGetDatum(object->oid));
}

/* Where there is much: forget what is gone. */
void
cext_temptype_tidy(void)
{
	Oid			temp;
	Oid			toast;
	ListCell   *lc;

	if (likely(list_length(names) + list_length(objects) < many) || !IsTransactionState() ||
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	GetTempNamespaceState(&temp, &toast);
	foreach(lc, names)
	{
		char	   *name = lfirst(lc);

		if (OidIsValid(temporary_type(name, temp)))
			continue;
		names = foreach_delete_current(names, lc);
		pfree(name);
	}
	foreach(lc, objects)
	{
		TempObject *object = lfirst(lc);

		if (object_exists(object))
			continue;
		objects = foreach_delete_current(objects, lc);
		pfree(object);
	}
	many = Max(MANY, 2 * (list_length(names) + list_length(objects)));
}

/* Could what this session makes of a query depend on what is temporary? */
bool
cext_temptype_matters(void)
{
	Oid			temp;
	Oid			toast;
	ListCell   *lc;
	bool		gone = false;

	if (likely(names == NIL && objects == NIL))
		return false;
	GetTempNamespaceState(&temp, &toast);
	if (!OidIsValid(temp))
		return false;
	foreach(lc, names)
	{
		Oid			type = temporary_type(lfirst(lc), temp);

		if (OidIsValid(type) && (!is_row_type(type) || cext_temptype_hides(lfirst(lc))))
			return true;
		gone |= !OidIsValid(type);
	}
	foreach(lc, objects)
	{
		if (object_exists(lfirst(lc)))
			return true;
		gone = true;
	}
	if (gone)
	{
		many = 0;
		cext_temptype_tidy();
	}
	return false;
}
