/*-------------------------------------------------------------------------
 *
 * cext_jobtable.c
 *		The rows of cache_warm_job.
 *
 * They are read with the rights of the server, by whoever needs to know: no SQL
 * is run for it.  A job counts for the role in its row only if the owner of the
 * table could act as that role: row-level security lets others write rows for
 * roles of theirs, but does not bind the owner.
 *
 * The table is found in the extension's schema.  One that has other columns than
 * this library knows has no rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_jobtable.h"
#include "cext_policy.h"

/* the table's columns */
enum
{
	COL_NAME,
	COL_ROLE,
	COL_KEY,
	COL_QUERY,
	COL_TTL,
	COL_EVERY,
	COL_PARAMETERS,
	COL_UNTYPED,
	COL_FORM,
	COL_SETTINGS,
	COL_ENABLED,
	COL_COUNT
};


/* Where the extension is in this database; InvalidOid if it is not. */
static Oid
extension_schema(void)
{
	Oid			extension = get_extension_oid("cache_ext", true);
	Oid			schema = InvalidOid;
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;

	if (!OidIsValid(extension))
		return InvalidOid;
	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tup = systable_getnext(scan);
	if (HeapTupleIsValid(tup))
		schema = ((Form_pg_extension) GETSTRUCT(tup))->extnamespace;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return schema;
}

typedef void (*RowFunction) (HeapTuple tup, Datum *values, bool *nulls, void *arg);

/*
 * Read the table, without asking for permission, and call a function for each
 * row that is enabled and that its owner may have.
 */
static void
walk_table(Oid schema, RowFunction function, void *arg)
{
	Oid			table = get_relname_relid("cache_warm_job", schema);
	Relation	rel;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tup;
	Datum		values[COL_COUNT];
	bool		nulls[COL_COUNT];

	if (!OidIsValid(table))
		return;
	rel = table_open(table, AccessShareLock);
	if (RelationGetDescr(rel)->natts != COL_COUNT)
	{
		table_close(rel, AccessShareLock);
		return;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		heap_deform_tuple(tup, RelationGetDescr(rel), values, nulls);
		if (nulls[COL_NAME] || nulls[COL_ROLE] || nulls[COL_KEY] || nulls[COL_QUERY] ||
			nulls[COL_ENABLED] || !DatumGetBool(values[COL_ENABLED]) ||
			GetUserNameFromId(DatumGetObjectId(values[COL_ROLE]), true) == NULL ||
			!cext_may_become(rel->rd_rel->relowner, DatumGetObjectId(values[COL_ROLE])))
			continue;
		function(tup, values, nulls, arg);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
}

static void
take_row(HeapTuple tup, Datum *values, bool *nulls, CextJobRow *row)
{
	memset(row, 0, sizeof(CextJobRow));
	text_to_cstring_buffer(DatumGetTextPP(values[COL_NAME]), row->name, NAMEDATALEN);
	row->roleid = DatumGetObjectId(values[COL_ROLE]);
	if (!nulls[COL_EVERY])
		row->every = (int64) (cext_interval_seconds(DatumGetIntervalP(values[COL_EVERY])) *
							  USECS_PER_SEC);
	row->version = ((uint64) HeapTupleHeaderGetRawXmin(tup->t_data) << 32) |
		(ItemPointerGetBlockNumberNoCheck(&tup->t_self) << 11 ^
		 ItemPointerGetOffsetNumberNoCheck(&tup->t_self));
}

typedef struct FindRow
{
	const char *name;
	CextJobRow *row;
	bool		found;
} FindRow;

static void
find_row(HeapTuple tup, Datum *values, bool *nulls, void *arg)
{
	FindRow    *f = arg;

	if (f->found || strcmp(TextDatumGetCString(values[COL_NAME]), f->name) != 0)
		return;
	take_row(tup, values, nulls, f->row);
	f->found = true;
}

/* Look for a job by name. */
bool
cext_jobtable_find(Oid schema, const char *name, CextJobRow *row)
{
	FindRow		f = {name, row, false};

	walk_table(schema, find_row, &f);
	return f.found;
}

typedef struct AllRows
{
	CextJobRow *rows;
	int			n;
	int			size;
} AllRows;

static void
add_row(HeapTuple tup, Datum *values, bool *nulls, void *arg)
{
	AllRows    *all = arg;

	if (all->n == all->size)
	{
		all->size *= 2;
		all->rows = repalloc(all->rows, all->size * sizeof(CextJobRow));
	}
	take_row(tup, values, nulls, &all->rows[all->n++]);
}

/* All rows; their number. */
int
cext_jobtable_all(CextJobRow **rows)
{
	AllRows		all;
	Oid			schema = extension_schema();

	all.n = 0;
	all.size = 16;
	all.rows = palloc(all.size * sizeof(CextJobRow));
	if (OidIsValid(schema))
		walk_table(schema, add_row, &all);
	*rows = all.rows;
	return all.n;
}

typedef struct FindText
{
	const char *name;
	MemoryContext context;
	CextJobText *job;
	bool		found;
} FindText;

static void
take_text(HeapTuple tup, Datum *values, bool *nulls, void *arg)
{
	FindText   *f = arg;
	CextJobText *job = f->job;
	char	   *name = TextDatumGetCString(values[COL_NAME]);
	MemoryContext old;

	if (strncmp(name, f->name, NAMEDATALEN - 1) != 0 ||
		DatumGetObjectId(values[COL_ROLE]) != GetUserId())
		return;
	old = MemoryContextSwitchTo(f->context);
	f->found = true;
	job->key = TextDatumGetCString(values[COL_KEY]);
	job->query = TextDatumGetCString(values[COL_QUERY]);
	if (!nulls[COL_TTL])
		job->ttl = TextDatumGetCString(values[COL_TTL]);
	if (!nulls[COL_PARAMETERS])
		job->parameters = TextDatumGetCString(values[COL_PARAMETERS]);
	job->untyped = !nulls[COL_UNTYPED] && DatumGetBool(values[COL_UNTYPED]);
	job->form = !nulls[COL_FORM] &&
		strcmp(TextDatumGetCString(values[COL_FORM]), "rows") == 0 ? 'r' : 'j';
	if (!nulls[COL_SETTINGS])
	{
		Datum	   *elements;
		bool	   *element_nulls;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(values[COL_SETTINGS]), TEXTOID, -1,
						  false, TYPALIGN_INT, &elements, &element_nulls, &n);
		job->settings = palloc((n + 1) * sizeof(char *));
		for (int i = 0; i < n; i++)
			if (!element_nulls[i])
				job->settings[job->nsettings++] = TextDatumGetCString(elements[i]);
	}
	MemoryContextSwitchTo(old);
}

/*
 * What a job of the current user is to do, in the given memory context.  False if
 * there is no such job.
 */
bool
cext_jobtable_text(const char *name, MemoryContext context, CextJobText *job)
{
	FindText	f = {name, context, job, false};

	job->schema = extension_schema();
	if (OidIsValid(job->schema))
		walk_table(job->schema, take_text, &f);
	return f.found;
}
