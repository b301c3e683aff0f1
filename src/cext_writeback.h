/*-------------------------------------------------------------------------
 *
 * cext_writeback.h
 *		Plain values on their way to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_WRITEBACK_H
#define CEXT_WRITEBACK_H

#include "storage/latch.h"

#include "cext_store.h"

extern Size cext_writeback_shmem_size(void);
extern void cext_writeback_shmem_init(void);

extern void cext_writeback_prepare(void);
extern void cext_writeback_add(const CextIdent *id);

/* for the worker */
extern void cext_writeback_attach(Latch *latch);
extern bool cext_writeback_run(void);

#endif							/* CEXT_WRITEBACK_H */
