/*-------------------------------------------------------------------------
 *
 * cext_flight.h
 *		Single flight: one backend fills, the others wait for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_FLIGHT_H
#define CEXT_FLIGHT_H

#include "datatype/timestamp.h"

#include "cext_version.h"

typedef enum CextFlight
{
	CEXT_FLIGHT_FILL,			/* claimed: compute, then cext_flight_end() */
	CEXT_FLIGHT_ALONE,			/* compute, nobody waits */
	CEXT_FLIGHT_RETRY			/* somebody has finished: look again */
} CextFlight;

typedef enum CextLanding
{
	CEXT_LANDED_STORED,
	CEXT_LANDED_NOT_STORED,		/* by its nature: nobody should wait for it */
	CEXT_LANDED_FAILED			/* error or cancel: somebody else may try */
} CextLanding;

extern Size cext_flight_shmem_size(void);
extern void cext_flight_shmem_init(void);

extern CextFlight cext_flight_begin(uint64 hash, const CextTag *tags, int ntags,
									TimestampTz deadline);
extern void cext_flight_stamp(uint64 stamp);
extern void cext_flight_end(CextLanding landing);
extern int	cext_flight_held(void);
extern void cext_flight_worthwhile(uint64 hash);

#endif							/* CEXT_FLIGHT_H */
