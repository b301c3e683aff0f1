/*-------------------------------------------------------------------------
 *
 * cext_relay.h
 *		The queue of committed invalidations that go to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RELAY_H
#define CEXT_RELAY_H

#include "cext_ring.h"

/* Why subscribers have to drop all they have. */
typedef enum CextFlushReason
{
	CEXT_FLUSH_RESTART,			/* of the server: what was queued is lost */
	CEXT_FLUSH_ENABLED,			/* nobody listened until now */
	CEXT_FLUSH_OVERFLOW,		/* no room for a transaction's invalidations */
	CEXT_FLUSH_PREPARED,		/* those of a prepared transaction */
	CEXT_FLUSH_LATE				/* those of another library's PRE_COMMIT */
} CextFlushReason;

#define CEXT_FLUSH_REASONS	(CEXT_FLUSH_LATE + 1)

typedef struct CextFlush
{
	CextFlushReason reason;
	uint64		upto;			/* all requests up to this number */
} CextFlush;

extern pg_atomic_uint32 *cext_relay_switch;

/* Is somebody there to send what is queued?  Preloaded only. */
static inline bool
cext_relay_on(void)
{
	return pg_atomic_read_u32(cext_relay_switch) != 0;
}

extern Size cext_relay_shmem_size(void);
extern void cext_relay_shmem_init(void);
extern void cext_relay_init(void);

/* the committing transaction: nothing here throws, allocates or waits long */
extern void cext_relay_resolve(CextRelayRecord *rec, bool committed);
extern void cext_relay_lost(CextFlushReason why);
extern void cext_relay_wake(void);
extern void cext_relay_flush(CextFlushReason reason);

/* the worker */
extern void cext_relay_attach(void);
extern bool cext_relay_start(void);
extern void cext_relay_settled(void);
extern void cext_relay_stop(void);
extern void cext_relay_done(CextRelayRecord **recs, int n);
extern bool cext_relay_flush_wanted(CextFlush *flush);
extern void cext_relay_flushed(const CextFlush *flush);
extern uint64 cext_relay_next_seq(void);
extern void cext_relay_count_failed(void);
extern void cext_relay_note_retry(const char *error);

#endif							/* CEXT_RELAY_H */
