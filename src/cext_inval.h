/*-------------------------------------------------------------------------
 *
 * cext_inval.h
 *		Invalidations of the current transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_INVAL_H
#define CEXT_INVAL_H

#include "cext_version.h"

/* What cext_pending.c wants to know of transactions and invalidations. */
typedef struct CextInvalObserver
{
	void		(*apply) (void);	/* committed, after the bumps; must not
									 * throw */
	bool		(*refuse_prepare) (void);
	void		(*tag_added) (CextTag tag);
	void		(*pattern_added) (const char *pattern, int len);
} CextInvalObserver;

extern void cext_inval_init(void);
extern void cext_inval_observe(const CextInvalObserver *observer);

extern void cext_inval_add(CextTag tag);
extern void cext_inval_add_value(CextTag tag);
extern void cext_inval_key(const char *key, int len);
extern void cext_inval_prefix(const char *prefix, int len);
extern void cext_inval_pattern(const char *pattern, int len);
extern void cext_inval_all(void);
extern void cext_inval_relation(Oid relid);
extern void cext_inval_relation_tree(Oid relid);

extern bool cext_inval_settled(const char *key, int keylen,
							   const CextTag *tags, int ntags,
							   uint64 *stamp, uint64 *globs);

extern bool cext_inval_pending(void);
extern bool cext_inval_pending_tags(const CextTag *tags, int ntags);
extern bool cext_inval_pending_key(const char *key, int len);

#endif							/* CEXT_INVAL_H */
