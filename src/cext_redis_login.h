/*-------------------------------------------------------------------------
 *
 * cext_redis_login.h
 *		A connection to a Redis server that may be used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REDIS_LOGIN_H
#define CEXT_REDIS_LOGIN_H

#include "cext_redis_conn.h"

extern CextRedisConn *cext_redis_connect(const CextRedisAddress *address,
										 CextDeadline deadline);

#endif							/* CEXT_REDIS_LOGIN_H */
