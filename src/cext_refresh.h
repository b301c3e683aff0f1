/*-------------------------------------------------------------------------
 *
 * cext_refresh.h
 *		Computing an entry anew before anybody misses it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REFRESH_H
#define CEXT_REFRESH_H

#include "cext_query.h"

extern Size cext_refresh_shmem_size(void);
extern void cext_refresh_shmem_init(void);

extern TimestampTz cext_refresh_from(const CextStaying *staying, TimestampTz created,
									 TimestampTz expires, double fill_us);
extern bool cext_refresh_due(CextEntry *entry, const CextStaying *staying);
extern bool cext_refresh_claim(CextEntry *entry);
extern bool cext_refresh_hand_over(const CextCall *call, const CextEntry *entry);
extern void cext_refresh_took(double us);

#endif							/* CEXT_REFRESH_H */
