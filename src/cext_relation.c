/*-------------------------------------------------------------------------
 *
 * cext_relation.c
 *		Questions about relations in the catalogs.
 *
 * Results are palloc'd in the current memory context.  Nothing is locked: the
 * callers hold a lock on the relation they ask about, or ask about one that
 * may as well be gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cext_compat.h"
#include "cext_relation.h"

/* Anything an inheritance link can point up from? */
static bool
may_have_parents(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	char		kind;

	if (!HeapTupleIsValid(tup))
		return true;
	kind = ((Form_pg_class) GETSTRUCT(tup))->relkind;
	ReleaseSysCache(tup);
	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE ||
		kind == RELKIND_FOREIGN_TABLE;
}

/*
 * All partitioned tables and inheritance parents above a relation, nearest
 * first, without itself.  The relation may have been dropped.
 */
List *
cext_relation_ancestors(Oid relid)
{
	List	   *result = NIL;
	List	   *todo;
	Relation	inh = NULL;

	if (!may_have_parents(relid))
		return NIL;

	todo = list_make1_oid(relid);
	while (todo != NIL)
	{
		Oid			child = linitial_oid(todo);
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tup;

		todo = list_delete_first(todo);
		if (inh == NULL)
			inh = table_open(InheritsRelationId, AccessShareLock);
		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(child));
		scan = systable_beginscan(inh, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tup = systable_getnext(scan)))
		{
			Oid			parent = ((Form_pg_inherits) GETSTRUCT(tup))->inhparent;

			if (!list_member_oid(result, parent))
			{
				result = lappend_oid(result, parent);
				todo = lappend_oid(todo, parent);
			}
		}
		systable_endscan(scan);
	}
	if (inh != NULL)
		table_close(inh, AccessShareLock);
	return result;
}

/*
 * May this role touch every key?  That is the privilege to execute
 * cache_clear() of the extension in this schema.
 */
bool
cext_may_clear(Oid schema, Oid roleid)
{
	Oid			clear = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										CStringGetDatum("cache_clear"),
										PointerGetDatum(buildoidvector(NULL, 0)),
										ObjectIdGetDatum(schema));

	return OidIsValid(clear) && cext_may_execute(clear, roleid);
}

/*
 * The names of all databases, as Strings.  For a process that has no
 * transaction, and whose resource owner is its own.
 */
List *
cext_database_names(void)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List	   *names = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tup;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tup = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tup);
		MemoryContext old = MemoryContextSwitchTo(context);

		names = lappend(names, makeString(pstrdup(NameStr(form->datname))));
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return names;
}
