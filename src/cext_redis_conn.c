/*-------------------------------------------------------------------------
 *
 * cext_redis_conn.c
 *		One connection to a Redis server.
 *
 * Socket and TLS are ours, so that every wait is one on the backend's latch:
 * it ends at the deadline to the millisecond, at once when the query is
 * canceled or times out, and with the postmaster.  The protocol (RESP2) is
 * hiredis's: it formats commands and parses replies, and never touches the
 * socket, so versions 0.14 and 1.x serve alike, with TLS or without.  The one
 * wait that no deadline ends is getaddrinfo()'s for DNS.
 *
 * Nothing here throws but a cancel, inside a wait.  The caller then finds
 * replies outstanding and closes the connection; so "outstanding" is the whole
 * of the state that an error could leave behind.
 *
 * Memory: malloc'd, as a connection outlives transactions.  Replies are
 * hiredis's, to be freed with freeReplyObject().  The server may be anything:
 * what it can make us read is bounded by max_reply() and the deadline, and
 * arrays, for which hiredis allocates before there is anything in them, and
 * thirty times what an element takes on the wire, by MAX_ELEMENTS.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ip.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_redis_conn.h"

#define READ_SIZE	(64 * 1024)
#define MAX_ELEMENTS (256 * 1024)	/* of all arrays in a reply */

struct CextRedisConn
{
	pgsocket	sock;
	bool		external_fd;	/* counted with fd.c */
	struct ssl_st *ssl;
	WaitEventSet *set;
	uint32		waiting_for;	/* what the set watches the socket for */
	uint32		wants;			/* what the last read or write needs first */
	CextDeadline looked;		/* a deadline after which that was looked for */
	redisReader *reader;
	Size		fed;			/* bytes read for the reply to come */
	char	   *out;			/* to be written */
	Size		out_len;
	Size		out_pos;
	Size		out_size;
	int			outstanding;	/* commands not answered */
	bool		broken;
};

#define SOCKET_EVENT	2		/* position in the set */

char		cext_redis_error[CEXT_REDIS_ERROR];

bool		cext_redis_own_trouble;

static size_t elements_left;	/* of the reply under way */
static bool array_refused;		/* what hiredis calls out of memory */

/* Remember what went wrong.  Always false. */
bool
cext_redis_fail(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	vsnprintf(cext_redis_error, sizeof(cext_redis_error), fmt, args);
	va_end(args);
	return false;
}

/* The same, where the server has no part in it. */
static bool
fail_here(const char *what)
{
	cext_redis_own_trouble = true;
	return cext_redis_fail("%s", what);
}

/*
 * What a server says goes to the log and to clients: only as much of it as is
 * plain text, and without what it quotes of the command.
 */
void
cext_redis_quote(char *dest, size_t size, const char *said)
{
	const char *args = strstr(said, ", with args");
	size_t		len = Min(args != NULL ? (size_t) (args - said) : strlen(said), size - 1);

	for (size_t i = 0; i < len; i++)
		dest[i] = said[i] >= ' ' && said[i] <= '~' ? said[i] : '?';
	dest[len] = '\0';
}

static int64
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

CextDeadline
cext_deadline(int milliseconds)
{
	return now_us() + (int64) milliseconds * 1000;
}


/* ----------------------------------------------------------------
 *		Waiting
 * ----------------------------------------------------------------
 */

/*
 * Make the set that waits for latch, postmaster and socket.  Where there are
 * no descriptors left it throws, and we only want to know.
 */
static pg_noinline bool
make_wait_set(CextRedisConn *conn)
{
	MemoryContext old = CurrentMemoryContext;

	PG_TRY();
	{
		conn->set = cext_create_wait_event_set(3);
		AddWaitEventToSet(conn->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(conn->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		AddWaitEventToSet(conn->set, WL_SOCKET_READABLE, conn->sock, NULL, NULL);
		conn->waiting_for = WL_SOCKET_READABLE;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		FlushErrorState();
		if (conn->set != NULL)
			FreeWaitEventSet(conn->set);
		conn->set = NULL;
	}
	PG_END_TRY();
	return conn->set != NULL || fail_here("no file descriptors left");
}

/*
 * Wait until the socket can do this.  False at the deadline; but first there is
 * one more look, as it may be this process that was held up.
 */
static bool
wait_for(CextRedisConn *conn, uint32 events, CextDeadline deadline)
{
	if (events != conn->waiting_for)
	{
		ModifyWaitEvent(conn->set, SOCKET_EVENT, events, NULL);
		conn->waiting_for = events;
	}
	for (;;)
	{
		WaitEvent	event;
		int64		left = deadline - now_us();

		if (left <= 0)
		{
			if (conn->looked == deadline)
				return cext_redis_fail("no answer within the time allowed");
			conn->looked = deadline;
			left = 0;
		}
		if (WaitEventSetWait(conn->set, (long) ((left + 999) / 1000), &event, 1,
							 cext_wait_event_redis()) == 0)
			continue;
		if (event.events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		else if (event.events & WL_SOCKET_MASK)
			return true;
	}
}


/* ----------------------------------------------------------------
 *		Bytes
 * ----------------------------------------------------------------
 */

/* As recv(): 0 at the end; -1 and conn->wants if it would block; else -2. */
static ssize_t
read_some(CextRedisConn *conn, char *buf, size_t len)
{
	ssize_t		n;

	if (conn->ssl != NULL)
		return cext_tls_read(conn->ssl, buf, len, &conn->wants);
	do
	{
		n = recv(conn->sock, buf, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	conn->wants = WL_SOCKET_READABLE;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return -1;
	cext_redis_fail("could not receive: %s", strerror(errno));
	return -2;
}

static ssize_t
write_some(CextRedisConn *conn, const char *buf, size_t len)
{
	ssize_t		n;

	if (conn->ssl != NULL)
		return cext_tls_write(conn->ssl, buf, len, &conn->wants);
	do
	{
		n = send(conn->sock, buf, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	conn->wants = WL_SOCKET_WRITEABLE;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return -1;
	cext_redis_fail("could not send: %s", strerror(errno));
	return -2;
}

/* Append to what is to be written.  False without memory. */
static bool
append_out(CextRedisConn *conn, const char *data, Size len)
{
	if (conn->out_pos == conn->out_len)
		conn->out_pos = conn->out_len = 0;
	if (conn->out_len + len > conn->out_size)
	{
		Size		size = Max(conn->out_len + len, 2 * conn->out_size);
		char	   *p = realloc(conn->out, size);

		if (p == NULL)
			return fail_here("out of memory");
		conn->out = p;
		conn->out_size = size;
	}
	memcpy(conn->out + conn->out_len, data, len);
	conn->out_len += len;
	return true;
}

/* Add a command to what is to be sent. */
bool
cext_redis_send(CextRedisConn *conn, int argc, const char **argv,
				const size_t *argvlen)
{
	char	   *cmd;
	long long	len = redisFormatCommandArgv(&cmd, argc, argv, argvlen);
	bool		ok;

	if (len < 0)
		return fail_here("out of memory");
	ok = append_out(conn, cmd, len);
	redisFreeCommand(cmd);
	if (ok)
		conn->outstanding++;
	else
		conn->broken = true;
	return ok;
}

/* Write what the socket takes now.  False if the connection is broken. */
bool
cext_redis_flush(CextRedisConn *conn)
{
	while (conn->out_pos < conn->out_len)
	{
		ssize_t		n = write_some(conn, conn->out + conn->out_pos,
								   conn->out_len - conn->out_pos);

		if (n == -1)
			return true;
		if (n <= 0)
		{
			conn->broken = true;
			return false;
		}
		conn->out_pos += n;
	}

	/* a large result is no reason to keep its memory for good */
	if (conn->out_size > 1024 * 1024)
	{
		free(conn->out);
		conn->out = NULL;
		conn->out_size = 0;
	}
	conn->out_pos = conn->out_len = 0;
	return true;
}

/*
 * No entry that would be believed is larger, and no other reply we ask for.
 * The constant is for entries of sessions that may store more than this one.
 */
static Size
max_reply(void)
{
	return (Size) cext_max_entry_size * 1024 + 64 * 1024 * 1024;
}

/* Hand hiredis what has come in.  False: broken, or nothing now. */
static bool
feed(CextRedisConn *conn)
{
	static char buf[READ_SIZE];
	ssize_t		n = read_some(conn, buf, sizeof(buf));

	if (n == -1)
		return false;
	if (n == 0)
		cext_redis_fail("the server closed the connection");
	else if (n > 0 && (conn->fed += n) > max_reply())
		n = cext_redis_fail("the reply is too large");
	else if (n > 0 && redisReaderFeed(conn->reader, buf, n) != REDIS_OK)
		n = cext_redis_fail("out of memory");
	conn->broken = n <= 0;
	return n > 0;
}

/* The next reply; NULL if it does not come, and the connection is broken. */
struct redisReply *
cext_redis_receive(CextRedisConn *conn, CextDeadline deadline)
{
	bool		late = false;

	elements_left = MAX_ELEMENTS;
	while (!conn->broken)
	{
		void	   *reply = NULL;

		if (!cext_redis_flush(conn))
			break;
		array_refused = false;
		if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK)
		{
			cext_redis_fail("protocol error: %s", array_refused ?
							"arrays are too large" : conn->reader->errstr);
			break;
		}
		if (reply != NULL)
		{
			conn->fed = 0;
			conn->outstanding--;
			return reply;
		}
		if (late)
		{
			cext_redis_fail("no answer within the time allowed");
			break;
		}
		conn->wants = WL_SOCKET_READABLE;
		if (feed(conn))
		{
			/* whoever sends without end does not get us to wait */
			late = now_us() >= deadline;
			CHECK_FOR_INTERRUPTS();
			continue;
		}
		if (conn->broken ||
			!wait_for(conn, conn->wants |
					  (conn->out_pos < conn->out_len ? WL_SOCKET_WRITEABLE : 0),
					  deadline))
			break;
	}
	conn->broken = true;
	return NULL;
}


/* ----------------------------------------------------------------
 *		Opening and closing
 * ----------------------------------------------------------------
 */

void
cext_redis_close(CextRedisConn *conn)
{
	if (conn == NULL)
		return;
	if (conn->set != NULL)
		FreeWaitEventSet(conn->set);
	if (conn->ssl != NULL)
		cext_tls_free(conn->ssl);
	if (conn->sock != PGINVALID_SOCKET)
		closesocket(conn->sock);
	if (conn->external_fd)
		ReleaseExternalFD();
	if (conn->reader != NULL)
		redisReaderFree(conn->reader);
	free(conn->out);
	free(conn);
}

/*
 * Is it whole, and in step?  An error in between leaves replies outstanding; a
 * reply that nobody has asked for would be taken for the answer to what is.
 */
bool
cext_redis_usable(CextRedisConn *conn)
{
	return !conn->broken && conn->outstanding == 0 &&
		conn->reader->pos == conn->reader->len;
}

#if HIREDIS_MAJOR >= 1
typedef size_t ArrayLength;
#else
typedef int ArrayLength;
#endif

static redisReplyObjectFunctions reader_functions;
static void *(*create_array) (const redisReadTask *task, ArrayLength elements);

static void *
create_small_array(const redisReadTask *task, ArrayLength elements)
{
	array_refused = (size_t) elements > elements_left;
	if (array_refused)
		return NULL;
	elements_left -= (size_t) elements;
	return create_array(task, elements);
}

/* hiredis's reader, but for large arrays. */
static redisReader *
create_reader(void)
{
	redisReader *reader = redisReaderCreate();

	if (reader == NULL)
		return NULL;
	if (create_array == NULL)
	{
		create_array = reader->fn->createArray;
		reader_functions = *reader->fn;
		reader_functions.createArray = create_small_array;
	}
	reader->fn = &reader_functions;
	return reader;
}

/* A socket that connects to this address, in the background. */
static bool
start_connect(CextRedisConn *conn, const struct addrinfo *ai)
{
	int			on = 1;

	conn->sock = socket(ai->ai_family, SOCK_STREAM, 0);
	if (conn->sock == PGINVALID_SOCKET)
		return cext_redis_fail("could not create a socket: %s", strerror(errno));
	if (!pg_set_noblock(conn->sock) ||
		fcntl(conn->sock, F_SETFD, FD_CLOEXEC) < 0)
		return cext_redis_fail("could not set up a socket: %s", strerror(errno));
	if (ai->ai_family != AF_UNIX)
	{
		(void) setsockopt(conn->sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void) setsockopt(conn->sock, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	if (connect(conn->sock, ai->ai_addr, ai->ai_addrlen) != 0 &&
		errno != EINPROGRESS && errno != EINTR)
		return cext_redis_fail("could not connect: %s",
							   errno == EAGAIN ? "its queue is full" : strerror(errno));
	return true;
}

/* Connect to one address of a host. */
static bool
connect_to(CextRedisConn *conn, const struct addrinfo *ai, CextDeadline deadline)
{
	int			error = 0;
	socklen_t	len = sizeof(error);

	if (!start_connect(conn, ai) || !make_wait_set(conn) ||
		!wait_for(conn, WL_SOCKET_WRITEABLE, deadline))
		return false;
	if (getsockopt(conn->sock, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	return error == 0 || cext_redis_fail("could not connect: %s", strerror(error));
}

/* Undo an attempt at one address. */
static void
disconnect(CextRedisConn *conn)
{
	if (conn->set != NULL)
		FreeWaitEventSet(conn->set);
	conn->set = NULL;
	if (conn->sock != PGINVALID_SOCKET)
		closesocket(conn->sock);
	conn->sock = PGINVALID_SOCKET;
}

static bool
connect_any(CextRedisConn *conn, const struct addrinfo *list, CextDeadline deadline)
{
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
	{
		disconnect(conn);
		if (connect_to(conn, ai, deadline))
			return true;
	}
	return false;
}

static bool
connect_host(CextRedisConn *conn, const CextRedisAddress *a, CextDeadline deadline)
{
	struct addrinfo hint;
	struct addrinfo *list = NULL;
	char		port[16];
	bool		is_path = a->host[0] == '/';
	bool		ok;
	int			rc;

	memset(&hint, 0, sizeof(hint));
	hint.ai_socktype = SOCK_STREAM;
	hint.ai_family = is_path ? AF_UNIX : AF_UNSPEC;
	snprintf(port, sizeof(port), "%d", a->port);
	rc = pg_getaddrinfo_all(is_path ? NULL : a->host, is_path ? a->host : port,
							&hint, &list);
	if (rc != 0 || list == NULL)
		return cext_redis_fail("could not resolve host \"%.64s\": %s",
							   a->host, gai_strerror(rc));
	PG_TRY();
	{
		ok = connect_any(conn, list, deadline);
	}
	PG_CATCH();
	{
		pg_freeaddrinfo_all(hint.ai_family, list);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pg_freeaddrinfo_all(hint.ai_family, list);
	return ok;
}

static bool
secure(CextRedisConn *conn, const char *host, CextDeadline deadline)
{
	conn->ssl = cext_tls_start(conn->sock, host);
	if (conn->ssl == NULL)
		return false;
	for (;;)
	{
		int			rc = cext_tls_handshake(conn->ssl, &conn->wants);

		if (rc == 1)
			return true;
		if (rc != -1 || !wait_for(conn, conn->wants, deadline))
			return false;
	}
}

/* A connection to nowhere, to be opened and closed; NULL if there is no memory. */
CextRedisConn *
cext_redis_allocate(void)
{
	CextRedisConn *conn = calloc(1, sizeof(CextRedisConn));

	if (conn == NULL)
		fail_here("out of memory");
	else
		conn->sock = PGINVALID_SOCKET;
	return conn;
}

/* Connect, with TLS.  Throws on a cancel. */
bool
cext_redis_open(CextRedisConn *conn, const CextRedisAddress *address,
				CextDeadline deadline)
{
	const char *name = cext_redis_tls_server_name;

	conn->external_fd = AcquireExternalFD();
	if (!conn->external_fd)
		return fail_here("no file descriptors left");
	conn->reader = create_reader();
	if (conn->reader == NULL)
		return fail_here("out of memory");
	return connect_host(conn, address, deadline) &&
		(!cext_redis_target->tls ||
		 secure(conn, name != NULL && name[0] != '\0' ? name : address->host, deadline));
}
