/*-------------------------------------------------------------------------
 *
 * cext_dump.c
 *		Entries survive a clean restart.
 *
 * A section of the state file (see cext_state.c), after the versions without
 * which a stamp means nothing: the entries that are alive, with all that is
 * theirs.  What has expired or is certainly dead is left out, and what a standby
 * filled.  The rest is judged by its stamp, when somebody asks for it, as ever.
 *
 * Both run in the postmaster while it is alone, so no lock is ever waited for
 * and no entry is pinned: the callbacks that drop pins must be registered in the
 * process that has them, and children would inherit a postmaster's without.
 *
 * Entries are loaded in the order of the buckets, which is none.  Those that
 * have had hits go to the main queue, as if they had been replaced.  If there is
 * no room, because the layout of memory differs, the rest is dropped.
 *
 * The file has been checked as a whole before; what does not fit here all the
 * same ends the loading.  Each entry is whole before it is in the store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cext_dump.h"
#include "cext_guc.h"
#include "cext_pattern.h"
#include "cext_state.h"
#include "cext_stats.h"
#include "cext_store.h"
#include "cext_version.h"

/*
 * Followed by tags, relations, key, arguments, payload, recipe.  The file is this
 * build's own, so the structs are as they are in memory, but for the pointers.
 */
typedef struct DumpedEntry
{
	CextIdent	id;
	CextEntryInfo info;
	uint32		payload_size;
	char		ns_name[CEXT_NAMESPACE_LENGTH]; /* numbers are a server run's */
} DumpedEntry;

#define PIECE	8192


/* ----------------------------------------------------------------
 *		At the end
 * ----------------------------------------------------------------
 */

static void
save_bytes(CextStateFile *file, CextReader *reader, uint32 left)
{
	char		piece[PIECE];

	while (left > 0)
	{
		uint32		n = Min(left, PIECE);

		cext_reader_copy(reader, piece, n);
		cext_state_write(file, piece, n);
		left -= n;
	}
}

static void
save_entry(CextStateFile *file, CextEntry *e)
{
	DumpedEntry d;
	CextReader	reader;
	Oid			dbid;

	memset(&d, 0, sizeof(d));
	cext_entry_describe(e, &d.id, &d.info);
	d.id.key = d.id.args = NULL;
	d.info.tags = NULL;
	d.info.rels = NULL;
	d.info.hits = pg_atomic_read_u32(&e->hits);
	d.info.recipe_size = e->recipe_size;
	d.payload_size = e->payload_size;
	if (!cext_stats_namespace_name(e->ns, &dbid, d.ns_name) || e->ns == 0)
		d.ns_name[0] = '\0';
	cext_state_write(file, &d, sizeof(d));
	cext_state_write(file, CEXT_ENTRY_TAGS(e), e->ntags * sizeof(uint32));
	cext_state_write(file, CEXT_ENTRY_RELS(e), e->nrels * sizeof(Oid));
	cext_state_write(file, CEXT_ENTRY_KEY(e), e->keylen);
	cext_state_write(file, CEXT_ENTRY_ARGS(e), e->argslen);
	cext_store_read(&reader, e);
	save_bytes(file, &reader, e->payload_size);
	cext_store_read_recipe(&reader, e);
	save_bytes(file, &reader, e->recipe_size);
}

static void
save_entries(CextStateFile *file)
{
	TimestampTz now = GetCurrentTimestamp();
	uint32		bucket = 0;
	CextEntry  *e = NULL;

	while (cext_save_entries &&
		   (e = cext_store_next_unlocked(&bucket, e)) != NULL)
		if (e->expires > now && (e->flags & CEXT_ENTRY_RECOVERY) == 0 &&
			!cext_version_surely_dead(e->stamp, CEXT_ENTRY_TAGS(e), e->ntags))
			save_entry(file, e);
}


/* ----------------------------------------------------------------
 *		At the start
 * ----------------------------------------------------------------
 */

/* Room for what follows an entry, kept from one to the next. */
typedef struct LoadBuffer
{
	char	   *data;
	Size		size;
} LoadBuffer;

static void
insert(DumpedEntry *d, char *p)
{
	d->info.tags = (uint32 *) p;
	p += d->info.ntags * sizeof(uint32);
	d->info.rels = (Oid *) p;
	p += d->info.nrels * sizeof(Oid);
	d->id.key = p;
	p += d->id.keylen;
	d->id.args = p;
	p += d->id.argslen;
	d->info.recipe = p + d->payload_size;
	d->info.ns = cext_stats_restore_namespace(d->id.dbid, d->ns_name);
	(void) cext_store_insert(&d->id, &d->info, p, d->payload_size);
}

/* Load one.  False if the file does not hold what it should. */
static bool
load_entry(CextStateFile *file, TimestampTz now, LoadBuffer *buf)
{
	DumpedEntry d;
	uint64		size;

	if (!cext_state_read(file, &d, sizeof(d)))
		return false;
	if (d.id.keylen < 1 || d.id.keylen > CEXT_MAX_KEY || d.id.argslen < 0 ||
		d.info.ntags < 0 || d.info.nrels < 0)
		return false;
	size = ((uint64) d.info.ntags + d.info.nrels) * sizeof(uint32) + d.id.keylen +
		d.id.argslen + d.payload_size + d.info.recipe_size;
	if (size > cext_state_left(file))
		return false;
	if (size > buf->size)
	{
		if (buf->data != NULL)
			pfree(buf->data);
		buf->size = 0;
		buf->data = MemoryContextAllocExtended(CurrentMemoryContext, size,
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (buf->data == NULL)
			return false;
		buf->size = size;
	}
	if (!cext_state_read(file, buf->data, size))
		return false;

	/* its time went on while the server was down */
	if (d.info.expires > now &&
		cext_version_tags_exist((uint32 *) buf->data, d.info.ntags))
		insert(&d, buf->data);
	return true;
}

static bool
load_entries(CextStateFile *file)
{
	TimestampTz now = GetCurrentTimestamp();
	LoadBuffer	buf = {NULL, 0};
	bool		ok = true;

	while (ok && cext_state_left(file) > 0)
		ok = load_entry(file, now, &buf);
	if (buf.data != NULL)
		pfree(buf.data);

	/* evictions may have been counted; children have counters of their own */
	cext_my_stats = NULL;
	return ok;
}

void
cext_dump_init(void)
{
	static const CextStateSection section = {"entries", save_entries, load_entries};

	cext_state_register(&section);
}
