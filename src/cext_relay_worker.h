/*-------------------------------------------------------------------------
 *
 * cext_relay_worker.h
 *		The background worker that sends what the relay has queued.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RELAY_WORKER_H
#define CEXT_RELAY_WORKER_H

extern void cext_relay_worker_init(void);

#endif							/* CEXT_RELAY_WORKER_H */
