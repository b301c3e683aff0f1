/*-------------------------------------------------------------------------
 *
 * cext_ring.h
 *		Committed invalidations as text, in the order of commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RING_H
#define CEXT_RING_H

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
	pg_atomic_uint32 state;		/* see cext_ring.c */
	XLogRecPtr	floor;			/* its commit record is not before this */
	XLogRecPtr	lsn;			/* end of its commit record */
	int			encoding;		/* of which a pattern's "?" is a character */
	uint32		len;			/* bytes of items */
	char		items[FLEXIBLE_ARRAY_MEMBER];
} CextRelayRecord;

#define CEXT_RELAY_ITEMS(rec)		((const CextRelayItem *) (rec)->items)
#define CEXT_RELAY_ITEMS_END(rec)	((const CextRelayItem *) ((rec)->items + (rec)->len))

extern Size cext_ring_shmem_size(void);
extern void cext_ring_shmem_init(void);

/* the committing transaction: nothing here throws, allocates or waits long */
extern Size cext_ring_max_len(void);
extern CextRelayRecord *cext_ring_reserve(const char *items, Size len, int encoding);
extern void cext_ring_resolve(CextRelayRecord *rec, bool committed);

/* the worker */
extern void cext_ring_untake(void);
extern int64 cext_ring_discard(void);
extern int	cext_ring_take(CextRelayRecord **out, int max);
extern void cext_ring_done(CextRelayRecord **recs, int n);

/* across a clean restart */
extern CextRelayRecord *cext_ring_next_unlocked(uint64 *pos);
extern bool cext_ring_restore(const char *items, Size len, int encoding,
							  XLogRecPtr lsn);

extern uint64 cext_ring_used(void);
extern uint64 cext_ring_size(void);

#endif							/* CEXT_RING_H */
