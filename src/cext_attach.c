/*-------------------------------------------------------------------------
 *
 * cext_attach.c
 *		cache_attach(), cache_detach(): the right set of triggers.
 *
 * What decides which set that is:
 *
 *	- A trigger with transition tables serves one event, and no partition,
 *	  inheritance child, foreign table or view.
 *	- A statement trigger never fires for rows that logical replication applies;
 *	  a row trigger does if it is enabled for replicas.
 *	- DML on a partition or child skips its parent's statement triggers.
 *	- A new partition inherits row triggers, and nothing else.
 *
 * So a plain table gets statement triggers with transition tables for its own
 * sessions and a row trigger for replicas; a partitioned table, a member of an
 * inheritance tree or a foreign table gets row triggers that always fire.
 * TRUNCATE has a trigger on each table of a tree; for partitions made later,
 * cext_ddl.c sees one, but not if it is the apply worker's.
 *
 * Everything is done by SQL as the caller, who must own the table.  Operators
 * are named with their schema: the search path is not to be trusted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cext_compat.h"
#include "cext_trigger.h"

PG_FUNCTION_INFO_V1(cache_attach);
PG_FUNCTION_INFO_V1(cache_detach);

/* Our triggers, in every combination that cache_attach() makes. */
static const char *const trigger_names[] = {
	"cache_ext_insert",
	"cache_ext_update",
	"cache_ext_delete",
	"cache_ext_row",
	"cache_ext_truncate",
};

static void
run(const char *sql)
{
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\"", sql);
}

static char *
qualified(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* Open a table that may carry triggers and that the caller owns. */
static Relation
open_table(Oid relid, bool attach)
{
	Relation	rel;

	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	/* before the lock too, lest anybody make others wait for it */
	if (!cext_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	rel = relation_open(relid, ShareRowExclusiveLock);
	if (!cext_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, RelationGetRelationName(rel));
	if (attach &&
		rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE &&
		rel->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot attach cache triggers to \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("It is not a table."),
				 errhint("Attach to the tables it reads.")));
	return rel;
}

/* Drop our triggers from a table, except those its parent's trigger made. */
static int
drop_triggers(Oid relid)
{
	int			n = 0;

	for (int i = 0; i < (int) lengthof(trigger_names); i++)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql,
						 "SELECT 1 FROM pg_catalog.pg_trigger"
						 " WHERE tgrelid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid"
						 " AND tgname OPERATOR(pg_catalog.=) %s::pg_catalog.name"
						 " AND tgparentid OPERATOR(pg_catalog.=) '0'::pg_catalog.oid",
						 relid, quote_literal_cstr(trigger_names[i]));
		if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not look for triggers");
		if (SPI_processed == 0)
			continue;
		resetStringInfo(&sql);
		appendStringInfo(&sql, "DROP TRIGGER %s ON %s",
						 trigger_names[i], qualified(relid));
		run(sql.data);
		n++;
	}
	return n;
}

static void
create_trigger(Oid relid, const char *name, const char *event,
			   const char *referencing, const char *level, const char *function,
			   const char *args, const char *enable)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s AFTER %s ON %s %s FOR EACH %s EXECUTE FUNCTION %s(%s)",
					 name, event, qualified(relid), referencing, level, function, args);
	run(sql.data);
	if (enable != NULL)
	{
		resetStringInfo(&sql);
		appendStringInfo(&sql, "ALTER TABLE %s ENABLE %s TRIGGER %s",
						 qualified(relid), enable, name);
		run(sql.data);
	}
	pfree(sql.data);
}

/* cache_attach(rel, VARIADIC templates) returns void */
Datum
cache_attach(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Relation	rel;
	Datum	   *templates;
	bool	   *nulls;
	int			n;
	StringInfoData args;
	char	   *function;
	List	   *tree;
	ListCell   *lc;
	bool		rows_only;
	bool		partitioned;
	char		kind;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	relid = PG_GETARG_OID(0);
	rel = open_table(relid, true);
	function = quote_qualified_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)),
										  "cache_invalidate_trigger");

	initStringInfo(&args);
	if (PG_NARGS() > 1 && !PG_ARGISNULL(1))
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
						  &templates, &nulls, &n);
		for (int i = 0; i < n; i++)
		{
			char	   *source;

			if (nulls[i])
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("cache key template must not be null")));
			source = TextDatumGetCString(templates[i]);
			cext_template_check(source, rel, get_func_namespace(fcinfo->flinfo->fn_oid));
			appendStringInfo(&args, "%s%s", i > 0 ? ", " : "", quote_literal_cstr(source));
		}
	}

	kind = rel->rd_rel->relkind;
	partitioned = kind == RELKIND_PARTITIONED_TABLE;
	rows_only = kind != RELKIND_RELATION || rel->rd_rel->relispartition ||
		has_subclass(relid) || has_superclass(relid);
	relation_close(rel, NoLock);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	tree = find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	foreach(lc, tree)
		drop_triggers(lfirst_oid(lc));

	if (!rows_only)
	{
		create_trigger(relid, "cache_ext_insert", "INSERT",
					   "REFERENCING NEW TABLE AS cache_ext_new",
					   "STATEMENT", function, args.data, NULL);
		create_trigger(relid, "cache_ext_update", "UPDATE",
					   "REFERENCING OLD TABLE AS cache_ext_old NEW TABLE AS cache_ext_new",
					   "STATEMENT", function, args.data, NULL);
		create_trigger(relid, "cache_ext_delete", "DELETE",
					   "REFERENCING OLD TABLE AS cache_ext_old",
					   "STATEMENT", function, args.data, NULL);
		create_trigger(relid, "cache_ext_row", "INSERT OR UPDATE OR DELETE", "",
					   "ROW", function, args.data, "REPLICA");
	}
	foreach(lc, tree)
	{
		Oid			member = lfirst_oid(lc);
		char		member_kind = get_rel_relkind(member);

		if (rows_only)
		{
			if (!partitioned || member == relid)
				create_trigger(member, "cache_ext_row", "INSERT OR UPDATE OR DELETE", "",
							   "ROW", function, args.data, "ALWAYS");
			else
			{
				/* a clone of the root's, which ENABLE may not have reached */
				StringInfoData sql;

				initStringInfo(&sql);
				appendStringInfo(&sql, "ALTER TABLE %s ENABLE ALWAYS TRIGGER cache_ext_row",
								 qualified(member));
				run(sql.data);
			}
		}
		if (member_kind == RELKIND_RELATION || member_kind == RELKIND_PARTITIONED_TABLE ||
			member_kind == RELKIND_FOREIGN_TABLE)
			create_trigger(member, "cache_ext_truncate", "TRUNCATE", "",
						   "STATEMENT", function, args.data, "ALWAYS");
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/* cache_detach(rel) returns void */
Datum
cache_detach(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Relation	rel;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	relid = PG_GETARG_OID(0);
	rel = open_table(relid, false);
	relation_close(rel, NoLock);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	foreach(lc, find_all_inheritors(relid, ShareRowExclusiveLock, NULL))
		drop_triggers(lfirst_oid(lc));
	SPI_finish();
	PG_RETURN_VOID();
}
