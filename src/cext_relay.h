/*-------------------------------------------------------------------------
 *
 * cext_relay.h
 *		The queue of committed invalidations that go to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RELAY_H
#define CEXT_RELAY_H

#include "access/xlogdefs.h"
#include "port/atomics.h"

/* What an invalidation names. */
typedef enum CextRelayType
{
	CEXT_RELAY_DATABASE,		/* first in every record: where it happened */
	CEXT_RELAY_KEY,
	CEXT_RELAY_PATTERN,
	CEXT_RELAY_TABLE,			/* schema, a zero byte, table */
	CEXT_RELAY_CLEAR
} CextRelayType;

/* Items follow each other, each at an even address. */
typedef struct CextRelayItem
{
	uint8		type;
	uint8		unused;
	uint16		len;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} CextRelayItem;

#define CEXT_RELAY_ITEM_MAX		16384	/* bytes of data */
#define CEXT_RELAY_ITEM_SIZE(len) \
	TYPEALIGN(2, offsetof(CextRelayItem, data) + (len))
#define CEXT_RELAY_NEXT(item) \
	((const CextRelayItem *) ((const char *) (item) + CEXT_RELAY_ITEM_SIZE((item)->len)))

/* One transaction's invalidations; in shared memory. */
typedef struct CextRelayRecord
{
	uint32		size;			/* in the ring, with this header */
	pg_atomic_uint32 state;		/* see cext_relay.c */
	XLogRecPtr	floor;			/* its commit record is not before this */
	XLogRecPtr	lsn;			/* end of its commit record */
	int			encoding;		/* of which a pattern's "?" is a character */
	uint32		len;			/* bytes of items */
	char		items[FLEXIBLE_ARRAY_MEMBER];
} CextRelayRecord;

#define CEXT_RELAY_ITEMS(rec)		((const CextRelayItem *) (rec)->items)
#define CEXT_RELAY_ITEMS_END(rec)	((const CextRelayItem *) ((rec)->items + (rec)->len))

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
extern Size cext_relay_max_len(void);
extern CextRelayRecord *cext_relay_reserve(const char *items, Size len, int encoding);
extern void cext_relay_resolve(CextRelayRecord *rec, bool committed);
extern void cext_relay_lost(CextFlushReason why);
extern void cext_relay_wake(void);
extern void cext_relay_flush(CextFlushReason reason);

/* the worker */
extern void cext_relay_attach(void);
extern bool cext_relay_start(void);
extern void cext_relay_settled(void);
extern void cext_relay_stop(void);
extern int	cext_relay_take(CextRelayRecord **out, int max);
extern void cext_relay_done(CextRelayRecord **recs, int n);
extern bool cext_relay_flush_wanted(CextFlush *flush);
extern void cext_relay_flushed(const CextFlush *flush);
extern uint64 cext_relay_next_seq(void);
extern void cext_relay_count_failed(void);
extern void cext_relay_note_retry(const char *error);

#endif							/* CEXT_RELAY_H */
