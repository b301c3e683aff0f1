/*-------------------------------------------------------------------------
 *
 * cext_redis_claim.h
 *		Single flight across servers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REDIS_CLAIM_H
#define CEXT_REDIS_CLAIM_H

#include "datatype/timestamp.h"

#include "cext_store.h"

typedef enum CextClaim
{
	CEXT_CLAIM_MINE,			/* compute, then cext_claim_release() */
	CEXT_CLAIM_OTHERS,			/* another server computes; look again */
	CEXT_CLAIM_NONE				/* compute, nobody waits */
} CextClaim;

extern bool cext_claim_wanted(void);
extern CextClaim cext_claim_try(const CextIdent *id, TimestampTz deadline);
extern bool cext_claim_adopt(void);
extern void cext_claim_release(void);

#endif							/* CEXT_REDIS_CLAIM_H */
