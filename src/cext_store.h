/*-------------------------------------------------------------------------
 *
 * cext_store.h
 *		The shared-memory store: entries of bytes under an identity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_STORE_H
#define CEXT_STORE_H

#include "cext_entry.h"

/* Walks over all entries. */
typedef struct CextScan
{
	uint32		bucket;
	int			n;
	int			i;
	CextEntry  *found[16];
	uint32		skip;

	/* only these; the prefix is the caller's */
	Oid			dbid;			/* or all, if invalid */
	const char *prefix;
	int			prefixlen;
} CextScan;

typedef struct CextStoreUsage
{
	uint64		entries;
	uint64		used;
	uint64		limit;
	uint64		bookkeeping;	/* bytes of entries that are not payload */
} CextStoreUsage;

extern Size cext_store_shmem_size(Size budget);
extern void cext_store_shmem_init(Size budget);

extern CextEntry *cext_store_lookup(const CextIdent *id);
extern CextEntry *cext_store_lookup_hash(uint64 hash, char form);
extern void cext_store_hit(CextEntry *entry);
extern void cext_store_unpin(CextEntry *entry);
extern bool cext_store_insert(const CextIdent *id, const CextEntryInfo *info,
							  const char *payload, Size size);
extern bool cext_store_has_room(const CextEntry *entry, Size ready_size);
extern bool cext_store_add_ready(CextEntry *entry, const char *ready, Size size);
extern bool cext_store_remove(const CextIdent *id);

extern void cext_store_read(CextReader *reader, CextEntry *entry);
extern void cext_store_read_ready(CextReader *reader, CextEntry *entry);
extern void cext_store_read_recipe(CextReader *reader, CextEntry *entry);
extern CextEntry *cext_store_next_unlocked(uint32 *bucket, CextEntry *entry);

extern void cext_store_scan_begin(CextScan *scan, Oid dbid, const char *prefix,
								  int prefixlen);
extern CextEntry *cext_store_scan_next(CextScan *scan);
extern void cext_store_usage(CextStoreUsage *usage);

#endif							/* CEXT_STORE_H */
