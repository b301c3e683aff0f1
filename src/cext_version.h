/*-------------------------------------------------------------------------
 *
 * cext_version.h
 *		Tags, version slots, and the test whether an entry still holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_VERSION_H
#define CEXT_VERSION_H

#include "port/atomics.h"

/* A tag is the number of a version slot. */
typedef uint32 CextTag;

/* Part of every entry: roles, databases, whatever concerns the cluster. */
#define CEXT_TAG_CLUSTER	((CextTag) 0)

#define CEXT_MAX_PREFIXES	8	/* ':' prefixes of a key that are tags */

extern Size cext_version_shmem_size(Size budget);
extern void cext_version_shmem_init(Size budget);
extern void cext_version_init(void);

/* tags */
extern CextTag cext_tag_database(Oid dbid);
extern CextTag cext_tag_relation(Oid dbid, Oid relid);
extern CextTag cext_tag_tree(Oid dbid, Oid relid);
extern CextTag cext_tag_name(Oid dbid, const char *relname);
extern CextTag cext_tag_globs(Oid dbid);
extern CextTag cext_tag_any_name(Oid dbid);
extern CextTag cext_tag_value(uint64 identity_hash);
extern CextTag cext_tag_key(Oid dbid, const char *key, int len);
extern CextTag cext_tag_prefix(Oid dbid, const char *prefix, int len);
extern int	cext_tags_of_key(Oid dbid, const char *key, int len, CextTag *tags);
extern int	cext_prefix_depth(const char *prefix, int len);

extern bool cext_version_tags_exist(const CextTag *tags, int ntags);

/* readers */
extern uint64 cext_version_clock(void);
extern bool cext_version_alive(uint64 stamp, const CextTag *tags, int ntags);
extern bool cext_version_idle(CextTag tag, uint64 since);
extern bool cext_version_surely_dead(uint64 stamp, const CextTag *tags, int ntags);

/* the committing transaction */
extern void cext_version_publish(TransactionId xid, const CextTag *tags, int ntags);
extern void cext_version_publish_more(CextTag tag);
extern uint64 cext_version_finish(const CextTag *tags, int ntags,
								  uint64 since, bool *alone);
extern bool cext_version_committing(int i, TransactionId *xid);

/* for cext_glob.c and cext_prepared.c */
extern bool cext_has_tag(const CextTag *tags, uint32 ntags, CextTag tag);
extern void cext_slot_begin(CextTag tag);
extern uint32 cext_slot_inflight(CextTag tag);
extern bool cext_slot_end(CextTag tag, uint64 version, uint64 since, uint32 *others);
extern uint64 cext_version_draw(void);

#endif							/* CEXT_VERSION_H */
