/*-------------------------------------------------------------------------
 *
 * cext_redis_tls.c
 *		TLS to Redis, by OpenSSL.
 *
 * TLS 1.2 or later; the server's certificate must chain to a known authority
 * and name the host that the URL names (RFC 6125), or the address if it is one.
 * There is no way to turn either check off.
 *
 * The context is made once and kept until the settings change.  PostgreSQL has
 * TLS connections of its own in this process, so OpenSSL's queue of errors is
 * emptied before each call and left empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "storage/latch.h"

#include "cext_compat.h"
#include "cext_redis_conn.h"

#ifdef CEXT_TLS

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static SSL_CTX *context;
static uint64 context_generation;

/* Remember OpenSSL's complaint, or that of the certificate's check. */
static void
fail(const char *what, SSL *ssl)
{
	unsigned long code = ERR_get_error();
	long		verdict = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
	char		buf[120];

	if (verdict != X509_V_OK)
		strlcpy(buf, X509_verify_cert_error_string(verdict), sizeof(buf));
	else if (code != 0)
		ERR_error_string_n(code, buf, sizeof(buf));
	else
		strlcpy(buf, "the server closed the connection", sizeof(buf));
	ERR_clear_error();
	cext_redis_fail("%s: %s", what, buf);
}

static bool
given(const char *setting)
{
	return setting != NULL && setting[0] != '\0';
}

/* There is nobody to ask for a pass phrase. */
static int
no_passphrase(char *buf, int size, int rwflag, void *userdata)
{
	return 0;
}

static bool
load_files(SSL_CTX *ctx)
{
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (given(cext_redis_tls_ca_file) ?
		SSL_CTX_load_verify_locations(ctx, cext_redis_tls_ca_file, NULL) != 1 :
		SSL_CTX_set_default_verify_paths(ctx) != 1)
	{
		fail("could not load the certificates of authorities", NULL);
		return false;
	}
	if (given(cext_redis_tls_cert_file) &&
		(SSL_CTX_use_certificate_chain_file(ctx, cext_redis_tls_cert_file) != 1 ||
		 SSL_CTX_use_PrivateKey_file(ctx, given(cext_redis_tls_key_file) ?
									 cext_redis_tls_key_file : cext_redis_tls_cert_file,
									 SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(ctx) != 1))
	{
		fail("could not load the client certificate", NULL);
		return false;
	}
	return true;
}

static bool
make_context(void)
{
	SSL_CTX    *ctx;

	if (context != NULL && context_generation == cext_redis_generation)
		return true;
	if (context != NULL)
		SSL_CTX_free(context);
	context = NULL;
	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
	{
		fail("could not set up TLS", NULL);
		return false;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || !load_files(ctx))
	{
		SSL_CTX_free(ctx);
		return false;
	}
	context = ctx;
	context_generation = cext_redis_generation;
	return true;
}

/* TLS on a connected socket, which is to belong to this host. */
struct ssl_st *
cext_tls_start(int sock, const char *host)
{
	SSL		   *ssl;
	unsigned char address[sizeof(struct in6_addr)];
	bool		is_address = inet_pton(AF_INET, host, address) == 1 ||
		inet_pton(AF_INET6, host, address) == 1;

	if (!make_context())
		return NULL;
	ERR_clear_error();
	ssl = SSL_new(context);
	if (ssl == NULL ||
		SSL_set_fd(ssl, sock) != 1 ||
		(is_address ?
		 X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1 :
		 SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1))
	{
		fail("could not set up TLS", NULL);
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

/* -1 and *want if it would block, -2 if it failed. */
static int
judge(SSL *ssl, int rc, uint32 *want, const char *what)
{
	switch (SSL_get_error(ssl, rc))
	{
		case SSL_ERROR_WANT_READ:
			*want = WL_SOCKET_READABLE;
			return -1;
		case SSL_ERROR_WANT_WRITE:
			*want = WL_SOCKET_WRITEABLE;
			return -1;
		case SSL_ERROR_ZERO_RETURN:
			return 0;
		default:
			fail(what, ssl);
			return -2;
	}
}

/* 1 when it is done. */
int
cext_tls_handshake(struct ssl_st *ssl, uint32 *want)
{
	int			rc;

	ERR_clear_error();
	rc = SSL_connect(ssl);
	return rc == 1 ? 1 : judge(ssl, rc, want, "TLS handshake failed");
}

ssize_t
cext_tls_read(struct ssl_st *ssl, char *buf, size_t len, uint32 *want)
{
	int			rc;

	ERR_clear_error();
	rc = SSL_read(ssl, buf, (int) Min(len, INT_MAX));
	return rc > 0 ? rc : judge(ssl, rc, want, "could not receive");
}

ssize_t
cext_tls_write(struct ssl_st *ssl, const char *buf, size_t len, uint32 *want)
{
	int			rc;

	ERR_clear_error();
	rc = SSL_write(ssl, buf, (int) Min(len, INT_MAX));
	return rc > 0 ? rc : judge(ssl, rc, want, "could not send");
}

void
cext_tls_free(struct ssl_st *ssl)
{
	ERR_clear_error();
	SSL_free(ssl);
}

#else							/* !CEXT_TLS: cext_redis_conf.c lets no URL
								 * get here */

struct ssl_st *
cext_tls_start(int sock, const char *host)
{
	cext_redis_fail("built without TLS");
	return NULL;
}

int
cext_tls_handshake(struct ssl_st *ssl, uint32 *want)
{
	return -2;
}

ssize_t
cext_tls_read(struct ssl_st *ssl, char *buf, size_t len, uint32 *want)
{
	return -2;
}

ssize_t
cext_tls_write(struct ssl_st *ssl, const char *buf, size_t len, uint32 *want)
{
	return -2;
}

void
cext_tls_free(struct ssl_st *ssl)
{
}

#endif							/* CEXT_TLS */
