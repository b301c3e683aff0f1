/*-------------------------------------------------------------------------
 *
 * cache_ext.c
 *		Wiring: settings, shared memory, hooks.
 *
 * See README in this directory for the design.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "cext_breaker.h"
#include "cext_ddl.h"
#include "cext_dump.h"
#include "cext_epoch.h"
#include "cext_evict.h"
#include "cext_flight.h"
#include "cext_glob.h"
#include "cext_guc.h"
#include "cext_history.h"
#include "cext_inval.h"
#include "cext_job.h"
#include "cext_path.h"
#include "cext_pending.h"
#include "cext_plan.h"
#include "cext_policy.h"
#include "cext_prepared.h"
#include "cext_queue.h"
#include "cext_read.h"
#include "cext_redis_conf.h"
#include "cext_redis_nodes.h"
#include "cext_relay.h"
#include "cext_relay_worker.h"
#include "cext_refresh.h"
#include "cext_scan.h"
#include "cext_socket.h"
#include "cext_state.h"
#include "cext_stats.h"
#include "cext_store.h"
#include "cext_tracker.h"
#include "cext_version.h"
#include "cext_worker.h"
#include "cext_writeback.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static shmem_request_hook_type prev_shmem_request;
static shmem_startup_hook_type prev_shmem_startup;

/* Version slots get a sixteenth of the memory, the store what is left. */
static Size
version_budget(void)
{
	return (Size) cext_memory * 1024 / 16;
}

static Size
store_budget(void)
{
	Size		all = (Size) cext_memory * 1024;
	Size		versions = cext_version_shmem_size(version_budget()) +
		cext_glob_shmem_size() + cext_prepared_shmem_size();

	return all - Min(versions, all / 2);
}

static void
shmem_request(void)
{
	if (prev_shmem_request)
		prev_shmem_request();
	RequestAddinShmemSpace(cext_version_shmem_size(version_budget()));
	RequestAddinShmemSpace(cext_glob_shmem_size());
	RequestAddinShmemSpace(cext_prepared_shmem_size());
	RequestAddinShmemSpace(cext_store_shmem_size(store_budget()));
	RequestAddinShmemSpace(cext_epoch_shmem_size());
	RequestAddinShmemSpace(cext_breaker_shmem_size());
	RequestAddinShmemSpace(cext_redis_nodes_shmem_size());
	RequestAddinShmemSpace(cext_writeback_shmem_size());
	RequestAddinShmemSpace(cext_flight_shmem_size());
	RequestAddinShmemSpace(cext_queue_shmem_size());
	RequestAddinShmemSpace(cext_refresh_shmem_size());
	RequestAddinShmemSpace(cext_job_shmem_size());
	RequestAddinShmemSpace(cext_stats_shmem_size());
	RequestAddinShmemSpace(cext_relay_shmem_size());
	RequestAddinShmemSpace(cext_history_shmem_size());
	RequestNamedLWLockTranche("cache_ext_glob", 1);
	RequestNamedLWLockTranche("cache_ext_prepared", 1);
	RequestNamedLWLockTranche("cache_ext_partition", CEXT_PARTITIONS);
	RequestNamedLWLockTranche("cache_ext_alloc", 1);
	RequestNamedLWLockTranche("cache_ext_stats", 1);
	RequestNamedLWLockTranche("cache_ext_relay", 1);
	RequestNamedLWLockTranche("cache_ext_history", 1);
	RequestNamedLWLockTranche("cache_ext_queue", 1);
	RequestNamedLWLockTranche("cache_ext_jobs", 1);
}

static void
shmem_startup(void)
{
	if (prev_shmem_startup)
		prev_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	cext_version_shmem_init(version_budget());
	cext_glob_shmem_init();
	cext_prepared_shmem_init();
	cext_epoch_shmem_init();
	cext_breaker_shmem_init();
	cext_redis_nodes_shmem_init();
	cext_writeback_shmem_init();
	cext_store_shmem_init(store_budget());
	cext_flight_shmem_init();
	cext_queue_shmem_init();
	cext_refresh_shmem_init();
	cext_job_shmem_init();
	cext_stats_shmem_init();
	cext_relay_shmem_init();
	cext_history_shmem_init();
	LWLockRelease(AddinShmemInitLock);
	cext_state_startup();
	cext_shmem_ready = true;
}

/* Eviction sees what is dead without knowing of versions. */
static bool
entry_surely_dead(const CextEntry *e)
{
	return cext_version_surely_dead(e->stamp, CEXT_ENTRY_TAGS(e), e->ntags);
}

void
_PG_init(void)
{
	cext_redis_conf_define();
	cext_guc_define();
	cext_policy_init();
	if (!process_shared_preload_libraries_in_progress)
		return;					/* the functions work, without a cache */

	prev_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;

	/* in the order in which they are loaded */
	cext_version_init();
	cext_glob_init();
	cext_epoch_init();
	cext_relay_init();
	cext_history_init();
	cext_dump_init();

	cext_evict_set_dead_check(entry_surely_dead);
	cext_queue_init();			/* before cext_inval_init(), to be called
								 * after */
	cext_inval_init();
	cext_pending_init();
	cext_tracker_init();
	cext_ddl_init();
	cext_read_init();
	cext_scan_init();
	cext_socket_init();
	cext_path_init();
	cext_plan_init();
	cext_relay_worker_init();
	cext_worker_register();
}
