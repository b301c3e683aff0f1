/*-------------------------------------------------------------------------
 *
 * cext_ddl.c
 *		DDL invalidates what it changes.
 *
 * Relations: object_access_hook names each one that is created, altered,
 * dropped or truncated, however that came about (CASCADE, DROP OWNED, an
 * extension's script).  Its entries die, with those of the relations above it
 * and of every other relation of its name, which it may now hide or have
 * hidden on somebody's search path: a name has a tag, since one whose creation
 * has not committed could not be looked up.  What that hook does not tell
 * (REFRESH MATERIALIZED VIEW, ATTACH and DETACH PARTITION) is read off the
 * statement.
 *
 * All other DDL is rare and far-reaching, so what is not known to be harmless
 * invalidates the database; what concerns roles or databases, which all
 * databases share, the cluster.
 *
 * The statement's tags are added before it runs and again after, because some
 * utility commands commit in between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cext_compat.h"
#include "cext_ddl.h"
#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_queue.h"
#include "cext_relation.h"
#include "cext_temptype.h"
#include "cext_tracker.h"
#include "cext_trigger.h"

static ProcessUtility_hook_type prev_process_utility;
static object_access_hook_type prev_object_access;


/* ----------------------------------------------------------------
 *		Relations
 * ----------------------------------------------------------------
 */

static void
invalidate_relation(Oid relid, const char *relname)
{
	cext_inval_relation_tree(relid);
	cext_inval_add(cext_tag_any_name(MyDatabaseId));
	if (relname == NULL)
		return;
	cext_inval_add(cext_tag_name(MyDatabaseId, relname));

	/* what queries read a type by this name is not known */
	if (cext_temptype_hides(relname))
		cext_inval_add(cext_tag_database(MyDatabaseId));
}

/*
 * A relation as this command sees it: a new one has no row yet that the
 * syscache would show.
 */
static bool
relation_concerns_us(Oid relid, NameData *relname)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;
	bool		result = false;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, SnapshotSelf, 1, &key);
	tup = systable_getnext(scan);
	if (HeapTupleIsValid(tup))
	{
		Form_pg_class rel = (Form_pg_class) GETSTRUCT(tup);

		result = rel->relpersistence != RELPERSISTENCE_TEMP &&
			!IsToastNamespace(rel->relnamespace) &&
			rel->relkind != RELKIND_INDEX &&
			rel->relkind != RELKIND_PARTITIONED_INDEX;
		*relname = rel->relname;
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return result;
}

/*
 * Note what may be temporary, and is no relation: types by their names, which are
 * searched in pg_temp first, the others by their numbers.
 */
static void
note_temporary(ObjectAccessType access, Oid classId, Oid objectId)
{
	if (!cext_active() || !OidIsValid(MyDatabaseId))
		return;
	switch (classId)
	{
		case TypeRelationId:
			if (access == OAT_POST_CREATE || access == OAT_POST_ALTER)
				cext_temptype_named(objectId);
			break;
		case ProcedureRelationId:
		case OperatorRelationId:
		case CollationRelationId:
		case TSConfigRelationId:
		case TSDictionaryRelationId:
			if (access == OAT_POST_CREATE)
				cext_temptype_created(classId, objectId);
			break;
		default:
			break;
	}
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	NameData	relname;

	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	if (access == OAT_POST_CREATE || access == OAT_POST_ALTER)
		note_temporary(access, classId, objectId);
	if (access == OAT_FUNCTION_EXECUTE || access == OAT_NAMESPACE_SEARCH ||
		classId != RelationRelationId || !cext_active() ||
		!OidIsValid(MyDatabaseId) || objectId < FirstNormalObjectId ||
		!IsTransactionState())
		return;
	if (!relation_concerns_us(objectId, &relname))
		return;
	invalidate_relation(objectId, NameStr(relname));
	if (access == OAT_TRUNCATE)
	{
		ListCell   *lc;

		/* a new partition inherits its parent's row triggers only */
		foreach(lc, cext_relation_ancestors(objectId))
			cext_trigger_truncated(lfirst_oid(lc));
	}
}


/* ----------------------------------------------------------------
 *		Statements
 * ----------------------------------------------------------------
 */

typedef enum Scope
{
	SCOPE_NONE,					/* harmless, or known through the objects */
	SCOPE_RELATIONS,			/* those the statement names */
	SCOPE_DATABASE,
	SCOPE_CLUSTER
} Scope;

static Scope
drop_scope(DropStmt *stmt)
{
	switch (stmt->removeType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
			/* CASCADE to other than relations cannot change a result */
		case OBJECT_TRIGGER:
		case OBJECT_EVENT_TRIGGER:
		case OBJECT_PUBLICATION:
		case OBJECT_STATISTIC_EXT:
			return SCOPE_NONE;
		default:
			return SCOPE_DATABASE;
	}
}

/* No DDL, or nothing that a query's result depends on. */
static const NodeTag harmless[] = {
	T_TransactionStmt,
	T_PlannedStmt,
	T_DeclareCursorStmt,
	T_ClosePortalStmt,
	T_FetchStmt,
	T_DoStmt,
	T_CallStmt,
	T_CopyStmt,
	T_PrepareStmt,
	T_ExecuteStmt,
	T_DeallocateStmt,
	T_ExplainStmt,
	T_VariableSetStmt,
	T_VariableShowStmt,
	T_DiscardStmt,
	T_ListenStmt,
	T_UnlistenStmt,
	T_NotifyStmt,
	T_LoadStmt,
	T_LockStmt,
	T_ConstraintsSetStmt,
	T_CheckPointStmt,
	T_VacuumStmt,
	T_ClusterStmt,
	T_ReindexStmt,
	T_IndexStmt,
	T_CommentStmt,
	T_CreateStatsStmt,
	T_AlterStatsStmt,
	T_CreateTrigStmt,
	T_CreateEventTrigStmt,
	T_AlterEventTrigStmt,
	T_CreatePublicationStmt,
	T_AlterPublicationStmt,
	T_CreateSubscriptionStmt,
	T_AlterSubscriptionStmt,
	T_DropSubscriptionStmt,
	T_CreateTableSpaceStmt,
	T_DropTableSpaceStmt,
	T_AlterTableSpaceOptionsStmt,
	T_AlterSystemStmt,
	T_CreatedbStmt,
	CEXT_LATER_HARMLESS_STATEMENTS

	/* their objects are seen by object_access() */
	T_CreateStmt,
	T_CreateTableAsStmt,
	T_CreateSeqStmt,
	T_AlterSeqStmt,
	T_TruncateStmt,
	T_CreateSchemaStmt,

	/* the script's statements come one by one */
	T_CreateExtensionStmt,
};

/* Roles and databases belong to all databases. */
static const NodeTag shared_objects[] = {
	T_GrantRoleStmt,
	T_AlterRoleStmt,
	T_AlterRoleSetStmt,
	T_DropRoleStmt,
	T_ReassignOwnedStmt,
	T_DropOwnedStmt,
	T_AlterDatabaseStmt,
	T_AlterDatabaseSetStmt,
	T_DropdbStmt,
};

static bool
is_among(NodeTag tag, const NodeTag *tags, int n)
{
	for (int i = 0; i < n; i++)
		if (tags[i] == tag)
			return true;
	return false;
}

static Scope
rename_scope(RenameStmt *stmt)
{
	switch (stmt->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_COLUMN:
			return stmt->relation != NULL ? SCOPE_RELATIONS : SCOPE_DATABASE;
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
			return SCOPE_NONE;
		case OBJECT_ROLE:
		case OBJECT_DATABASE:
			return SCOPE_CLUSTER;
		default:
			return SCOPE_DATABASE;
	}
}

/* A new role concerns those it is made with as its members. */
static Scope
create_role_scope(CreateRoleStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "rolemembers") == 0 ||
			strcmp(option->defname, "adminmembers") == 0)
			return SCOPE_CLUSTER;
	}
	return SCOPE_NONE;
}

static Scope
statement_scope(Node *stmt)
{
	if (is_among(nodeTag(stmt), harmless, lengthof(harmless)))
		return SCOPE_NONE;
	if (is_among(nodeTag(stmt), shared_objects, lengthof(shared_objects)))
		return SCOPE_CLUSTER;
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			/* ALTER TYPE ... ATTRIBUTE reaches tables of that type */
			return ((AlterTableStmt *) stmt)->objtype == OBJECT_TYPE ?
				SCOPE_DATABASE : SCOPE_RELATIONS;
		case T_RefreshMatViewStmt:
		case T_CreateForeignTableStmt:
		case T_ViewStmt:
			return SCOPE_RELATIONS;
		case T_CreateRoleStmt:
			return create_role_scope((CreateRoleStmt *) stmt);
		case T_RenameStmt:
			return rename_scope((RenameStmt *) stmt);
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) stmt)->relation != NULL ?
				SCOPE_RELATIONS : SCOPE_DATABASE;
		case T_DropStmt:
			return drop_scope((DropStmt *) stmt);
		default:
			return SCOPE_DATABASE;
	}
}

/* A named relation and what is above and below it. */
static void
invalidate_named(RangeVar *name)
{
	Oid			relid;

	if (name == NULL || name->relpersistence == RELPERSISTENCE_TEMP)
		return;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (OidIsValid(relid) && get_rel_persistence(relid) != RELPERSISTENCE_TEMP)
		invalidate_relation(relid, get_rel_name(relid));
}

static void
invalidate_scope(Node *stmt, Scope scope)
{
	ListCell   *lc;

	switch (scope)
	{
		case SCOPE_NONE:
			break;
		case SCOPE_DATABASE:
			cext_inval_add(cext_tag_database(MyDatabaseId));
			break;
		case SCOPE_CLUSTER:
			cext_inval_add(CEXT_TAG_CLUSTER);
			break;
		case SCOPE_RELATIONS:
			if (IsA(stmt, AlterTableStmt))
			{
				AlterTableStmt *alter = (AlterTableStmt *) stmt;

				invalidate_named(alter->relation);
				foreach(lc, alter->cmds)
				{
					AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

					if (cmd->def != NULL && IsA(cmd->def, PartitionCmd))
						invalidate_named(((PartitionCmd *) cmd->def)->name);
					else if (cmd->def != NULL && IsA(cmd->def, RangeVar))
						invalidate_named((RangeVar *) cmd->def);
				}
			}
			else if (IsA(stmt, RefreshMatViewStmt))
				invalidate_named(((RefreshMatViewStmt *) stmt)->relation);
			else if (IsA(stmt, CreateForeignTableStmt))
			{
				/* it brings rows to its parents */
				foreach(lc, ((CreateForeignTableStmt *) stmt)->base.inhRelations)
					invalidate_named(lfirst_node(RangeVar, lc));
			}
			else if (IsA(stmt, ViewStmt))
				invalidate_named(((ViewStmt *) stmt)->view);
			else if (IsA(stmt, RenameStmt))
				invalidate_named(((RenameStmt *) stmt)->relation);
			else if (IsA(stmt, AlterObjectSchemaStmt))
				invalidate_named(((AlterObjectSchemaStmt *) stmt)->relation);
			break;
	}
}

/* May the current user copy this database? */
static bool
may_copy_database(Oid dbid)
{
	HeapTuple	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	HeapTuple	database = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	bool		result;

	result = HeapTupleIsValid(role) && HeapTupleIsValid(database) &&
		((Form_pg_authid) GETSTRUCT(role))->rolcreatedb &&
		((Form_pg_database) GETSTRUCT(database))->datistemplate;
	if (HeapTupleIsValid(role))
		ReleaseSysCache(role);
	if (HeapTupleIsValid(database))
		ReleaseSysCache(database);
	return result || cext_owns_database(dbid);
}

/*
 * A background worker's connection must not keep anybody from copying or
 * changing its database; but one whose statement will be refused does not end
 * it either.
 */
static void
make_workers_leave(Node *stmt)
{
	const char *name = NULL;
	Oid			dbid;

	if (IsA(stmt, CreatedbStmt))
	{
		ListCell   *lc;

		name = "template1";
		foreach(lc, ((CreatedbStmt *) stmt)->options)
		{
			DefElem    *option = lfirst_node(DefElem, lc);

			if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
				name = defGetString(option);
		}
	}
	else if (IsA(stmt, DropdbStmt))
		name = ((DropdbStmt *) stmt)->dbname;
	else if (IsA(stmt, AlterDatabaseStmt))
		name = ((AlterDatabaseStmt *) stmt)->dbname;
	else if (IsA(stmt, RenameStmt) &&
			 ((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
		name = ((RenameStmt *) stmt)->subname;
	if (name == NULL)
		return;
	dbid = get_database_oid(name, true);
	if (OidIsValid(dbid) &&
		(IsA(stmt, CreatedbStmt) ? may_copy_database(dbid) : cext_owns_database(dbid)))
		cext_queue_notice(dbid, CEXT_NOTICE_LEAVE);
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	Scope		scope = cext_active() ? statement_scope(stmt) : SCOPE_NONE;

	if (IsA(stmt, VariableShowStmt) && cext_tracking())
		cext_note_setting_read();
	if (scope != SCOPE_NONE)
		invalidate_scope(stmt, scope);
	if (cext_active())
	{
		make_workers_leave(stmt);
		cext_temptype_tidy();
	}
	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context, params,
							 queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params,
								queryEnv, dest, qc);
	if (scope != SCOPE_NONE && IsTransactionState())
		invalidate_scope(stmt, scope);
}

void
cext_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
}
