/*-------------------------------------------------------------------------
 *
 * cext_compat.h
 *		Differences between the supported PostgreSQL majors, and nothing else.
 *
 * Each wrapper has the newest signature.  This is the only file that may
 * name PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_COMPAT_H
#define CEXT_COMPAT_H

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_proc.h"
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "tcop/tcopprot.h"
#include "utils/guc_tables.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "cache_ext needs PostgreSQL 15 or later"
#endif

/* Before a function that does not return. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

static inline int
cext_server_version(void)
{
	return PG_VERSION_NUM;
}

/* This backend's number, from 0 to MaxBackends - 1. */
static inline int
cext_proc_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/* All settings; 16 returns a copy, 15 the array itself. */
static inline struct config_generic **
cext_guc_variables(int *n)
{
#if PG_VERSION_NUM >= 160000
	return get_guc_variables(n);
#else
	*n = GetNumConfigOptions();
	return get_guc_variables();
#endif
}

/* Where a setting's value is; type is bool, int, real, string or enum. */
#if PG_VERSION_NUM >= 190000
#define CEXT_GUC_VARIABLE(record, type) ((record)->_##type.variable)
#else
#define CEXT_GUC_VARIABLE(record, type) (((struct config_##type *) (record))->variable)
#endif

static inline bool
cext_lock_held(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, true);
#else
	LOCKMODE	m;

	for (m = mode; m <= MaxLockMode; m++)
		if (LockHeldByMe(tag, m))
			return true;
	return false;
#endif
}

/* A hook of ExecutorRun. */
#if PG_VERSION_NUM >= 180000
#define CEXT_EXECUTOR_RUN_PARAMETERS \
	QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define CEXT_EXECUTOR_RUN_ARGUMENTS queryDesc, direction, count
#else
#define CEXT_EXECUTOR_RUN_PARAMETERS \
	QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool execute_once
#define CEXT_EXECUTOR_RUN_ARGUMENTS queryDesc, direction, count, execute_once
#endif

/* A hook of planner(). */
#if PG_VERSION_NUM >= 190000
#define CEXT_PLANNER_PARAMETERS \
	Query *parse, const char *query_string, int cursorOptions, \
	ParamListInfo boundParams, ExplainState *es
#define CEXT_PLANNER_ARGUMENTS parse, query_string, cursorOptions, boundParams, es
#else
#define CEXT_PLANNER_PARAMETERS \
	Query *parse, const char *query_string, int cursorOptions, ParamListInfo boundParams
#define CEXT_PLANNER_ARGUMENTS parse, query_string, cursorOptions, boundParams
#endif

static inline void
cext_executor_run(QueryDesc *queryDesc)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(queryDesc, ForwardScanDirection, 0);
#else
	ExecutorRun(queryDesc, ForwardScanDirection, 0, true);
#endif
}

/* Memory for what a check hook passes to its assign hook; NULL if there is none. */
static inline void *
cext_guc_malloc(size_t size)
{
#if PG_VERSION_NUM >= 160000
	return guc_malloc(LOG, size);
#else
	return malloc(size);
#endif
}

static inline void
cext_guc_free(void *p)
{
#if PG_VERSION_NUM >= 160000
	guc_free(p);
#else
	free(p);
#endif
}

/* Functions of the session that came later. */
#if PG_VERSION_NUM >= 160000
#define CEXT_LATER_SESSION_FUNCTIONS F_SYSTEM_USER,
#else
#define CEXT_LATER_SESSION_FUNCTIONS
#endif

/* Is the transaction over, its locks gone with it?  Not for the own xid. */
static inline bool
cext_xact_lock_free(TransactionId xid)
{
#if PG_VERSION_NUM >= 180000
	return ConditionalXactLockTableWait(xid, false);
#else
	return ConditionalXactLockTableWait(xid);
#endif
}

/* What a backend that waits for another's fill shows in pg_stat_activity. */
static inline uint32
cext_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("CacheExtFill");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* ... and one that waits for Redis. */
static inline uint32
cext_wait_event_redis(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("CacheExtRedis");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

static inline WaitEventSet *
cext_create_wait_event_set(int n)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, n);
#else
	return CreateWaitEventSet(TopMemoryContext, n);
#endif
}

/*
 * Microseconds until a timeout ends the statement; PG_INT64_MAX: none does.
 * (17: transaction_timeout ends the session with it.)
 */
static inline int64
cext_timeout_left(void)
{
	TimestampTz end = PG_INT64_MAX;

	if (get_timeout_active(STATEMENT_TIMEOUT))
		end = get_timeout_finish_time(STATEMENT_TIMEOUT);
#if PG_VERSION_NUM >= 170000
	if (get_timeout_active(TRANSACTION_TIMEOUT))
		end = Min(end, get_timeout_finish_time(TRANSACTION_TIMEOUT));
#endif
	return likely(end == PG_INT64_MAX) ? end : Max(end - GetCurrentTimestamp(), 0);
}

static inline PlannedStmt *
cext_plan_query(Query *query, const char *sql, int options, ParamListInfo params)
{
#if PG_VERSION_NUM >= 190000
	return pg_plan_query(query, sql, options, params, NULL);
#else
	return pg_plan_query(query, sql, options, params);
#endif
}

/* Building a jsonb: zero the state, push, take the result. */
#if PG_VERSION_NUM >= 190000
typedef JsonbInState CextJsonbState;
#else
typedef struct CextJsonbState
{
	JsonbParseState *parseState;
	JsonbValue *result;
} CextJsonbState;
#endif

static inline void
cext_push_jsonb(CextJsonbState *state, JsonbIteratorToken token, JsonbValue *value)
{
#if PG_VERSION_NUM >= 190000
	pushJsonbValue(state, token, value);
#else
	state->result = pushJsonbValue(&state->parseState, token, value);
#endif
}

/* CLUSTER became a form of REPACK. */
#if PG_VERSION_NUM >= 190000
#define T_ClusterStmt T_RepackStmt
#endif

/* Statements that came later, and on which no query's result depends. */
#if PG_VERSION_NUM >= 190000
#define CEXT_LATER_HARMLESS_STATEMENTS T_WaitStmt,
#else
#define CEXT_LATER_HARMLESS_STATEMENTS
#endif

static inline MinimalTuple
cext_form_minimal_tuple(TupleDesc desc, const Datum *values, const bool *isnull)
{
#if PG_VERSION_NUM >= 180000
	return heap_form_minimal_tuple(desc, values, isnull, 0);
#else
	return heap_form_minimal_tuple(desc, (Datum *) values, (bool *) isnull);
#endif
}

/* After the last column of a descriptor of one's own making. */
static inline void
cext_finish_desc(TupleDesc desc)
{
#if PG_VERSION_NUM >= 190000
	TupleDescFinalize(desc);
#endif
}

static inline TupleTableSlot *
cext_alloc_slot(List **table, TupleDesc desc, const TupleTableSlotOps *ops)
{
#if PG_VERSION_NUM >= 190000
	return ExecAllocTableSlot(table, desc, ops, 0);
#else
	return ExecAllocTableSlot(table, desc, ops);
#endif
}

static inline bool
cext_may_execute(Oid funcid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, funcid, roleid,
						   ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(funcid, roleid, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* As whom are the permissions on this range table entry checked? */
static inline Oid
cext_check_as_user(PlannedStmt *stmt, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	if (rte->perminfoindex == 0)
		return InvalidOid;
	return getRTEPermissionInfo(stmt->permInfos, rte)->checkAsUser;
#else
	return rte->checkAsUser;
#endif
}

/* May a role become another, by SET ROLE? */
static inline bool
cext_may_become(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return member_can_set_role(member, role);
#else
	return is_member_of_role(member, role);
#endif
}

/*
 * Connect a background worker as a role.  It needs LOGIN, like any session:
 * 17 could connect as another, but what such a role is for is SET ROLE, and the
 * identity of an entry tells who has done that.
 */
static inline void
cext_worker_connect(Oid dbid, Oid roleid)
{
	BackgroundWorkerInitializeConnectionByOid(dbid, roleid, 0);
}

static inline bool
cext_owns_database(Oid dbid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, dbid, GetUserId());
#else
	return pg_database_ownercheck(dbid, GetUserId());
#endif
}

static inline bool
cext_owns_relation(Oid relid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, GetUserId());
#else
	return pg_class_ownercheck(relid, GetUserId());
#endif
}

#endif							/* CEXT_COMPAT_H */
