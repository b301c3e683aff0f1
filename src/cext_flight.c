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
 * A result that turns out not to be cacheable leaves its hash as "not worth
 * waiting for", so that its callers neither queue up behind each other now nor
 * wait the next time.
 *
 * A claim is given back when its fill ends, also by an error, and when its
 * backend exits.  After a crash shared memory starts anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_flight.h"

#define CLAIMS		1024		/* power of two */
#define MAX_HELD	16			/* nested fills of one backend */

typedef struct Claim
{
	pg_atomic_uint64 hash;		/* 0: free */
	pg_atomic_uint64 futile;	/* not worth waiting for */
	ConditionVariable cv;
} Claim;

static Claim *claims;

/* claims of this backend, innermost last */
static Claim *held[MAX_HELD];
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
			pg_atomic_init_u64(&claims[i].futile, 0);
			ConditionVariableInit(&claims[i].cv);
		}
	}
}

static void
give_back(Claim *claim)
{
	pg_atomic_write_u64(&claim->hash, 0);
	ConditionVariableBroadcast(&claim->cv);
}

static void
give_back_all(int code, Datum arg)
{
	while (nheld > 0)
		give_back(held[--nheld]);
}

/*
 * Before computing what was not found: claim it, or wait until whoever did has
 * finished.  Cancellable.
 */
CextFlight
cext_flight_begin(uint64 hash, TimestampTz deadline)
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
		registered = true;
	}

	if (pg_atomic_compare_exchange_u64(&claim->hash, &expected, hash))
	{
		held[nheld++] = claim;
		return CEXT_FLIGHT_FILL;
	}
	if (expected != hash || nheld > 0)
		return CEXT_FLIGHT_ALONE;

	ConditionVariablePrepareToSleep(&claim->cv);
	while (pg_atomic_read_u64(&claim->hash) == hash)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			return CEXT_FLIGHT_ALONE;
		}
		ConditionVariableTimedSleep(&claim->cv, left, cext_wait_event());
	}
	ConditionVariableCancelSleep();
	return pg_atomic_read_u64(&claim->futile) == hash ?
		CEXT_FLIGHT_ALONE : CEXT_FLIGHT_RETRY;
}

/* The innermost claimed fill is over.  Never throws. */
void
cext_flight_end(CextLanding landing)
{
	Claim	   *claim;

	Assert(nheld > 0);
	claim = held[nheld - 1];
	if (landing == CEXT_LANDED_NOT_STORED)
		pg_atomic_write_u64(&claim->futile, pg_atomic_read_u64(&claim->hash));
	nheld--;
	give_back(claim);
}
