/*-------------------------------------------------------------------------
 *
 * cext_warm.h
 *		What workers do: refresh requests, and running a warm job.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_WARM_H
#define CEXT_WARM_H

#include "cext_job.h"

extern bool cext_warm_scan(void);
extern void cext_warm_run(const CextJobRun *run);
extern bool cext_refresh_next(void);
extern void cext_worker_check(void);

#endif							/* CEXT_WARM_H */
