/*-------------------------------------------------------------------------
 *
 * cext_version.c
 *		Tags, version slots, and the test whether an entry still holds.
 *
 * One 64-bit clock and a fixed array of 64-bit atomics in shared memory.  A
 * tag (a key, a key prefix, a relation, a database, the cluster) hashes to a
 * slot; two tags in one slot cost a spare miss and nothing else.  A slot packs
 * the version of its last invalidation and the number of transactions now
 * committing one.  An entry stores one stamp, the clock as read before its
 * snapshot was taken, and is alive while no slot of its tags is newer than the
 * stamp.  Invalidating is therefore one atomic update per tag, whatever the
 * number of entries: the dead are never searched for.
 *
 * A committing transaction (see cext_inval.c for when each step happens)
 *
 *	1. publishes its xid and tags in its own record of committing[],
 *	2. write barrier, in flight + 1 in each slot                  (PRE_COMMIT)
 *	   ... its rows become visible (ProcArrayEndTransaction) ...
 *	3. version = max(version, ++clock), in flight - 1
 *	4. withdraws the record                          (resource release, last)
 *
 * A reader that finds a slot in flight looks the holders up in committing[]
 * and in cext_prepared.c: while the holder's xid is running, its rows are invisible to
 * a snapshot taken now and the entry is still right; otherwise it is a miss.
 * A record withdrawn between the reader's look at the slot and its look at the
 * records has done step 3, so the reader looks at the version once more.
 *
 * Why no stale entry survives: a fill reads the clock, then takes its
 * snapshot.  If that snapshot does not see transaction T, T became visible
 * later, and drew its version in step 3 later still: version > stamp, dead.
 * Between T's becoming visible and step 3 the slot is in flight with an xid
 * that is not running: a miss.  See src/README for the whole argument.
 *
 * Patterns that no tag stands for are in cext_glob.c, transactions that leave
 * their commit to somebody else in cext_prepared.c.
 *
 * Locking: the clock and slots need none.  A committing record is written by
 * its backend alone, read by all with barriers.  Nothing here throws or
 * allocates, except that asking whether a transaction is running may, as
 * TransactionIdIsInProgress() does: cext_version_alive() asks, and is not called
 * with a lock held or after a commit.
 *
 * A crash of any backend makes the postmaster reinitialize shared memory, and
 * with it slots and entries alike.  An exit by FATAL error aborts the
 * transaction first, so steps 3 and 4 are not skipped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "storage/procarray.h"

#include "cext_compat.h"
#include "cext_prepared.h"
#include "cext_state.h"

/* MAX_BACKENDS fits in 18 bits; 46 bits of clock last for decades. */
#define INFLIGHT_BITS	18
#define INFLIGHT_MASK	((UINT64CONST(1) << INFLIGHT_BITS) - 1)
#define SLOT_VERSION(s) ((s) >> INFLIGHT_BITS)
#define SLOT_INFLIGHT(s) ((s) & INFLIGHT_MASK)

/*
 * Relations and databases have slots of their own: keys are invalidated far
 * more often, and their collisions must not reach every entry of a table.
 */
#define SYSTEM_SLOTS	16384

#define COMMITTING_TAGS 29
#define COMMITTING_ALL	PG_UINT32_MAX

typedef struct CextCommitting
{
	pg_atomic_uint32 ntags;		/* 0: not committing; COMMITTING_ALL: too many */
	TransactionId xid;			/* may be invalid: then readers miss */
	CextTag		tags[COMMITTING_TAGS];
} CextCommitting;

typedef struct CextVersionShared
{
	union
	{
		pg_atomic_uint64 clock;
		char		pad[PG_CACHE_LINE_SIZE];
	}			c;
	uint32		key_mask;
	pg_atomic_uint32 records;	/* of committing[] that were ever used, all
								 * before this one */
} CextVersionShared;

static CextVersionShared *shared;
static pg_atomic_uint64 *slots;
static CextCommitting *committing;


/* A power of two of key slots in about this many bytes. */
static uint32
key_slots(Size budget)
{
	uint64		n = Max(budget / sizeof(pg_atomic_uint64), 1024);

	return (uint32) 1 << Min(pg_leftmost_one_pos64(n), 28);
}

static Size
slots_size(Size budget)
{
	return mul_size(add_size(SYSTEM_SLOTS, key_slots(budget)),
					sizeof(pg_atomic_uint64));
}

static void
reset_versions(void)
{
	pg_atomic_init_u64(&shared->c.clock, 1);
	for (uint32 i = 0; i <= SYSTEM_SLOTS + shared->key_mask; i++)
		pg_atomic_init_u64(&slots[i], 0);
}

Size
cext_version_shmem_size(Size budget)
{
	Size		size = CACHELINEALIGN(sizeof(CextVersionShared));

	size = add_size(size, CACHELINEALIGN(slots_size(budget)));
	size = add_size(size, CACHELINEALIGN(mul_size(MaxBackends, sizeof(CextCommitting))));
	return size;
}

void
cext_version_shmem_init(Size budget)
{
	bool		found;
	char	   *p;

	p = ShmemInitStruct("cache_ext versions", cext_version_shmem_size(budget), &found);
	shared = (CextVersionShared *) p;
	p += CACHELINEALIGN(sizeof(CextVersionShared));
	slots = (pg_atomic_uint64 *) p;
	p += CACHELINEALIGN(slots_size(budget));
	committing = (CextCommitting *) p;

	if (!found)
	{
		memset(shared, 0, cext_version_shmem_size(budget));
		shared->key_mask = key_slots(budget) - 1;
		reset_versions();
		pg_atomic_init_u32(&shared->records, 0);
		for (int i = 0; i < MaxBackends; i++)
			pg_atomic_init_u32(&committing[i].ntags, 0);
	}
}


/* ----------------------------------------------------------------
 *		Across a clean restart
 * ----------------------------------------------------------------
 */

#define STATE_BLOCK 1024		/* slots */

typedef struct VersionState
{
	uint64		clock;
	uint32		nslots;
} VersionState;

/* Clock and slots; blocks of slots never used are left out. */
static void
save_versions(CextStateFile *file)
{
	VersionState state;

	memset(&state, 0, sizeof(state));
	state.clock = cext_version_clock();
	state.nslots = SYSTEM_SLOTS + shared->key_mask + 1;
	cext_state_write(file, &state, sizeof(state));
	for (uint32 block = 0; block < state.nslots; block += STATE_BLOCK)
	{
		uint64		values[STATE_BLOCK];
		uint64		any = 0;

		for (uint32 i = 0; i < STATE_BLOCK; i++)
			any |= values[i] = pg_atomic_read_u64(&slots[block + i]);
		if (any == 0)
			continue;
		cext_state_write(file, &block, sizeof(block));
		cext_state_write(file, values, sizeof(values));
	}
}

/*
 * A slot in flight at the end belongs to a prepared transaction that has, or
 * will have, lost its record: it counts as invalidated.
 */
static bool
load_versions(CextStateFile *file)
{
	VersionState state;
	uint32		block;
	uint64		values[STATE_BLOCK];

	if (!cext_state_read(file, &state, sizeof(state)) ||
		state.nslots != SYSTEM_SLOTS + shared->key_mask + 1)
		return false;
	pg_atomic_write_u64(&shared->c.clock, state.clock + 1);
	while (cext_state_left(file) > 0)
	{
		if (!cext_state_read(file, &block, sizeof(block)) ||
			block > state.nslots - STATE_BLOCK ||
			!cext_state_read(file, values, sizeof(values)))
		{
			reset_versions();
			return false;
		}
		for (uint32 i = 0; i < STATE_BLOCK; i++)
		{
			uint64		version = SLOT_INFLIGHT(values[i]) > 0 ?
				state.clock + 1 : SLOT_VERSION(values[i]);

			pg_atomic_write_u64(&slots[block + i], version << INFLIGHT_BITS);
		}
	}
	return true;
}

void
cext_version_init(void)
{
	static const CextStateSection section = {"versions", save_versions, load_versions};

	cext_state_register(&section);
}


/* ----------------------------------------------------------------
 *		Tags
 * ----------------------------------------------------------------
 */

static CextTag
system_tag(char kind, Oid dbid, Oid id)
{
	uint64		h = DatumGetUInt64(hash_uint32_extended(dbid, (uint8) kind));

	/* relations created together never collide; slot 0 is the cluster's */
	return 1 + (CextTag) ((h % SYSTEM_SLOTS + id) % (SYSTEM_SLOTS - 1));
}

static CextTag
key_tag(char kind, Oid dbid, const char *str, int len)
{
	uint64		h;

	h = hash_bytes_extended((const unsigned char *) str, len,
							((uint64) dbid << 8) | (uint8) kind);
	return SYSTEM_SLOTS + ((CextTag) h & shared->key_mask);
}

/* Everything of a database. */
CextTag
cext_tag_database(Oid dbid)
{
	return system_tag('d', dbid, 0);
}

/* A relation, or something below it in its inheritance tree, changed. */
CextTag
cext_tag_relation(Oid dbid, Oid relid)
{
	return system_tag('r', dbid, relid);
}

/* A relation with all that is below it was invalidated as a whole. */
CextTag
cext_tag_tree(Oid dbid, Oid relid)
{
	return system_tag('t', dbid, relid);
}

/* What relations of this name there are, in whatever schema, changed. */
CextTag
cext_tag_name(Oid dbid, const char *relname)
{
	return key_tag('n', dbid, relname, strlen(relname));
}

/*
 * Any pattern of the glob log.  Entries that stand on entries with other keys
 * carry it, because the log is compared with an entry's own key alone.
 */
CextTag
cext_tag_globs(Oid dbid)
{
	return system_tag('g', dbid, 0);
}

/* What relations are called and where, of whatever name. */
CextTag
cext_tag_any_name(Oid dbid)
{
	return system_tag('N', dbid, 0);
}

/* A plain value, by the hash of its identity. */
CextTag
cext_tag_value(uint64 identity_hash)
{
	return SYSTEM_SLOTS + ((CextTag) (identity_hash >> 16) & shared->key_mask);
}

/* A whole key. */
CextTag
cext_tag_key(Oid dbid, const char *key, int len)
{
	return key_tag('k', dbid, key, len);
}

/* A prefix, with the colon it ends in. */
CextTag
cext_tag_prefix(Oid dbid, const char *prefix, int len)
{
	return key_tag('p', dbid, prefix, len);
}

/*
 * The tags of a key: itself and its prefixes.  At most CEXT_MAX_PREFIXES + 1
 * are written; returns their number.
 */
int
cext_tags_of_key(Oid dbid, const char *key, int len, CextTag *tags)
{
	int			n = 0;
	int			i;

	tags[n++] = cext_tag_key(dbid, key, len);
	for (i = 0; i < len && n <= CEXT_MAX_PREFIXES; i++)
	{
		if (key[i] == ':')
			tags[n++] = cext_tag_prefix(dbid, key, i + 1);
	}
	return n;
}

/* How many colons? */
int
cext_prefix_depth(const char *prefix, int len)
{
	int			n = 0;

	for (int i = 0; i < len; i++)
		n += (prefix[i] == ':');
	return n;
}


/* Do they name slots that are there?  What came from elsewhere may not. */
bool
cext_version_tags_exist(const CextTag *tags, int ntags)
{
	for (int i = 0; i < ntags; i++)
		if (tags[i] > SYSTEM_SLOTS + shared->key_mask)
			return false;
	return true;
}


/* ----------------------------------------------------------------
 *		Slots
 * ----------------------------------------------------------------
 */

/* The stamp of a fill that takes its snapshot after this. */
uint64
cext_version_clock(void)
{
	return pg_atomic_read_u64(&shared->c.clock);
}

/* Step 2 for one slot. */
void
cext_slot_begin(CextTag tag)
{
	pg_atomic_fetch_add_u64(&slots[tag], 1);
}

/*
 * Step 3 for one slot.  True if nobody else has invalidated it after "since";
 * *others are about to.
 */
bool
cext_slot_end(CextTag tag, uint64 version, uint64 since, uint32 *others)
{
	uint64		old = pg_atomic_read_u64(&slots[tag]);
	uint64		new;

	do
	{
		Assert(SLOT_INFLIGHT(old) > 0);
		new = (Max(SLOT_VERSION(old), version) << INFLIGHT_BITS) |
			(SLOT_INFLIGHT(old) - 1);
	} while (!pg_atomic_compare_exchange_u64(&slots[tag], &old, new));
	*others = SLOT_INFLIGHT(old) - 1;
	return SLOT_VERSION(old) <= since;
}

/* How many transactions that are committing hold the slot? */
uint32
cext_slot_inflight(CextTag tag)
{
	return SLOT_INFLIGHT(pg_atomic_read_u64(&slots[tag]));
}

/*
 * Has nobody invalidated this tag since then, and does nobody now?  Prepared
 * transactions do not count, which may stay for days: they will draw a later
 * version than whoever asks has drawn.  (So will other holders, but one that is
 * just ending has drawn already, and cannot be told from them.)
 */
bool
cext_version_idle(CextTag tag, uint64 since)
{
	if (cext_slot_inflight(tag) > 0 && !cext_prepared_hold_alone(tag))
		return false;
	return SLOT_VERSION(pg_atomic_read_u64(&slots[tag])) <= since;
}

/* Draw a version.  A full barrier. */
uint64
cext_version_draw(void)
{
	return pg_atomic_add_fetch_u64(&shared->c.clock, 1);
}

bool
cext_has_tag(const CextTag *tags, uint32 ntags, CextTag tag)
{
	for (uint32 i = 0; i < ntags; i++)
		if (tags[i] == tag)
			return true;
	return false;
}

/*
 * A slot is in flight: is every transaction that holds it still running, so
 * that a snapshot taken now would not see its rows either?
 */
static bool
holders_running(CextTag tag)
{
	int			n_records;

	pg_read_barrier();
	n_records = pg_atomic_read_u32(&shared->records);
	for (int i = 0; i < n_records; i++)
	{
		CextCommitting *rec = &committing[i];
		uint32		n = pg_atomic_read_u32(&rec->ntags);

		if (n == 0)
			continue;
		pg_read_barrier();
		if (n == COMMITTING_ALL || cext_has_tag(rec->tags, Min(n, COMMITTING_TAGS), tag))
		{
			TransactionId xid = rec->xid;

			if (!TransactionIdIsValid(xid) || !TransactionIdIsInProgress(xid))
				return false;
		}
	}

	/* those that are resolved leave their versions; the caller looks again */
	return cext_prepared_sweep();
}

/*
 * Would a snapshot taken now see what an entry with this stamp saw, as far as
 * these tags tell?
 */
bool
cext_version_alive(uint64 stamp, const CextTag *tags, int ntags)
{
	for (int i = 0; i < ntags; i++)
	{
		uint64		s = pg_atomic_read_u64(&slots[tags[i]]);

		if (SLOT_VERSION(s) > stamp)
			return false;
		if (unlikely(SLOT_INFLIGHT(s) > 0))
		{
			if (!holders_running(tags[i]))
				return false;
			/* a holder that withdrew meanwhile has left its version */
			pg_read_barrier();
			if (SLOT_VERSION(pg_atomic_read_u64(&slots[tags[i]])) > stamp)
				return false;
		}
	}
	return true;
}

/* The part of the same question that eviction can ask: no lock, no wait. */
bool
cext_version_surely_dead(uint64 stamp, const CextTag *tags, int ntags)
{
	for (int i = 0; i < ntags; i++)
		if (SLOT_VERSION(pg_atomic_read_u64(&slots[tags[i]])) > stamp)
			return true;
	return false;
}

/* The record of this backend, which readers know to look at from now on. */
static CextCommitting *
own_record(void)
{
	uint32		n = cext_proc_number() + 1;
	uint32		records = pg_atomic_read_u32(&shared->records);

	while (unlikely(records < n))
		if (pg_atomic_compare_exchange_u32(&shared->records, &records, n))
			break;
	return &committing[n - 1];
}

/*
 * Steps 1 and 2.  The tags must be distinct, and given again to
 * cext_version_finish, with those of cext_version_publish_more.
 */
void
cext_version_publish(TransactionId xid, const CextTag *tags, int ntags)
{
	CextCommitting *rec = own_record();

	Assert(pg_atomic_read_u32(&rec->ntags) == 0);
	if (ntags == 0)
		return;
	rec->xid = xid;
	if (ntags <= COMMITTING_TAGS)
		memcpy(rec->tags, tags, ntags * sizeof(CextTag));
	pg_write_barrier();
	pg_atomic_write_u32(&rec->ntags,
						ntags <= COMMITTING_TAGS ? (uint32) ntags : COMMITTING_ALL);
	pg_write_barrier();
	for (int i = 0; i < ntags; i++)
		cext_slot_begin(tags[i]);
}

/* Another PRE_COMMIT callback, later than ours, invalidates too. */
void
cext_version_publish_more(CextTag tag)
{
	CextCommitting *rec = own_record();
	uint32		n = pg_atomic_read_u32(&rec->ntags);

	if (n == 0)
		rec->xid = GetTopTransactionIdIfAny();
	if (n < COMMITTING_TAGS)
	{
		rec->tags[n] = tag;
		pg_write_barrier();
		pg_atomic_write_u32(&rec->ntags, n + 1);
	}
	else
		pg_atomic_write_u32(&rec->ntags, COMMITTING_ALL);
	pg_write_barrier();
	cext_slot_begin(tag);
}

/*
 * Steps 3 and 4.  Returns the version; alone[] tells of each tag whether nobody
 * else has invalidated it after "since", or was about to.  Prepared transactions
 * do not count, as long as none can be resolved between our drawing a version
 * and our leaving it: each will draw a later one.
 */
uint64
cext_version_finish(const CextTag *tags, int ntags, uint64 since, bool *alone)
{
	bool		frozen = cext_prepared_freeze();
	uint64		version = cext_version_draw();

	for (int i = 0; i < ntags; i++)
	{
		uint32		others;

		alone[i] = cext_slot_end(tags[i], version, since, &others) &&
			(others == 0 || (frozen && others == cext_prepared_holders(tags[i])));
	}
	if (frozen)
		cext_prepared_thaw();
	pg_write_barrier();
	pg_atomic_write_u32(&committing[cext_proc_number()].ntags, 0);
	return version;
}

/* Is backend i between the two, and as which transaction? */
bool
cext_version_committing(int i, TransactionId *xid)
{
	CextCommitting *rec = &committing[i];

	if (pg_atomic_read_u32(&rec->ntags) == 0)
		return false;
	pg_read_barrier();
	*xid = rec->xid;
	return true;
}
