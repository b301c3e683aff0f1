/*-------------------------------------------------------------------------
 *
 * cext_function.c
 *		What a function reads besides its arguments.
 *
 * Told from the catalogs: settings, the session, the catalogs themselves.  A
 * declaration is not believed in this, nor is a body looked into; what a
 * function calls is asked about in its turn (cext_tracker.c).
 *
 * Kinds are remembered by OID, until anything in pg_proc changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cext_compat.h"
#include "cext_function.h"

/*
 * STABLE by catalog, but of the session, its transaction, or its snapshot.
 */
static const Oid session_functions[] = {
	F_SESSION_USER,
	F_PG_BACKEND_PID,
	F_PG_MY_TEMP_SCHEMA,
	F_CURRENT_SCHEMAS,
	F_PG_IS_OTHER_TEMP_SCHEMA,
	F_PG_TRIGGER_DEPTH,
	F_PG_CURRENT_SNAPSHOT,
	F_TXID_CURRENT_SNAPSHOT,
	F_PG_CURRENT_XACT_ID,
	F_TXID_CURRENT,
	F_PG_CURRENT_XACT_ID_IF_ASSIGNED,
	F_TXID_CURRENT_IF_ASSIGNED,
	F_PG_LISTENING_CHANNELS,
	F_PG_PREPARED_STATEMENT,
	F_PG_PREPARED_XACT,
	F_PG_CURSOR,
	F_PG_CONF_LOAD_TIME,
	F_PG_SHOW_ALL_SETTINGS,
	F_INET_CLIENT_ADDR,
	F_INET_CLIENT_PORT,
	F_INET_SERVER_ADDR,
	F_INET_SERVER_PORT,
	F_DATABASE_TO_XML,
	F_DATABASE_TO_XMLSCHEMA,
	F_DATABASE_TO_XML_AND_XMLSCHEMA,
	F_SCHEMA_TO_XML,
	F_SCHEMA_TO_XMLSCHEMA,
	F_SCHEMA_TO_XML_AND_XMLSCHEMA,
	F_AGE_XID,
	F_MXID_AGE,
	CEXT_LATER_SESSION_FUNCTIONS
};

/* Is it one of these? */
static bool
is_session_function(Oid funcid)
{
	for (int i = 0; i < (int) lengthof(session_functions); i++)
		if (session_functions[i] == funcid)
			return true;
	return false;
}

/*
 * STABLE built-in functions that look into the catalogs or the statistics by
 * themselves.  They have names of these forms.  The input and output functions
 * of types that stand for objects are not among them.
 */
static bool
is_catalog_function(Oid funcid)
{
	char	   *name;
	bool		result;

	if (funcid == F_PG_TYPEOF || funcid == F_PG_COLUMN_SIZE ||
		funcid == F_PG_COLUMN_COMPRESSION ||
		func_volatile(funcid) != PROVOLATILE_STABLE)
		return false;
	if (funcid == F_REGCLASS || funcid == F_FORMAT_TYPE ||
		funcid == F_ROW_SECURITY_ACTIVE_OID ||
		funcid == F_ROW_SECURITY_ACTIVE_TEXT)
		return true;
	name = get_func_name(funcid);
	if (name == NULL)
		return false;
	result = strncmp(name, "pg_", 3) == 0 || strncmp(name, "to_reg", 6) == 0 ||
		strncmp(name, "has_", 4) == 0;
	pfree(name);
	return result;
}

/* Is it in this library? */
static bool
is_ours(HeapTuple proc)
{
	bool		isnull;
	Datum		bin = SysCacheGetAttr(PROCOID, proc, Anum_pg_proc_probin, &isnull);
	char	   *library;
	bool		result;

	if (isnull)
		return false;
	library = TextDatumGetCString(bin);
	result = strstr(library, "cache_ext") != NULL;
	pfree(library);
	return result;
}

static CextFunctionKind
find_function_kind(Oid funcid)
{
	CextFunctionKind kind = CEXT_FUNCTION_PLAIN;
	HeapTuple	tup;
	Form_pg_proc proc;

	if (funcid < FirstNormalObjectId)
	{
		if (funcid == F_CURRENT_SETTING_TEXT || funcid == F_CURRENT_SETTING_TEXT_BOOL)
			return CEXT_FUNCTION_SETTING;
		return is_session_function(funcid) ? CEXT_FUNCTION_SESSION :
			is_catalog_function(funcid) ? CEXT_FUNCTION_CATALOG : CEXT_FUNCTION_PLAIN;
	}
	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tup))
		return CEXT_FUNCTION_PLAIN;
	proc = (Form_pg_proc) GETSTRUCT(tup);
	if (isAnyTempNamespace(proc->pronamespace))
		kind = CEXT_FUNCTION_TEMPORARY;
	else if (proc->prolang == ClanguageId)
		kind = is_ours(tup) ? CEXT_FUNCTION_OURS :
			proc->provolatile == PROVOLATILE_IMMUTABLE ? CEXT_FUNCTION_C_IMMUTABLE :
			CEXT_FUNCTION_C;
	ReleaseSysCache(tup);
	return kind;
}

/* What functions are, by OID; forgotten when pg_proc changes. */
static struct
{
	Oid			funcid;
	CextFunctionKind kind;
}			known_functions[256];

static void
pg_proc_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	memset(known_functions, 0, sizeof(known_functions));
}

/* Asked for every function anybody executes. */
CextFunctionKind
cext_function_kind(Oid funcid)
{
	int			i = funcid % lengthof(known_functions);
	CextFunctionKind kind;
	static bool registered = false;

	if (likely(known_functions[i].funcid == funcid))
		return known_functions[i].kind;
	if (unlikely(!registered))
	{
		CacheRegisterSyscacheCallback(PROCOID, pg_proc_changed, (Datum) 0);
		registered = true;
	}
	kind = find_function_kind(funcid);
	known_functions[i].funcid = funcid;
	known_functions[i].kind = kind;
	return kind;
}

/* Our own read functions do not make a query volatile. */
bool
cext_is_read_function(Oid funcid)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		result = false;

	if (!HeapTupleIsValid(tup))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tup))->prolang == ClanguageId && is_ours(tup))
	{
		bool		isnull;
		char	   *s = TextDatumGetCString(SysCacheGetAttr(PROCOID, tup,
															Anum_pg_proc_prosrc, &isnull));

		result = strcmp(s, "cached_query") == 0 || strcmp(s, "cached_rows") == 0 ||
			strcmp(s, "cached_json") == 0;
	}
	ReleaseSysCache(tup);
	return result;
}
