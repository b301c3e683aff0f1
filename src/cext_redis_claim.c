/*-------------------------------------------------------------------------
 *
 * cext_redis_claim.c
 *		Single flight across servers.
 *
 * Only standbys share entries (see cext_epoch.c), so only they gain by it:
 * where ten of them miss the same key, one computes and the others take its
 * result from Redis.
 *
 * A claim is a key in Redis, the entry's with ":claim" behind it: SET NX PX,
 * with a random token and the time that anybody would wait.  It is given back
 * by a script that deletes it if it still holds the token, else by its time.
 * Those who wait ask for the entry, then for the claim, in naps that grow to a
 * tenth of a second; so one whose holder is gone is taken over.  Who takes it over
 * asks for the entry once more: the holder may have stored it just before.
 *
 * A backend waits for a claim only while it holds none, of this kind or of
 * cext_flight.c's beyond the one for the same entry: there are no cycles.
 *
 * Memory: one claim a backend, static.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "cext_redis_claim.h"
#include "cext_compat.h"
#include "cext_flight.h"
#include "cext_redis.h"
#include "cext_tier.h"

#define TOKEN_SIZE		16
#define NAP_MIN			5		/* milliseconds */
#define NAP_MAX			100

static bool held;
static bool adopted;
static char held_key[CEXT_TIER_MAX_KEY];
static Size held_keylen;
static char token[TOKEN_SIZE];
static int	nap = NAP_MIN;

/* Do other servers share what this backend is about to compute? */
bool
cext_claim_wanted(void)
{
	return unlikely(cext_storage_redis()) && RecoveryInProgress() && !held &&
		cext_flight_held() <= 1;
}

static void
take_nap(int64 left)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) Min(left, nap), cext_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	nap = Min(nap * 2, NAP_MAX);
}

/*
 * Claim the entry, or wait a moment for the server that has; the caller then
 * looks for the entry and comes again.  Throws on a cancel.
 */
CextClaim
cext_claim_try(const CextIdent *id, TimestampTz deadline)
{
	StringInfoData key;
	char		px[24];
	const char *argv[6] = {"SET", NULL, token, "NX", "PX", px};
	size_t		argvlen[6] = {3, 0, TOKEN_SIZE, 2, 2, 0};
	CextRedisCommand command = {6, argv, argvlen, NULL, 0};
	int64		left = (deadline - GetCurrentTimestamp()) / 1000;
	CextClaim	result = CEXT_CLAIM_NONE;

	if (left <= 0 || !cext_tier_key(&key, id) ||
		key.len + 6 > sizeof(held_key) || !pg_strong_random(token, TOKEN_SIZE))
		return CEXT_CLAIM_NONE;
	appendStringInfoString(&key, ":claim");
	argv[1] = key.data;
	argvlen[1] = key.len;
	argvlen[5] = snprintf(px, sizeof(px), "%lld", (long long) left);
	if (!cext_redis_run(&command, 1))
		return CEXT_CLAIM_NONE;
	if (command.reply->type == REDIS_REPLY_STATUS)
	{
		memcpy(held_key, key.data, key.len);
		held_keylen = key.len;
		held = true;
		adopted = false;
		nap = NAP_MIN;
		result = CEXT_CLAIM_MINE;
	}
	else if (command.reply->type == REDIS_REPLY_NIL)
		result = CEXT_CLAIM_OTHERS;
	cext_redis_free(&command, 1);
	pfree(key.data);
	if (result == CEXT_CLAIM_OTHERS)
		take_nap(left);
	return result;
}

/* Is there a claim that is for the caller to release, not for one around it? */
bool
cext_claim_adopt(void)
{
	bool		mine = held && !adopted;

	adopted = held;
	return mine;
}

/* Give the claim back.  Also for cleanup after an error. */
void
cext_claim_release(void)
{
	static const char script[] =
		"if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
	const char *argv[5] = {"EVAL", script, "1", held_key, token};
	size_t		argvlen[5] = {4, sizeof(script) - 1, 1, held_keylen, TOKEN_SIZE};
	CextRedisCommand command = {5, argv, argvlen, NULL, 3};

	held = false;
	HOLD_INTERRUPTS();
	if (cext_redis_run(&command, 1))
		cext_redis_free(&command, 1);
	RESUME_INTERRUPTS();
}
