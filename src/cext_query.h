/*-------------------------------------------------------------------------
 *
 * cext_query.h
 *		Reading a query's result through the cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_QUERY_H
#define CEXT_QUERY_H

#include "fmgr.h"
#include "portability/instr_time.h"
#include "utils/tuplestore.h"

#include "cext_find.h"
#include "cext_identity.h"
#include "cext_policy.h"
#include "cext_stats.h"
#include "cext_store.h"

typedef enum CextStatus
{
	CEXT_STATUS_NONE,
	CEXT_STATUS_HIT,
	CEXT_STATUS_STALE,			/* a hit beyond its time, as the policy allows */
	CEXT_STATUS_MISS,
	CEXT_STATUS_BYPASS
} CextStatus;

/* What became of this session's last call. */
typedef struct CextLastStatus
{
	CextStatus	status;
	CextBypass	reason;			/* for a bypass; else CEXT_CACHEABLE */
	bool		stored;			/* a miss: was the result stored? */
	bool		from_cache;		/* a hit: the three below are known */
	bool		from_redis;
	TimestampTz created;
	TimestampTz expires;
	double		elapsed_us;
} CextLastStatus;

extern CextLastStatus cext_last_status;

/* What comparing an entry with a fresh result has shown. */
typedef enum CextVerdict
{
	CEXT_VERDICT_OPEN,			/* nothing, it does not hold any more */
	CEXT_VERDICT_SAME,
	CEXT_VERDICT_DIFFERENT
} CextVerdict;

/* One call of a read function. */
typedef struct CextCall
{
	CextArgs	args;			/* key, query and arguments */
	double		ttl;			/* seconds; negative: take the default */
	Oid			schema;			/* of the extension */
	CextEntry  *compare;		/* do not store, but compare with this one */
	CextVerdict verdict;
	CextStaying staying;		/* of its policy */
	CextStorage tier;			/* likewise */
} CextCall;

/* The call between its parts: found or not, what is to be known later. */
typedef struct CextLookup
{
	CextIdent	ident;
	CextBypass	reason;
	bool		claimed;		/* this backend's to fill */
	bool		stale;			/* what was found has expired */
	uint64		hash;			/* of the claim */
	instr_time	start;
} CextLookup;

extern void cext_call_policy(CextCall *call, const CextPolicy *named);

/* either the first and the second, or the first and the third */
extern CextEntry *cext_lookup(CextCall *call, CextLookup *lookup);
extern void cext_lookup_hit(CextCall *call, CextLookup *lookup, CextEntry *e);
extern Datum cext_lookup_compute(CextCall *call, CextLookup *lookup,
								 TupleDesc expected, Tuplestorestate *store);

extern void cext_read_rows(CextCall *call, TupleDesc expected,
						   Tuplestorestate *store);
extern Datum cext_read_json(CextCall *call);

extern void cext_take_call(FunctionCallInfo fcinfo, int first, char form, CextCall *call);

extern bool cext_renew(CextCall *call, const CextIdent *ident, TimestampTz since);
extern void cext_count_call(CextStatus status, CextBypass reason, bool stored,
							uint16 ns, double saved_us, instr_time start);

#endif							/* CEXT_QUERY_H */
