/*-------------------------------------------------------------------------
 *
 * cext_redis_nodes.h
 *		The servers that there are, and which of them has a key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REDIS_NODES_H
#define CEXT_REDIS_NODES_H

#include "cext_redis_conn.h"

#define CEXT_REDIS_NODES	256
#define CEXT_NO_NODE		0xFFFF

typedef struct CextRedisNode
{
	CextRedisAddress address;
	CextRedisConn *conn;
	CextDeadline opened;		/* the connection, at the last */
	bool		idle;			/* the connection is older than this call */
	bool		failed;			/* in this call */
	bool		master;			/* has slots, as far as we know */
} CextRedisNode;

extern CextRedisNode *cext_redis_nodes; /* the seeds first */
extern int	cext_redis_nnodes;
extern int	cext_redis_first;	/* the one to ask when any will do */
extern bool cext_redis_cluster;
extern uint64 cext_redis_edition;	/* moves when other nodes hold the keys */

extern Size cext_redis_nodes_shmem_size(void);
extern void cext_redis_nodes_shmem_init(void);

extern bool cext_redis_nodes_ready(void);
extern void cext_redis_close_node(int n);
extern void cext_redis_disconnect(void);
extern int	cext_redis_pass_over(int n);

extern int	cext_redis_node_of(const char *key, size_t len);
extern int	cext_redis_redirect(const struct redisReply *reply, const char *asked);
extern void cext_redis_note_moved(const char *key, size_t len, int node);
extern void cext_redis_take_slots(const struct redisReply *reply, const char *asked);

#endif							/* CEXT_REDIS_NODES_H */
