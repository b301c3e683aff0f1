/*-------------------------------------------------------------------------
 *
 * cext_socket.c
 *		Many messages to the client at once.
 *
 * PostgreSQL copies each message into a buffer of 8 kB, and sends that when it
 * is full.  Messages that lie in memory as they go over the wire need neither.
 *
 * This is the only file that sees libpq-be.h.  Its Port has members whose types
 * come from Kerberos and OpenSSL, where PostgreSQL was built with them; their
 * headers should not be needed to build an extension.  We only hand the server
 * its own pointer, so it does not matter how that struct looks here.
 *
 * Errors: a lost connection is handled as pqcomm.c does; it does not throw here,
 * but at the next CHECK_FOR_INTERRUPTS().  Waiting for the client, a backend that
 * is to terminate does so, from within.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#undef ENABLE_GSS
#undef USE_OPENSSL
#include "libpq/libpq.h"
#include "miscadmin.h"

#include "cext_socket.h"

static const PQcommMethods *socket_methods;

/* Before anything can have redirected messages. */
void
cext_socket_init(void)
{
	socket_methods = PqCommMethods;
}

/* Do messages go to a client, and not to another process or who knows where? */
bool
cext_socket_is_used(void)
{
	return MyProcPort != NULL && PqCommMethods == socket_methods;
}

/*
 * Send whole messages, after what has been sent before.  Returns when
 * the kernel has taken them all, or the connection is lost.
 */
void
cext_socket_write(const char *messages, Size len)
{
	/* this also makes writes wait */
	if (pq_flush() != 0)
		return;
	while (len > 0)
	{
		ssize_t		n = secure_write(MyProcPort, unconstify(char *, messages), len);

		if (n > 0)
		{
			messages += n;
			len -= n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		/* to the log only, as there is nobody else to tell */
		if (!ClientConnectionLost)
			ereport(COMMERROR,
					(errcode_for_socket_access(),
					 errmsg("could not send data to client: %m")));
		ClientConnectionLost = 1;
		InterruptPending = 1;
		return;
	}
}
