/*-------------------------------------------------------------------------
 *
 * cext_find.c
 *		Finding an entry that answers now.
 *
 * In shared memory or, if it is not there, in Redis; and then every question
 * that can make it the wrong answer for this session in this transaction: time,
 * versions, patterns, the transaction's own changes, its snapshot, temporary
 * relations.  No parsing, no catalog access, no snapshot but in rare cases.
 *
 * What is found is pinned, or a copy; cext_store_unpin() gives either back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "cext_compat.h"
#include "cext_find.h"
#include "cext_glob.h"
#include "cext_guc.h"
#include "cext_history.h"
#include "cext_identity.h"
#include "cext_inval.h"
#include "cext_tier.h"
#include "cext_tracker.h"


/* the entry last found is old enough to think of a refresh */
bool		cext_refresh_near;


/* A recent 32-bit xid as a full one. */
uint64
cext_full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	int32		behind = (int32) (XidFromFullTransactionId(next) - xid);

	return U64FromFullTransactionId(next) - behind;
}


/* ----------------------------------------------------------------
 *		Does an entry hold?
 * ----------------------------------------------------------------
 */

/* Against the versions alone, not its time. */
bool
cext_entry_alive(CextEntry *e)
{
	return cext_version_alive(e->stamp, CEXT_ENTRY_TAGS(e), e->ntags) &&
		cext_glob_alive(e->dbid, CEXT_ENTRY_KEY(e), e->keylen, e->stamp, &e->globs);
}

/*
 * Has this transaction locked one of the relations for writing?  Then its own
 * uncommitted rows may be in there.
 */
static bool
writes_relation_of(CextEntry *e)
{
	Oid		   *rels = CEXT_ENTRY_RELS(e);

	for (int i = 0; i < e->nrels; i++)
	{
		LOCKTAG		tag;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, rels[i]);
		if (cext_lock_held(&tag, RowExclusiveLock))
			return true;
	}
	return false;
}

/* Does a temporary relation of this session hide one of the entry's? */
static bool
shadowed_by_temporary(CextEntry *e)
{
	Oid			temp;
	Oid			toast;
	Oid		   *rels = CEXT_ENTRY_RELS(e);

	GetTempNamespaceState(&temp, &toast);
	if (likely(!OidIsValid(temp)))
		return false;
	for (int i = 0; i < e->nrels; i++)
	{
		char	   *name = get_rel_name(rels[i]);

		if (name == NULL || OidIsValid(get_relname_relid(name, temp)))
			return true;
	}
	return false;
}

/*
 * May this session, in this transaction, take this entry for an answer, up to
 * so many microseconds beyond its time?  If not, *reason says whether it is the
 * session's matter.
 */
static bool
usable(CextEntry *e, double ttl, int64 grace, CextBypass *reason)
{
	TimestampTz now = GetCurrentTimestamp();

	cext_history_tick(now);

	/* a shorter TTL given now counts for what is already there */
	if (now - grace >= e->expires ||
		(ttl > 0 && now - grace - e->created >= ttl * USECS_PER_SEC))
		return false;
	if (unlikely((uint64) now >= pg_atomic_read_u64(&e->refresh)))
		cext_refresh_near = true;
	if (((e->flags & CEXT_ENTRY_RECOVERY) != 0) != RecoveryInProgress())
		return false;
	if (!cext_entry_alive(e))
		return false;
	if (unlikely(cext_inval_pending()) &&
		cext_inval_pending_tags(CEXT_ENTRY_TAGS(e), e->ntags))
	{
		*reason = CEXT_BYPASS_OWN_INVALIDATION;
		return false;
	}
	if (unlikely(IsolationUsesXactSnapshot()) &&
		e->xmax > cext_full_xid(GetTransactionSnapshot()->xmin))
	{
		*reason = CEXT_BYPASS_REPEATABLE_READ;
		return false;
	}
	if (unlikely(TransactionIdIsValid(GetTopTransactionIdIfAny())) &&
		writes_relation_of(e))
	{
		*reason = CEXT_BYPASS_WRITTEN;
		return false;
	}
	if (unlikely(shadowed_by_temporary(e)))
	{
		*reason = CEXT_BYPASS_TEMPORARY;
		return false;
	}
	return true;
}

/*
 * The entry of exactly this identity, in whatever tier, if it can be used.  One
 * in shared memory that cannot is never newer in Redis, except on a standby, or
 * where this session does not store there.
 * "anywhere": in Redis, too.
 * A mark that the query varies only says where to look, so its age is no matter.
 */
static CextEntry *
look_up(const CextIdent *id, double ttl, int64 grace, CextBypass *reason, bool anywhere)
{
	CextEntry  *e = cext_store_lookup(id);

	if (likely(e != NULL))
	{
		if ((e->flags & CEXT_ENTRY_VARIES) != 0 || likely(usable(e, ttl, grace, reason)))
			return e;
		cext_store_unpin(e);
		if (*reason != CEXT_CACHEABLE ||
			(cext_storage_memory() && !RecoveryInProgress()))
			return NULL;
	}
	if (likely(!cext_storage_redis()) || !anywhere)
		return NULL;
	if (!cext_tier_fetch(id, 1, &e))
		return NULL;
	if (e != NULL && (e->flags & CEXT_ENTRY_VARIES) == 0 &&
		!usable(e, ttl, grace, reason))
	{
		cext_store_unpin(e);
		e = NULL;
	}
	cext_stats_add(e != NULL ? CEXT_STAT_REDIS_HITS : CEXT_STAT_REDIS_MISSES, 1);
	if (e != NULL)
		cext_tier_promote(e);
	return e;
}

/*
 * As cext_find(), with a time of grace after an entry's end, in microseconds;
 * "anywhere": in Redis, too.
 */
CextEntry *
cext_find_in(const CextIdent *id, double ttl, int64 grace, CextBypass *reason, uint64 *hash,
			 bool anywhere)
{
	CextEntry  *e;

	if (hash != NULL)
		*hash = id->hash;
	if (unlikely(cext_inval_pending()) && cext_inval_pending_key(id->key, id->keylen))
	{
		*reason = CEXT_BYPASS_OWN_INVALIDATION;
		return NULL;
	}
	e = look_up(id, ttl, grace, reason, anywhere);
	if (e != NULL && (e->flags & CEXT_ENTRY_VARIES) != 0)
	{
		CextIdent	varying;

		cext_store_unpin(e);
		cext_tracker_varies();
		cext_identify_varying(id, &varying);
		if (hash != NULL)
			*hash = varying.hash;
		e = look_up(&varying, ttl, grace, reason, anywhere);
	}
	return e;
}

/*
 * The entry for this identity that answers now, pinned; or NULL, and *reason
 * is set if that is no ordinary miss.  *hash, if wanted, is that of the
 * identity that was looked for in the end.
 */
CextEntry *
cext_find(const CextIdent *id, double ttl, CextBypass *reason, uint64 *hash)
{
	return cext_find_in(id, ttl, 0, reason, hash, true);
}

/* The same, without asking Redis. */
CextEntry *
cext_find_near(const CextIdent *id, double ttl, CextBypass *reason)
{
	return cext_find_in(id, ttl, 0, reason, NULL, false);
}

/*
 * What of these shared memory does not have, from Redis in one round trip:
 * copies that can be used, or NULL.  True if Redis was asked; then those are
 * not to be looked for there again.
 */
bool
cext_find_remote(const CextIdent *ids, int n, CextEntry **entries)
{
	CextIdent  *missing;
	CextEntry **found;
	int		   *which;
	int			nmissing = 0;

	memset(entries, 0, n * sizeof(CextEntry *));
	if (!cext_storage_redis())
		return false;
	missing = palloc(n * sizeof(CextIdent));
	found = palloc(n * sizeof(CextEntry *));
	which = palloc(n * sizeof(int));
	for (int i = 0; i < n; i++)
	{
		CextEntry  *e = cext_store_lookup(&ids[i]);

		if (e != NULL)
			cext_store_unpin(e);
		else
		{
			which[nmissing] = i;
			missing[nmissing++] = ids[i];
		}
	}
	if (nmissing > 0 && !cext_tier_fetch(missing, nmissing, found))
		nmissing = 0;
	for (int i = 0; i < nmissing; i++)
	{
		CextBypass	reason = CEXT_CACHEABLE;

		if (found[i] != NULL && !usable(found[i], -1, 0, &reason))
		{
			cext_store_unpin(found[i]);
			found[i] = NULL;
		}
		cext_stats_add(found[i] != NULL ? CEXT_STAT_REDIS_HITS :
					   CEXT_STAT_REDIS_MISSES, 1);
		entries[which[i]] = found[i];
		if (found[i] != NULL)
			cext_tier_promote(found[i]);
	}
	pfree(missing);
	pfree(found);
	pfree(which);
	return true;
}

/*
 * An entry in shared memory that has expired within these seconds, and is good
 * otherwise; not within a fill, whose result would begin its life with it.
 */
CextEntry *
cext_find_stale(const CextIdent *id, double ttl, double seconds)
{
	CextBypass	reason = CEXT_CACHEABLE;

	return cext_tracking() ? NULL :
		cext_find_in(id, ttl, (int64) (seconds * USECS_PER_SEC), &reason, NULL, false);
}

/* Why this session cannot use the cache at all now, if so. */
CextBypass
cext_session_bypass(void)
{
	if (!cext_active())
	{
		static bool warned = false;

		if (!warned)
		{
			warned = true;
			ereport(WARNING,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cache_ext is not loaded, queries are not cached"),
					 errhint("Add cache_ext to \"shared_preload_libraries\" and restart the server.")));
		}
		return CEXT_BYPASS_NOT_PRELOADED;
	}
	if (!cext_enabled)
		return CEXT_BYPASS_DISABLED;
	if (RecoveryInProgress() && !cext_allow_in_recovery)
		return CEXT_BYPASS_RECOVERY;
	if (IsolationIsSerializable())
		return CEXT_BYPASS_SERIALIZABLE;
	if (IsParallelWorker())
		return CEXT_BYPASS_PARALLEL_WORKER;
	return CEXT_CACHEABLE;
}
