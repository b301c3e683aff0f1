/*-------------------------------------------------------------------------
 *
 * cext_entry.h
 *		What an entry is made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_ENTRY_H
#define CEXT_ENTRY_H

#include "datatype/timestamp.h"
#include "port/atomics.h"

#include "cext_chunk.h"

#define CEXT_SEED_SIZE	32		/* a SHA-256 digest */

/*
 * What identifies an entry.  Everything is compared byte for byte; the hash
 * only finds the bucket.
 */
typedef struct CextIdent
{
	uint64		hash;			/* of all that follows */
	Oid			dbid;
	Oid			roleid;
	char		form;			/* 'r' rows, 'j' json, 'v' value; upper case:
								 * a policy let row-level security pass */
	uint8		seed[CEXT_SEED_SIZE];	/* digest of query and settings */
	const char *key;
	int			keylen;
	const char *args;			/* the arguments, or their digest */
	int			argslen;
} CextIdent;

#define CEXT_ENTRY_VARIES	0x01	/* no result: look under the settings too */
#define CEXT_ENTRY_RECOVERY 0x02	/* filled on a standby */
#define CEXT_ENTRY_LOCAL	0x04	/* a copy in this backend's memory */
#define CEXT_ENTRY_PREVIOUS 0x08	/* such a copy, from the epoch before */

/* which are of one copy, and not of the entry */
#define CEXT_ENTRY_PASSING	(CEXT_ENTRY_LOCAL | CEXT_ENTRY_PREVIOUS)

/*
 * An entry in shared memory, at the start of its first chunk.  What is not
 * said to be protected otherwise does not change once the entry is linked.
 */
typedef struct CextEntry
{
	/* the line a hit touches */
	pg_atomic_uint32 refs;		/* pins, and one for being linked */
	pg_atomic_uint32 hits;
	uint64		hash;
	uint64		stamp;			/* clock before the snapshot */
	pg_atomic_uint64 globs;		/* compared with the glob log up to here */
	TimestampTz created;
	TimestampTz expires;
	uint64		xmax;			/* full xid: the snapshot saw nothing from
								 * here */
	uint32		next;			/* in the bucket; partition lock */
	Oid			dbid;

	Oid			roleid;
	uint32		payload_size;
	uint32		payload_offset; /* from the start of the entry */
	uint32		ready_size;		/* rows as sent to a client, after the payload */
	uint32		nrows;
	uint32		fill_us;		/* what the query cost */
	uint32		checksum;		/* of the payload; for comparisons only */
	uint32		newer;			/* in its queue; alloc lock */
	uint32		older;			/* likewise */
	uint32		recipe_size;	/* how to compute it again, after all else */
	pg_atomic_uint64 refresh;	/* when a hit is to think of computing it anew */
	uint16		keylen;
	uint16		argslen;
	uint16		ntags;
	uint16		nrels;
	uint16		ns;				/* namespace, for the statistics */
	char		form;
	uint8		flags;
	uint8		queue:2;		/* alloc lock */
	uint8		lives:6;		/* second chances left; alloc lock */
	uint8		visited;		/* set by a hit, without a lock */
	bool		linked;			/* partition lock */
	bool		foreground;		/* no worker can compute it; no lock */
	uint8		seed[CEXT_SEED_SIZE];
	/* then: tags, relations, key, arguments; then, aligned, the payload; the */
	/* same of what is ready to be sent */
} CextEntry;

#define CEXT_ENTRY_TAGS(e)	((uint32 *) ((char *) (e) + MAXALIGN(sizeof(CextEntry))))
#define CEXT_ENTRY_RELS(e)	((Oid *) (CEXT_ENTRY_TAGS(e) + (e)->ntags))
#define CEXT_ENTRY_KEY(e)	((char *) (CEXT_ENTRY_RELS(e) + (e)->nrels))
#define CEXT_ENTRY_ARGS(e)	(CEXT_ENTRY_KEY(e) + (e)->keylen)

#define CEXT_ENTRY_READY(e) MAXALIGN((Size) (e)->payload_offset + (e)->payload_size)
#define CEXT_ENTRY_RECIPE(e) (CEXT_ENTRY_READY(e) + (e)->ready_size)
#define CEXT_ENTRY_CHUNKS(e) \
	((uint32) ((CEXT_ENTRY_RECIPE(e) + (e)->recipe_size + CEXT_CHUNK_SIZE - 1) / CEXT_CHUNK_SIZE))

/* What to store with the bytes. */
typedef struct CextEntryInfo
{
	uint64		stamp;
	uint64		globs;
	TimestampTz created;
	TimestampTz expires;
	uint64		xmax;
	uint32		nrows;
	uint32		fill_us;
	uint32		checksum;
	uint16		ns;
	uint8		flags;
	int			ntags;
	const uint32 *tags;
	int			nrels;
	const Oid  *rels;
	TimestampTz refresh;		/* 0: never */
	const char *recipe;
	uint32		recipe_size;
	uint32		hits;			/* it has had already */
} CextEntryInfo;

#define CEXT_NO_REFRESH ((uint64) PG_INT64_MAX)

extern bool cext_entry_is(const CextEntry *entry, const CextIdent *id);
extern Size cext_entry_head(const CextIdent *id, const CextEntryInfo *info);
extern void cext_entry_begin(CextEntry *entry, Size head, const CextIdent *id,
							 const CextEntryInfo *info, Size size);
extern void cext_entry_describe(CextEntry *entry, CextIdent *id, CextEntryInfo *info);

#endif							/* CEXT_ENTRY_H */
