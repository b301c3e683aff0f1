/*-------------------------------------------------------------------------
 *
 * cext_worker.h
 *		Background processes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_WORKER_H
#define CEXT_WORKER_H

extern void cext_worker_register(void);

#endif							/* CEXT_WORKER_H */
