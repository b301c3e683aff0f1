/*-------------------------------------------------------------------------
 *
 * cext_redis_conf.c
 *		Settings of the Redis tier.
 *
 *		redis://[user[:password]@]host[:port][,host[:port]...][/database]
 *		rediss://...										the same over TLS
 *		unix://[user[:password]@]/path[?db=database]
 *
 * User and password are percent-encoded (RFC 3986).  Several hosts are seeds:
 * nodes of a cluster, or stand-ins for each other.
 *
 * The password must show nowhere.  PostgreSQL would show a setting's value in
 * SHOW, in pg_settings, in the complaint about a wrong one and in the log line
 * about a changed one.  So the check hook takes the URL over into "extra" and
 * leaves an empty string behind, which is all that PostgreSQL ever sees of it;
 * a show hook gives the URL without the password; complaints are our own.
 * Being PGC_SIGHUP, it cannot get into pg_db_role_setting either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sys/un.h>

#include "utils/builtins.h"
#include "utils/guc.h"

#include "cext_compat.h"
#include "cext_redis_conf.h"

#if defined(CEXT_LZ4)
#define DEFAULT_COMPRESSION CEXT_COMPRESSION_LZ4
#else
#define DEFAULT_COMPRESSION CEXT_COMPRESSION_PGLZ
#endif

const CextRedisTarget *cext_redis_target = NULL;
uint64		cext_redis_generation = 1;

int			cext_storage = CEXT_STORAGE_DEFAULT;
CextStorage cext_storage_of_policy = CEXT_STORAGE_DEFAULT;
char	   *cext_redis_namespace = NULL;
int			cext_redis_connect_timeout = 250;
int			cext_redis_timeout = 100;
int			cext_redis_backoff_max = 30000;
char	   *cext_redis_tls_ca_file = NULL;
char	   *cext_redis_tls_cert_file = NULL;
char	   *cext_redis_tls_key_file = NULL;
char	   *cext_redis_tls_server_name = NULL;
int			cext_compression = DEFAULT_COMPRESSION;

static char *redis_url = NULL;	/* always empty: see above */

static const struct config_enum_entry storage_options[] = {
	{"default", CEXT_STORAGE_DEFAULT, false},
	{"shared_memory", CEXT_STORAGE_SHARED_MEMORY, false},
	{"redis", CEXT_STORAGE_REDIS, false},
	{"tiered", CEXT_STORAGE_TIERED, false},
	{NULL, 0, false}
};

static const struct config_enum_entry compression_options[] = {
	{"off", CEXT_COMPRESSION_OFF, false},
	{"none", CEXT_COMPRESSION_OFF, true},
	{"pglz", CEXT_COMPRESSION_PGLZ, false},
#ifdef CEXT_LZ4
	{"lz4", CEXT_COMPRESSION_LZ4, false},
#endif
#ifdef CEXT_ZSTD
	{"zstd", CEXT_COMPRESSION_ZSTD, false},
#endif
	{NULL, 0, false}
};


/* ----------------------------------------------------------------
 *		The URL
 * ----------------------------------------------------------------
 */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode percent-encoding.  False: malformed, too long, or a zero byte. */
static bool
decode(const char *src, Size len, char *dest, Size size)
{
	Size		n = 0;

	for (Size i = 0; i < len; i++)
	{
		char		c = src[i];

		if (c == '%')
		{
			if (i + 2 >= len || hex_digit(src[i + 1]) < 0 || hex_digit(src[i + 2]) < 0)
				return false;
			c = hex_digit(src[i + 1]) * 16 + hex_digit(src[i + 2]);
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		dest[n++] = c;
	}
	dest[n] = '\0';
	return true;
}

/* A decimal number, and nothing else, in these bytes. */
static bool
parse_number(const char *p, Size len, int min, int max, int *result)
{
	int64		n = 0;

	if (len == 0 || len > 9)
		return false;
	for (Size i = 0; i < len; i++)
	{
		if (p[i] < '0' || p[i] > '9')
			return false;
		n = n * 10 + (p[i] - '0');
	}
	*result = (int) n;
	return n >= min && n <= max;
}

static const char *
parse_userinfo(const char *p, Size len, CextRedisTarget *t)
{
	const char *colon = memchr(p, ':', len);
	Size		ulen = colon != NULL ? (Size) (colon - p) : len;

	if (!decode(p, ulen, t->user, sizeof(t->user)))
		return "The user name is too long or not properly percent-encoded.";
	if (colon != NULL &&
		!decode(colon + 1, len - ulen - 1, t->password, sizeof(t->password)))
		return "The password is too long or not properly percent-encoded.";
	if (t->user[0] != '\0' && t->password[0] == '\0')
		return "There is a user name without a password.";
	return NULL;
}

static const char *
parse_host(const char *p, Size len, CextRedisTarget *t)
{
	CextRedisAddress *a;
	const char *end = p + len;
	const char *host_end;

	if (t->nseeds == CEXT_REDIS_SEEDS)
		return "There are too many hosts.";
	a = &t->seeds[t->nseeds++];
	a->port = 6379;
	if (len > 0 && *p == '[')
	{
		host_end = memchr(p, ']', len);
		if (host_end == NULL)
			return "A bracket around an IPv6 address is not closed.";
		p++;
		len = host_end - p;
		host_end++;
	}
	else
	{
		host_end = memchr(p, ':', len);
		if (host_end == NULL)
			host_end = end;
		len = host_end - p;
	}
	if (len == 0)
		return "A host name is empty.";
	if (!decode(p, len, a->host, sizeof(a->host)) || a->host[0] == '/')
		return "A host name is too long or malformed.";
	if (host_end < end &&
		(*host_end != ':' ||
		 !parse_number(host_end + 1, end - host_end - 1, 1, 65535, &a->port)))
		return "A port is not a number from 1 to 65535.";
	return NULL;
}

static const char *
parse_hosts(const char *p, const char *end, CextRedisTarget *t)
{
	const char *slash = memchr(p, '/', end - p);
	const char *hosts_end = slash != NULL ? slash : end;

	for (;;)
	{
		const char *comma = memchr(p, ',', hosts_end - p);
		const char *stop = comma != NULL ? comma : hosts_end;
		const char *error = parse_host(p, stop - p, t);

		if (error != NULL)
			return error;
		if (comma == NULL)
			break;
		p = comma + 1;
	}
	if (slash != NULL && slash + 1 < end &&
		!parse_number(slash + 1, end - slash - 1, 0, INT_MAX, &t->database))
		return "The database is not a number.";
	return NULL;
}

static const char *
parse_path(const char *p, const char *end, CextRedisTarget *t)
{
	const char *question = memchr(p, '?', end - p);
	const char *path_end = question != NULL ? question : end;

	if (p == path_end || *p != '/')
		return "The path of a Unix socket must be absolute.";
	if (!decode(p, path_end - p, t->seeds[0].host, sizeof(t->seeds[0].host)) ||
		strlen(t->seeds[0].host) >= sizeof(((struct sockaddr_un *) 0)->sun_path))
		return "The path of the Unix socket is too long.";
	t->nseeds = 1;
	if (question != NULL &&
		(strncmp(question, "?db=", 4) != 0 ||
		 !parse_number(question + 4, end - question - 4, 0, INT_MAX, &t->database)))
		return "The only parameter of a Unix socket is \"db\", a number.";
	return NULL;
}

/* Parse into *t, which is zeroed.  NULL, or what is wrong. */
static const char *
parse_url(const char *url, CextRedisTarget *t)
{
	const char *p;
	const char *end = url + strlen(url);
	const char *at = NULL;
	bool		is_path = false;

	if (strncmp(url, "redis://", 8) == 0)
		p = url + 8;
	else if (strncmp(url, "rediss://", 9) == 0)
	{
		p = url + 9;
		t->tls = true;
#ifndef CEXT_TLS
		return "\"rediss://\" needs TLS, and cache_ext was built without OpenSSL.";
#endif
	}
	else if (strncmp(url, "unix://", 7) == 0)
	{
		p = url + 7;
		is_path = true;
	}
	else
		return "It must begin with \"redis://\", \"rediss://\" or \"unix://\".";

	/* an unencoded @ in the password is forgiven; a path may hold one */
	for (const char *q = p; q < end && !(is_path && *q == '/'); q++)
		if (*q == '@')
			at = q;
	if (at != NULL)
	{
		const char *error = parse_userinfo(p, at - p, t);

		if (error != NULL)
			return error;
		p = at + 1;
	}
	return is_path ? parse_path(p, end, t) : parse_hosts(p, end, t);
}

/* Take the URL over, and leave an empty string. */
static bool
check_redis_url(char **newval, void **extra, GucSource source)
{
	CextRedisTarget *t;
	const char *error;

	*extra = NULL;
	if (**newval == '\0')
		return true;
	t = cext_guc_malloc(sizeof(CextRedisTarget));
	if (t == NULL)
		return false;
	memset(t, 0, sizeof(CextRedisTarget));
	error = parse_url(*newval, t);
	if (error != NULL)
	{
		cext_guc_free(t);
		GUC_check_errmsg("invalid value for parameter \"%s\"", "cache_ext.redis_url");
		GUC_check_errdetail("%s", error);
		GUC_check_errhint("Write redis://[user[:password]@]host[:port][/database], rediss:// for TLS, or unix:///path.");
		return false;
	}
	**newval = '\0';
	*extra = t;
	return true;
}

static void
assign_redis_url(const char *newval, void *extra)
{
	const CextRedisTarget *t = extra;
	bool		changed = (t == NULL) != (cext_redis_target == NULL);

	/* at every reload; only a change is one (both were zeroed, with padding) */
	if (t != NULL && cext_redis_target != NULL)
	{
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		changed = memcmp(t, cext_redis_target, sizeof(*t)) != 0;
	}
	if (changed)
		cext_redis_generation++;
	cext_redis_target = t;
}

/* The URL without the password. */
static const char *
show_redis_url(void)
{
	static char shown[CEXT_REDIS_SEEDS * (CEXT_REDIS_HOST + 8) + 256];
	const CextRedisTarget *t = cext_redis_target;
	bool		is_path;
	char	   *p = shown;
	char	   *end = shown + sizeof(shown);

	if (t == NULL)
		return "";
	is_path = t->seeds[0].host[0] == '/';
	p += snprintf(p, end - p, "%s://", is_path ? "unix" : t->tls ? "rediss" : "redis");
	if (t->password[0] != '\0')
		p += snprintf(p, end - p, "%s:***@", t->user);
	for (int i = 0; i < t->nseeds; i++)
	{
		const CextRedisAddress *a = &t->seeds[i];

		if (is_path)
			p += snprintf(p, end - p, "%s", a->host);
		else
			p += snprintf(p, end - p,
						  strchr(a->host, ':') != NULL ? "%s[%s]:%d" : "%s%s:%d",
						  i > 0 ? "," : "", a->host, a->port);
	}
	if (t->database != 0)
		snprintf(p, end - p, is_path ? "?db=%d" : "/%d", t->database);
	return shown;
}

/* A namespace is the first part of keys that people read and patterns match. */
static bool
check_namespace(char **newval, void **extra, GucSource source)
{
	Size		len = strlen(*newval);

	if (len < 1 || len > 64 || strspn(*newval,
									  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != len)
	{
		GUC_check_errdetail("A namespace has 1 to 64 letters, digits, and the characters \"_-.\".");
		return false;
	}
	return true;
}

static void
note_file(const char *newval, const char *oldval)
{
	if (oldval == NULL || strcmp(newval, oldval) != 0)
		cext_redis_generation++;
}

static void
assign_ca_file(const char *newval, void *extra)
{
	note_file(newval, cext_redis_tls_ca_file);
}

static void
assign_cert_file(const char *newval, void *extra)
{
	note_file(newval, cext_redis_tls_cert_file);
}

static void
assign_key_file(const char *newval, void *extra)
{
	note_file(newval, cext_redis_tls_key_file);
}

static void
assign_server_name(const char *newval, void *extra)
{
	note_file(newval, cext_redis_tls_server_name);
}

const char *
cext_storage_name(CextStorage storage)
{
	switch (storage)
	{
		case CEXT_STORAGE_SHARED_MEMORY:
			return "shared_memory";
		case CEXT_STORAGE_REDIS:
			return "redis";
		case CEXT_STORAGE_TIERED:
			return "tiered";
		default:
			return cext_redis_target != NULL ? "tiered" : "shared_memory";
	}
}

static const char *
show_storage(void)
{
	return cext_storage_name(cext_storage);
}


/* ----------------------------------------------------------------
 *		Definitions
 * ----------------------------------------------------------------
 */

static void
define_tls_file(const char *name, const char *what, char **variable,
				GucStringAssignHook assign)
{
	DefineCustomStringVariable(name, what, NULL, variable, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, assign, NULL);
}

static void
define_times(void)
{
	DefineCustomIntVariable("cache_ext.redis_connect_timeout",
							"How long to wait for a connection to Redis, with TLS and login.",
							NULL,
							&cext_redis_connect_timeout,
							250, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cache_ext.redis_timeout",
							"How long to wait for an answer from Redis.",
							NULL,
							&cext_redis_timeout,
							100, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("cache_ext.redis_backoff_max",
							"Longest time for which Redis is left alone after failures.",
							"It starts at 100 ms and doubles.",
							&cext_redis_backoff_max,
							30000, 100, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
}

void
cext_redis_conf_define(void)
{
	DefineCustomEnumVariable("cache_ext.storage",
							 "Where results are stored.",
							 "The default is \"tiered\" where \"cache_ext.redis_url\" is set, else \"shared_memory\".",
							 &cext_storage,
							 CEXT_STORAGE_DEFAULT,
							 storage_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, show_storage);
	DefineCustomStringVariable("cache_ext.redis_url",
							   "The Redis or Valkey server, or cluster, to store results in.",
							   "Shown without its password.",
							   &redis_url,
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   check_redis_url, assign_redis_url, show_redis_url);
	DefineCustomStringVariable("cache_ext.redis_namespace",
							   "First part of all keys in Redis.",
							   NULL,
							   &cext_redis_namespace,
							   "cache_ext",
							   PGC_SIGHUP,
							   0,
							   check_namespace, NULL, NULL);
	define_times();
	define_tls_file("cache_ext.redis_tls_ca_file",
					"Certificates of the authorities that Redis's certificate is checked against.",
					&cext_redis_tls_ca_file, assign_ca_file);
	define_tls_file("cache_ext.redis_tls_cert_file",
					"Client certificate to present to Redis.",
					&cext_redis_tls_cert_file, assign_cert_file);
	define_tls_file("cache_ext.redis_tls_key_file",
					"Private key of the client certificate.",
					&cext_redis_tls_key_file, assign_key_file);
	define_tls_file("cache_ext.redis_tls_server_name",
					"Host name to expect in Redis's certificate, instead of the one in the URL.",
					&cext_redis_tls_server_name, assign_server_name);
	DefineCustomEnumVariable("cache_ext.compression",
							 "How results are compressed for Redis.",
							 "Those under 1 kB, and those it does not make smaller by an eighth, are not.",
							 &cext_compression,
							 DEFAULT_COMPRESSION,
							 compression_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
}
