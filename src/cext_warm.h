/*-------------------------------------------------------------------------
 *
 * cext_warm.h
 *		Warm jobs: the table, and running one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_WARM_H
#define CEXT_WARM_H

#include "cext_job.h"

extern bool cext_warm_find(Oid schema, const char *name, CextJobRow *row);
extern void cext_warm_scan(void);
extern void cext_warm_run(const CextJobRun *run);
extern bool cext_refresh_run(const char *bytes, Size size);

#endif							/* CEXT_WARM_H */
