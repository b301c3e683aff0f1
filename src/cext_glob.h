/*-------------------------------------------------------------------------
 *
 * cext_glob.h
 *		The log of patterns that no tag stands for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_GLOB_H
#define CEXT_GLOB_H

#include "port/atomics.h"

#define CEXT_GLOB_LENGTH	224 /* bytes of a pattern the log can hold */

extern Size cext_glob_shmem_size(void);
extern void cext_glob_shmem_init(void);
extern void cext_glob_init(void);

extern bool cext_glob_append(Oid dbid, const char *pattern, int len,
							 TransactionId xid, uint64 *seq);
extern void cext_glob_resolve(uint64 seq);
extern uint64 cext_glob_resolved(void);
extern bool cext_glob_alive(Oid dbid, const char *key, int keylen,
							uint64 stamp, pg_atomic_uint64 *checked);
extern bool cext_glob_settled(Oid dbid, const char *key, int keylen,
							  uint64 since, uint64 from, bool (*own) (uint64 seq));

#endif							/* CEXT_GLOB_H */
