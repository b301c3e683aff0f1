/*-------------------------------------------------------------------------
 *
 * cext_inval.c
 *		Invalidations of the current transaction.
 *
 * What a transaction invalidates is collected here, tag by tag and pattern by
 * pattern, each with the nesting level of its subtransaction, so that ROLLBACK
 * TO SAVEPOINT forgets what it undoes.  The steps of cext_version.c happen:
 *
 *	PRE_COMMIT				publish, in flight + 1 (the last point that may fail)
 *	resource release		version bumped, in flight - 1, record withdrawn
 *	  AFTER_LOCKS, top level
 *
 * The second is later than the COMMIT callback on purpose.  By then the rows
 * are visible, the catalog invalidation messages are out and the locks are
 * gone, so whoever takes a stamp after the bump also sees the new catalogs: a
 * revoked role cannot refill from its stale syscache, and one mechanism serves
 * rows, DDL and grants.  In between, the slots are in flight with an xid that
 * is no longer running, which is a miss.
 *
 * An abort after PRE_COMMIT goes the same way, for another extension's COMMIT
 * callback may throw once the rows are visible; a plain rollback touches no
 * shared memory.  PREPARE TRANSACTION hands the tags to the prepared table.
 *
 * Memory: TopTransactionContext, which outlives AFTER_LOCKS.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "cext_event.h"
#include "cext_glob.h"
#include "cext_guc.h"
#include "cext_history.h"
#include "cext_inval.h"
#include "cext_log.h"
#include "cext_pattern.h"
#include "cext_prepared.h"
#include "cext_relation.h"
#include "cext_stats.h"
#include "cext_tagset.h"

/* From here on the whole database is the cheaper thing to invalidate. */
#define MAX_PENDING_TAGS	100000
#define MAX_PENDING_PATTERNS	256

typedef struct PendingPattern
{
	int			level;
	bool		logged;			/* appended to the glob log, as seq */
	uint64		seq;
	int			len;
	char	   *pattern;
} PendingPattern;

/* All valid in the current transaction only. */
static CextTagSet set;			/* set.alone: see cext_inval_settled() */
static PendingPattern *patterns;
static int	npatterns;
static bool pre_committed;		/* our PRE_COMMIT callback has run */
static bool published;			/* there is something to finish */
static uint64 commit_globs;		/* at PRE_COMMIT: the glob log, */
static uint64 commit_clock;		/* the clock, */
static uint64 commit_version;	/* and what was drawn in the end */
static bool handed_over;		/* to the prepared table */

static const CextInvalObserver *observer;


/* ----------------------------------------------------------------
 *		Collecting
 * ----------------------------------------------------------------
 */

/* Invalidate a tag if and when this transaction commits. */
void
cext_inval_add(CextTag tag)
{
	if (observer != NULL)
		observer->tag_added(tag);
	cext_inval_add_value(tag);
}

/* The same for the tag of a plain value, which concerns no other value. */
void
cext_inval_add_value(CextTag tag)
{
	if (!cext_active())
		return;

	/* nobody would publish what a worker collects */
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot invalidate or set cache entries in a parallel worker")));

	if (set.n >= MAX_PENDING_TAGS)
		tag = cext_tag_database(MyDatabaseId);
	if (!cext_tagset_add(&set, tag, GetCurrentTransactionNestLevel()))
		return;
	if (pre_committed)
	{
		/* another PRE_COMMIT callback, later than ours */
		cext_version_publish_more(tag);
		published = true;
	}
}

/* Every entry with this key. */
void
cext_inval_key(const char *key, int len)
{
	if (!cext_active() || len > CEXT_MAX_KEY)
		return;
	cext_inval_add(cext_tag_key(MyDatabaseId, key, len));
	cext_event(CEXT_RELAY_KEY, key, len);
}

/* What a pattern that cannot be logged is widened to. */
static CextTag
widened(const char *pattern, int len)
{
	StringInfoData literal;
	CextTag		tag;

	initStringInfo(&literal);
	cext_pattern_classify(pattern, len, &literal);
	while (literal.len > 0 &&
		   (literal.data[literal.len - 1] != ':' ||
			cext_prefix_depth(literal.data, literal.len) > CEXT_MAX_PREFIXES))
		literal.len--;
	tag = literal.len > 0 ?
		cext_tag_prefix(MyDatabaseId, literal.data, literal.len) :
		cext_tag_database(MyDatabaseId);
	pfree(literal.data);
	return tag;
}

static void
add_glob(const char *pattern, int len)
{
	if (observer != NULL)
		observer->pattern_added(pattern, len);
	for (int i = 0; i < npatterns; i++)
		if (patterns[i].len == len && memcmp(patterns[i].pattern, pattern, len) == 0)
			return;

	if (pre_committed || npatterns >= MAX_PENDING_PATTERNS || len > CEXT_GLOB_LENGTH)
	{
		cext_inval_add(widened(pattern, len));
		return;
	}
	if (patterns == NULL)
		patterns = MemoryContextAlloc(TopTransactionContext,
									  MAX_PENDING_PATTERNS * sizeof(PendingPattern));
	patterns[npatterns].pattern = MemoryContextAlloc(TopTransactionContext, len + 1);
	memcpy(patterns[npatterns].pattern, pattern, len);
	patterns[npatterns].pattern[len] = '\0';
	patterns[npatterns].len = len;
	patterns[npatterns].level = GetCurrentTransactionNestLevel();
	patterns[npatterns].logged = false;
	npatterns++;
	cext_inval_add(cext_tag_globs(MyDatabaseId));
}

/* Every entry whose key starts with this; the prefix ends in a colon. */
void
cext_inval_prefix(const char *prefix, int len)
{
	if (!cext_active() || len > CEXT_MAX_KEY)
		return;
	if (cext_prefix_depth(prefix, len) <= CEXT_MAX_PREFIXES)
		cext_inval_add(cext_tag_prefix(MyDatabaseId, prefix, len));
	else
	{
		StringInfoData buf;

		initStringInfo(&buf);
		cext_pattern_append_escaped(&buf, prefix, len);
		appendStringInfoChar(&buf, '*');
		add_glob(buf.data, buf.len);
		pfree(buf.data);
	}
}

/* Every entry whose key matches. */
void
cext_inval_pattern(const char *pattern, int len)
{
	StringInfoData literal;
	CextPatternKind kind;

	if (!cext_active())
		return;
	initStringInfo(&literal);
	kind = cext_pattern_classify(pattern, len, &literal);
	switch (kind)
	{
		case CEXT_PATTERN_KEY:
			cext_inval_key(literal.data, literal.len);
			break;
		case CEXT_PATTERN_PREFIX:
			cext_inval_prefix(literal.data, literal.len);
			break;
		case CEXT_PATTERN_ALL:
			cext_inval_add(cext_tag_database(MyDatabaseId));
			break;
		case CEXT_PATTERN_GLOB:
			add_glob(pattern, len);
			break;
	}
	if (kind != CEXT_PATTERN_KEY)
		cext_event(CEXT_RELAY_PATTERN, pattern, len);
	pfree(literal.data);
}

/* Everything in this database. */
void
cext_inval_all(void)
{
	if (!cext_active())
		return;
	cext_inval_add(cext_tag_database(MyDatabaseId));
	cext_event(CEXT_RELAY_CLEAR, "", 0);
}

/* Rows of a relation changed: who read it, or something above it. */
void
cext_inval_relation(Oid relid)
{
	List	   *above;
	ListCell   *lc;

	if (!cext_active())
		return;
	cext_inval_add(cext_tag_relation(MyDatabaseId, relid));
	cext_event_table(relid);
	above = cext_relation_ancestors(relid);
	foreach(lc, above)
	{
		cext_inval_add(cext_tag_relation(MyDatabaseId, lfirst_oid(lc)));
		cext_event_table(lfirst_oid(lc));
	}
	list_free(above);
}

/* The relation as a whole: also who read something below it. */
void
cext_inval_relation_tree(Oid relid)
{
	if (!cext_active())
		return;
	cext_inval_relation(relid);
	cext_inval_add(cext_tag_tree(MyDatabaseId, relid));
}


/* ----------------------------------------------------------------
 *		Own invalidations, as this transaction's reads see them
 * ----------------------------------------------------------------
 */

bool
cext_inval_pending(void)
{
	return set.n > 0 || npatterns > 0;
}

/* Has this transaction invalidated one of these? */
bool
cext_inval_pending_tags(const CextTag *tags, int n)
{
	if (set.n == 0)
		return false;
	for (int i = 0; i < n; i++)
		if (cext_tagset_find(&set, tags[i]) >= 0)
			return true;
	return false;
}

/* ... this key, by whatever name? */
bool
cext_inval_pending_key(const char *key, int len)
{
	CextTag		tags[CEXT_MAX_PREFIXES + 3];
	int			n;

	if (!cext_inval_pending())
		return false;
	n = cext_tags_of_key(MyDatabaseId, key, len, tags);
	tags[n++] = cext_tag_database(MyDatabaseId);
	tags[n++] = CEXT_TAG_CLUSTER;
	if (cext_inval_pending_tags(tags, n))
		return true;
	for (int i = 0; i < npatterns; i++)
		if (cext_pattern_match(patterns[i].pattern, patterns[i].len, key, len))
			return true;
	return false;
}


/* ----------------------------------------------------------------
 *		Transaction events
 * ----------------------------------------------------------------
 */

static void
forget(void)
{
	/* the memory goes with TopTransactionContext */
	cext_tagset_reset(&set);
	patterns = NULL;
	npatterns = 0;
	pre_committed = published = handed_over = false;
	cext_event_forget();
}

static void
pre_commit(void)
{
	TransactionId xid;
	instr_time	start;

	INSTR_TIME_SET_ZERO(start);
	if (cext_logs(CEXT_LOG_INVALIDATE))
		INSTR_TIME_SET_CURRENT(start);
	commit_globs = cext_glob_resolved();
	commit_clock = cext_version_clock();
	if (!cext_inval_pending())
	{
		pre_committed = true;
		return;
	}

	/*
	 * Patterns first: one that does not fit the log becomes a tag.  A later
	 * error in this loop would leave records unresolved, so "published" says
	 * that there is something to finish.
	 */
	xid = GetTopTransactionIdIfAny();
	for (int i = 0; i < npatterns; i++)
	{
		if (!cext_glob_append(MyDatabaseId, patterns[i].pattern, patterns[i].len,
							  xid, &patterns[i].seq))
			cext_inval_add(widened(patterns[i].pattern, patterns[i].len));
		else
			patterns[i].logged = true;
	}
	cext_version_publish(xid, set.tags, set.n);
	published = pre_committed = true;
	cext_event_reserve();
	if (cext_logs(CEXT_LOG_INVALIDATE))
		cext_log("commit", NULL, 0, cext_elapsed_us(start), " tags=%d patterns=%d",
				 set.n, npatterns);
}

static void
pre_prepare(void)
{
	CextTag		few[1];

	if (observer != NULL && observer->refuse_prepare())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has set or deleted cache values")));
	if (!cext_inval_pending())
		return;

	for (int i = 0; i < npatterns; i++)
		cext_inval_add(widened(patterns[i].pattern, patterns[i].len));
	npatterns = 0;

	few[0] = cext_tag_database(MyDatabaseId);
	if (set.n <= CEXT_PREPARED_TAGS ?
		!cext_prepared_add(GetTopTransactionId(), set.tags, set.n) :
		!cext_prepared_add(GetTopTransactionId(), few, 1))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many prepared transactions with pending cache invalidations"),
				 errhint("Increase \"max_prepared_transactions\".")));
	handed_over = true;
}

/* A published transaction has ended, one way or the other. */
static void
finish(bool committed)
{
	for (int i = 0; i < npatterns; i++)
		if (patterns[i].logged)
			cext_glob_resolve(patterns[i].seq);
	commit_version = cext_version_finish(set.tags, set.n, commit_clock, set.alone);
	cext_event_resolve(committed);
	cext_history_tick(GetCurrentTransactionStopTimestamp());
	cext_stats_add(CEXT_STAT_INVALIDATIONS, set.n + npatterns);
}

/* Is this record of the glob log one of ours? */
static bool
own_record(uint64 seq)
{
	for (int i = 0; i < npatterns; i++)
		if (patterns[i].logged && patterns[i].seq == seq)
			return true;
	return false;
}

/*
 * For apply(): may a value with these tags be stored as of this commit?  Only
 * if nobody else has invalidated any of them since before this transaction
 * became visible; otherwise that may be the later word.  If so, *stamp and
 * *globs are those to store it with.
 */
bool
cext_inval_settled(const char *key, int keylen, const CextTag *tags, int n,
				   uint64 *stamp, uint64 *globs)
{
	for (int i = 0; i < n; i++)
	{
		int			own = cext_tagset_find(&set, tags[i]);

		if (own >= 0 ? !set.alone[own] :
			!cext_version_idle(tags[i], commit_clock))
			return false;
	}

	/* own patterns came before the value: see delete_matching() */
	if (!cext_glob_settled(MyDatabaseId, key, keylen, commit_clock, commit_globs,
						   own_record))
		return false;
	*stamp = commit_version;
	*globs = commit_globs;
	return true;
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			pre_prepare();
			break;
		case XACT_EVENT_PREPARE:
			if (handed_over)
				cext_stats_add(CEXT_STAT_INVALIDATIONS, set.n);
			forget();
			break;
		case XACT_EVENT_COMMIT:

			/*
			 * What a rolled back subtransaction left: an empty set, whose
			 * memory goes away with the transaction.
			 */
			if (!published)
				forget();
			break;
		case XACT_EVENT_ABORT:
			if (handed_over)
			{
				/* PREPARE failed after all; the xid is still ours to name */
				cext_prepared_resolve(GetTopTransactionIdIfAny(), false);
			}
			if (!published)
			{
				/* a glob may have been logged before pre_commit() failed */
				for (int i = 0; i < npatterns; i++)
					if (patterns[i].logged)
						cext_glob_resolve(patterns[i].seq);
				forget();
			}
			break;
		default:
			break;
	}
}

static void
release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	/* called once for each resource owner; the first call does it all */
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !isTopLevel)
		return;
	if (!published)
		return;
	finish(isCommit);
	if (isCommit && observer != NULL)
		observer->apply();
	forget();
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	int			level;

	if (!cext_inval_pending())
		return;
	level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		cext_tagset_end_sub(&set, false, level);
		while (npatterns > 0 && patterns[npatterns - 1].level >= level)
			npatterns--;
		cext_event_end_sub(false, level);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		cext_tagset_end_sub(&set, true, level);
		for (int i = npatterns - 1; i >= 0 && patterns[i].level >= level; i--)
			patterns[i].level = level - 1;
		cext_event_end_sub(true, level);
	}
}

/*
 * apply() runs after the bumps of a commit, so that what it stores is stamped
 * later than them.
 */
void
cext_inval_observe(const CextInvalObserver *o)
{
	observer = o;
}

void
cext_inval_init(void)
{
	cext_tagset_reset(&set);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}
