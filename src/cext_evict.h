/*-------------------------------------------------------------------------
 *
 * cext_evict.h
 *		Which entry goes when the store is full.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_EVICT_H
#define CEXT_EVICT_H

#include "cext_store.h"

extern Size cext_evict_shmem_size(uint32 nghosts);
extern void cext_evict_shmem_init(uint32 nghosts);
extern void cext_evict_set_dead_check(bool (*surely_dead) (const CextEntry *entry));

/* with the store's alloc_lock held */
extern void cext_evict_add(CextEntry *entry, bool in_use);
extern void cext_evict_remove(CextEntry *entry);
extern CextEntry *cext_evict_choose(void);

extern bool cext_evict_surely_dead(const CextEntry *entry);

#endif							/* CEXT_EVICT_H */
