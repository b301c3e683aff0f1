/*-------------------------------------------------------------------------
 *
 * cext_guc.c
 *		Settings.
 *
 * What could show one user another's data, or change what all users get, is
 * for superusers; what only makes a session's own calls slower is for anyone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "cext_compat.h"
#include "cext_guc.h"

bool		cext_enabled = true;
bool		cext_enable_reads = true;
bool		cext_enable_writes = true;
bool		cext_allow_in_recovery = false;
int			cext_memory = 65536;
int			cext_max_entry_size = 4096;
int			cext_default_ttl = 300;
int			cext_coalesce_timeout = 10000;
int			cext_volatile_functions = CEXT_VOLATILE_BYPASS;
bool		cext_redis_relay = false;
int			cext_redis_relay_queue = 4096;
char	   *cext_redis_relay_prefix = NULL;
double		cext_verify_fraction = 0.0;
int			cext_log_operations = 0;
bool		cext_save_entries = true;
int			cext_worker_limit = 2;
int			cext_worker_timeout = 60000;
int			cext_worker_naptime = 60;
char	   *cext_identity_settings = NULL;

int			cext_identity_count = 0;
const char *const *cext_identity_names = NULL;
uint64		cext_identity_generation = 1;

bool		cext_shmem_ready = false;

static char *log_operations = NULL; /* as it was set */

static const struct config_enum_entry volatile_options[] = {
	{"bypass", CEXT_VOLATILE_BYPASS, false},
	{"cache", CEXT_VOLATILE_CACHE, false},
	{NULL, 0, false}
};

typedef struct IdentityNames
{
	int			count;
	const char *names[FLEXIBLE_ARRAY_MEMBER];	/* the strings follow */
} IdentityNames;

/* Parse the list into one chunk, as "extra" must be. */
static bool
check_identity_settings(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *list;
	ListCell   *lc;
	Size		size;
	IdentityNames *parsed;
	char	   *p;
	int			i = 0;

	if (!SplitGUCList(copy, ',', &list))
	{
		GUC_check_errdetail("List syntax is invalid.");
		return false;
	}
	size = offsetof(IdentityNames, names) + list_length(list) * sizeof(char *);
	foreach(lc, list)
		size += strlen(lfirst(lc)) + 1;
	parsed = cext_guc_malloc(size);
	if (parsed == NULL)
		return false;
	parsed->count = list_length(list);
	p = (char *) &parsed->names[parsed->count];
	foreach(lc, list)
	{
		strcpy(p, lfirst(lc));
		parsed->names[i++] = p;
		p += strlen(p) + 1;
	}
	list_free(list);
	pfree(copy);
	*extra = parsed;
	return true;
}

static void
assign_identity_settings(const char *newval, void *extra)
{
	IdentityNames *parsed = extra;

	cext_identity_count = parsed->count;
	cext_identity_names = parsed->names;
	cext_identity_generation++;
}

static const struct
{
	const char *name;
	CextLogKind kinds;
}			log_kinds[] =

{
	{"off", 0},
	{"all", CEXT_LOG_ALL},
	{"hit", CEXT_LOG_HIT},
	{"miss", CEXT_LOG_MISS},
	{"bypass", CEXT_LOG_BYPASS},
	{"set", CEXT_LOG_SET},
	{"invalidate", CEXT_LOG_INVALIDATE},
};

static bool
check_log_operations(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *list;
	ListCell   *lc;
	int		   *kinds;

	if (!SplitIdentifierString(copy, ',', &list))
	{
		GUC_check_errdetail("List syntax is invalid.");
		return false;
	}
	kinds = cext_guc_malloc(sizeof(int));
	if (kinds == NULL)
		return false;
	*kinds = 0;
	*extra = kinds;
	foreach(lc, list)
	{
		int			i = 0;

		while (i < (int) lengthof(log_kinds) &&
			   strcmp(lfirst(lc), log_kinds[i].name) != 0)
			i++;
		if (i == (int) lengthof(log_kinds))
		{
			GUC_check_errdetail("Unrecognized key word: \"%s\".", (char *) lfirst(lc));
			GUC_check_errhint("Kinds are \"hit\", \"miss\", \"bypass\", \"set\" and \"invalidate\"; or \"all\", or \"off\".");
			return false;
		}
		*kinds |= log_kinds[i].kinds;
	}
	list_free(list);
	pfree(copy);
	return true;
}

static void
assign_log_operations(const char *newval, void *extra)
{
	cext_log_operations = *(int *) extra;
}

/* What a session uses. */
static void
define_use(void)
{
	DefineCustomBoolVariable("cache_ext.enabled",
							 "Answers queries from the cache and fills it.",
							 "Invalidation goes on when this is off.",
							 &cext_enabled,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("cache_ext.enable_reads",
							 "Answers queries from the cache.",
							 "When off, every call recomputes and refills: a hard refresh.",
							 &cext_enable_reads,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("cache_ext.enable_writes",
							 "Stores results in the cache.",
							 NULL,
							 &cext_enable_writes,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("cache_ext.allow_in_recovery",
							 "Uses the cache on a standby, where only the TTL bounds staleness.",
							 NULL,
							 &cext_allow_in_recovery,
							 false,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("cache_ext.default_ttl",
							"Time to live where neither the call nor a policy gives one.",
							NULL,
							&cext_default_ttl,
							300,
							1,
							INT_MAX / 1000,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomIntVariable("cache_ext.coalesce_timeout",
							"How long to wait for another session that computes the same result.",
							"Then this session computes it too.  Zero never waits.",
							&cext_coalesce_timeout,
							10000,
							0,
							INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("cache_ext.volatile_functions",
							 "What to do with queries that call volatile functions.",
							 NULL,
							 &cext_volatile_functions,
							 CEXT_VOLATILE_BYPASS,
							 volatile_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("cache_ext.identity_settings",
							   "Settings that are part of every entry's identity.",
							   "A comma-separated list, such as 'app.tenant_id'.",
							   &cext_identity_settings,
							   "",
							   PGC_SUSET,
							   GUC_LIST_INPUT,
							   check_identity_settings,
							   assign_identity_settings,
							   NULL);
}

/*
 * Where entries are, and for how long.
 * "cache_ext.memory" only exists where the library was preloaded, because it
 * could not take effect anywhere else.
 */
static void
define_memory(void)
{
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("cache_ext.memory",
								"Shared memory for the cache.",
								"Version slots and index are part of it.",
								&cext_memory,
								65536,
								1024,
								INT_MAX,
								PGC_POSTMASTER,
								GUC_UNIT_KB,
								NULL, NULL, NULL);

	DefineCustomIntVariable("cache_ext.max_entry_size",
							"Results larger than this are not stored.",
							"No entry takes more than a quarter of \"cache_ext.memory\".",
							&cext_max_entry_size,
							4096,
							1,
							1024 * 1024,
							PGC_SUSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("cache_ext.save_entries",
							 "Keeps the entries across a clean restart.",
							 "The server writes them to its data directory when it shuts down.",
							 &cext_save_entries,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);
}

/* What is watched. */
static void
define_watching(void)
{
	DefineCustomRealVariable("cache_ext.verify_fraction",
							 "Share of hits that are recomputed and compared.",
							 "If the results differ, that is counted and logged, and the fresh one is returned.",
							 &cext_verify_fraction,
							 0.0,
							 0.0,
							 1.0,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("cache_ext.log_operations",
							   "Writes a line for each operation of these kinds to the server's log.",
							   "A list of \"hit\", \"miss\", \"bypass\", \"set\" and \"invalidate\"; or \"all\", or \"off\".",
							   &log_operations,
							   "off",
							   PGC_SUSET,
							   GUC_LIST_INPUT,
							   check_log_operations,
							   assign_log_operations,
							   NULL);
}

/* The relay to applications. */
static void
define_relay(void)
{
	DefineCustomBoolVariable("cache_ext.redis_relay",
							 "Passes invalidations on to applications that use the same Redis.",
							 "Their keys of the same names are dropped, and each transaction is announced on a channel.",
							 &cext_redis_relay,
							 false,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("cache_ext.redis_relay_prefix",
							   "What precedes a cache key in the name of the application's own key.",
							   NULL,
							   &cext_redis_relay_prefix,
							   "",
							   PGC_SIGHUP,
							   0,
							   NULL, NULL, NULL);

	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("cache_ext.redis_relay_queue",
								"Shared memory for invalidations that wait for the relay.",
								"One transaction gets a quarter of it, and 4 MB at the most.",
								&cext_redis_relay_queue,
								4096,
								64,
								1024 * 1024,
								PGC_POSTMASTER,
								GUC_UNIT_KB,
								NULL, NULL, NULL);
}

/* Background workers. */
static void
define_workers(void)
{
	DefineCustomIntVariable("cache_ext.worker_limit",
							"How many background workers may run at a time.",
							"They count against \"max_worker_processes\", besides a launcher and a process for Redis.  Zero does no work in the background.",
							&cext_worker_limit,
							2,
							0,
							32,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("cache_ext.worker_timeout",
							"How long a background worker lets a query run.",
							"Zero turns this off.",
							&cext_worker_timeout,
							60000,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("cache_ext.worker_naptime",
							"How often the launcher looks for new databases, and notes the hottest entries.",
							NULL,
							&cext_worker_naptime,
							60,
							1,
							INT_MAX / 1000,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}

/* Define them all, but those of the Redis tier. */
void
cext_guc_define(void)
{
	define_use();
	define_memory();
	define_watching();
	define_relay();
	define_workers();

	/*
	 * Where the library was not preloaded, postgresql.conf may still have the
	 * settings that exist only then, which is nothing to warn of each
	 * session.
	 */
	if (process_shared_preload_libraries_in_progress)
		MarkGUCPrefixReserved("cache_ext");
}
