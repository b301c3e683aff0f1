/*-------------------------------------------------------------------------
 *
 * cext_redis_nodes.c
 *		The servers that there are, and which of them has a key.
 *
 * One server: the first of the seeds that does.  Which one that is, one session
 * finds out for all: the seed to begin with is in shared memory, and who finds
 * it dead, silent or a replica moves it on.  Otherwise each new session would
 * have to find out for itself, with a failure that opens the breaker for
 * everybody.
 *
 * Cluster (redis.io, "Redis cluster specification"): which node has which of
 * the 16,384 hash slots is known from MOVED and CLUSTER SLOTS.  What these say
 * is a server's word: a host is never a path, and a map is no longer than the
 * slots are many.
 *
 * Memory: malloc'd, of the backend.  In shared memory is an atomic and no more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "port/atomics.h"
#include "storage/shmem.h"

#include "cext_redis_nodes.h"

#define HASH_SLOTS		16384

CextRedisNode *cext_redis_nodes;
int			cext_redis_nnodes;
int			cext_redis_first;
bool		cext_redis_cluster;
uint64		cext_redis_edition;

static pg_atomic_uint32 *shared_seed;	/* the one to begin with */
static uint16 slot_nodes[HASH_SLOTS];	/* in a cluster */
static uint64 known_generation;

Size
cext_redis_nodes_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(pg_atomic_uint32));
}

void
cext_redis_nodes_shmem_init(void)
{
	bool		found;

	shared_seed = ShmemInitStruct("cache_ext redis seed", cext_redis_nodes_shmem_size(),
								  &found);
	if (!found)
		pg_atomic_init_u32(shared_seed, 0);
}


/* ----------------------------------------------------------------
 *		Nodes
 * ----------------------------------------------------------------
 */

void
cext_redis_close_node(int n)
{
	cext_redis_close(cext_redis_nodes[n].conn);
	cext_redis_nodes[n].conn = NULL;
	cext_redis_nodes[n].idle = false;
}

/* Close all connections; the next call begins with the seeds. */
void
cext_redis_disconnect(void)
{
	for (int i = 0; i < cext_redis_nnodes; i++)
		cext_redis_close_node(i);
	cext_redis_nnodes = 0;
	cext_redis_first = 0;
	cext_redis_cluster = false;
	cext_redis_edition++;
}

/* The number of a node, which may be new; CEXT_NO_NODE if there are too many. */
static int
node_number(const char *host, int port)
{
	CextRedisNode *node;

	for (int i = 0; i < cext_redis_nnodes; i++)
		if (cext_redis_nodes[i].address.port == port &&
			strcmp(cext_redis_nodes[i].address.host, host) == 0)
			return i;
	if (cext_redis_nnodes == CEXT_REDIS_NODES || strlen(host) >= CEXT_REDIS_HOST)
		return CEXT_NO_NODE;
	node = &cext_redis_nodes[cext_redis_nnodes];
	memset(node, 0, sizeof(CextRedisNode));
	strlcpy(node->address.host, host, CEXT_REDIS_HOST);
	node->address.port = port;
	return cext_redis_nnodes++;
}

/*
 * The same for what a server has named.  No host: the one that was asked.  A
 * path is no host: no server is to send us to sockets of this machine.
 */
static int
named_node(const char *host, const char *asked, long long port)
{
	if (port < 1 || port > 65535 || host[0] == '/')
		return CEXT_NO_NODE;
	return node_number(host[0] != '\0' ? host : asked, (int) port);
}

/* Which of the seeds others have found to do. */
static void
follow_seed(void)
{
	int			seed = (int) pg_atomic_read_u32(shared_seed) % cext_redis_target->nseeds;

	if (likely(seed == cext_redis_first) || cext_redis_cluster ||
		cext_redis_first >= cext_redis_target->nseeds)
		return;
	cext_redis_close_node(cext_redis_first);
	cext_redis_first = seed;
	cext_redis_edition++;
}

/*
 * Before a call.  Begin anew where settings have changed, or where a cluster
 * has named more nodes over time than there is room for.
 */
bool
cext_redis_nodes_ready(void)
{
	if (unlikely(known_generation != cext_redis_generation || cext_redis_nnodes == 0 ||
				 cext_redis_nnodes == CEXT_REDIS_NODES))
	{
		cext_redis_disconnect();
		if (cext_redis_nodes == NULL)
			cext_redis_nodes = calloc(CEXT_REDIS_NODES, sizeof(CextRedisNode));
		if (cext_redis_nodes == NULL)
			return cext_redis_fail("out of memory");
		for (int i = 0; i < cext_redis_target->nseeds; i++)
			(void) node_number(cext_redis_target->seeds[i].host,
							   cext_redis_target->seeds[i].port);
		known_generation = cext_redis_generation;
	}
	follow_seed();
	return true;
}

/*
 * A node does not do.  The one to ask in its place, from now on and by other
 * sessions too; CEXT_NO_NODE if none is left in this call.
 */
int
cext_redis_pass_over(int n)
{
	int			nseeds = cext_redis_target->nseeds;

	cext_redis_nodes[n].failed = true;
	for (int i = 1; i < cext_redis_nnodes; i++)
	{
		int			other = (n + i) % cext_redis_nnodes;
		uint32		seed = (uint32) n;

		if (cext_redis_nodes[other].failed)
			continue;
		if (n < nseeds && other < nseeds)
			(void) pg_atomic_compare_exchange_u32(shared_seed, &seed, (uint32) other);
		return other;
	}
	return CEXT_NO_NODE;
}


/* ----------------------------------------------------------------
 *		Slots
 * ----------------------------------------------------------------
 */

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

/* The node that has a key, as far as is known. */
int
cext_redis_node_of(const char *key, size_t len)
{
	int			node = CEXT_NO_NODE;

	if (cext_redis_cluster)
		node = slot_nodes[hash_slot(key, len)];
	return node != CEXT_NO_NODE ? node : cext_redis_first;
}

static void
forget_slots(void)
{
	for (int i = 0; i < HASH_SLOTS; i++)
		slot_nodes[i] = CEXT_NO_NODE;
}

/* MOVED: this node has the key's slot. */
void
cext_redis_note_moved(const char *key, size_t len, int node)
{
	if (!cext_redis_cluster)
		forget_slots();
	if (!cext_redis_cluster || !cext_redis_nodes[node].master)
		cext_redis_edition++;
	cext_redis_cluster = true;
	cext_redis_nodes[node].master = true;
	slot_nodes[hash_slot(key, len)] = (uint16) node;
}

/* Slots from one to another are this node's.  So many, of so many left? */
static int
take_range(const redisReply *range, const char *asked, int left)
{
	const redisReply *master;
	int			node;
	int			taken = 0;

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
		range->element[0]->type != REDIS_REPLY_INTEGER ||
		range->element[1]->type != REDIS_REPLY_INTEGER ||
		range->element[2]->type != REDIS_REPLY_ARRAY ||
		range->element[2]->elements < 2)
		return 0;
	master = range->element[2];
	if (master->element[1]->type != REDIS_REPLY_INTEGER)
		return 0;
	node = named_node(master->element[0]->type == REDIS_REPLY_STRING ?
					  master->element[0]->str : "", asked, master->element[1]->integer);
	if (node == CEXT_NO_NODE)
		return 0;
	cext_redis_nodes[node].master = true;
	for (long long s = Max(range->element[0]->integer, 0);
		 s <= range->element[1]->integer && s < HASH_SLOTS && taken < left; s++, taken++)
		slot_nodes[s] = (uint16) node;
	return taken;
}

/* Take over what CLUSTER SLOTS said: this is a cluster, with this map. */
void
cext_redis_take_slots(const redisReply *reply, const char *asked)
{
	bool		before[CEXT_REDIS_NODES];
	int			left = HASH_SLOTS;

	if (reply->type != REDIS_REPLY_ARRAY)
		return;
	for (int i = 0; i < CEXT_REDIS_NODES; i++)
	{
		before[i] = cext_redis_cluster && i < cext_redis_nnodes &&
			cext_redis_nodes[i].master;
		if (i < cext_redis_nnodes)
			cext_redis_nodes[i].master = false;
	}
	cext_redis_cluster = true;
	forget_slots();
	for (size_t i = 0; i < reply->elements && left > 0; i++)
		left -= take_range(reply->element[i], asked, left);
	for (int i = 0; i < cext_redis_nnodes; i++)
	{
		if (cext_redis_nodes[i].master != before[i])
		{
			cext_redis_edition++;
			break;
		}
	}
}

/* Where a redirection ("MOVED 3999 127.0.0.1:6381") points to. */
int
cext_redis_redirect(const redisReply *reply, const char *asked)
{
	const char *space = strrchr(reply->str, ' ');
	const char *colon = strrchr(reply->str, ':');
	char		host[CEXT_REDIS_HOST];

	if (space == NULL || colon == NULL || colon < space ||
		(size_t) (colon - space) > sizeof(host))
		return CEXT_NO_NODE;
	strlcpy(host, space + 1, colon - space);
	return named_node(host, asked, atoi(colon + 1));
}
