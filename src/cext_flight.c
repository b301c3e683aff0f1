/*-------------------------------------------------------------------------
 *
 * cext_flight.c
 *		Single flight: one backend fills, the others wait for it.
 *
 * A fixed table of claims, found by the hash of the identity.  A claim is taken
 * by compare-and-swap of its hash and given back by clearing it and waking
 * whoever sleeps on its condition variable; they look the entry up again, by
 * the same rules as anybody, so a waiter never gets a result older than its
 * own start allows.  Two identities that meet in one place of the table do not
 * wait for each other: the second computes alone.
 *
 * No deadlock among claims: a backend that holds one never waits for another.
 * What a waiter has locked for its transaction may block the filler; that, like
 * any wait here, ends at cache_ext.coalesce_timeout.
 *
 * A filler whose stamp an invalidation of its key has overtaken computes for
 * itself alone.  It is not worth waiting for: the next one that comes, or whose
 * nap ends, takes the claim over, and the others wait for that one.
 *
 * A result that turns out not to be cacheable leaves its hash as "not worth
 * waiting for", so that its callers neither queue up behind each other now nor
 * wait the next time.
 *
 * A claim is given back when its fill ends, also by an error, and at the latest
 * when the subtransaction that took it aborts or its backend exits: much can fail
 * between claiming and computing.  After a crash shared memory starts anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_flight.h"
#include "cext_version.h"

#define CLAIMS		1024		/* power of two */
#define MAX_HELD	16			/* nested fills of one backend */

/*
 * "hash" goes from 0 to an identity and back.  "owner" is who may bring it back,
 * a number that no other claim ever has; taking over replaces it.
 */
typedef struct Claim
{
	pg_atomic_uint64 hash;		/* 0: free */
	pg_atomic_uint64 owner;
	pg_atomic_uint64 stamp;		/* the owner's, or STAMP_UNKNOWN */
	pg_atomic_uint64 futile;	/* not worth waiting for */
	ConditionVariable cv;
} Claim;

typedef struct Held
{
	Claim	   *claim;
	uint64		owner;
	int			level;			/* nesting level of the subtransaction */
} Held;

#define STAMP_UNKNOWN	PG_UINT64_MAX
#define NAP_MS			100		/* between looks at the filler's stamp */

static Claim *claims;

/* claims of this backend, innermost last */
static Held held[MAX_HELD];
static int	nheld;

Size
cext_flight_shmem_size(void)
{
	return CACHELINEALIGN(CLAIMS * sizeof(Claim));
}

void
cext_flight_shmem_init(void)
{
	bool		found;

	claims = ShmemInitStruct("cache_ext claims", cext_flight_shmem_size(), &found);
	if (!found)
	{
		for (int i = 0; i < CLAIMS; i++)
		{
			pg_atomic_init_u64(&claims[i].hash, 0);
			pg_atomic_init_u64(&claims[i].owner, 0);
			pg_atomic_init_u64(&claims[i].stamp, STAMP_UNKNOWN);
			pg_atomic_init_u64(&claims[i].futile, 0);
			ConditionVariableInit(&claims[i].cv);
		}
	}
}

/* A number that no other claim has. */
static uint64
new_owner(void)
{
	static uint32 count = 0;

	return ((uint64) (cext_proc_number() + 1) << 32) | ++count;
}

/* Give the innermost claim back, unless it was taken over. */
static void
give_back(void)
{
	Held	   *h = &held[--nheld];
	uint64		expected = h->owner;

	if (!pg_atomic_compare_exchange_u64(&h->claim->owner, &expected, 0))
		return;
	pg_atomic_write_u64(&h->claim->stamp, STAMP_UNKNOWN);
	pg_write_barrier();
	pg_atomic_write_u64(&h->claim->hash, 0);
	ConditionVariableBroadcast(&h->claim->cv);
}

static void
give_back_all(int code, Datum arg)
{
	while (nheld > 0)
		give_back();
}

static void
give_back_at_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		give_back_all(0, (Datum) 0);
}

static void
give_back_at_subabort(SubXactEvent event, SubTransactionId mySubid,
					  SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (nheld > 0 && held[nheld - 1].level >= GetCurrentTransactionNestLevel())
			give_back();
}

static void
hold(Claim *claim, uint64 owner)
{
	held[nheld].claim = claim;
	held[nheld].owner = owner;
	held[nheld].level = GetCurrentTransactionNestLevel();
	nheld++;
}

/* Will the filler's result be dead?  Then the claim is ours. */
static bool
take_over(Claim *claim, const CextTag *tags, int ntags)
{
	uint64		owner = pg_atomic_read_u64(&claim->owner);
	uint64		stamp;
	uint64		mine;

	pg_read_barrier();
	stamp = pg_atomic_read_u64(&claim->stamp);
	if (owner == 0 || stamp == STAMP_UNKNOWN ||
		!cext_version_surely_dead(stamp, tags, ntags))
		return false;
	mine = new_owner();
	if (!pg_atomic_compare_exchange_u64(&claim->owner, &owner, mine))
		return false;
	pg_atomic_write_u64(&claim->stamp, STAMP_UNKNOWN);
	hold(claim, mine);
	return true;
}

/*
 * Before computing what was not found: claim it, or wait until whoever did has
 * finished.  The tags are those of the key.  Cancellable.
 */
CextFlight
cext_flight_begin(uint64 hash, const CextTag *tags, int ntags, TimestampTz deadline)
{
	Claim	   *claim;
	uint64		expected = 0;
	static bool registered = false;

	hash = hash == 0 ? 1 : hash;
	claim = &claims[hash % CLAIMS];
	if (nheld >= MAX_HELD || pg_atomic_read_u64(&claim->futile) == hash)
		return CEXT_FLIGHT_ALONE;
	if (!registered)
	{
		before_shmem_exit(give_back_all, (Datum) 0);
		RegisterXactCallback(give_back_at_abort, NULL);
		RegisterSubXactCallback(give_back_at_subabort, NULL);
		registered = true;
	}

	if (pg_atomic_compare_exchange_u64(&claim->hash, &expected, hash))
	{
		uint64		mine = new_owner();

		/* nobody takes over what has no stamp yet */
		pg_atomic_write_u64(&claim->owner, mine);
		hold(claim, mine);
		return CEXT_FLIGHT_FILL;
	}
	if (expected != hash || nheld > 0)
		return CEXT_FLIGHT_ALONE;
	if (take_over(claim, tags, ntags))
		return CEXT_FLIGHT_FILL;

	ConditionVariablePrepareToSleep(&claim->cv);
	while (pg_atomic_read_u64(&claim->hash) == hash)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			return CEXT_FLIGHT_ALONE;
		}
		if (ConditionVariableTimedSleep(&claim->cv, Min(left, NAP_MS), cext_wait_event()) &&
			take_over(claim, tags, ntags))
		{
			ConditionVariableCancelSleep();
			return CEXT_FLIGHT_FILL;
		}
	}
	ConditionVariableCancelSleep();
	return pg_atomic_read_u64(&claim->futile) == hash ?
		CEXT_FLIGHT_ALONE : CEXT_FLIGHT_RETRY;
}

/* A result that nobody waited for has been stored: from now on, wait. */
void
cext_flight_worthwhile(uint64 hash)
{
	Claim	   *claim;

	hash = hash == 0 ? 1 : hash;
	claim = &claims[hash % CLAIMS];
	if (pg_atomic_read_u64(&claim->futile) == hash)
		pg_atomic_write_u64(&claim->futile, 0);
}

/* The innermost claimed fill has read its stamp. */
void
cext_flight_stamp(uint64 stamp)
{
	Held	   *h = &held[nheld - 1];

	Assert(nheld > 0);
	if (pg_atomic_read_u64(&h->claim->owner) == h->owner)
		pg_atomic_write_u64(&h->claim->stamp, stamp);
}

/* The innermost claimed fill is over.  Never throws. */
void
cext_flight_end(CextLanding landing)
{
	Assert(nheld > 0);
	if (landing == CEXT_LANDED_NOT_STORED)
	{
		Claim	   *claim = held[nheld - 1].claim;

		pg_atomic_write_u64(&claim->futile, pg_atomic_read_u64(&claim->hash));
	}
	give_back();
}

/* How many claims this backend holds. */
int
cext_flight_held(void)
{
	return nheld;
}
