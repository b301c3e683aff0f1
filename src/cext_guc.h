/*-------------------------------------------------------------------------
 *
 * cext_guc.h
 *		Settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_GUC_H
#define CEXT_GUC_H

#include "utils/guc.h"

#define CEXT_PARTITIONS 128		/* locks over the buckets */

typedef enum CextVolatileChoice
{
	CEXT_VOLATILE_BYPASS,
	CEXT_VOLATILE_CACHE
} CextVolatileChoice;

/* what cache_ext.log_operations can name */
typedef enum CextLogKind
{
	CEXT_LOG_HIT = 0x01,
	CEXT_LOG_MISS = 0x02,
	CEXT_LOG_BYPASS = 0x04,
	CEXT_LOG_SET = 0x08,
	CEXT_LOG_INVALIDATE = 0x10,
	CEXT_LOG_ALL = 0x1F
} CextLogKind;

extern bool cext_enabled;
extern bool cext_enable_reads;
extern bool cext_enable_writes;
extern bool cext_allow_in_recovery;
extern int	cext_memory;		/* kilobytes */
extern int	cext_max_entry_size;	/* kilobytes */
extern int	cext_default_ttl;	/* seconds */
extern int	cext_coalesce_timeout;	/* milliseconds */
extern int	cext_volatile_functions;
extern bool cext_redis_relay;
extern int	cext_redis_relay_queue; /* kilobytes */
extern char *cext_redis_relay_prefix;
extern double cext_verify_fraction;
extern int	cext_log_operations;	/* parsed: bits of CextLogKind */
extern bool cext_save_entries;
extern int	cext_worker_limit;
extern int	cext_worker_timeout;	/* milliseconds */
extern int	cext_worker_naptime;	/* seconds */
extern char *cext_identity_settings;

/* the parsed list, and a number that changes with it */
extern int	cext_identity_count;
extern const char *const *cext_identity_names;
extern uint64 cext_identity_generation;

/* Is the shared memory there?  Only where the library was preloaded. */
extern bool cext_shmem_ready;

static inline bool
cext_active(void)
{
	return likely(cext_shmem_ready);
}

extern void cext_guc_define(void);

#endif							/* CEXT_GUC_H */
