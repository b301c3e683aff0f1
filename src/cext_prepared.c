/*-------------------------------------------------------------------------
 *
 * cext_prepared.c
 *		Invalidations of prepared transactions.
 *
 * COMMIT PREPARED runs in any backend, through any door, and tells nobody.  So
 * at PREPARE the tags are put in flight and handed, with the xid, to a table,
 * and stay there until somebody (a reader of one of the slots, the next fill,
 * the next PREPARE) finds the transaction no longer running, and bumps them.
 *
 * The table is in shared memory and does not survive a restart, which prepared
 * transactions do.  The first session that uses the cache lists those of before
 * the start; they count for the whole cluster.
 *
 * One lock protects the table.  "used" is read without it, so that all this
 * costs one load where nothing is prepared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"

#include "cext_compat.h"
#include "cext_prepared.h"
#include "cext_relay.h"

typedef struct Prepared
{
	TransactionId xid;			/* invalid: free */
	uint32		ntags;
	CextTag		tags[CEXT_PREPARED_TAGS];
} Prepared;

typedef struct PreparedTable
{
	pg_atomic_uint32 used;
	pg_atomic_uint32 recovery_done; /* those of before the start are listed */
	LWLock	   *lock;
	int			size;
	Prepared	records[FLEXIBLE_ARRAY_MEMBER];
} PreparedTable;

static PreparedTable *table;

/* More than the server allows: a finished one stays until somebody looks. */
static int
table_size(void)
{
	return 2 * max_prepared_xacts + 1;
}

Size
cext_prepared_shmem_size(void)
{
	return CACHELINEALIGN(offsetof(PreparedTable, records) +
						  table_size() * sizeof(Prepared));
}

void
cext_prepared_shmem_init(void)
{
	bool		found;

	table = ShmemInitStruct("cache_ext prepared", cext_prepared_shmem_size(), &found);
	if (!found)
	{
		memset(table, 0, cext_prepared_shmem_size());
		pg_atomic_init_u32(&table->used, 0);
		pg_atomic_init_u32(&table->recovery_done, 0);
		table->size = table_size();
		table->lock = &GetNamedLWLockTranche("cache_ext_prepared")->lock;
	}
}

/*
 * Hand the tags of a transaction being prepared over.  False if the table is
 * full.
 */
bool
cext_prepared_add(TransactionId xid, const CextTag *tags, int ntags)
{
	bool		done = false;

	cext_prepared_sweep();
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	for (int i = 0; i < table->size && !done; i++)
	{
		Prepared   *rec = &table->records[i];

		if (TransactionIdIsValid(rec->xid))
			continue;
		Assert(ntags <= CEXT_PREPARED_TAGS);
		rec->xid = xid;
		rec->ntags = ntags;
		memcpy(rec->tags, tags, ntags * sizeof(CextTag));
		pg_atomic_fetch_add_u32(&table->used, 1);
		for (int j = 0; j < ntags; j++)
			cext_slot_begin(tags[j]);
		done = true;
	}
	LWLockRelease(table->lock);

	/* it has to notice the end */
	if (done)
		cext_relay_wake();
	return done;
}

/*
 * A prepared transaction has ended; a rollback leaves the versions alone.
 * Idempotent.
 */
void
cext_prepared_resolve(TransactionId xid, bool committed)
{
	if (!TransactionIdIsValid(xid))
		return;
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	for (int i = 0; i < table->size; i++)
	{
		Prepared   *rec = &table->records[i];
		uint64		version;
		uint32		others;

		if (rec->xid != xid)
			continue;
		version = committed ? cext_version_draw() : 0;
		for (uint32 j = 0; j < rec->ntags; j++)
			(void) cext_slot_end(rec->tags[j], version, 0, &others);
		rec->xid = InvalidTransactionId;
		pg_atomic_fetch_sub_u32(&table->used, 1);

		/* its keys are known to nobody any more */
		if (committed)
			cext_relay_flush(CEXT_FLUSH_PREPARED);
	}
	LWLockRelease(table->lock);
}

/*
 * Resolve all that have ended.  A committed one first becomes visible, then
 * sends its catalog invalidations, then releases its locks; it is resolved
 * after that, so that whoever takes a later stamp sees the new catalogs.  Until
 * then the answer is false: an entry it concerns must not be used.  Costs one
 * read where there are none.
 */
bool
cext_prepared_sweep(void)
{
	bool		settled = true;

	if (likely(pg_atomic_read_u32(&table->used) == 0))
		return true;

	for (int i = 0; i < table->size; i++)
	{
		TransactionId xid;

		LWLockAcquire(table->lock, LW_SHARED);
		xid = table->records[i].xid;
		LWLockRelease(table->lock);
		if (!TransactionIdIsValid(xid) || TransactionIdIsInProgress(xid))
			continue;
		if (cext_xact_lock_free(xid))
		{
			/* whose fate may be forgotten counts as committed */
			cext_prepared_resolve(xid, ReadNextTransactionId() - xid > 1000000 ||
								  TransactionIdDidCommit(xid));
		}
		else
			settled = false;
	}
	return settled;
}

/*
 * While there are any, keep the table as it is: whoever is in it will draw a
 * version later than cext_prepared_thaw().  False, and nothing to thaw, if there
 * are none.  Neither throws nor waits for anybody but the lock.
 */
bool
cext_prepared_freeze(void)
{
	if (likely(!cext_prepared_any()))
		return false;
	LWLockAcquire(table->lock, LW_SHARED);
	return true;
}

void
cext_prepared_thaw(void)
{
	LWLockRelease(table->lock);
}

/* How many hold this slot?  The table is frozen. */
uint32
cext_prepared_holders(CextTag tag)
{
	uint32		n = 0;

	for (int i = 0; i < table->size; i++)
	{
		Prepared   *rec = &table->records[i];

		if (TransactionIdIsValid(rec->xid) && cext_has_tag(rec->tags, rec->ntags, tag))
			n++;
	}
	return n;
}

/* Is everybody who holds this slot a prepared transaction that is not resolved? */
bool
cext_prepared_hold_alone(CextTag tag)
{
	bool		alone;

	if (!cext_prepared_freeze())
		return cext_slot_inflight(tag) == 0;
	alone = cext_slot_inflight(tag) == cext_prepared_holders(tag);
	cext_prepared_thaw();
	return alone;
}

/*
 * These were prepared at the start of the server, or since: their tags are
 * lost, so whatever of them is not in the table counts for the whole cluster.
 */
static void
note_recovered(const TransactionId *xids, int n)
{
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&table->recovery_done) == 0)
	{
		for (int k = 0; k < n; k++)
		{
			Prepared   *freerec = NULL;
			bool		known = false;

			for (int i = 0; i < table->size; i++)
			{
				if (table->records[i].xid == xids[k])
					known = true;
				else if (freerec == NULL && !TransactionIdIsValid(table->records[i].xid))
					freerec = &table->records[i];
			}
			if (known || freerec == NULL)
				continue;
			freerec->xid = xids[k];
			freerec->ntags = 1;
			freerec->tags[0] = CEXT_TAG_CLUSTER;
			pg_atomic_fetch_add_u32(&table->used, 1);
			cext_slot_begin(CEXT_TAG_CLUSTER);
		}
		pg_atomic_write_u32(&table->recovery_done, 1);
	}
	LWLockRelease(table->lock);
}

/*
 * Before the first use of the cache after the server's start, or after
 * recovery: list the transactions that were prepared before.  The function is
 * called as the executor would, but past the hooks.
 */
void
cext_prepared_recover(void)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	flinfo;
	ReturnSetInfo rsinfo;
	TransactionId *xids;
	int			n = 0;
	int			size = 16;

	if (likely(max_prepared_xacts == 0 ||
			   pg_atomic_read_u32(&table->recovery_done) != 0) ||
		RecoveryInProgress())
		return;

	xids = palloc(size * sizeof(TransactionId));
	fmgr_info(F_PG_PREPARED_XACT, &flinfo);
	memset(&rsinfo, 0, sizeof(rsinfo));
	rsinfo.type = T_ReturnSetInfo;
	rsinfo.econtext = CreateStandaloneExprContext();
	rsinfo.allowedModes = SFRM_ValuePerCall;
	rsinfo.returnMode = SFRM_ValuePerCall;
	InitFunctionCallInfoData(*fcinfo, &flinfo, 0, InvalidOid, NULL, (Node *) &rsinfo);
	for (;;)
	{
		Datum		row = FunctionCallInvoke(fcinfo);
		bool		isnull;

		if (rsinfo.isDone == ExprEndResult)
			break;
		if (n == size)
		{
			size *= 2;
			xids = repalloc(xids, size * sizeof(TransactionId));
		}
		xids[n++] = DatumGetTransactionId(GetAttributeByNum(DatumGetHeapTupleHeader(row),
															1, &isnull));
	}
	FreeExprContext(rsinfo.econtext, true);
	note_recovered(xids, n);
	pfree(xids);
}

/* Is any transaction prepared whose end somebody has to notice? */
bool
cext_prepared_any(void)
{
	return pg_atomic_read_u32(&table->used) > 0;
}

/*
 * The same as cext_prepared_recover(), for a process that can read no catalog.
 * A prepared transaction is one that is running in no backend.  One that has
 * just ended may look so too; the next sweep finds that out.
 */
void
cext_prepared_recover_shmem(void)
{
	RunningTransactions running;
	TransactionId *xids;
	int			n;
	int			nprepared = 0;

	if (max_prepared_xacts == 0 || pg_atomic_read_u32(&table->recovery_done) != 0)
		return;
	running = GetRunningTransactionData();
	LWLockRelease(ProcArrayLock);
	LWLockRelease(XidGenLock);
	n = running->xcnt;
	xids = palloc((n + 1) * sizeof(TransactionId));
	for (int i = 0; i < n; i++)
		if (BackendXidGetPid(running->xids[i]) == 0)
			xids[nprepared++] = running->xids[i];
	note_recovered(xids, nprepared);
	pfree(xids);
}
