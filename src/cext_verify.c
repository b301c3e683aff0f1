/*-------------------------------------------------------------------------
 *
 * cext_verify.c
 *		Recomputing a share of the hits.
 *
 * With cache_ext.verify_fraction above zero, so many of the hits run their
 * query once more before they are served.  If the results are the same, the
 * hit goes on.  If they differ, the divergence is counted and logged, the entry
 * is removed, and the call goes on as the miss that it should have been; so the
 * caller gets the fresh result, computed and stored the ordinary way.
 *
 * A difference counts only if the entry still holds after the query ran, for
 * otherwise an invalidation may have come in between; and only of the rows as a
 * set, since their order is free without an ORDER BY.  Where a query depends on
 * the clock, or sums up floats in changing order, it differs by itself.
 *
 * Errors: the query runs in a subtransaction, and if it fails the entry is
 * served.  Only a cancel goes through.  As verifying takes the query's time, it
 * is left out where statement_timeout is short for that.
 *
 * It is also left out in whatever transaction could not fill, below another
 * fill, and in parallel mode, which has no subtransactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/proc.h"
#include "utils/jsonb.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_fill.h"
#include "cext_guc.h"
#include "cext_log.h"
#include "cext_tracker.h"
#include "cext_subxact.h"
#include "cext_verify.h"

/* A digest of rows that does not depend on their order. */
static uint64
digest_rows(const char *data, Size size)
{
	uint32		natts = *(const uint32 *) data;
	Size		pos = MAXALIGN(sizeof(natts)) + MAXALIGN(natts * sizeof(CextColumn));
	uint64		sum = hash_bytes_extended((const unsigned char *) data, pos, 0);

	while (pos < size)
	{
		/* a minimal tuple starts with its length */
		uint32		len = *(const uint32 *) (data + pos);

		sum += hash_bytes_extended((const unsigned char *) data + pos, len, 1);
		pos += MAXALIGN(len);
	}
	return sum;
}

static uint64
digest_json(const char *data)
{
	JsonbContainer *array = &((Jsonb *) data)->root;
	uint64		sum = JsonContainerSize(array);

	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		Jsonb	   *element = JsonbValueToJsonb(getIthJsonbValueFromContainer(array, i));

		sum += hash_bytes_extended((const unsigned char *) VARDATA(element),
								   VARSIZE(element) - VARHDRSZ, 1);
		pfree(element);
	}
	return sum;
}

/*
 * Compare a pinned entry with a fresh result, just computed.  Allocates in the
 * current memory context.
 */
CextVerdict
cext_verify_compare(CextEntry *entry, char form, const CextBuffer *fresh)
{
	CextReader	reader;
	char	   *stored;
	pg_crc32c	crc;
	bool		same;

	if (fresh->overflowed)
		return CEXT_VERDICT_OPEN;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, fresh->data, fresh->size);
	FIN_CRC32C(crc);
	if (entry->payload_size == fresh->size && entry->checksum == crc)
		return CEXT_VERDICT_SAME;

	stored = MemoryContextAllocHuge(CurrentMemoryContext, entry->payload_size);
	cext_store_read(&reader, entry);
	cext_reader_copy(&reader, stored, entry->payload_size);
	same = entry->payload_size == fresh->size &&
		(form == 'j' ? digest_json(stored) == digest_json(fresh->data) :
		 digest_rows(stored, entry->payload_size) == digest_rows(fresh->data, fresh->size));
	pfree(stored);
	if (same)
		return CEXT_VERDICT_SAME;

	/* whatever was visible to the query is in flight, or over, by now */
	if (entry->expires <= GetCurrentTimestamp() || !cext_entry_alive(entry))
		return CEXT_VERDICT_OPEN;
	return CEXT_VERDICT_DIFFERENT;
}

static bool
worth_trying(const CextEntry *entry)
{
	if (pg_prng_double(&pg_global_prng_state) >= cext_verify_fraction)
		return false;
	if (cext_tracking() || IsInParallelMode() || IsolationUsesXactSnapshot() ||
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return false;
	return StatementTimeout == 0 || entry->fill_us / 1000 < StatementTimeout / 4;
}

typedef struct Recomputation
{
	CextCall   *call;
	const CextIdent *ident;
} Recomputation;

static void
recompute(void *arg)
{
	Recomputation *r = arg;
	CextBypass	reason = CEXT_CACHEABLE;
	bool		stored;
	double		us;

	(void) cext_fill(r->call, r->ident, &reason, false, &stored, &us, NULL, NULL);
}

/* Run the query.  The verdict is open if it fails. */
static CextVerdict
judge(CextCall *call, const CextIdent *ident)
{
	Recomputation r = {call, ident};
	ErrorData  *error = cext_in_subtransaction(recompute, &r);

	if (error == NULL)
		return call->verdict;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("could not verify the cached result with key %s: %s",
					cext_quote_key(ident->key, ident->keylen), error->message)));
	FreeErrorData(error);
	return CEXT_VERDICT_OPEN;
}

/*
 * May this pinned entry be served?  Verifies a share of the calls.  If the
 * answer is no, the entry has been unpinned and removed.
 */
bool
cext_verify(const CextCall *original, const CextIdent *ident, CextEntry *entry)
{
	CextCall	call = *original;
	CextIdent	found;
	CextVerdict verdict;

	if (!worth_trying(entry))
		return true;
	call.compare = entry;
	call.verdict = CEXT_VERDICT_OPEN;
	PG_TRY();
	{
		verdict = judge(&call, ident);
	}
	PG_CATCH();
	{
		cext_store_unpin(entry);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (verdict != CEXT_VERDICT_OPEN)
		cext_stats_add(CEXT_STAT_VERIFIED, 1);
	if (verdict != CEXT_VERDICT_DIFFERENT)
		return true;

	cext_stats_add(CEXT_STAT_DIVERGENCES, 1);
	ereport(LOG_SERVER_ONLY,
			(errmsg("cached result with key %s differs from a fresh one",
					cext_quote_key(ident->key, ident->keylen)),
			 errdetail("It was stored %.3f seconds ago, and nothing has invalidated it.",
					   (GetCurrentTimestamp() - entry->created) / 1e6),
			 errhint("Attach the tables that the query reads, or choose a shorter time to live.")));
	found = *ident;
	if (memcmp(entry->seed, ident->seed, CEXT_SEED_SIZE) != 0)
		cext_identify_varying(ident, &found);
	cext_store_unpin(entry);
	cext_store_remove(&found);
	return false;
}
