/*-------------------------------------------------------------------------
 *
 * cext_history.c
 *		The counters of the last 24 hours, hour by hour.
 *
 * Counters only grow (see cext_stats.c), so an hour's share is the difference
 * between two sums.  Shared memory holds the sums as they were when the current
 * hour began, and the differences of the hours that are over.
 *
 * Who ends an hour
 *		Whoever is the first to count something in the next one, or to look.
 *		Each backend remembers when the hour that it knows of ends, and compares
 *		before it counts; so counting touches nothing shared, and once an hour
 *		each backend takes the lock, the first one to add up.  As everybody
 *		compares first, what is not yet accounted for belongs to the hour that
 *		was open; hours in which nobody called are gaps, shown as zeros.
 *
 * Lock
 *		One LWLock for all of it, innermost.  Nothing throws or allocates while
 *		it is held.
 *
 * Restart
 *		A section of the state file carries it over a clean one.  After a crash
 *		it begins anew, like the counters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_guc.h"
#include "cext_history.h"
#include "cext_state.h"
#include "cext_stats.h"

PG_FUNCTION_INFO_V1(cache_history_age);

/* What is kept of a block: its counters and histograms. */
#define NCOUNTERS		(offsetof(CextStatsBlock, bypasses) / sizeof(uint64))

StaticAssertDecl(offsetof(CextStatsBlock, counters) == 0,
				 "the counters come first");

typedef struct HistoryHour
{
	int64		hour;			/* since the epoch of timestamps */
	uint64		counts[NCOUNTERS];
} HistoryHour;

/* What survives a restart. */
struct CextHistory
{
	uint32		length;			/* NCOUNTERS */
	uint32		nhours;
	int64		first;			/* the hour in which recording began */
	HistoryHour current;		/* see below */
	HistoryHour past[CEXT_HISTORY_HOURS];	/* in no order; -1: none */
};

/*
 * In shared memory, current.counts are what all counters had come to when the
 * hour began; in a saved state, what they have come to since.
 */
typedef struct HistoryShared
{
	LWLock	   *lock;
	CextHistory state;			/* protected by lock */
} HistoryShared;

static HistoryShared *shared;

TimestampTz cext_history_due = 0;


static int64
hour_of(TimestampTz t)
{
	return t / USECS_PER_HOUR;
}

/* Begin with nothing.  Lock held, or nobody else there. */
static void
start_anew(CextHistory *state, const CextStatsBlock *sum)
{
	memset(state, 0, sizeof(CextHistory));
	state->length = NCOUNTERS;
	state->nhours = CEXT_HISTORY_HOURS;
	state->first = state->current.hour = hour_of(GetCurrentTimestamp());
	for (int i = 0; i < CEXT_HISTORY_HOURS; i++)
		state->past[i].hour = -1;
	if (sum != NULL)
		memcpy(state->current.counts, sum, sizeof(state->current.counts));
}

Size
cext_history_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(HistoryShared));
}

void
cext_history_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("cache_ext history", cext_history_shmem_size(), &found);
	if (!found)
	{
		shared->lock = &GetNamedLWLockTranche("cache_ext_history")->lock;
		start_anew(&shared->state, NULL);
	}
}

/* Where to put an hour that is over: in the oldest one's place. */
static HistoryHour *
oldest(CextHistory *state)
{
	HistoryHour *result = &state->past[0];

	for (int i = 1; i < CEXT_HISTORY_HOURS; i++)
		if (state->past[i].hour < result->hour)
			result = &state->past[i];
	return result;
}

/* What has been counted since the current hour began.  Lock held. */
static void
since_opening(const CextStatsBlock *sum, HistoryHour *hour)
{
	const uint64 *now = (const uint64 *) sum;

	hour->hour = shared->state.current.hour;
	for (int i = 0; i < NCOUNTERS; i++)
		hour->counts[i] = now[i] - shared->state.current.counts[i];
}

/*
 * End the current hour if it is over.  A clock that was set back makes it
 * longer.
 */
void
cext_history_roll(TimestampTz now)
{
	CextHistory *state;
	CextStatsBlock sum;
	int64		hour = hour_of(now);

	if (!cext_active())
	{
		cext_history_due = DT_NOEND;
		return;
	}

	state = &shared->state;

	/* a new session need not take the lock to learn which hour it is */
	if (hour == *(volatile int64 *) &state->current.hour)
	{
		cext_history_due = (hour + 1) * USECS_PER_HOUR;
		return;
	}

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (hour > state->current.hour)
	{
		cext_stats_sum(&sum);
		since_opening(&sum, oldest(state));
		state->current.hour = hour;
		memcpy(state->current.counts, &sum, sizeof(state->current.counts));
	}
	cext_history_due = (state->current.hour + 1) * USECS_PER_HOUR;
	LWLockRelease(shared->lock);
}

/* Forget all hours, and count the current one from here. */
void
cext_history_reset(void)
{
	CextStatsBlock sum;

	if (!cext_active())
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	cext_stats_sum(&sum);
	start_anew(&shared->state, &sum);
	LWLockRelease(shared->lock);
}


/* ----------------------------------------------------------------
 *		Looking
 * ----------------------------------------------------------------
 */

/* The history as of now, palloc'd. */
CextHistory *
cext_history_copy(void)
{
	CextHistory *copy = palloc(sizeof(CextHistory));
	CextStatsBlock sum;

	cext_history_roll(GetCurrentTimestamp());
	LWLockAcquire(shared->lock, LW_SHARED);
	cext_stats_sum(&sum);
	memcpy(copy, &shared->state, sizeof(CextHistory));
	since_opening(&sum, &copy->current);
	LWLockRelease(shared->lock);
	return copy;
}

/*
 * An hour of a copy, counted back from the current one, 0: when it began, and
 * its counters, zero if there are none.  False if recording began later.
 */
bool
cext_history_hour(const CextHistory *copy, int back, TimestampTz *start,
				  CextStatsBlock *counts)
{
	int64		hour = copy->current.hour - back;

	if (hour < copy->first)
		return false;
	*start = hour * USECS_PER_HOUR;
	memset(counts, 0, sizeof(CextStatsBlock));
	if (back == 0)
		memcpy(counts, copy->current.counts, sizeof(copy->current.counts));
	for (int i = 0; back > 0 && i < CEXT_HISTORY_HOURS; i++)
		if (copy->past[i].hour == hour)
			memcpy(counts, copy->past[i].counts, sizeof(copy->past[i].counts));
	return true;
}

/* ----------------------------------------------------------------
 *		Across a clean restart
 *
 * In the postmaster, alone, so without the lock.
 * ----------------------------------------------------------------
 */

static void
save_history(CextStateFile *file)
{
	CextStatsBlock sum;
	HistoryHour current;

	cext_stats_sum(&sum);
	since_opening(&sum, &current);
	cext_state_write(file, &shared->state, offsetof(CextHistory, current));
	cext_state_write(file, &current, sizeof(current));
	cext_state_write(file, shared->state.past, sizeof(shared->state.past));
}

/* The next tick ends the hour, if it is over. */
static bool
load_history(CextStateFile *file)
{
	CextHistory *state = &shared->state;
	CextStatsBlock sum;

	if (cext_state_left(file) != sizeof(CextHistory) ||
		!cext_state_read(file, state, sizeof(CextHistory)) ||
		state->length != NCOUNTERS || state->nhours != CEXT_HISTORY_HOURS)
	{
		start_anew(state, NULL);
		return false;
	}
	cext_stats_sum(&sum);
	/* may wrap around: the difference will be right */
	for (int i = 0; i < NCOUNTERS; i++)
		state->current.counts[i] = ((uint64 *) &sum)[i] - state->current.counts[i];
	return true;
}

void
cext_history_init(void)
{
	static const CextStateSection section = {"history", save_history, load_history};

	cext_state_register(&section);
}


/* ----------------------------------------------------------------
 *		For tests
 * ----------------------------------------------------------------
 */

/*
 * cache_history_age(hours integer) returns void: for tests, which create it
 * themselves.  Makes what is recorded so many hours older.
 */
Datum
cache_history_age(PG_FUNCTION_ARGS)
{
	int32		hours = PG_GETARG_INT32(0);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->state.first -= hours;
	shared->state.current.hour -= hours;
	for (int i = 0; i < CEXT_HISTORY_HOURS; i++)
		shared->state.past[i].hour -= hours;
	LWLockRelease(shared->lock);
	cext_history_due = 0;
	PG_RETURN_VOID();
}
