/*-------------------------------------------------------------------------
 *
 * cext_redis.c
 *		Commands to a Redis server or cluster.
 *
 * A call sends any number of commands, to each node its own in one go, and
 * waits for all answers until cache_ext.redis_timeout; opening a connection
 * may add cache_ext.redis_connect_timeout.  It asks the circuit breaker first
 * and tells it afterwards.  Connections belong to the backend, one a node
 * (cext_redis_nodes.c), opened when first needed.
 *
 * All that takes no more than half of what a timeout leaves of the statement:
 * with the other half it can still be computed, so that Redis cannot make a
 * query fail.  Where half is next to nothing, Redis is not asked.
 *
 * One server: a connection that turns out to have been closed meanwhile is
 * opened again once, without counting that as a failure: servers restart, and
 * close idle connections.  If a server fails, or is a replica that takes no
 * writes, another of the seeds is asked from then on.
 *
 * Cluster: found out by the first MOVED.  A command goes by its key to the node
 * that has the hash slot.  MOVED and ASK are followed, a few times; a MOVED also
 * has the slot map fetched anew.  When a node fails, the map is forgotten and
 * another node asked, whose MOVED tells who has taken over.  There are no
 * commands with several keys here, so none crosses slots.
 *
 * An error from a wait (a cancel) frees the answers; connections with answers
 * outstanding are closed by the next call.  It counts as a failure if it comes
 * late: or else an impatient client would have to time out again and again,
 * and the breaker would never open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cext_breaker.h"
#include "cext_compat.h"
#include "cext_redis.h"
#include "cext_redis_login.h"
#include "cext_redis_nodes.h"
#include "cext_stats.h"

#define MAX_ROUNDS		8		/* redirections and retries */
#define LEAST_WAIT		20		/* milliseconds worth waiting */
#define LONGEST_WAIT	5000	/* milliseconds, of the patient */

int			cext_redis_patience = 1;


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
	CextDeadline limit;			/* of all this */
	CextDeadline connect_deadline;
	CextDeadline deadline;
	bool		moved;			/* the slot map is out of date */
	bool		read_only;		/* this is not the server to write to */
	bool		retried;		/* idle connections that had gone */
} Run;


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

/* Until when to wait for an answer. */
static CextDeadline
answer_deadline(const Run *run)
{
	int64		ms = Min((int64) cext_redis_timeout * cext_redis_patience,
						 Max(cext_redis_timeout, LONGEST_WAIT));

	return Min(cext_deadline((int) ms), run->limit);
}

/* The node to send a command to. */
static uint16
node_for(const CextRedisCommand *c)
{
	int			key = Max(c->key, 1);

	return (uint16) (c->key < 0 || c->argc < 2 ? cext_redis_first :
					 cext_redis_node_of(c->argv[key], c->argvlen[key]));
}

/* A connection to the node that is ready for use, or NULL. */
static CextRedisConn *
get_connection(Run *run, uint16 n)
{
	CextRedisNode *node = &cext_redis_nodes[n];
	CextDeadline deadline;

	/* one from before an outage may have died in it without a word */
	if (node->conn != NULL &&
		(!cext_redis_usable(node->conn) || node->opened <= cext_breaker_tripped()))
		cext_redis_close_node(n);
	if (node->conn != NULL)
	{
		node->idle = true;
		return node->conn;
	}
	node->idle = false;
	node->opened = cext_deadline(0);
	node->conn = cext_redis_connect(&node->address, run->connect_deadline);
	deadline = answer_deadline(run);
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
	const char *asked = cext_redis_nodes[run->where[i]].address.host;
	bool		moved = begins(reply, "MOVED ");

	run->asking[i] = false;
	if (moved || begins(reply, "ASK "))
	{
		const CextRedisCommand *c = &run->commands[i];
		int			key = Max(c->key, 1);
		int			node = cext_redis_redirect(reply, asked);

		freeReplyObject(reply);
		if (node == CEXT_NO_NODE || c->argc <= key)
			return cext_redis_fail("the cluster redirects to nowhere");
		if (moved)
		{
			cext_redis_note_moved(c->argv[key], c->argvlen[key], node);
			run->moved = true;
		}
		run->where[i] = (uint16) node;
		run->asking[i] = !moved;
		return true;
	}
	if (unserviceable(reply))
	{
		char		said[CEXT_REDIS_ERROR];

		cext_redis_quote(said, sizeof(said), reply->str);
		cext_redis_fail("%s", said);
		freeReplyObject(reply);
		return false;
	}
	if (begins(reply, "READONLY"))
		run->read_only = true;
	run->commands[i].reply = reply;
	run->todo[i] = false;
	return true;
}

/* Get the answers of this node. */
static bool
receive_from(Run *run, uint16 n)
{
	CextRedisConn *conn = cext_redis_nodes[n].conn;

	for (int i = 0; i < run->n; i++)
	{
		redisReply *reply;

		if (run->sent[i] != n)
			continue;
		run->sent[i] = CEXT_NO_NODE;
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
		cext_redis_nodes[n].idle = false;
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
	for (int n = 0; n < cext_redis_nnodes; n++)
	{
		redisReply *reply;

		if (cext_redis_nodes[n].conn == NULL || !cext_redis_usable(cext_redis_nodes[n].conn))
			continue;
		if (!cext_redis_send(cext_redis_nodes[n].conn, 2, argv, argvlen))
			continue;
		reply = cext_redis_receive(cext_redis_nodes[n].conn, run->deadline);
		if (reply == NULL)
			continue;
		cext_redis_take_slots(reply, cext_redis_nodes[n].address.host);
		freeReplyObject(reply);
		return;
	}
}

/* Close what was open before this call: it may be as stale as the one that was. */
static void
close_idle(void)
{
	for (int i = 0; i < cext_redis_nnodes; i++)
		if (cext_redis_nodes[i].idle)
			cext_redis_close_node(i);
}

/*
 * A node did not do.  Is there a way to go on?  A connection that had been
 * idle may have been closed by the other side; another node may stand in.
 * What has taken all the time is not tried again, but it is the other node that
 * the next call begins with.
 */
static bool
recover(Run *run, uint16 n)
{
	bool		was_idle = cext_redis_nodes[n].idle;
	bool		late = cext_deadline(0) >= run->deadline;
	int			other;

	cext_redis_close_node(n);
	if (was_idle && !late && !run->retried)
	{
		close_idle();
		run->retried = true;
		return true;
	}
	if (cext_redis_own_trouble || (late && was_idle) ||
		(cext_redis_cluster && (late || run->fixed)))
		return false;
	other = cext_redis_pass_over(n);
	if (other == CEXT_NO_NODE)
		return false;
	cext_redis_first = other;
	cext_redis_cluster = false;
	cext_redis_edition++;
	for (int i = 0; i < run->n; i++)
	{
		run->where[i] = (uint16) other;
		run->asking[i] = false;
	}
	return !late && !run->fixed;
}

/* All that is to be done now, once to each node that it is for. */
static bool
run_round(Run *run)
{
	bool		used[CEXT_REDIS_NODES] = {false};
	int			n;

	for (int i = 0; i < run->n; i++)
	{
		run->sent[i] = CEXT_NO_NODE;
		if (run->todo[i])
			used[run->where[i]] = true;
	}
	for (n = 0; n < CEXT_REDIS_NODES; n++)
		if (used[n] && !send_to(run, n))
			return recover(run, n);
	for (n = 0; n < CEXT_REDIS_NODES; n++)
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
	for (int i = 0; i < cext_redis_nnodes; i++)
		cext_redis_nodes[i].idle = cext_redis_nodes[i].failed = false;
	run->connect_deadline = Min(cext_deadline(cext_redis_connect_timeout), run->limit);
	run->deadline = answer_deadline(run);

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

/* Half of what is left of the statement.  False if that is not worth while. */
static bool
time_allowed(CextDeadline *limit)
{
	int64		half = cext_timeout_left() / 2;

	*limit = cext_deadline(0) + half;
	return half >= Min(cext_redis_timeout, LEAST_WAIT) * INT64CONST(1000);
}

static bool
run_commands(int node, CextRedisCommand *commands, int n)
{
	Run			run;
	uint32		ticket;
	CextDeadline began = cext_deadline(0);
	volatile bool ok = false;

	for (int i = 0; i < n; i++)
		commands[i].reply = NULL;
	memset(&run, 0, sizeof(run));
	if (cext_redis_target == NULL || !time_allowed(&run.limit) ||
		!cext_breaker_admit(CEXT_BREAKER_SERVER, &ticket))
		return false;
	run.commands = commands;
	run.n = n;
	run.where = palloc(n * sizeof(uint16));
	run.sent = palloc(n * sizeof(uint16));
	run.asking = palloc(n * sizeof(bool));
	run.todo = palloc(n * sizeof(bool));
	cext_redis_own_trouble = false;

	PG_TRY();
	{
		ok = cext_redis_nodes_ready() && node < cext_redis_nnodes &&
			run_rounds(&run, node);
	}
	PG_CATCH();
	{
		cext_redis_free(commands, n);
		if (cext_deadline(0) - began >= cext_redis_timeout * INT64CONST(500))
			cext_breaker_failure(CEXT_BREAKER_SERVER, ticket,
								 "no answer before the query was canceled");
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (ok)
		cext_breaker_success(CEXT_BREAKER_SERVER, ticket);
	else
	{
		cext_redis_free(commands, n);
		cext_stats_add(CEXT_STAT_REDIS_ERRORS, 1);
		if (!cext_redis_own_trouble)
			cext_breaker_failure(CEXT_BREAKER_SERVER, ticket, cext_redis_error);
	}

	/* a replica's master is another one now: look for it */
	if (run.read_only)
	{
		if (!cext_redis_cluster)
			(void) cext_redis_pass_over(cext_redis_first);
		cext_redis_disconnect();
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


/* ----------------------------------------------------------------
 *		Node by node
 * ----------------------------------------------------------------
 */

static uint64 counted_edition;
static CextDeadline walked_on;	/* when that connection was opened */

/*
 * How many nodes hold keys: 1 but in a cluster, whose map is fetched anew; 0 if
 * Redis is not to be had.
 */
int
cext_redis_node_count(void)
{
	const char *argv[2] = {"CLUSTER", "SLOTS"};
	size_t		argvlen[2] = {7, 5};
	CextRedisCommand c = {2, argv, argvlen, NULL, -1};
	int			count = 0;

	if (!run_commands(-1, &c, 1))
		return 0;
	if (c.reply->type == REDIS_REPLY_ARRAY && c.reply->elements > 0)
		cext_redis_take_slots(c.reply, cext_redis_nodes[cext_redis_first].address.host);
	cext_redis_free(&c, 1);
	counted_edition = cext_redis_edition;
	if (!cext_redis_cluster)
		return 1;
	for (int i = 0; i < cext_redis_nnodes; i++)
		count += cext_redis_nodes[i].master;
	return count;
}

/*
 * Run commands on one of the nodes that cext_redis_node_count() counted.  False
 * also if these are others by now: or nodes would be left out.  "on": this goes
 * on with what the call before has begun there, on the same connection: or a
 * server that was restarted, or replaced, would take a cursor for its own.
 */
bool
cext_redis_run_on(int node, bool on, CextRedisCommand *commands, int n)
{
	int			which = cext_redis_first;

	for (int i = 0; i < n; i++)
		commands[i].reply = NULL;
	if (cext_redis_target == NULL || !cext_redis_nodes_ready() ||
		cext_redis_edition != counted_edition)
		return cext_redis_fail("other nodes hold the keys now");
	if (cext_redis_cluster)
	{
		for (which = 0; which < cext_redis_nnodes; which++)
			if (cext_redis_nodes[which].master && node-- == 0)
				break;
	}
	if (!run_commands(which, commands, n))
		return false;
	if (on && cext_redis_nodes[which].opened != walked_on)
	{
		cext_redis_free(commands, n);
		return cext_redis_fail("the connection was lost in between");
	}
	walked_on = cext_redis_nodes[which].opened;
	return true;
}
