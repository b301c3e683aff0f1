/*-------------------------------------------------------------------------
 *
 * cext_pending.c
 *		Plain values that the current transaction has set or deleted.
 *
 * What a transaction sets or deletes is kept here, as versions with the nesting
 * level of their subtransaction, is what it reads itself, and reaches the store
 * when it commits, after its invalidations.  An invalidation of the same
 * transaction deletes what was set before it, and not what is set later.
 *
 * Setting and deleting bump a tag of the value's own, so that the old value is
 * dead from the commit on even if the new one finds no room.
 *
 * Memory: TopTransactionContext.  apply() neither allocates nor throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_pattern.h"
#include "cext_pending.h"
#include "cext_redis_conf.h"
#include "cext_stats.h"
#include "cext_writeback.h"

/* cluster, database, key with prefixes, the value itself */
#define VALUE_TAGS	(CEXT_MAX_PREFIXES + 4)

typedef struct PendingValue
{
	CextIdent	ident;			/* key points behind */
	int			level;
	struct PendingValue *prior; /* of the same hash */
	char	   *bytes;			/* NULL: deleted */
	Size		size;
	double		ttl;
	uint16		ns;
	CextStorage tier;
	int			ntags;
	CextTag		tags[VALUE_TAGS];
} PendingValue;

typedef struct PendingHead
{
	uint64		hash;
	PendingValue *newest;
} PendingHead;

static HTAB *pending;			/* of PendingHead */
static PendingValue **order;	/* as added; levels ascend */
static int	norder;
static int	order_size;


/* ----------------------------------------------------------------
 *		The set
 * ----------------------------------------------------------------
 */

static bool
same_value(const CextIdent *a, const CextIdent *b)
{
	return a->hash == b->hash && a->roleid == b->roleid &&
		a->keylen == b->keylen && memcmp(a->key, b->key, a->keylen) == 0 &&
		memcmp(a->seed, b->seed, CEXT_SEED_SIZE) == 0;
}

/* What this transaction made of a value last; NULL if nothing. */
static PendingValue *
pending_value(const CextIdent *id)
{
	PendingHead *head;

	if (likely(pending == NULL))
		return NULL;
	head = hash_search(pending, &id->hash, HASH_FIND, NULL);
	if (head == NULL)
		return NULL;
	for (PendingValue *v = head->newest; v != NULL; v = v->prior)
		if (same_value(&v->ident, id))
			return v;
	return NULL;
}

/* The same for others; *bytes is NULL if it was deleted. */
bool
cext_pending_find(const CextIdent *id, const char **bytes, Size *size)
{
	PendingValue *v = pending_value(id);

	if (likely(v == NULL))
		return false;
	*bytes = v->bytes;
	*size = v->size;
	return true;
}

/*
 * Set a value, or delete it (NULL), when the transaction commits.  The bytes are
 * copied.
 */
void
cext_pending_add(const CextIdent *id, const char *bytes, Size size, double ttl)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	PendingValue *v;
	PendingHead *head;
	bool		found;
	char	   *key;

	if (pending == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(uint64);
		ctl.entrysize = sizeof(PendingHead);
		ctl.hcxt = TopTransactionContext;
		order_size = 16;
		norder = 0;
		order = palloc(order_size * sizeof(PendingValue *));
		pending = hash_create("cache_ext pending values", 64, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (norder == order_size)
	{
		order = repalloc(order, 2 * order_size * sizeof(PendingValue *));
		order_size *= 2;
	}

	v = palloc0(sizeof(PendingValue));
	v->ident = *id;
	key = palloc(id->keylen + 1);
	memcpy(key, id->key, id->keylen);
	v->ident.key = key;
	v->level = GetCurrentTransactionNestLevel();
	if (bytes != NULL)
	{
		v->bytes = MemoryContextAllocHuge(TopTransactionContext, size);
		memcpy(v->bytes, bytes, size);
		v->size = size;
	}
	v->ttl = ttl;
	v->tier = cext_storage_of_policy;
	v->ns = cext_stats_namespace(id->dbid, id->key, id->keylen);
	v->ntags = cext_tags_of_key(id->dbid, id->key, id->keylen, v->tags);
	v->tags[v->ntags++] = CEXT_TAG_CLUSTER;
	v->tags[v->ntags++] = cext_tag_database(id->dbid);
	v->tags[v->ntags++] = cext_tag_value(id->hash);
	head = hash_search(pending, &id->hash, HASH_ENTER, &found);
	v->prior = found ? head->newest : NULL;
	head->newest = v;
	order[norder++] = v;
	MemoryContextSwitchTo(old);
}

static bool
value_has_tag(const PendingValue *v, CextTag tag)
{
	for (int i = 0; i < v->ntags - 1; i++)	/* not its own */
		if (v->tags[i] == tag)
			return true;
	return false;
}


/* ----------------------------------------------------------------
 *		What happens to the transaction
 * ----------------------------------------------------------------
 */

/* An invalidation deletes what this transaction has set so far. */
static void
delete_matching(CextTag tag, const char *pattern, int len)
{
	int			n = norder;

	for (int i = 0; i < n; i++)
	{
		PendingValue *v = order[i];

		if (pending_value(&v->ident) != v || v->bytes == NULL)
			continue;
		if (pattern != NULL ?
			cext_pattern_match(pattern, len, v->ident.key, v->ident.keylen) :
			value_has_tag(v, tag))
			cext_pending_add(&v->ident, NULL, 0, 0);
	}
}

static void
tag_added(CextTag tag)
{
	if (unlikely(pending != NULL))
		delete_matching(tag, NULL, 0);
}

static void
pattern_added(const char *pattern, int len)
{
	if (unlikely(pending != NULL))
		delete_matching(0, pattern, len);
}

static bool
refuse_prepare(void)
{
	return norder > 0;
}

static void
forget(void)
{
	pending = NULL;
	order = NULL;
	norder = order_size = 0;
}

/* The transaction has committed. */
static void
apply(void)
{
	TimestampTz now;
	uint64		xmax;

	if (likely(pending == NULL))
		return;
	now = GetCurrentTimestamp();

	/* a transaction without an xid is not in the snapshots taken before it */
	xmax = U64FromFullTransactionId(ReadNextFullTransactionId()) + 1;
	for (int i = 0; i < norder; i++)
	{
		PendingValue *v = order[i];
		const char *bytes = v->bytes;
		CextEntryInfo info;

		if (pending_value(&v->ident) != v)
			continue;
		if (bytes == NULL)
		{
			cext_store_remove(&v->ident);
			continue;
		}
		memset(&info, 0, sizeof(info));

		/* the old value is dead already; a spare miss is all that is lost */
		if (!cext_inval_settled(v->ident.key, v->ident.keylen, v->tags, v->ntags,
								&info.stamp, &info.globs))
			continue;
		info.created = now;
		info.expires = now + (TimestampTz) (v->ttl * USECS_PER_SEC);
		info.xmax = xmax;
		info.nrows = 1;
		info.ns = v->ns;
		info.ntags = v->ntags;
		info.tags = v->tags;
		if (cext_store_insert(&v->ident, &info, bytes, v->size))
		{
			cext_storage_of_policy = v->tier;
			cext_writeback_add(&v->ident);
		}
		else
			cext_store_remove(&v->ident);
	}
	forget();
}

static void
xact_callback(XactEvent event, void *arg)
{
	/* at COMMIT, what rolled back subtransactions left is an empty set */
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE ||
		(event == XACT_EVENT_COMMIT && norder == 0))
		forget();
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	int			level;

	if (likely(pending == NULL))
		return;
	level = GetCurrentTransactionNestLevel();
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (norder > 0 && order[norder - 1]->level >= level)
		{
			PendingValue *v = order[--norder];
			PendingHead *head = hash_search(pending, &v->ident.hash, HASH_FIND, NULL);

			/* versions of one hash were added in this order too */
			Assert(head != NULL && head->newest == v);
			head->newest = v->prior;
		}
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = norder - 1; i >= 0 && order[i]->level >= level; i--)
			order[i]->level = level - 1;
	}
}

void
cext_pending_init(void)
{
	static const CextInvalObserver observer = {
		.apply = apply,
		.refuse_prepare = refuse_prepare,
		.tag_added = tag_added,
		.pattern_added = pattern_added,
	};

	cext_inval_observe(&observer);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
