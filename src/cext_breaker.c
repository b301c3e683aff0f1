/*-------------------------------------------------------------------------
 *
 * cext_breaker.c
 *		Circuit breakers: whether to try Redis at all.
 *
 * One set for the server, in shared memory, so that an outage costs the server
 * one timeout per backoff step and not one per query.  (The pattern is
 * M. Nygard's, "Release It!", 2007.)
 *
 *	closed		everybody tries
 *	open		nobody tries, until retry_at
 *	half open	one has been let through to see, and retry_at is when the next
 *				may be, should that one never come back
 *
 * A failure opens it at once: what times out once is not asked again by two
 * hundred others.  The time until the next try doubles from 100 ms to
 * cache_ext.redis_backoff_max, less up to a half at random, so that servers
 * sharing a Redis do not come back in step.
 *
 * "ticket" numbers the changes of state.  Whoever is let through keeps it, and
 * what he reports counts only if it is still the same: of many calls that were
 * under way when Redis stopped, only the first lengthens the backoff.
 *
 * A spinlock protects each breaker; "state" and "retry_at" are read without
 * it.  A change of state is logged once, by whoever makes it, after the
 * spinlock is released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "port/atomics.h"
#include "portability/instr_time.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "cext_breaker.h"
#include "cext_redis_conn.h"

#define BACKOFF_MIN		100		/* milliseconds */

typedef struct Breaker
{
	pg_atomic_uint32 state;
	pg_atomic_uint32 ticket;
	pg_atomic_uint64 retry_at;	/* by now_us(), as the next */
	pg_atomic_uint64 tripped;	/* when it last opened */
	slock_t		mutex;			/* for changes, and for the rest */
	TimestampTz since;
	uint32		failures;
	uint64		trips;
	char		error[CEXT_BREAKER_ERROR];
} Breaker;

static Breaker *breakers;

/* for the log */
static const char *const purposes[CEXT_BREAKERS] = {"uses", "reads from", "writes to"};

Size
cext_breaker_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(Breaker) * CEXT_BREAKERS);
}

void
cext_breaker_shmem_init(void)
{
	bool		found;

	breakers = ShmemInitStruct("cache_ext breakers", cext_breaker_shmem_size(), &found);
	if (!found)
	{
		memset(breakers, 0, cext_breaker_shmem_size());
		for (int i = 0; i < CEXT_BREAKERS; i++)
		{
			pg_atomic_init_u32(&breakers[i].state, CEXT_BREAKER_CLOSED);
			pg_atomic_init_u32(&breakers[i].ticket, 1);
			pg_atomic_init_u64(&breakers[i].retry_at, 0);
			pg_atomic_init_u64(&breakers[i].tripped, 0);
			SpinLockInit(&breakers[i].mutex);
		}
	}
}

/* Microseconds of a clock that nobody sets. */
static uint64
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MICROSEC(now);
}

/* How long to wait after so many failures in a row. */
static int64
backoff(uint32 failures)
{
	double		ms = (double) BACKOFF_MIN * ((uint64) 1 << Min(failures - 1, 30));

	ms = Min(ms, (double) cext_redis_backoff_max);
	return (int64) (ms * 1000 * (1 - pg_prng_double(&pg_global_prng_state) / 2));
}

/*
 * May this call try?  If so it reports how it went, with the ticket; if it
 * never does, somebody else may try after a while.
 */
bool
cext_breaker_admit(CextBreakerKind kind, uint32 *ticket)
{
	Breaker    *b = &breakers[kind];
	uint64		now;
	bool		admitted = false;

	*ticket = pg_atomic_read_u32(&b->ticket);
	pg_read_barrier();
	if (likely(pg_atomic_read_u32(&b->state) == CEXT_BREAKER_CLOSED))
		return true;
	now = now_us();
	if (now < pg_atomic_read_u64(&b->retry_at))
		return false;

	SpinLockAcquire(&b->mutex);
	if (pg_atomic_read_u32(&b->state) == CEXT_BREAKER_CLOSED)
		admitted = true;
	else if (now >= pg_atomic_read_u64(&b->retry_at))
	{
		pg_atomic_write_u32(&b->state, CEXT_BREAKER_HALF_OPEN);
		pg_atomic_add_fetch_u32(&b->ticket, 1);
		pg_atomic_write_u64(&b->retry_at, now +
							(cext_redis_connect_timeout + cext_redis_timeout + BACKOFF_MIN) *
							INT64CONST(1000));
		admitted = true;
	}
	*ticket = pg_atomic_read_u32(&b->ticket);
	SpinLockRelease(&b->mutex);
	return admitted;
}

/* It worked. */
void
cext_breaker_success(CextBreakerKind kind, uint32 ticket)
{
	Breaker    *b = &breakers[kind];
	bool		changed = false;

	if (likely(pg_atomic_read_u32(&b->state) == CEXT_BREAKER_CLOSED))
		return;
	SpinLockAcquire(&b->mutex);
	if (pg_atomic_read_u32(&b->state) != CEXT_BREAKER_CLOSED &&
		pg_atomic_read_u32(&b->ticket) == ticket)
	{
		b->failures = 0;
		b->since = GetCurrentTimestamp();
		pg_atomic_write_u64(&b->retry_at, 0);
		pg_atomic_add_fetch_u32(&b->ticket, 1);
		pg_write_barrier();
		pg_atomic_write_u32(&b->state, CEXT_BREAKER_CLOSED);
		changed = true;
	}
	SpinLockRelease(&b->mutex);
	if (changed)
		ereport(LOG,
				(errmsg("cache_ext %s Redis again", purposes[kind]),
				 errhidestmt(true), errhidecontext(true)));
}

/* It did not. */
void
cext_breaker_failure(CextBreakerKind kind, uint32 ticket, const char *reason)
{
	Breaker    *b = &breakers[kind];
	char		error[CEXT_BREAKER_ERROR];
	TimestampTz now = GetCurrentTimestamp();
	uint64		clock = now_us();
	CextBreakerState before = CEXT_BREAKER_OPEN;
	uint32		failures = pg_atomic_read_u32(&b->state) == CEXT_BREAKER_CLOSED ?
		0 : b->failures;
	int64		wait = backoff(failures + 1);
	bool		mine;

	cext_redis_quote(error, sizeof(error), reason);
	SpinLockAcquire(&b->mutex);
	mine = pg_atomic_read_u32(&b->ticket) == ticket;
	if (mine)
	{
		before = pg_atomic_read_u32(&b->state);
		if (before == CEXT_BREAKER_CLOSED)
		{
			b->failures = 0;
			b->trips++;
			b->since = now;
			pg_atomic_write_u64(&b->tripped, clock);
		}
		b->failures++;
		memcpy(b->error, error, CEXT_BREAKER_ERROR);
		pg_atomic_write_u64(&b->retry_at, clock + wait);
		pg_atomic_add_fetch_u32(&b->ticket, 1);
		pg_write_barrier();
		pg_atomic_write_u32(&b->state, CEXT_BREAKER_OPEN);
	}
	SpinLockRelease(&b->mutex);
	if (mine && before == CEXT_BREAKER_CLOSED)
		ereport(LOG,
				(errmsg("cache_ext no longer %s Redis: %s", purposes[kind], error),
				 errhidestmt(true), errhidecontext(true)));
}

void
cext_breaker_status(CextBreakerKind kind, CextBreakerStatus *status)
{
	Breaker    *b = &breakers[kind];
	TimestampTz now = GetCurrentTimestamp();
	uint64		clock = now_us();

	SpinLockAcquire(&b->mutex);
	status->state = pg_atomic_read_u32(&b->state);
	status->since = b->since;
	status->retry_at = now + (int64) (pg_atomic_read_u64(&b->retry_at) - clock);
	status->failures = b->failures;
	status->trips = b->trips;
	memcpy(status->error, b->error, CEXT_BREAKER_ERROR);
	SpinLockRelease(&b->mutex);
}

/* Its state, for people; "off" where there is no Redis. */
const char *
cext_breaker_name(CextBreakerKind kind)
{
	if (cext_redis_target == NULL)
		return "off";
	switch (pg_atomic_read_u32(&breakers[kind].state))
	{
		case CEXT_BREAKER_OPEN:
			return "open";
		case CEXT_BREAKER_HALF_OPEN:
			return "half-open";
		default:
			return "closed";
	}
}

/*
 * When Redis last failed, as by cext_deadline(0); connections from before are
 * not to be relied on.
 */
int64
cext_breaker_tripped(void)
{
	return (int64) pg_atomic_read_u64(&breakers[CEXT_BREAKER_SERVER].tripped);
}
