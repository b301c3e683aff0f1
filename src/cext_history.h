/*-------------------------------------------------------------------------
 *
 * cext_history.h
 *		The counters of the last 24 hours, hour by hour.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_HISTORY_H
#define CEXT_HISTORY_H

#include "cext_stats.h"

typedef struct CextHistory CextHistory;

#define CEXT_HISTORY_HOURS	24

/* When the hour ends that this backend takes to be the current one. */
extern TimestampTz cext_history_due;

extern Size cext_history_shmem_size(void);
extern void cext_history_shmem_init(void);
extern void cext_history_init(void);

extern void cext_history_roll(TimestampTz now);
extern void cext_history_reset(void);

/* a copy, to look at */
extern CextHistory *cext_history_copy(void);
extern bool cext_history_hour(const CextHistory *copy, int back,
							  TimestampTz *start, CextStatsBlock *counts);

/*
 * To be called with the time before a call is counted, so that it goes to the
 * hour that it falls in.
 */
static inline void
cext_history_tick(TimestampTz now)
{
	if (unlikely(now >= cext_history_due))
		cext_history_roll(now);
}

#endif							/* CEXT_HISTORY_H */
