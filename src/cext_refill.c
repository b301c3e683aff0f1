/*-------------------------------------------------------------------------
 *
 * cext_refill.c
 *		Comparing a new result with the one whose place it takes.
 *
 * How often a result was still the same when it expired tells what its time to
 * live should be: see cext_advice.c.  An entry keeps the CRC-32C of its payload
 * for that, so the old payload is not read; that two results differ and this
 * does not show is one case in four billion, and only a figure would be wrong.
 *
 * What was invalidated does not count: that it changed was announced.  Nor do
 * plain values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_crc32c.h"
#include "utils/timestamp.h"

#include "cext_query.h"
#include "cext_refill.h"
#include "cext_stats.h"

/*
 * A policy with ttl_min and ttl_max has each entry find its own time to live
 * between them: half as long again after one that ended with the same result,
 * half as long after one that did not; as before after one that an
 * invalidation ended, of which nothing can be learned.
 */
static void
adapt(CextEntryInfo *info, const CextEntry *old, const CextStaying *staying,
	  bool comparable, bool same)
{
	double		ttl = staying->ttl_first;

	if (old != NULL)
	{
		ttl = (double) (old->expires - old->created) / USECS_PER_SEC;
		if (comparable)
			ttl *= same ? 1.5 : 0.5;
	}
	ttl = Min(Max(ttl, staying->ttl_min), staying->ttl_max);
	info->expires = info->created + (TimestampTz) (ttl * USECS_PER_SEC);
}

/*
 * To be called before a payload is stored under this identity: puts its
 * checksum into info, counts how it compares with what is there, and sets when
 * it expires if the policy lets that adapt.
 */
void
cext_refill(const CextIdent *ident, CextEntryInfo *info, const CextBuffer *buf,
			const CextStaying *staying)
{
	bool		comparable = false;
	bool		same = false;
	CextEntry  *old;
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, buf->data, buf->size);
	FIN_CRC32C(crc);
	info->checksum = crc;

	old = cext_store_lookup(ident);
	if (old != NULL && info->created > old->created &&
		(old->flags & CEXT_ENTRY_VARIES) == 0 && cext_entry_alive(old))
	{
		comparable = true;
		same = old->checksum == info->checksum && old->payload_size == buf->size;
		cext_stats_ns_add(info->ns, same ? CEXT_NS_REFILLS_SAME :
						  CEXT_NS_REFILLS_CHANGED, 1);
		cext_stats_ns_add(info->ns, CEXT_NS_REFILL_AGE_US,
						  (uint64) (info->created - old->created));
	}
	if (unlikely(staying->ttl_max > 0))
		adapt(info, old, staying, comparable, same);
	if (old != NULL)
		cext_store_unpin(old);
}
