/*-------------------------------------------------------------------------
 *
 * cext_tier.c
 *		Where entries are: shared memory, Redis, or both.
 *
 * An entry in Redis is what it would be in shared memory, with its stamp, and
 * is believed by the same rule: it holds if none of its tags has moved since,
 * and only this server's shared memory knows that.  So Redis is never told of
 * an invalidation, and nothing it does, or forgets, makes an answer wrong.
 *
 * Standbys share entries and no slots.  What one of them is asked to invalidate
 * it takes nothing from Redis for any more; other than that, time decides.
 *
 * An entry's key there is {namespace}:{database}:{key}:{digest}, to be read by people
 * and matched by SCAN; the digest, half of a SHA-256, is of the epoch and of
 * all that identifies the entry beside the key.
 *
 * What comes from Redis is a copy in TopTransactionContext, flagged
 * CEXT_ENTRY_LOCAL, which cext_store_unpin() frees.  Where shared memory is a
 * tier, what was good is put there as well.
 *
 * Failures are counted and end in a miss.  A server that answers but refuses
 * reads or writes (permissions, memory, a replica) trips a circuit breaker for
 * that alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cext_breaker.h"
#include "cext_digest.h"
#include "cext_epoch.h"
#include "cext_guc.h"
#include "cext_redis.h"
#include "cext_stats.h"
#include "cext_tier.h"
#include "cext_version.h"
#include "cext_wire.h"

#define DIGEST_SHOWN	16		/* bytes of it that are part of the key */
#define FETCH_AT_ONCE	1000	/* entries; the timeout is for so many */
#define MAX_REDIS_VALUE ((Size) 512 * 1024 * 1024 - 1)


/* ----------------------------------------------------------------
 *		Names
 * ----------------------------------------------------------------
 */

/* This database's name; NULL if it is being dropped. */
const char *
cext_tier_database(void)
{
	static char name[NAMEDATALEN];
	char	   *current;

	if (name[0] != '\0')
		return name;
	current = get_database_name(MyDatabaseId);
	if (current == NULL)
		return NULL;
	strlcpy(name, current, NAMEDATALEN);
	return name;
}

/* The name of an entry in Redis, palloc'd; false if that fails. */
static bool
redis_key(StringInfo buf, const char *database, const CextIdent *id, const uint8 *epoch)
{
	static const char hex[] = "0123456789abcdef";
	CextDigest	d;
	uint8		digest[CEXT_DIGEST_SIZE];

	cext_digest_begin(&d);
	cext_digest_add(&d, epoch, CEXT_EPOCH_SIZE);
	cext_digest_add(&d, &id->dbid, sizeof(id->dbid));
	cext_digest_add(&d, &id->roleid, sizeof(id->roleid));
	cext_digest_add(&d, &id->form, 1);
	cext_digest_add(&d, id->seed, CEXT_SEED_SIZE);
	cext_digest_add(&d, id->args, id->argslen);
	if (!cext_digest_end(&d, digest))
		return false;

	initStringInfo(buf);
	appendStringInfo(buf, "%s:%s:", cext_redis_namespace, database);
	appendBinaryStringInfo(buf, id->key, id->keylen);
	appendStringInfoChar(buf, ':');
	for (int i = 0; i < DIGEST_SHOWN; i++)
	{
		appendStringInfoChar(buf, hex[digest[i] >> 4]);
		appendStringInfoChar(buf, hex[digest[i] & 15]);
	}
	return true;
}

/* The name that an entry of this session has there now. */
bool
cext_tier_key(StringInfo buf, const CextIdent *id)
{
	const char *database = cext_tier_database();
	const uint8 *epoch = cext_epoch_current();

	return database != NULL && epoch != NULL && redis_key(buf, database, id, epoch);
}


/* ----------------------------------------------------------------
 *		Reading
 * ----------------------------------------------------------------
 */

/* One question to Redis: an entry, under one epoch. */
typedef struct Question
{
	CextRedisCommand command;
	const char *argv[2];
	size_t		argvlen[2];
	const uint8 *epoch;
	bool		previous;		/* the epoch before */
	int			entry;			/* which it is about */
} Question;

static int
ask(Question *q, const CextIdent *id, int entry, const char *database,
	const uint8 *epoch, bool previous)
{
	StringInfoData key;

	if (epoch == NULL || !redis_key(&key, database, id, epoch))
		return 0;
	q->argv[0] = "GET";
	q->argvlen[0] = 3;
	q->argv[1] = key.data;
	q->argvlen[1] = key.len;
	q->command.argc = 2;
	q->command.argv = q->argv;
	q->command.argvlen = q->argvlen;
	q->command.reply = NULL;
	q->command.key = 0;
	q->epoch = epoch;
	q->previous = previous;
	q->entry = entry;
	return 1;
}

/* What an answer amounts to; NULL for a miss. */
static CextEntry *
take_answer(const redisReply *reply, const CextIdent *id, const uint8 *epoch)
{
	CextEntry  *e = NULL;

	switch (reply->type)
	{
		case REDIS_REPLY_NIL:
			return NULL;
		case REDIS_REPLY_STRING:
			switch (cext_wire_decode(reply->str, reply->len, id, epoch,
									 cext_epoch_secret(),
									 (Size) cext_max_entry_size * 1024,
									 TopTransactionContext, &e))
			{
				case CEXT_WIRE_GOOD:
					break;
				case CEXT_WIRE_ODD:
					cext_stats_add(CEXT_STAT_REDIS_ERRORS, 1);
					return NULL;
				case CEXT_WIRE_OTHER:
					/* an answer to another question: out of step */
					cext_stats_add(CEXT_STAT_REDIS_ERRORS, 1);
					cext_redis_disconnect();
					return NULL;
			}
			if (!cext_version_tags_exist(CEXT_ENTRY_TAGS(e), e->ntags))
			{
				cext_store_unpin(e);
				return NULL;
			}
			e->ns = cext_stats_namespace(id->dbid, id->key, id->keylen);
			if (RecoveryInProgress())
			{
				/* a stamp of who knows whose clock: older than all of ours */
				e->stamp = 0;
				pg_atomic_write_u64(&e->globs, 0);
			}
			return e;
		default:
			cext_stats_add(CEXT_STAT_REDIS_ERRORS, 1);
			return NULL;
	}
}

/* Redis has answered: sort the answers out. */
static void
take_answers(CextRedisCommand *commands, const Question *questions, int n,
			 const CextIdent *ids, CextEntry **entries, uint32 ticket)
{
	const char *refused = NULL;

	for (int i = 0; i < n; i++)
	{
		const redisReply *reply = commands[i].reply;
		int			k = questions[i].entry;
		CextEntry  *e;

		/* a key of another type is one key's matter */
		if (reply->type == REDIS_REPLY_ERROR &&
			strncmp(reply->str, "WRONGTYPE", 9) != 0)
			refused = reply->str;
		e = take_answer(reply, &ids[k], questions[i].epoch);
		if (e != NULL && questions[i].previous)
			e->flags |= CEXT_ENTRY_PREVIOUS;
		if (e != NULL && entries[k] == NULL)
			entries[k] = e;
		else if (e != NULL)
			cext_store_unpin(e);
	}
	if (refused != NULL)
		cext_breaker_failure(CEXT_BREAKER_READS, ticket, refused);
	else
		cext_breaker_success(CEXT_BREAKER_READS, ticket);
}

/* Some of them, in one round trip.  False if Redis gave no answer. */
static bool
fetch_some(const CextIdent *ids, int n, CextEntry **entries)
{
	const char *database;
	const uint8 *current = cext_epoch_current();
	const uint8 *previous;
	Question   *questions;
	CextRedisCommand *commands;
	int			nquestions = 0;
	uint32		ticket;
	bool		answered;

	if (current == NULL || !cext_breaker_admit(CEXT_BREAKER_READS, &ticket))
		return false;
	database = cext_tier_database();
	if (database == NULL)
		return false;
	previous = cext_epoch_previous();

	questions = palloc(2 * n * sizeof(Question));
	commands = palloc(2 * n * sizeof(CextRedisCommand));
	for (int i = 0; i < n; i++)
	{
		nquestions += ask(&questions[nquestions], &ids[i], i, database, current, false);
		nquestions += ask(&questions[nquestions], &ids[i], i, database, previous, true);
	}
	for (int i = 0; i < nquestions; i++)
		commands[i] = questions[i].command;
	answered = nquestions > 0 && cext_redis_run(commands, nquestions);
	if (answered)
	{
		take_answers(commands, questions, nquestions, ids, entries, ticket);
		cext_redis_free(commands, nquestions);
	}
	for (int i = 0; i < nquestions; i++)
		pfree(unconstify(char *, questions[i].argv[1]));
	pfree(questions);
	pfree(commands);
	return answered;
}

/*
 * Fetch entries from Redis, in as few round trips as there are thousands:
 * copies, to be unpinned, or NULL.  None has been looked at for whether it
 * still holds.  False if Redis gave no answer.
 */
bool
cext_tier_fetch(const CextIdent *ids, int n, CextEntry **entries)
{
	bool		answered = false;

	memset(entries, 0, n * sizeof(CextEntry *));
	for (int i = 0; i < n; i += FETCH_AT_ONCE)
	{
		if (!fetch_some(ids + i, Min(n - i, FETCH_AT_ONCE), entries + i))
			break;
		answered = true;
	}
	return answered;
}


/* ----------------------------------------------------------------
 *		Writing
 * ----------------------------------------------------------------
 */

static bool
run_set(const char *key, Size keylen, const char *bytes, Size length, int64 ms,
		uint32 ticket)
{
	char		px[24];
	const char *argv[5] = {"SET", key, bytes, "PX", px};
	size_t		argvlen[5] = {3, keylen, length, 2, 0};
	CextRedisCommand command = {5, argv, argvlen, NULL, 0};
	bool		ok;

	argvlen[4] = snprintf(px, sizeof(px), "%lld", (long long) ms);
	if (!cext_redis_run(&command, 1))
		return false;
	ok = command.reply->type == REDIS_REPLY_STATUS;
	if (ok)
		cext_breaker_success(CEXT_BREAKER_WRITES, ticket);
	else
	{
		cext_stats_add(CEXT_STAT_REDIS_ERRORS, 1);
		cext_breaker_failure(CEXT_BREAKER_WRITES, ticket,
							 command.reply->type == REDIS_REPLY_ERROR ?
							 command.reply->str : "unexpected answer to SET");
	}
	cext_redis_free(&command, 1);
	return ok;
}

/* Write an entry of a database to Redis.  False if it is not there now. */
bool
cext_tier_write(const char *database, const CextIdent *id, const CextEntryInfo *info,
				const char *payload, Size size)
{
	const uint8 *epoch = cext_epoch_current();
	int64		ms = (info->expires - GetCurrentTimestamp()) / 1000;
	StringInfoData key;
	uint32		ticket;
	char	   *bytes;
	Size		length;
	bool		ok = false;

	if (epoch == NULL || ms <= 0 ||
		!cext_breaker_admit(CEXT_BREAKER_WRITES, &ticket))
		return false;
	if (!redis_key(&key, database, id, epoch))
		return false;
	bytes = cext_wire_encode(id, info, payload, size, epoch, cext_epoch_secret(),
							 cext_compression, &length);
	if (bytes != NULL && length <= MAX_REDIS_VALUE)
	{
		/* before it is there: a restart must know of it */
		cext_epoch_note_expiry(info->expires);
		ok = run_set(key.data, key.len, bytes, length, ms, ticket);
		if (ok)
			cext_stats_add(CEXT_STAT_REDIS_WRITES, 1);
	}
	if (bytes != NULL)
		pfree(bytes);
	pfree(key.data);
	return ok;
}

/* Store an entry wherever this session stores.  False if nowhere. */
bool
cext_tier_store(const CextIdent *id, const CextEntryInfo *info,
				const char *payload, Size size)
{
	bool		stored = false;

	if (cext_storage_memory())
		stored = cext_store_insert(id, info, payload, size);
	if (cext_storage_redis())
	{
		const char *database = cext_tier_database();

		if (database != NULL && cext_tier_write(database, id, info, payload, size))
			stored = true;
	}
	return stored;
}

/*
 * What came from Redis was good: put it into shared memory as well, and under
 * this epoch, so that what is in use outlives more than one restart.
 */
void
cext_tier_promote(CextEntry *e)
{
	CextIdent	id;
	CextEntryInfo info;
	const char *payload = (char *) e + e->payload_offset;

	cext_entry_describe(e, &id, &info);
	if (cext_storage_memory())
		(void) cext_store_insert(&id, &info, payload, e->payload_size);
	if ((e->flags & CEXT_ENTRY_PREVIOUS) != 0)
		(void) cext_tier_write(cext_tier_database(), &id, &info, payload, e->payload_size);
}
