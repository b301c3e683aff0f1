/*-------------------------------------------------------------------------
 *
 * cext_breaker.h
 *		Circuit breakers: whether to try Redis at all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_BREAKER_H
#define CEXT_BREAKER_H

#include "datatype/timestamp.h"

typedef enum CextBreakerKind
{
	CEXT_BREAKER_SERVER,		/* does it answer? */
	CEXT_BREAKER_READS,			/* does it let us read? */
	CEXT_BREAKER_WRITES,		/* does it take writes? */
	CEXT_BREAKERS
} CextBreakerKind;

typedef enum CextBreakerState
{
	CEXT_BREAKER_CLOSED,
	CEXT_BREAKER_OPEN,
	CEXT_BREAKER_HALF_OPEN
} CextBreakerState;

#define CEXT_BREAKER_ERROR	160

typedef struct CextBreakerStatus
{
	CextBreakerState state;
	TimestampTz since;			/* 0: since the start */
	TimestampTz retry_at;		/* where it is not closed */
	uint32		failures;		/* in a row */
	uint64		trips;			/* times it opened */
	char		error[CEXT_BREAKER_ERROR];	/* the last */
} CextBreakerStatus;

extern Size cext_breaker_shmem_size(void);
extern void cext_breaker_shmem_init(void);

extern bool cext_breaker_admit(CextBreakerKind kind, uint32 *ticket);
extern void cext_breaker_success(CextBreakerKind kind, uint32 ticket);
extern void cext_breaker_failure(CextBreakerKind kind, uint32 ticket, const char *reason);
extern int64 cext_breaker_tripped(void);
extern const char *cext_breaker_name(CextBreakerKind kind);
extern void cext_breaker_status(CextBreakerKind kind, CextBreakerStatus *status);

#endif							/* CEXT_BREAKER_H */
