/*-------------------------------------------------------------------------
 *
 * cext_views.h
 *		Columns that several views have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_VIEWS_H
#define CEXT_VIEWS_H

#include "cext_stats.h"

extern Datum cext_microseconds(int64 us);
extern void cext_set_ratio(Datum *value, bool *null, uint64 hits, uint64 misses);
extern void cext_set_times(Datum *values, bool *nulls, const CextStatsBlock *sum,
						   CextHistogram histogram, CextStat total_ns);

#endif							/* CEXT_VIEWS_H */
