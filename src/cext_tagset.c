/*-------------------------------------------------------------------------
 *
 * cext_tagset.c
 *		The tags that a transaction has collected, by subtransaction.
 *
 * An array of distinct tags in the order they came, each with the nesting level
 * of its subtransaction, so that ROLLBACK TO SAVEPOINT cuts off its end.  From
 * more than a few on, a hash table finds their places.
 *
 * Memory: TopTransactionContext, which takes it back, but none for a few.  An
 * error while the set grows leaves it as it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "cext_tagset.h"

typedef struct TagPlace
{
	CextTag		tag;
	int			place;			/* in the array */
	char		status;
} TagPlace;

#define SH_PREFIX tagindex
#define SH_ELEMENT_TYPE TagPlace
#define SH_KEY_TYPE CextTag
#define SH_KEY tag
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Before the first use, and when the transaction has ended. */
void
cext_tagset_reset(CextTagSet *set)
{
	/* the memory goes with TopTransactionContext */
	set->n = 0;
	set->size = CEXT_FEW_TAGS;
	set->tags = set->few_tags;
	set->levels = set->few_levels;
	set->alone = set->few_alone;
	set->index = NULL;
}

/* A tag's place, or -1. */
int
cext_tagset_find(const CextTagSet *set, CextTag tag)
{
	TagPlace   *entry;

	if (likely(set->index == NULL))
	{
		for (int i = 0; i < set->n; i++)
			if (set->tags[i] == tag)
				return i;
		return -1;
	}
	entry = tagindex_lookup(set->index, tag);
	return entry != NULL ? entry->place : -1;
}

/* Make room for more. */
static void
grow(CextTagSet *set)
{
	int			size = set->size * 2;
	CextTag    *tags = MemoryContextAlloc(TopTransactionContext, size * sizeof(CextTag));
	int		   *levels = MemoryContextAlloc(TopTransactionContext, size * sizeof(int));
	bool	   *alone = MemoryContextAlloc(TopTransactionContext, size * sizeof(bool));
	tagindex_hash *index = set->index;

	if (index == NULL)
	{
		index = tagindex_create(TopTransactionContext, size, NULL);
		for (int i = 0; i < set->n; i++)
		{
			bool		found;

			tagindex_insert(index, set->tags[i], &found)->place = i;
		}
	}
	memcpy(tags, set->tags, set->n * sizeof(CextTag));
	memcpy(levels, set->levels, set->n * sizeof(int));
	if (set->tags != set->few_tags)
	{
		pfree(set->tags);
		pfree(set->levels);
		pfree(set->alone);
	}
	set->index = index;
	set->tags = tags;
	set->levels = levels;
	set->alone = alone;
	set->size = size;
}

/* Add a tag.  False if it was there. */
bool
cext_tagset_add(CextTagSet *set, CextTag tag, int level)
{
	if (set->index == NULL && cext_tagset_find(set, tag) >= 0)
		return false;

	/* grow before the index knows the tag: an error leaves both consistent */
	if (set->n == set->size)
		grow(set);
	if (set->index != NULL)
	{
		bool		found;
		TagPlace   *entry = tagindex_insert(set->index, tag, &found);

		if (found)
			return false;
		entry->place = set->n;
	}
	set->tags[set->n] = tag;
	set->levels[set->n] = level;
	set->n++;
	return true;
}

/* A subtransaction of this level has ended. */
void
cext_tagset_end_sub(CextTagSet *set, bool commit, int level)
{
	if (commit)
	{
		for (int i = set->n - 1; i >= 0 && set->levels[i] >= level; i--)
			set->levels[i] = level - 1;
		return;
	}
	while (set->n > 0 && set->levels[set->n - 1] >= level)
	{
		set->n--;
		if (set->index != NULL)
			tagindex_delete(set->index, set->tags[set->n]);
	}
}
