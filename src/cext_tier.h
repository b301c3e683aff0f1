/*-------------------------------------------------------------------------
 *
 * cext_tier.h
 *		Where entries are: shared memory, Redis, or both.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_TIER_H
#define CEXT_TIER_H

#include "lib/stringinfo.h"

#include "cext_redis_conf.h"
#include "cext_store.h"

/* namespace, database, key, digest */
#define CEXT_TIER_MAX_KEY	(64 + NAMEDATALEN + 1024 + 64)

extern const char *cext_tier_database(void);
extern bool cext_tier_key(StringInfo buf, const CextIdent *id);
extern bool cext_tier_fetch(const CextIdent *ids, int n, CextEntry **entries);
extern void cext_tier_promote(CextEntry *entry);
extern bool cext_tier_store(const CextIdent *id, const CextEntryInfo *info,
							const char *payload, Size size);
extern bool cext_tier_write(const char *database, const CextIdent *id,
							const CextEntryInfo *info, const char *payload, Size size);

#endif							/* CEXT_TIER_H */
