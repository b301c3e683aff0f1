/*-------------------------------------------------------------------------
 *
 * cext_relay_send.c
 *		What the relay asks of Redis.
 *
 * For an event: UNLINK of the keys it names, a sweep of the keyspace for its
 * patterns, PUBLISH.  Each can be repeated, so what fails is tried again from
 * its beginning.
 *
 * Which keys: the cache's key with cache_ext.redis_relay_prefix before it, or
 * what matches a pattern behind that prefix.  Never our own entries, which
 * begin with the namespace and a colon.  What could mean every key of the Redis
 * database ("*", cache_clear(), a flush) is swept only within a prefix; without
 * one it is announced and no more.
 *
 * A sweep walks the keyspace with SCAN in steps of about 1,000 keys, node by
 * node, for all patterns that waited when it began, and for each step drops
 * what matches.  Between steps the worker does other things.  SCAN returns every
 * key that is there from beginning to end, and a key set later was set after
 * the commit.  Redis selects by what the patterns have in common at their
 * start; the matching is done here, by our rules, where "?" is a character and
 * not a byte.
 *
 * An answer that is an error is one of two kinds.  Some pass: Redis is loading,
 * read-only, out of memory.  These are tried again.  Others will be the same
 * next time (no permission): they are counted, logged, and passed over, so
 * that one of them does not stop all that comes after.
 *
 * Memory: the caller's context, which is reset after each call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "nodes/value.h"
#include "utils/memutils.h"

#include "cext_guc.h"
#include "cext_pattern.h"
#include "cext_redis.h"
#include "cext_redis_conf.h"
#include "cext_redis_conn.h"
#include "cext_relation.h"
#include "cext_relay_json.h"
#include "cext_relay_send.h"

#define CHANNEL			"cache_ext:invalidate:"
#define BATCH			256		/* commands in one go */
#define BATCH_BYTES		(1024 * 1024)
#define SCAN_COUNT		"1000"

static char last_error[256];

/* Commands to be sent together, each by its key's node. */
typedef struct Batch
{
	int			n;
	Size		bytes;
	CextRedisCommand commands[BATCH];
} Batch;

/* The sweep under way. */
static struct
{
	bool		active;
	int			nodes;
	int			node;
	char		cursor[32];
	char	   *match;			/* TopMemoryContext */
}			sweep;

const char *
cext_relay_error(void)
{
	return last_error;
}


/* ----------------------------------------------------------------
 *		Commands
 * ----------------------------------------------------------------
 */

/* Will the same command be answered otherwise some time? */
static bool
transient(const char *error)
{
	static const char *const codes[] = {
		"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY",
		"OOM", "MISCONF", "NOREPLICAS", "MOVED", "ASK", "NOAUTH", "UNBLOCKED"
	};

	for (int i = 0; i < lengthof(codes); i++)
		if (strncmp(error, codes[i], strlen(codes[i])) == 0)
			return true;
	return false;
}

/* One of our entries, which look after themselves? */
static bool
is_own(const char *key, Size len)
{
	Size		n = strlen(cext_redis_namespace);

	return len > n && memcmp(key, cext_redis_namespace, n) == 0 && key[n] == ':';
}

/* See add_write(). */
static bool
is_write(const CextRedisCommand *c)
{
	return strcmp(c->argv[0], "UNLINK") == 0 && is_own(c->argv[1], c->argvlen[1]);
}

/* What has come of these?  False if they are to be tried again. */
static bool
judge(CextRedisCommand *commands, int n, bool answered)
{
	bool		ok = answered;

	if (!answered)
		strlcpy(last_error, cext_redis_error, sizeof(last_error));
	for (int i = 0; answered && i < n; i++)
	{
		redisReply *reply = commands[i].reply;
		char		said[sizeof(last_error)];

		if (reply->type != REDIS_REPLY_ERROR)
			continue;
		cext_redis_quote(said, sizeof(said), reply->str);
		if (is_write(&commands[i]) && !transient(said))
			continue;
		if (strcmp(said, last_error) != 0)
			ereport(LOG,
					(errmsg("Redis refuses a command of cache_ext's relay: %s", said),
					 errdetail("The command is %s.", commands[i].argv[0])));
		strlcpy(last_error, said, sizeof(last_error));
		if (transient(said))
			ok = false;
		else
			cext_relay_count_failed();
	}
	if (answered && !ok)
		cext_redis_free(commands, n);
	return ok;
}

/* A command to one node; "on": see cext_redis_run_on(). */
static bool
run_on(int node, bool on, CextRedisCommand *c)
{
	return judge(c, 1, cext_redis_run_on(node, on, c, 1));
}

static void
set_command(CextRedisCommand *c, int argc, const char **argv, const Size *lens)
{
	memset(c, 0, sizeof(CextRedisCommand));
	c->argc = argc;
	c->argv = palloc(argc * sizeof(char *));
	c->argvlen = palloc(argc * sizeof(size_t));
	for (int i = 0; i < argc; i++)
	{
		c->argv[i] = argv[i];
		c->argvlen[i] = lens != NULL ? lens[i] : strlen(argv[i]);
	}
}

static bool
run_batch(Batch *b)
{
	if (b->n > 0)
	{
		if (!judge(b->commands, b->n, cext_redis_run(b->commands, b->n)))
			return false;
		cext_redis_free(b->commands, b->n);
	}
	b->n = 0;
	b->bytes = 0;
	return true;
}

/* Add a command; the arguments must live until the batch has run. */
static bool
add_command(Batch *b, const char *name, const char *arg1, Size len1,
			const char *arg2, Size len2)
{
	const char *argv[3] = {name, arg1, arg2};
	Size		lens[3] = {strlen(name), len1, len2};

	set_command(&b->commands[b->n++], arg2 == NULL ? 2 : 3, argv, lens);
	b->bytes += len1 + len2;
	return b->n < BATCH && b->bytes < BATCH_BYTES ? true : run_batch(b);
}


/* ----------------------------------------------------------------
 *		Keys
 * ----------------------------------------------------------------
 */

/* Drop the keys that these events name. */
bool
cext_relay_send_keys(CextRelayEvent *events, int n)
{
	Batch		b;
	Size		prefix = strlen(cext_redis_relay_prefix);

	b.n = 0;
	b.bytes = 0;
	for (int i = 0; i < n; i++)
	{
		CextRelayRecord *rec = events[i].rec;

		if (rec == NULL || events[i].keys_done)
			continue;
		for (const CextRelayItem *item = CEXT_RELAY_ITEMS(rec);
			 item < CEXT_RELAY_ITEMS_END(rec); item = CEXT_RELAY_NEXT(item))
		{
			Size		len = prefix + item->len;
			char	   *key;

			if (item->type != CEXT_RELAY_KEY)
				continue;
			key = palloc(len);
			memcpy(key, cext_redis_relay_prefix, prefix);
			memcpy(key + prefix, item->data, item->len);
			if (!is_own(key, len) && !add_command(&b, "UNLINK", key, len, NULL, 0))
				return false;
		}
	}
	if (!run_batch(&b))
		return false;
	for (int i = 0; i < n; i++)
		events[i].keys_done = true;
	return true;
}


/* ----------------------------------------------------------------
 *		Sweeps
 * ----------------------------------------------------------------
 */

/* Does this item stand for keys that have to be looked for? */
static bool
is_swept(const CextRelayItem *item)
{
	if (item->type == CEXT_RELAY_PATTERN)
		return cext_redis_relay_prefix[0] != '\0' ||
			cext_pattern_has_literal_start(item->data, item->len);
	return item->type == CEXT_RELAY_CLEAR && cext_redis_relay_prefix[0] != '\0';
}

/* ... any of a record's, or a flush? */
bool
cext_relay_needs_sweep(const CextRelayRecord *rec)
{
	if (rec == NULL)
		return cext_redis_relay_prefix[0] != '\0';
	for (const CextRelayItem *item = CEXT_RELAY_ITEMS(rec);
		 item < CEXT_RELAY_ITEMS_END(rec); item = CEXT_RELAY_NEXT(item))
		if (is_swept(item))
			return true;
	return false;
}

/* Does the sweep have to drop this key? */
static bool
is_hit(CextRelayEvent *events, int n, const char *key, Size len)
{
	Size		prefix = strlen(cext_redis_relay_prefix);

	if (is_own(key, len) || len < prefix ||
		memcmp(key, cext_redis_relay_prefix, prefix) != 0)
		return false;
	for (int i = 0; i < n; i++)
	{
		const CextRelayRecord *rec = events[i].rec;

		if (!events[i].in_sweep)
			continue;
		if (rec == NULL)
			return true;
		for (const CextRelayItem *item = CEXT_RELAY_ITEMS(rec);
			 item < CEXT_RELAY_ITEMS_END(rec); item = CEXT_RELAY_NEXT(item))
		{
			if (is_swept(item) &&
				(item->type == CEXT_RELAY_CLEAR ||
				 cext_pattern_match_encoded(rec->encoding, item->data, item->len,
											key + prefix, len - prefix)))
				return true;
		}
	}
	return false;
}

/* How much do two strings have in common at their start? */
static int
common(const char *a, int alen, const char *b, int blen)
{
	int			n = 0;

	while (n < alen && n < blen && a[n] == b[n])
		n++;
	return n;
}

/* Begin a sweep for all events that need one. */
static bool
begin_sweep(CextRelayEvent *events, int n)
{
	StringInfoData literal;
	StringInfoData match;
	bool		any = false;

	sweep.nodes = cext_redis_node_count();
	if (sweep.nodes == 0)
	{
		strlcpy(last_error, cext_redis_error, sizeof(last_error));
		return false;
	}
	sweep.node = 0;
	strcpy(sweep.cursor, "0");

	/* what all patterns start with */
	initStringInfo(&literal);
	for (int i = 0; i < n; i++)
	{
		const CextRelayRecord *rec = events[i].rec;

		events[i].in_sweep = events[i].sweep;
		if (!events[i].in_sweep)
			continue;
		if (rec == NULL)
		{
			any = true;
			literal.len = 0;
			continue;
		}
		for (const CextRelayItem *item = CEXT_RELAY_ITEMS(rec);
			 item < CEXT_RELAY_ITEMS_END(rec); item = CEXT_RELAY_NEXT(item))
		{
			StringInfoData own;

			if (!is_swept(item))
				continue;
			initStringInfo(&own);
			if (item->type == CEXT_RELAY_PATTERN)
				(void) cext_pattern_classify(item->data, item->len, &own);
			if (!any)
				appendBinaryStringInfo(&literal, own.data, own.len);
			else
				literal.len = common(literal.data, literal.len, own.data, own.len);
			any = true;
			pfree(own.data);
		}
	}

	initStringInfo(&match);
	cext_pattern_append_escaped(&match, cext_redis_relay_prefix,
								strlen(cext_redis_relay_prefix));
	cext_pattern_append_escaped(&match, literal.data, literal.len);
	appendStringInfoChar(&match, '*');
	sweep.match = MemoryContextStrdup(TopMemoryContext, match.data);
	sweep.active = true;
	return true;
}

/* It is over, or has to be begun again. */
static void
end_sweep(CextRelayEvent *events, int n, bool complete)
{
	for (int i = 0; i < n; i++)
	{
		if (complete && events[i].in_sweep)
			events[i].sweep = false;
		events[i].in_sweep = false;
	}
	pfree(sweep.match);
	sweep.active = false;
}

/* The settings have changed, or nobody waits for it any more. */
void
cext_relay_abandon_sweep(CextRelayEvent *events, int n)
{
	if (sweep.active)
		end_sweep(events, n, false);
	for (int i = 0; i < n; i++)
		events[i].sweep = cext_relay_needs_sweep(events[i].rec);
}

/* Drop what one answer of SCAN names and an event asks for. */
static bool
drop_hits(CextRelayEvent *events, int n, redisReply *keys)
{
	Batch		b;

	b.n = 0;
	b.bytes = 0;
	for (size_t i = 0; i < keys->elements; i++)
	{
		redisReply *key = keys->element[i];

		if (key->type == REDIS_REPLY_STRING && is_hit(events, n, key->str, key->len) &&
			!add_command(&b, "UNLINK", key->str, key->len, NULL, 0))
			return false;
	}
	return run_batch(&b);
}

/* One step of the sweep, beginning it if there is need. */
bool
cext_relay_send_sweep(CextRelayEvent *events, int n)
{
	const char *argv[6] = {"SCAN", sweep.cursor, "MATCH", NULL, "COUNT", SCAN_COUNT};
	CextRedisCommand c;
	bool		needed = sweep.active;
	bool		ok;

	for (int i = 0; i < n && !needed; i++)
		needed = events[i].sweep;
	if (!needed)
		return true;
	if (!sweep.active && !begin_sweep(events, n))
		return false;

	argv[3] = sweep.match;
	set_command(&c, 6, argv, NULL);
	ok = run_on(sweep.node, strcmp(sweep.cursor, "0") != 0, &c);
	if (ok)
	{
		redisReply *r = c.reply;

		if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
			r->element[0]->type == REDIS_REPLY_STRING &&
			r->element[1]->type == REDIS_REPLY_ARRAY)
		{
			ok = drop_hits(events, n, r->element[1]);
			strlcpy(sweep.cursor, r->element[0]->str, sizeof(sweep.cursor));
		}
		else
			strcpy(sweep.cursor, "0");	/* refused, and counted */
		cext_redis_free(&c, 1);
	}
	if (!ok)
		end_sweep(events, n, false);
	else if (strcmp(sweep.cursor, "0") == 0 && ++sweep.node >= sweep.nodes)
		end_sweep(events, n, true);
	return ok;
}


/* ----------------------------------------------------------------
 *		Messages
 * ----------------------------------------------------------------
 */

/*
 * A replica would take a message, and pass it on to its own subscribers alone;
 * but it refuses to write.  So every batch of messages begins with something to
 * be written, if only that there is nothing under this name.  Who may not do
 * that is no replica.
 */
static bool
add_write(Batch *b)
{
	char	   *key = psprintf("%s:relay", cext_redis_namespace);

	return add_command(b, "UNLINK", key, strlen(key), NULL, 0);
}

/* A flush for one database, or for (NULL) whoever listens to all. */
static bool
add_flush(Batch *b, const CextRelayEvent *ev, const char *database, XLogRecPtr lsn)
{
	StringInfoData buf;
	char	   *channel = psprintf("%s%s", CHANNEL, database != NULL ? database : "");

	initStringInfo(&buf);
	cext_relay_json_flush(&buf, ev->flush.reason, database,
						  database != NULL ? (int) strlen(database) : 0, lsn, ev->seq);
	return add_command(b, "PUBLISH", channel, strlen(channel), buf.data, buf.len);
}

/*
 * A flush goes to the channel of every database, and to every other of ours that
 * has a subscriber (names may be written in another encoding there); a list of
 * those alone would lack the subscribers of replicas.  Those who subscribe by a
 * pattern need not hear of it once a database: for them it goes to the channel
 * without one as well.
 */
static bool
publish_flush(CextRelayEvent *ev)
{
	const char *argv[3] = {"PUBSUB", "CHANNELS", CHANNEL "*"};
	int			nodes = cext_redis_node_count();
	XLogRecPtr	lsn = GetXLogInsertRecPtr();
	List	   *told = cext_database_names();
	ListCell   *lc;
	Batch		b;

	if (nodes == 0)
	{
		strlcpy(last_error, cext_redis_error, sizeof(last_error));
		return false;
	}
	b.n = 0;
	b.bytes = 0;
	if (!add_write(&b) || !add_flush(&b, ev, NULL, lsn))
		return false;
	foreach(lc, told)
	{
		if (!add_flush(&b, ev, strVal(lfirst(lc)), lsn))
			return false;
	}
	for (int node = 0; node < nodes; node++)
	{
		CextRedisCommand c;
		bool		ok = true;

		set_command(&c, 3, argv, NULL);
		if (!run_on(node, false, &c))
			return false;
		for (size_t i = 0; c.reply->type == REDIS_REPLY_ARRAY && ok &&
			 i < c.reply->elements; i++)
		{
			redisReply *channel = c.reply->element[i];
			Size		skip = strlen(CHANNEL);
			String	   *name;

			if (channel->type != REDIS_REPLY_STRING || channel->len <= skip)
				continue;
			name = makeString(channel->str + skip);
			if (list_member(told, name))
				continue;
			name = makeString(pstrdup(strVal(name)));
			told = lappend(told, name);
			ok = add_flush(&b, ev, strVal(name), lsn);
		}
		ok = ok && run_batch(&b);
		cext_redis_free(&c, 1);
		if (!ok)
			return false;
	}
	return run_batch(&b);
}

static const CextRelayItem *
database_of(const CextRelayRecord *rec)
{
	return CEXT_RELAY_ITEMS(rec);
}

/*
 * Publish the events at the front that have nothing else left to do, in their
 * order; *published tells how many.
 */
bool
cext_relay_send_messages(CextRelayEvent *events, int n, int *published)
{
	Batch		b;
	int			i;

	*published = 0;
	b.n = 0;
	b.bytes = 0;
	for (i = 0; i < n && events[i].keys_done && !events[i].sweep; i++)
	{
		CextRelayEvent *ev = &events[i];
		StringInfoData message;
		StringInfoData channel;

		if (b.n >= BATCH - 1 || (ev->rec == NULL && i > 0))
			break;
		if (ev->seq == 0)
			ev->seq = cext_relay_next_seq();
		if (ev->rec == NULL)
		{
			if (!publish_flush(ev))
				return false;
			*published = 1;
			return true;
		}
		initStringInfo(&message);
		cext_relay_json(&message, ev->rec, ev->seq);
		if (i > 0 && b.bytes + message.len >= BATCH_BYTES)
			break;
		if (b.n == 0 && !add_write(&b))
			return false;
		initStringInfo(&channel);
		appendStringInfoString(&channel, CHANNEL);
		appendBinaryStringInfo(&channel, database_of(ev->rec)->data,
							   database_of(ev->rec)->len);
		if (!add_command(&b, "PUBLISH", channel.data, channel.len,
						 message.data, message.len))
			return false;
	}
	if (!run_batch(&b))
		return false;
	*published = i;
	return true;
}
