/*-------------------------------------------------------------------------
 *
 * cext_redis_login.c
 *		A connection to a Redis server that may be used.
 *
 * Socket and TLS are cext_redis_conn.c's; here the first commands are said, and
 * what could not be opened as a whole is closed again, also if the query is
 * canceled meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "cext_redis_login.h"

/*
 * Send one of the opening commands, and see that it is liked.  Of the complaint
 * only the first word is passed on: some servers repeat the command in it,
 * which may be a password.
 */
static bool
greet(CextRedisConn *conn, CextDeadline deadline, int argc, const char **argv)
{
	size_t		lens[3];
	redisReply *reply;
	bool		ok;

	for (int i = 0; i < argc; i++)
		lens[i] = strlen(argv[i]);
	/* cppcheck-suppress uninitvar ; there is at least the command's name */
	if (!cext_redis_send(conn, argc, argv, lens))
		return false;
	reply = cext_redis_receive(conn, deadline);
	if (reply == NULL)
		return false;
	ok = reply->type != REDIS_REPLY_ERROR ||
		cext_redis_fail("%s was refused: %.*s", argv[0],
						(int) Min(strspn(reply->str, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 32),
						reply->str);
	freeReplyObject(reply);
	return ok;
}

static bool
login(CextRedisConn *conn, CextDeadline deadline)
{
	const CextRedisTarget *t = cext_redis_target;
	char		database[16];

	if (t->password[0] != '\0')
	{
		bool		named = t->user[0] != '\0';
		const char *auth[3] = {"AUTH", named ? t->user : t->password, t->password};

		if (!greet(conn, deadline, named ? 3 : 2, auth))
			return false;
	}
	if (t->database != 0)
	{
		const char *select[2] = {"SELECT", database};

		snprintf(database, sizeof(database), "%d", t->database);
		if (!greet(conn, deadline, 2, select))
			return false;
	}
	return true;
}

/* An error, or a cancel, closes the connection. */
static pg_noinline bool
open_or_close(CextRedisConn *conn, const CextRedisAddress *address,
			  CextDeadline deadline)
{
	bool		ok;

	PG_TRY();
	{
		ok = cext_redis_open(conn, address, deadline) && login(conn, deadline);
	}
	PG_CATCH();
	{
		cext_redis_close(conn);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!ok)
		cext_redis_close(conn);
	return ok;
}

/* Connect, with TLS and login.  NULL if that fails; throws on a cancel. */
CextRedisConn *
cext_redis_connect(const CextRedisAddress *address, CextDeadline deadline)
{
	CextRedisConn *conn = cext_redis_allocate();

	return conn != NULL && open_or_close(conn, address, deadline) ? conn : NULL;
}
