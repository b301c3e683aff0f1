/*-------------------------------------------------------------------------
 *
 * cext_scan.h
 *		FROM cached_query(...): a scan of the entry's rows where they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_SCAN_H
#define CEXT_SCAN_H

#include "nodes/extensible.h"

extern const CustomScanMethods cext_scan_methods;

extern void cext_scan_init(void);

#endif							/* CEXT_SCAN_H */
