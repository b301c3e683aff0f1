/*-------------------------------------------------------------------------
 *
 * cext_tagset.h
 *		The tags that a transaction has collected, by subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_TAGSET_H
#define CEXT_TAGSET_H

#include "cext_version.h"

/* So many are kept without allocating, and searched one by one. */
#define CEXT_FEW_TAGS	16

typedef struct CextTagSet
{
	int			n;
	int			size;			/* of the arrays */
	CextTag    *tags;			/* distinct, in order of addition */
	int		   *levels;			/* nesting levels; ascending */
	bool	   *alone;			/* the owner's to use, after the last addition */
	struct tagindex_hash *index;	/* NULL: not more than a few */
	CextTag		few_tags[CEXT_FEW_TAGS];
	int			few_levels[CEXT_FEW_TAGS];
	bool		few_alone[CEXT_FEW_TAGS];
} CextTagSet;

extern void cext_tagset_reset(CextTagSet *set);
extern bool cext_tagset_add(CextTagSet *set, CextTag tag, int level);
extern int	cext_tagset_find(const CextTagSet *set, CextTag tag);
extern void cext_tagset_end_sub(CextTagSet *set, bool commit, int level);

#endif							/* CEXT_TAGSET_H */
