/*-------------------------------------------------------------------------
 *
 * cext_redis.c
 *		Commands to a Redis server or cluster.
 *
 * A call sends any number of commands, to each node its own in one go, and
 * waits for all answers until cache_ext.redis_timeout; opening a connection
 * may add cache_ext.redis_connect_timeout.  It asks the circuit breaker first
 * and tells it afterwards.  Connections belong to the backend, one a node,
 * opened when first needed.
 *
 * One server: the first of the seeds that answers.  A connection that turns
 * out to have been closed meanwhile is opened again once, without counting
 * that as a failure: servers restart, and close idle connections.
 *
 * Cluster (redis.io, "Redis cluster specification"): found out by the first
 * MOVED.  A command goes by its key to the node that has the
 * hash slot.  MOVED and ASK are followed, a few times; a MOVED also has the
 * slot map fetched anew.  When a node fails, the map is forgotten and another
 * node asked, whose MOVED tells who has taken over.  There are no commands with
 * several keys here, so none crosses slots.
 *
 * An error from a wait (a cancel) frees the answers; connections with answers
 * outstanding are closed by the next call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "cext_breaker.h"
#include "cext_redis.h"
#include "cext_redis_login.h"
#include "cext_stats.h"

#define HASH_SLOTS		16384
#define MAX_NODES		256
#define MAX_ROUNDS		8		/* redirections and retries */
#define NO_NODE			0xFFFF

typedef struct Node
{
	CextRedisAddress address;
	CextRedisConn *conn;
	CextDeadline opened;
	bool		idle;			/* the connection is older than this call */
	bool		failed;			/* in this call */
	bool		master;			/* has slots, as far as we know */
} Node;

static Node *nodes;				/* malloc'd; the seeds first */
static int	nnodes;
static int	first;				/* the seed to begin with */
static bool cluster;
static uint16 slot_nodes[HASH_SLOTS];	/* in a cluster */
static uint64 known_generation;

/* Of the call under way. */
typedef struct Run
{
	CextRedisCommand *commands;
	int			n;
	uint16	   *where;			/* each command's node */
	uint16	   *sent;			/* where it was sent in this round */
	bool	   *asking;
	bool	   *todo;
	bool		fixed;			/* to the node given and no other */
	CextDeadline connect_deadline;
	CextDeadline deadline;
	bool		moved;			/* the slot map is out of date */
	bool		retried;		/* idle connections that had gone */
} Run;


/* ----------------------------------------------------------------
 *		Nodes and slots
 * ----------------------------------------------------------------
 */

/* Close all connections; the next call begins with the seeds. */
void
cext_redis_disconnect(void)
{
	for (int i = 0; i < nnodes; i++)
		cext_redis_close(nodes[i].conn);
	nnodes = 0;
	first = 0;
	cluster = false;
}

/* The number of a node, which may be new; NO_NODE if there are too many. */
static uint16
node_number(const char *host, int port)
{
	Node	   *node;

	for (int i = 0; i < nnodes; i++)
		if (nodes[i].address.port == port && strcmp(nodes[i].address.host, host) == 0)
			return i;
	if (nnodes == MAX_NODES || strlen(host) >= CEXT_REDIS_HOST)
		return NO_NODE;
	node = &nodes[nnodes];
	memset(node, 0, sizeof(Node));
	strlcpy(node->address.host, host, CEXT_REDIS_HOST);
	node->address.port = port;
	return nnodes++;
}

/*
 * Begin anew where settings have changed, or where a cluster has named more
 * nodes over time than there is room for.
 */
static bool
check_settings(void)
{
	if (likely(known_generation == cext_redis_generation && nnodes > 0 &&
			   nnodes < MAX_NODES))
		return true;
	cext_redis_disconnect();
	if (nodes == NULL)
		nodes = malloc(MAX_NODES * sizeof(Node));
	if (nodes == NULL)
		return cext_redis_fail("out of memory");
	for (int i = 0; i < cext_redis_target->nseeds; i++)
		(void) node_number(cext_redis_target->seeds[i].host,
						   cext_redis_target->seeds[i].port);
	known_generation = cext_redis_generation;
	return true;
}

/* CRC-16/XMODEM, which the cluster's hash slots are by. */
static uint16
crc16(const char *p, size_t len)
{
	uint16		crc = 0;

	for (size_t i = 0; i < len; i++)
	{
		crc ^= (uint16) ((unsigned char) p[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
	}
	return crc;
}

/* Only what is within the first braces counts, if anything is. */
static int
hash_slot(const char *key, size_t len)
{
	const char *open = memchr(key, '{', len);

	if (open != NULL)
	{
		const char *close = memchr(open + 1, '}', key + len - open - 1);

		if (close != NULL && close > open + 1)
			return crc16(open + 1, close - open - 1) % HASH_SLOTS;
	}
	return crc16(key, len) % HASH_SLOTS;
}

static int
command_slot(const CextRedisCommand *c)
{
	int			key = Max(c->key, 1);

	return hash_slot(c->argv[key], c->argvlen[key]);
}

static uint16
node_for(const CextRedisCommand *c)
{
	uint16		node = NO_NODE;

	if (cluster && c->argc > 1)
		node = slot_nodes[command_slot(c)];
	return node != NO_NODE ? node : first;
}

/* Take over what CLUSTER SLOTS said. */
static void
take_slots(const redisReply *reply, const char *asked)
{
	if (reply->type != REDIS_REPLY_ARRAY)
		return;
	for (int i = 0; i < nnodes; i++)
		nodes[i].master = false;
	for (size_t i = 0; i < HASH_SLOTS; i++)
		slot_nodes[i] = NO_NODE;
	for (size_t i = 0; i < reply->elements; i++)
	{
		const redisReply *range = reply->element[i];
		const redisReply *master;
		const char *host;
		uint16		node;

		if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
			range->element[0]->type != REDIS_REPLY_INTEGER ||
			range->element[1]->type != REDIS_REPLY_INTEGER ||
			range->element[2]->type != REDIS_REPLY_ARRAY ||
			range->element[2]->elements < 2)
			continue;
		master = range->element[2];
		if (master->element[1]->type != REDIS_REPLY_INTEGER)
			continue;
		/* no host: the one that was asked */
		host = master->element[0]->type == REDIS_REPLY_STRING &&
			master->element[0]->len > 0 ? master->element[0]->str : asked;
		node = node_number(host, (int) master->element[1]->integer);
		if (node == NO_NODE)
			continue;
		nodes[node].master = true;
		for (long long s = Max(range->element[0]->integer, 0);
			 s <= range->element[1]->integer && s < HASH_SLOTS; s++)
			slot_nodes[s] = node;
	}
}

/*
 * Where a redirection ("MOVED 3999 127.0.0.1:6381") points to.  No host: the
 * one that said it.
 */
static uint16
redirect_node(const redisReply *reply, const char *asked)
{
	const char *space = strrchr(reply->str, ' ');
	const char *colon = strrchr(reply->str, ':');
	char		host[CEXT_REDIS_HOST];
	int			port;

	if (space == NULL || colon == NULL || colon < space ||
		(size_t) (colon - space) > sizeof(host))
		return NO_NODE;
	port = atoi(colon + 1);
	strlcpy(host, space + 1, colon - space);
	return port > 0 && port < 65536 ?
		node_number(host[0] != '\0' ? host : asked, port) : NO_NODE;
}


/* ----------------------------------------------------------------
 *		One call
 * ----------------------------------------------------------------
 */

static bool
begins(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_ERROR &&
		strncmp(reply->str, word, strlen(word)) == 0;
}

/* Is this the server's state, and not about the command? */
static bool
unserviceable(const redisReply *reply)
{
	static const char *const words[] = {
		"LOADING", "NOAUTH", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "ERR max number of clients"
	};

	for (int i = 0; i < lengthof(words); i++)
		if (begins(reply, words[i]))
			return true;
	return false;
}

/* A connection to the node that is ready for use, or NULL. */
static CextRedisConn *
get_connection(Run *run, uint16 n)
{
	Node	   *node = &nodes[n];
	CextDeadline deadline;

	/* one from before an outage may have died in it without a word */
	if (node->conn != NULL &&
		(!cext_redis_usable(node->conn) || node->opened <= cext_breaker_tripped()))
	{
		cext_redis_close(node->conn);
		node->conn = NULL;
	}
	if (node->conn != NULL)
	{
		node->idle = true;
		return node->conn;
	}
	node->idle = false;
	node->opened = cext_deadline(0);
	node->conn = cext_redis_connect(&node->address, run->connect_deadline);
	deadline = cext_deadline(cext_redis_timeout);
	run->deadline = Max(run->deadline, deadline);
	return node->conn;
}

/* Send to this node what is for it. */
static bool
send_to(Run *run, uint16 n)
{
	CextRedisConn *conn = get_connection(run, n);

	if (conn == NULL)
		return false;
	for (int i = 0; i < run->n; i++)
	{
		CextRedisCommand *c = &run->commands[i];
		const char *asking = "ASKING";
		size_t		len = 6;

		if (!run->todo[i] || run->where[i] != n)
			continue;
		if ((run->asking[i] && !cext_redis_send(conn, 1, &asking, &len)) ||
			!cext_redis_send(conn, c->argc, c->argv, c->argvlen))
			return false;
		run->sent[i] = n;
	}
	return cext_redis_flush(conn);
}

/* An answer: is it one, or does it send us elsewhere?  False: give up. */
static bool
take_reply(Run *run, int i, redisReply *reply)
{
	const char *asked = nodes[run->where[i]].address.host;
	bool		moved = begins(reply, "MOVED ");

	run->asking[i] = false;
	if (moved || begins(reply, "ASK "))
	{
		uint16		node = redirect_node(reply, asked);

		freeReplyObject(reply);
		if (node == NO_NODE)
			return cext_redis_fail("the cluster redirects to nowhere");
		if (moved)
		{
			if (!cluster)
				for (int s = 0; s < HASH_SLOTS; s++)
					slot_nodes[s] = NO_NODE;
			cluster = run->moved = true;
			nodes[node].master = true;
			slot_nodes[command_slot(&run->commands[i])] = node;
		}
		run->where[i] = node;
		run->asking[i] = !moved;
		return true;
	}
	if (unserviceable(reply))
	{
		cext_redis_fail("%.150s", reply->str);
		freeReplyObject(reply);
		return false;
	}
	run->commands[i].reply = reply;
	run->todo[i] = false;
	return true;
}

/* Get the answers of this node. */
static bool
receive_from(Run *run, uint16 n)
{
	CextRedisConn *conn = nodes[n].conn;

	for (int i = 0; i < run->n; i++)
	{
		redisReply *reply;

		if (run->sent[i] != n)
			continue;
		run->sent[i] = NO_NODE;
		if (run->asking[i])
		{
			reply = cext_redis_receive(conn, run->deadline);
			if (reply == NULL)
				return false;
			freeReplyObject(reply);
		}
		reply = cext_redis_receive(conn, run->deadline);
		if (reply == NULL)
			return false;
		nodes[n].idle = false;
		if (!take_reply(run, i, reply))
			return false;
	}
	return true;
}

/* Fetch the slot map from a node that is connected.  Failure costs time only. */
static void
fetch_slots(Run *run)
{
	static const char *argv[2] = {"CLUSTER", "SLOTS"};
	static const size_t argvlen[2] = {7, 5};

	run->moved = false;
	for (int n = 0; n < nnodes; n++)
	{
		redisReply *reply;

		if (nodes[n].conn == NULL || !cext_redis_usable(nodes[n].conn))
			continue;
		if (!cext_redis_send(nodes[n].conn, 2, argv, argvlen))
			continue;
		reply = cext_redis_receive(nodes[n].conn, run->deadline);
		if (reply == NULL)
			continue;
		take_slots(reply, nodes[n].address.host);
		freeReplyObject(reply);
		return;
	}
}

/* Close what was open before this call: it may be as stale as the one that was. */
static void
close_idle(void)
{
	for (int i = 0; i < nnodes; i++)
		if (nodes[i].idle)
		{
			cext_redis_close(nodes[i].conn);
			nodes[i].conn = NULL;
			nodes[i].idle = false;
		}
}

/*
 * A node did not do.  Is there a way to go on?  A connection that had been
 * idle may have been closed by the other side; another node may stand in.
 * What has taken all the time is not tried again.
 */
static bool
recover(Run *run, uint16 n)
{
	bool		was_idle = nodes[n].idle;
	int			other;

	cext_redis_close(nodes[n].conn);
	nodes[n].conn = NULL;
	nodes[n].idle = false;
	if (cext_deadline(0) >= run->deadline)
		return false;
	if (was_idle && !run->retried)
	{
		close_idle();
		run->retried = true;
		return true;
	}
	nodes[n].failed = true;
	for (other = 0; other < nnodes && nodes[other].failed; other++)
		;
	if (run->fixed || other == nnodes || (!cluster && n != first))
		return false;
	cluster = false;
	first = other;
	for (int i = 0; i < run->n; i++)
	{
		run->where[i] = first;
		run->asking[i] = false;
	}
	return true;
}

/* All that is to be done now, once to each node that it is for. */
static bool
run_round(Run *run)
{
	bool		used[MAX_NODES] = {false};
	int			n;

	for (int i = 0; i < run->n; i++)
	{
		run->sent[i] = NO_NODE;
		if (run->todo[i])
			used[run->where[i]] = true;
	}
	for (n = 0; n < MAX_NODES; n++)
		if (used[n] && !send_to(run, n))
			return recover(run, n);
	for (n = 0; n < MAX_NODES; n++)
		if (used[n] && !receive_from(run, n))
			return recover(run, n);
	if (run->moved)
		fetch_slots(run);
	return true;
}

/* Rounds, until all commands are answered. */
static bool
run_rounds(Run *run, int node)
{
	run->fixed = node >= 0;
	for (int i = 0; i < run->n; i++)
	{
		run->where[i] = run->fixed ? node : node_for(&run->commands[i]);
		run->todo[i] = true;
		run->asking[i] = false;
	}
	for (int i = 0; i < nnodes; i++)
		nodes[i].idle = nodes[i].failed = false;
	run->connect_deadline = cext_deadline(cext_redis_connect_timeout);
	run->deadline = cext_deadline(cext_redis_timeout);

	for (int round = 0; round <= MAX_ROUNDS; round++)
	{
		bool		more = false;

		if (!run_round(run))
			return false;
		for (int i = 0; i < run->n; i++)
			more |= run->todo[i];
		if (!more)
			return true;
	}
	return cext_redis_fail("the cluster redirects in circles");
}

static bool
run_commands(int node, CextRedisCommand *commands, int n)
{
	Run			run;
	uint32		ticket;
	volatile bool ok = false;

	for (int i = 0; i < n; i++)
		commands[i].reply = NULL;
	if (cext_redis_target == NULL || !cext_breaker_admit(CEXT_BREAKER_SERVER, &ticket))
		return false;
	memset(&run, 0, sizeof(run));
	run.commands = commands;
	run.n = n;
	run.where = palloc(n * sizeof(uint16));
	run.sent = palloc(n * sizeof(uint16));
	run.asking = palloc(n * sizeof(bool));
	run.todo = palloc(n * sizeof(bool));

	PG_TRY();
	{
		ok = check_settings() && (node < nnodes) && run_rounds(&run, node);
	}
	PG_FINALLY();
	{
		if (!ok)
			cext_redis_free(commands, n);
	}
	PG_END_TRY();

	if (ok)
		cext_breaker_success(CEXT_BREAKER_SERVER, ticket);
	else
	{
		cext_stats_add(CEXT_STAT_REDIS_ERRORS, 1);
		cext_breaker_failure(CEXT_BREAKER_SERVER, ticket, cext_redis_error);
	}
	pfree(run.where);
	pfree(run.sent);
	pfree(run.asking);
	pfree(run.todo);
	return ok;
}

/*
 * Run commands, each on the node that has its key.  False if Redis is
 * not to be had; then there are no answers.  With true each has one, which may
 * be an error about the command; the caller frees them.
 */
bool
cext_redis_run(CextRedisCommand *commands, int n)
{
	return run_commands(-1, commands, n);
}

/* Free the answers. */
void
cext_redis_free(CextRedisCommand *commands, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (commands[i].reply != NULL)
			freeReplyObject(commands[i].reply);
		commands[i].reply = NULL;
	}
}

/*
 * How many nodes hold keys: 1 but in a cluster, whose map is fetched anew; 0 if
 * Redis is not to be had.
 */
int
cext_redis_node_count(void)
{
	const char *argv[2] = {"CLUSTER", "SLOTS"};
	size_t		argvlen[2] = {7, 5};
	CextRedisCommand c = {2, argv, argvlen, NULL, 0};
	int			count = 0;

	if (cext_redis_target == NULL || !check_settings() || !run_commands(first, &c, 1))
		return 0;
	if (c.reply->type == REDIS_REPLY_ARRAY && c.reply->elements > 0)
	{
		cluster = true;
		take_slots(c.reply, nodes[first].address.host);
	}
	cext_redis_free(&c, 1);
	if (!cluster)
		return 1;
	for (int i = 0; i < nnodes; i++)
		count += nodes[i].master;
	return count;
}

/* Run commands on one of the nodes that cext_redis_node_count() counted. */
bool
cext_redis_run_on(int node, CextRedisCommand *commands, int n)
{
	int			which = first;

	if (cluster)
	{
		for (which = 0; which < nnodes; which++)
			if (nodes[which].master && node-- == 0)
				break;
	}
	return run_commands(which, commands, n);
}
