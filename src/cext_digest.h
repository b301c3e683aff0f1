/*-------------------------------------------------------------------------
 *
 * cext_digest.h
 *		SHA-256 digests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_DIGEST_H
#define CEXT_DIGEST_H

#define CEXT_DIGEST_SIZE	32

typedef struct CextDigest
{
	struct pg_cryptohash_ctx *ctx;
	bool		failed;
} CextDigest;

extern void cext_digest_begin(CextDigest *d);
extern void cext_digest_add(CextDigest *d, const void *data, Size len);
extern void cext_digest_add_string(CextDigest *d, const char *s);
extern bool cext_digest_end(CextDigest *d, uint8 *result);

#endif							/* CEXT_DIGEST_H */
