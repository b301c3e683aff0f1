/*-------------------------------------------------------------------------
 *
 * cext_hot.c
 *		The hottest entries, to be computed anew after they were lost.
 *
 * Where a policy says so (its column rewarm), entries carry the recipe they
 * were made by.  The launcher notes the recipes of the hottest of them in a
 * file, now and then and when it ends, as autoprewarm does with the numbers of
 * pages; after a restart, a crash or cache_clear(), it has them computed again.
 * What is there and holds is left alone.
 *
 * The hottest are those with the most hits for the time they have been there.
 *
 * The file says how to compute, never a result, so a stale one costs time and
 * nothing else.  It is written under another name first, has a checksum, and is
 * read as a whole before any of it is used; one of another cluster or catalog
 * version is ignored.
 *
 * All state here is the launcher's own.  Memory: a context for the recipes in
 * hand, which are HOTTEST at the most.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "catalog/catversion.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cext_guc.h"
#include "cext_hot.h"
#include "cext_queue.h"
#include "cext_recipe.h"

#define HOTTEST		100
#define HOT_FILE	"cache_ext.hot"
#define HOT_MAGIC	0x43455848

typedef struct HotHeader
{
	uint32		magic;
	uint32		catalog_version;
	uint64		system;
	uint32		count;
	uint32		size;			/* of the recipes */
	pg_crc32c	crc;			/* of what is above and of the recipes */
} HotHeader;

typedef struct Hot
{
	double		heat;
	uint32		size;
	char	   *recipe;
} Hot;

/* to be handed out */
static MemoryContext backlog_context;
static Hot	backlog[HOTTEST];
static int	nbacklog;

static int
compare_heat(const void *a, const void *b)
{
	double		x = ((const Hot *) a)->heat;
	double		y = ((const Hot *) b)->heat;

	return x > y ? -1 : x < y ? 1 : 0;
}

/*
 * The hottest entries that have a recipe, hottest first, of one database or of
 * all; if "lost", only those that do not answer any more.
 */
static int
find_hottest(Oid dbid, bool lost, Hot *hot)
{
	TimestampTz now = GetCurrentTimestamp();
	CextScan	scan;
	CextEntry  *e;
	int			n = 0;

	cext_store_scan_begin(&scan, dbid, "", 0);
	while ((e = cext_store_scan_next(&scan)) != NULL)
	{
		double		heat = pg_atomic_read_u32(&e->hits) /
			(double) Max(now - e->created, USECS_PER_SEC);
		Hot		   *place = NULL;
		CextReader	reader;

		if (e->recipe_size == 0 ||
			(lost && e->expires > now && cext_entry_alive(e)))
		{
			cext_store_unpin(e);
			continue;
		}
		if (n < HOTTEST)
			place = &hot[n++];
		else
		{
			/* instead of the coldest; few entries come this far */
			for (int i = 0; i < n; i++)
				if (hot[i].heat < heat && (place == NULL || hot[i].heat < place->heat))
					place = &hot[i];
			if (place != NULL)
				pfree(place->recipe);
		}
		if (place != NULL)
		{
			place->heat = heat;
			place->size = e->recipe_size;
			place->recipe = palloc(e->recipe_size);
			cext_store_read_recipe(&reader, e);
			cext_reader_copy(&reader, place->recipe, e->recipe_size);
		}
		cext_store_unpin(e);
	}
	qsort(hot, n, sizeof(Hot), compare_heat);
	return n;
}

/* Add a recipe to those in hand, unless there are too many. */
static void
add_to_backlog(const char *bytes, uint32 size)
{
	CextRecipe	recipe;
	Hot		   *hot;

	if (nbacklog == HOTTEST || !cext_recipe_read(bytes, size, &recipe))
		return;
	if (backlog_context == NULL)
		backlog_context = AllocSetContextCreate(TopMemoryContext, "cache_ext hottest",
												ALLOCSET_DEFAULT_SIZES);
	hot = &backlog[nbacklog++];
	hot->size = size;
	hot->recipe = MemoryContextAlloc(backlog_context, size);

	/* any entry that is there then will do */
	recipe.when = 0;
	memcpy(hot->recipe, bytes, size);
	memcpy(hot->recipe, &recipe, sizeof(recipe));
}

/* Have the hottest of what was lost computed again. */
void
cext_hot_rewarm(Oid dbid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cache_ext rewarm", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Hot			hot[HOTTEST] = {0};
	int			n = find_hottest(dbid, true, hot);

	for (int i = 0; i < n; i++)
		add_to_backlog(hot[i].recipe, hot[i].size);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Hand out some of what is in hand; others than us need room in the queue, too.
 * Is there something left?
 */
bool
cext_hot_feed(void)
{
	int			n = 0;

	while (n < nbacklog && cext_queue_free() > 32)
	{
		CextRecipe	recipe;

		memcpy(&recipe, backlog[n].recipe, sizeof(recipe));
		(void) cext_queue_put(recipe.dbid, recipe.roleid, recipe.hash,
							  backlog[n].recipe, backlog[n].size);
		n++;
	}
	memmove(backlog, backlog + n, (nbacklog - n) * sizeof(Hot));
	nbacklog -= n;
	if (nbacklog == 0 && backlog_context != NULL)
		MemoryContextReset(backlog_context);
	return nbacklog > 0;
}


/* ----------------------------------------------------------------
 *		The file
 * ----------------------------------------------------------------
 */

static pg_crc32c
checksum(const HotHeader *header, const char *recipes)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, offsetof(HotHeader, crc));
	COMP_CRC32C(crc, recipes, header->size);
	FIN_CRC32C(crc);
	return crc;
}

/*
 * Note the hottest.  Trouble is logged, and that is all.  If there are none, and
 * there was time to compute those of before, no policy wants any.
 */
void
cext_hot_save(bool settled)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cache_ext hottest file",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Hot			hot[HOTTEST] = {0};
	HotHeader	header;
	char	   *recipes;
	char	   *p;
	FILE	   *file;
	bool		ok;

	memset(&header, 0, sizeof(header));
	header.magic = HOT_MAGIC;
	header.catalog_version = CATALOG_VERSION_NO;
	header.system = GetSystemIdentifier();
	header.count = find_hottest(InvalidOid, false, hot);
	for (int i = 0; i < header.count; i++)
		header.size += hot[i].size;
	if (header.count > 0)
	{
		p = recipes = palloc(header.size);
		for (int i = 0; i < header.count; i++)
		{
			memcpy(p, hot[i].recipe, hot[i].size);
			p += hot[i].size;
		}
		header.crc = checksum(&header, recipes);
		file = AllocateFile(HOT_FILE ".tmp", PG_BINARY_W);
		ok = file != NULL &&
			fwrite(&header, sizeof(header), 1, file) == 1 &&
			fwrite(recipes, header.size, 1, file) == 1;
		if (file != NULL && FreeFile(file) != 0)
			ok = false;
		if (!ok)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", HOT_FILE ".tmp")));
		else
			(void) durable_rename(HOT_FILE ".tmp", HOT_FILE, LOG);
	}
	else if (settled && nbacklog == 0)
		(void) unlink(HOT_FILE);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Take what was noted last in hand. */
void
cext_hot_load(void)
{
	HotHeader	header;
	FILE	   *file = AllocateFile(HOT_FILE, PG_BINARY_R);
	char	   *recipes = NULL;
	bool		ok;
	uint32		pos = 0;

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", HOT_FILE)));
		return;
	}
	ok = fread(&header, sizeof(header), 1, file) == 1 &&
		header.magic == HOT_MAGIC &&
		header.catalog_version == CATALOG_VERSION_NO &&
		header.system == GetSystemIdentifier() &&
		header.count <= HOTTEST &&
		header.size <= HOTTEST * CEXT_REQUEST_SIZE;
	if (ok)
	{
		recipes = palloc(header.size + 1);
		ok = fread(recipes, 1, header.size, file) == header.size &&
			fgetc(file) == EOF &&
			EQ_CRC32C(checksum(&header, recipes), header.crc);
	}
	FreeFile(file);
	for (int i = 0; ok && i < header.count; i++)
	{
		CextRecipe	recipe;

		if (header.size - pos < sizeof(recipe))
			break;
		memcpy(&recipe, recipes + pos, sizeof(recipe));
		if (recipe.size > header.size - pos)
			break;
		add_to_backlog(recipes + pos, recipe.size);
		pos += recipe.size;
	}
	if (!ok)
		ereport(LOG,
				(errmsg("ignoring file \"%s\", which is not of this cluster or not whole",
						HOT_FILE)));
	if (recipes != NULL)
		pfree(recipes);
}
