/*-------------------------------------------------------------------------
 *
 * cext_entry.c
 *		What an entry is made of.
 *
 * A head: what is known of it, tags, relations, key and arguments, all in one
 * piece; then the payload, and what was added later, in whatever pieces.  Where
 * the memory is, who may see it and when it goes is the store's matter, or that
 * of whoever has a copy.  Nothing here throws, locks or allocates.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cext_entry.h"

/* Is it the entry of this identity? */
bool
cext_entry_is(const CextEntry *e, const CextIdent *id)
{
	return e->hash == id->hash &&
		e->dbid == id->dbid &&
		e->roleid == id->roleid &&
		e->form == id->form &&
		e->keylen == id->keylen &&
		e->argslen == id->argslen &&
		memcmp(e->seed, id->seed, CEXT_SEED_SIZE) == 0 &&
		memcmp(CEXT_ENTRY_KEY(e), id->key, id->keylen) == 0 &&
		memcmp(CEXT_ENTRY_ARGS(e), id->args, id->argslen) == 0;
}

/* The size of its head, which is where the payload begins. */
Size
cext_entry_head(const CextIdent *id, const CextEntryInfo *info)
{
	return MAXALIGN(MAXALIGN(sizeof(CextEntry)) + info->ntags * sizeof(uint32) +
					info->nrels * sizeof(Oid) + id->keylen + id->argslen);
}

/* Write the head of a new entry, for a payload of this size. */
void
cext_entry_begin(CextEntry *e, Size head, const CextIdent *id, const CextEntryInfo *info,
				 Size size)
{
	memset(e, 0, sizeof(CextEntry));
	pg_atomic_init_u32(&e->refs, 1);
	pg_atomic_init_u32(&e->hits, info->hits);
	pg_atomic_init_u64(&e->globs, info->globs);
	pg_atomic_init_u64(&e->refresh,
					   info->refresh == 0 ? CEXT_NO_REFRESH : (uint64) info->refresh);
	e->hash = id->hash;
	e->stamp = info->stamp;
	e->created = info->created;
	e->expires = info->expires;
	e->xmax = info->xmax;
	e->dbid = id->dbid;
	e->roleid = id->roleid;
	e->payload_size = size;
	e->payload_offset = head;
	e->recipe_size = info->recipe_size;
	e->nrows = info->nrows;
	e->fill_us = info->fill_us;
	e->checksum = info->checksum;
	e->keylen = id->keylen;
	e->argslen = id->argslen;
	e->ntags = info->ntags;
	e->nrels = info->nrels;
	e->ns = info->ns;
	e->form = id->form;
	e->flags = info->flags;
	memcpy(e->seed, id->seed, CEXT_SEED_SIZE);
	memcpy(CEXT_ENTRY_TAGS(e), info->tags, info->ntags * sizeof(uint32));
	if (info->nrels > 0)
		memcpy(CEXT_ENTRY_RELS(e), info->rels, info->nrels * sizeof(Oid));
	memcpy(CEXT_ENTRY_KEY(e), id->key, id->keylen);
	memcpy(CEXT_ENTRY_ARGS(e), id->args, id->argslen);
}

/* What a pinned entry, or a copy, was stored with; points into it. */
void
cext_entry_describe(CextEntry *e, CextIdent *id, CextEntryInfo *info)
{
	memset(id, 0, sizeof(CextIdent));
	id->hash = e->hash;
	id->dbid = e->dbid;
	id->roleid = e->roleid;
	id->form = e->form;
	memcpy(id->seed, e->seed, CEXT_SEED_SIZE);
	id->key = CEXT_ENTRY_KEY(e);
	id->keylen = e->keylen;
	id->args = CEXT_ENTRY_ARGS(e);
	id->argslen = e->argslen;

	memset(info, 0, sizeof(CextEntryInfo));
	info->stamp = e->stamp;
	info->globs = pg_atomic_read_u64(&e->globs);
	info->created = e->created;
	info->expires = e->expires;
	info->refresh = pg_atomic_read_u64(&e->refresh);
	info->xmax = e->xmax;
	info->nrows = e->nrows;
	info->fill_us = e->fill_us;
	info->checksum = e->checksum;
	info->ns = e->ns;
	info->flags = e->flags & ~CEXT_ENTRY_PASSING;
	info->ntags = e->ntags;
	info->tags = CEXT_ENTRY_TAGS(e);
	info->nrels = e->nrels;
	info->rels = CEXT_ENTRY_RELS(e);
}
