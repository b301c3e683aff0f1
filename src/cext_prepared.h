/*-------------------------------------------------------------------------
 *
 * cext_prepared.h
 *		Invalidations of prepared transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_PREPARED_H
#define CEXT_PREPARED_H

#include "cext_version.h"

/* More are given as the tag of the whole database. */
#define CEXT_PREPARED_TAGS	61

extern Size cext_prepared_shmem_size(void);
extern void cext_prepared_shmem_init(void);

extern bool cext_prepared_add(TransactionId xid, const CextTag *tags, int ntags);
extern void cext_prepared_resolve(TransactionId xid, bool committed);
extern bool cext_prepared_sweep(void);
extern bool cext_prepared_hold_alone(CextTag tag);
extern bool cext_prepared_freeze(void);
extern uint32 cext_prepared_holders(CextTag tag);
extern void cext_prepared_thaw(void);
extern void cext_prepared_recover(void);
extern void cext_prepared_recover_shmem(void);
extern bool cext_prepared_any(void);

#endif							/* CEXT_PREPARED_H */
