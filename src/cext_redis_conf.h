/*-------------------------------------------------------------------------
 *
 * cext_redis_conf.h
 *		Settings of the Redis tier.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REDIS_CONF_H
#define CEXT_REDIS_CONF_H

#define CEXT_REDIS_SEEDS	16
#define CEXT_REDIS_HOST		256

typedef enum CextStorage
{
	CEXT_STORAGE_DEFAULT,		/* tiered where there is a redis_url */
	CEXT_STORAGE_SHARED_MEMORY,
	CEXT_STORAGE_REDIS,
	CEXT_STORAGE_TIERED
} CextStorage;

typedef enum CextCompression
{
	CEXT_COMPRESSION_OFF,
	CEXT_COMPRESSION_PGLZ,
	CEXT_COMPRESSION_LZ4,
	CEXT_COMPRESSION_ZSTD
} CextCompression;

/* A server's address: a path begins with a slash, and has no port. */
typedef struct CextRedisAddress
{
	char		host[CEXT_REDIS_HOST];
	int			port;
} CextRedisAddress;

/* What redis_url says. */
typedef struct CextRedisTarget
{
	bool		tls;
	int			database;
	int			nseeds;
	CextRedisAddress seeds[CEXT_REDIS_SEEDS];
	char		user[128];		/* empty: the default user */
	char		password[512];	/* empty: no AUTH */
} CextRedisTarget;

extern const CextRedisTarget *cext_redis_target;	/* NULL: none */
extern uint64 cext_redis_generation;	/* moves with target and TLS files */

extern int	cext_storage;
extern char *cext_redis_namespace;
extern int	cext_redis_connect_timeout; /* milliseconds */
extern int	cext_redis_timeout; /* milliseconds */
extern int	cext_redis_backoff_max; /* milliseconds */
extern char *cext_redis_tls_ca_file;
extern char *cext_redis_tls_cert_file;
extern char *cext_redis_tls_key_file;
extern char *cext_redis_tls_server_name;
extern int	cext_compression;

extern void cext_redis_conf_define(void);
extern const char *cext_storage_name(CextStorage storage);

/*
 * What the policy of the call under way says, before cache_ext.storage.  Set
 * before looking an entry up, and again before storing one, since other calls
 * may come in between.
 */
extern CextStorage cext_storage_of_policy;

static inline CextStorage
cext_storage_now(void)
{
	return cext_storage_of_policy != CEXT_STORAGE_DEFAULT ?
		cext_storage_of_policy : (CextStorage) cext_storage;
}

/* Are entries looked for, and stored, there? */
static inline bool
cext_storage_redis(void)
{
	return unlikely(cext_redis_target != NULL) &&
		cext_storage_now() != CEXT_STORAGE_SHARED_MEMORY;
}

static inline bool
cext_storage_memory(void)
{
	return cext_storage_now() != CEXT_STORAGE_REDIS || cext_redis_target == NULL;
}

#endif							/* CEXT_REDIS_CONF_H */
