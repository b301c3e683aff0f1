/*-------------------------------------------------------------------------
 *
 * cext_redis_conn.h
 *		One connection to a Redis server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REDIS_CONN_H
#define CEXT_REDIS_CONN_H

#include "portability/instr_time.h"

#include "cext_redis_conf.h"

struct redisReply;
struct ssl_st;

typedef struct CextRedisConn CextRedisConn;

#define CEXT_REDIS_ERROR	160

/* Of the last call here that failed. */
extern char cext_redis_error[CEXT_REDIS_ERROR];

/* It was for want of something here, and says nothing of the server. */
extern bool cext_redis_own_trouble;

/* Points in time, in microseconds, that no change of the clock moves. */
typedef int64 CextDeadline;

extern CextDeadline cext_deadline(int milliseconds);
extern bool cext_redis_fail(const char *fmt,...) pg_attribute_printf(1, 2);
extern void cext_redis_quote(char *dest, size_t size, const char *said);

extern CextRedisConn *cext_redis_allocate(void);
extern bool cext_redis_open(CextRedisConn *conn, const CextRedisAddress *address,
							CextDeadline deadline);
extern void cext_redis_close(CextRedisConn *conn);
extern bool cext_redis_usable(CextRedisConn *conn);

extern bool cext_redis_send(CextRedisConn *conn, int argc, const char **argv,
							const size_t *argvlen);
extern bool cext_redis_flush(CextRedisConn *conn);
extern struct redisReply *cext_redis_receive(CextRedisConn *conn,
											 CextDeadline deadline);

/* cext_redis_tls.c; -1 where the socket must become readable (*want) first */
extern struct ssl_st *cext_tls_start(int sock, const char *host);
extern int	cext_tls_handshake(struct ssl_st *ssl, uint32 *want);
extern ssize_t cext_tls_read(struct ssl_st *ssl, char *buf, size_t len, uint32 *want);
extern ssize_t cext_tls_write(struct ssl_st *ssl, const char *buf, size_t len,
							  uint32 *want);
extern void cext_tls_free(struct ssl_st *ssl);

#endif							/* CEXT_REDIS_CONN_H */
