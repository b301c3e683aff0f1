/*-------------------------------------------------------------------------
 *
 * cext_digest.c
 *		SHA-256 digests.
 *
 * Of a sequence of parts: each goes in with its length in front, so that no two
 * sequences look alike.  Nothing here throws; a failure shows at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"

#include "cext_digest.h"

void
cext_digest_begin(CextDigest *d)
{
	StaticAssertStmt(CEXT_DIGEST_SIZE == PG_SHA256_DIGEST_LENGTH, "digests are SHA-256");
	d->ctx = pg_cryptohash_create(PG_SHA256);
	d->failed = d->ctx == NULL || pg_cryptohash_init(d->ctx) < 0;
}

void
cext_digest_add(CextDigest *d, const void *data, Size len)
{
	uint64		n = len;

	d->failed = d->failed ||
		pg_cryptohash_update(d->ctx, (const uint8 *) &n, sizeof(n)) < 0 ||
		pg_cryptohash_update(d->ctx, data, len) < 0;
}

/* Absent (NULL) and empty are different. */
void
cext_digest_add_string(CextDigest *d, const char *s)
{
	if (s == NULL)
		cext_digest_add(d, "", 0);
	else
		cext_digest_add(d, s, strlen(s) + 1);
}

/* CEXT_DIGEST_SIZE bytes; false if anything has failed. */
bool
cext_digest_end(CextDigest *d, uint8 *result)
{
	d->failed = d->failed || pg_cryptohash_final(d->ctx, result, CEXT_DIGEST_SIZE) < 0;
	if (d->ctx != NULL)
		pg_cryptohash_free(d->ctx);
	return !d->failed;
}
