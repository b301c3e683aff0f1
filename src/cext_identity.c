/*-------------------------------------------------------------------------
 *
 * cext_identity.c
 *		What identifies an entry.
 *
 * Database, effective role, key and arguments are compared as they are.  The
 * query text and what can change an answer (cext_settings.c) are digested with
 * SHA-256 into the seed: no crafted query can make two identities equal.
 * Arguments longer than MAX_PLAIN_ARGS are digested too.
 *
 * A hit must not pay for the digest.  Each backend keeps the seeds of the
 * queries it used last, with the query's text unless that is long, and
 * recomputes them when one of the settings has changed.
 *
 * Queries found to read settings by themselves (current_setting() and C
 * functions of extensions) are stored under a second identity, whose seed also
 * covers every custom setting and every other one not at its server-wide value:
 * see cext_identify_varying().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cext_identity.h"
#include "cext_settings.h"

#define MAX_PLAIN_ARGS	512
#define SEEDS			128		/* power of two */
#define MAX_KEPT_QUERY	32768	/* longer ones are digested each time */

/* Seeds of recent queries: direct-mapped by hash. */
typedef struct Seed
{
	uint64		hash;
	uint64		generation;
	char	   *query;
	int			querylen;
	char		form;
	uint8		seed[CEXT_SEED_SIZE];
} Seed;

static Seed seeds[SEEDS];


/* An identity that is not known is no identity. */
static void
digest_end(CextDigest *d, uint8 *result)
{
	StaticAssertStmt(CEXT_SEED_SIZE == CEXT_DIGEST_SIZE, "seed is a digest");
	if (!cext_digest_end(d, result))
		elog(ERROR, "could not compute a SHA-256 digest");
}


static void
digest_query(const CextArgs *args, uint8 *seed)
{
	CextDigest	d;

	cext_digest_begin(&d);
	cext_digest_add(&d, cext_settings_digest, CEXT_DIGEST_SIZE);
	cext_digest_add(&d, &args->form, 1);
	cext_digest_add(&d, args->query, args->querylen);
	digest_end(&d, seed);
}

static const uint8 *
get_seed(const CextArgs *args)
{
	static uint8 seed_of_long[CEXT_SEED_SIZE];
	uint64		h;
	Seed	   *s;

	cext_settings_check();
	if (unlikely(args->querylen > MAX_KEPT_QUERY))
	{
		digest_query(args, seed_of_long);
		return seed_of_long;
	}
	h = hash_bytes_extended((const unsigned char *) args->query, args->querylen,
							(uint8) args->form);
	s = &seeds[h % SEEDS];
	if (likely(s->hash == h && s->generation == cext_settings_generation &&
			   s->form == args->form && s->querylen == args->querylen &&
			   s->query != NULL &&
			   memcmp(s->query, args->query, args->querylen) == 0))
		return s->seed;

	/* until it is whole again, the seed is nobody's */
	s->generation = 0;
	digest_query(args, s->seed);
	if (s->query == NULL || s->querylen != args->querylen || s->hash != h)
	{
		if (s->query != NULL)
			pfree(s->query);
		s->query = NULL;
		s->query = MemoryContextAlloc(TopMemoryContext, args->querylen + 1);
	}
	memcpy(s->query, args->query, args->querylen);
	s->querylen = args->querylen;
	s->form = args->form;
	s->hash = h;
	s->generation = cext_settings_generation;
	return s->seed;
}

static void
set_hash(CextIdent *id)
{
	uint64		h;

	memcpy(&h, id->seed, sizeof(h));
	h ^= ((uint64) id->dbid << 32) | id->roleid;
	h = hash_bytes_extended((const unsigned char *) id->key, id->keylen, h);
	if (id->argslen > 0)
		h = hash_bytes_extended((const unsigned char *) id->args, id->argslen, h);
	id->hash = h;
}

/*
 * The identity of a call.  It points to the caller's key and to palloc'd
 * arguments.
 */
void
cext_identify(const CextArgs *args, CextIdent *id)
{
	memset(id, 0, sizeof(CextIdent));
	id->dbid = MyDatabaseId;
	id->roleid = GetUserId();

	/* an entry filled under such a policy ends with it */
	id->form = args->rls_covered ? pg_toupper((unsigned char) args->form) : args->form;
	id->key = args->key;
	id->keylen = args->keylen;
	id->args = "";
	memcpy(id->seed, get_seed(args), CEXT_SEED_SIZE);

	if (args->nargs > 0)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		for (int i = 0; i < args->nargs; i++)
			cext_append_arg(&buf, args->types[i], args->values[i], args->nulls[i]);
		if (buf.len > MAX_PLAIN_ARGS)
		{
			uint8		digest[CEXT_SEED_SIZE];
			CextDigest	d;

			cext_digest_begin(&d);
			cext_digest_add(&d, buf.data, buf.len);
			digest_end(&d, digest);
			resetStringInfo(&buf);

			/* no plain argument list starts with this type */
			appendBinaryStringInfo(&buf, "\0\0\0\0", 4);
			appendBinaryStringInfo(&buf, (char *) digest, CEXT_SEED_SIZE);
		}
		id->args = buf.data;
		id->argslen = buf.len;
	}
	set_hash(id);
}

/* The identity of a plain value: it points to the caller's key. */
void
cext_identify_value(const char *key, int keylen, CextIdent *id)
{
	cext_settings_check();
	memset(id, 0, sizeof(CextIdent));
	id->dbid = MyDatabaseId;
	id->roleid = GetUserId();
	id->form = 'v';
	id->key = key;
	id->keylen = keylen;
	id->args = "";
	memcpy(id->seed, cext_settings_identity, CEXT_SEED_SIZE);
	set_hash(id);
}

/*
 * The identity of the same call where the query reads settings by itself: all
 * that a session can have made its own are part of it.
 */
void
cext_identify_varying(const CextIdent *plain, CextIdent *id)
{
	CextDigest	d;

	*id = *plain;
	cext_digest_begin(&d);
	cext_digest_add(&d, plain->seed, CEXT_SEED_SIZE);
	cext_settings_add_all(&d);
	digest_end(&d, id->seed);
	set_hash(id);
}
