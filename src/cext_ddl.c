/*-------------------------------------------------------------------------
 *
 * cext_ddl.c
 *		DDL invalidates what it changes.
 *
 * Relations: object_access_hook names each one that is created, altered,
 * dropped or truncated, however that came about (CASCADE, DROP OWNED, an
 * extension's script).  Its entries die, with those of the relations above it
 * and of every other relation of its name, which it may now hide or have
 * hidden on somebody's search path.  What that hook does not tell (REFRESH
 * MATERIALIZED VIEW, ATTACH and DETACH PARTITION) is read off the statement.
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
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cext_compat.h"
#include "cext_ddl.h"
#include "cext_guc.h"
#include "cext_inval.h"
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
	ListCell   *lc;

	cext_inval_relation_tree(relid);
	if (relname == NULL)
		return;
	foreach(lc, cext_relation_namesakes(relname))
		cext_inval_add(cext_tag_relation(MyDatabaseId, lfirst_oid(lc)));
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

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	NameData	relname;

	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	if (classId == TypeRelationId && access == OAT_POST_CREATE &&
		cext_active() && OidIsValid(MyDatabaseId))
		cext_temptype_created(objectId);
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

static Scope
statement_scope(Node *stmt)
{
	switch (nodeTag(stmt))
	{
			/* no DDL, or nothing that a query's result depends on */
		case T_TransactionStmt:
		case T_PlannedStmt:
		case T_DeclareCursorStmt:
		case T_ClosePortalStmt:
		case T_FetchStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_CopyStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_ExplainStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_DiscardStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
		case T_NotifyStmt:
		case T_LoadStmt:
		case T_LockStmt:
		case T_ConstraintsSetStmt:
		case T_CheckPointStmt:
		case T_VacuumStmt:
		case T_ClusterStmt:
		case T_ReindexStmt:
		case T_IndexStmt:
		case T_CommentStmt:
		case T_CreateStatsStmt:
		case T_AlterStatsStmt:
		case T_CreateTrigStmt:
		case T_CreateEventTrigStmt:
		case T_AlterEventTrigStmt:
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterTableSpaceOptionsStmt:
		case T_AlterSystemStmt:
		case T_CreatedbStmt:
		case T_CreateRoleStmt:
			/* their objects are seen by object_access() */
		case T_CreateStmt:
		case T_CreateTableAsStmt:
		case T_CreateSeqStmt:
		case T_AlterSeqStmt:
		case T_TruncateStmt:
		case T_CreateSchemaStmt:
			/* the script's statements come one by one */
		case T_CreateExtensionStmt:
			return SCOPE_NONE;

		case T_AlterTableStmt:
			/* ALTER TYPE ... ATTRIBUTE reaches tables of that type */
			return ((AlterTableStmt *) stmt)->objtype == OBJECT_TYPE ?
				SCOPE_DATABASE : SCOPE_RELATIONS;
		case T_RefreshMatViewStmt:
		case T_CreateForeignTableStmt:
		case T_ViewStmt:
			return SCOPE_RELATIONS;
		case T_RenameStmt:
			switch (((RenameStmt *) stmt)->renameType)
			{
				case OBJECT_TABLE:
				case OBJECT_VIEW:
				case OBJECT_MATVIEW:
				case OBJECT_FOREIGN_TABLE:
				case OBJECT_COLUMN:
					return ((RenameStmt *) stmt)->relation != NULL ?
						SCOPE_RELATIONS : SCOPE_DATABASE;
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
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) stmt)->relation != NULL ?
				SCOPE_RELATIONS : SCOPE_DATABASE;
		case T_DropStmt:
			return drop_scope((DropStmt *) stmt);

		case T_GrantRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
		case T_AlterDatabaseStmt:
		case T_AlterDatabaseSetStmt:
		case T_DropdbStmt:
			return SCOPE_CLUSTER;

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
