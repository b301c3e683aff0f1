/*-------------------------------------------------------------------------
 *
 * cext_redis.h
 *		Commands to a Redis server or cluster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REDIS_H
#define CEXT_REDIS_H

/* answers are hiredis's; who takes them apart needs its names, and no more */
#include <hiredis/hiredis.h>

/* One command and its answer. */
typedef struct CextRedisCommand
{
	int			argc;
	const char **argv;
	size_t	   *argvlen;
	redisReply *reply;
	int			key;			/* which argument is the key; 0: the first;
								 * -1: none, for any node */
} CextRedisCommand;

/*
 * How many times cache_ext.redis_timeout is waited for an answer; more than 1
 * only where nobody waits for us.
 */
extern int	cext_redis_patience;

extern bool cext_redis_run(CextRedisCommand *commands, int n);
extern bool cext_redis_run_on(int node, bool on, CextRedisCommand *commands, int n);
extern int	cext_redis_node_count(void);
extern void cext_redis_free(CextRedisCommand *commands, int n);
extern void cext_redis_disconnect(void);

#endif							/* CEXT_REDIS_H */
