/*-------------------------------------------------------------------------
 *
 * cext_event.c
 *		What the current transaction will announce through the relay.
 *
 * The tags of cext_inval.c are numbers; whoever listens to the relay wants
 * names.  So while the relay is on, keys, patterns and tables are collected as
 * text too, once each, as the items of one record of cext_ring.c.  Each has
 * the nesting level of its subtransaction: ROLLBACK TO SAVEPOINT cuts the
 * buffer off where the subtransaction began.
 *
 * The text is UTF-8, as JSON wants it and most applications write their keys.
 * What the server's encoding cannot convert, and SQL_ASCII, is left as it is;
 * cext_relay_json.c knows how to say that.
 *
 * A transaction with more than the queue takes from one, or that has
 * invalidated something while the relay was still off, is "incomplete": nothing
 * of it is queued, and its commit asks for a flush.  So does what is invalidated
 * after PRE_COMMIT, by another library's callback.
 *
 * Memory: TopTransactionContext.  Collecting may throw, as it happens where the
 * transaction may still fail; reserving and resolving do not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cext_event.h"
#include "cext_pattern.h"

/* An item, by its place in the buffer. */
typedef struct ItemEntry
{
	uint32		offset;
	char		status;
} ItemEntry;

static char *items;				/* the buffer */

static inline const CextRelayItem *
item_at(uint32 offset)
{
	return (const CextRelayItem *) (items + offset);
}

static inline uint32
item_hash(uint32 offset)
{
	const CextRelayItem *item = item_at(offset);

	return hash_bytes((const unsigned char *) item->data, item->len) + item->type;
}

static inline bool
item_equal(uint32 a, uint32 b)
{
	const CextRelayItem *x = item_at(a);
	const CextRelayItem *y = item_at(b);

	return x->type == y->type && x->len == y->len &&
		memcmp(x->data, y->data, x->len) == 0;
}

#define SH_PREFIX itemset
#define SH_ELEMENT_TYPE ItemEntry
#define SH_KEY_TYPE uint32
#define SH_KEY offset
#define SH_HASH_KEY(tb, key) item_hash(key)
#define SH_EQUAL(tb, a, b) item_equal(a, b)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* All valid in the current transaction only. */
static Size items_len;
static Size items_size;
static itemset_hash *item_set;
static uint32 *offsets;			/* in order of addition */
static int *levels;				/* ascending */
static int	nitems;
static int	offsets_size;
static int	incomplete;			/* nesting level of what is not among them, or
								 * 0 */
static CextFlushReason why_incomplete;
static bool reserving_done;		/* our PRE_COMMIT has run */
static CextRelayRecord *reserved;

bool		cext_event_missed;


/* ----------------------------------------------------------------
 *		Collecting
 * ----------------------------------------------------------------
 */

/* In UTF-8 if that can be; else as it is. */
static const char *
to_utf8(const char *str, int *len)
{
	int			encoding = GetDatabaseEncoding();
	char	   *buf;
	Oid			proc;
	bool		ascii = true;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return str;
	for (int i = 0; i < *len && ascii; i++)
		ascii = !IS_HIGHBIT_SET(str[i]);
	if (ascii)
		return str;
	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(proc))
		return str;
	buf = palloc(*len * MAX_CONVERSION_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(proc, encoding, PG_UTF8,
									  (unsigned char *) str, *len,
									  (unsigned char *) buf,
									  *len * MAX_CONVERSION_GROWTH + 1, true) < *len)
		return str;
	*len = strlen(buf);
	return buf;
}

/* As it is; false if the record would get too large. */
static bool
append_item(CextRelayType type, const char *str, int len)
{
	Size		need = items_len + CEXT_RELAY_ITEM_SIZE(len);
	CextRelayItem *item;

	if (len > CEXT_RELAY_ITEM_MAX || need > cext_ring_max_len())
		return false;
	if (need > items_size)
	{
		Size		size = Max(2 * items_size, need);

		items = repalloc(items, size);
		items_size = size;
	}
	item = (CextRelayItem *) (items + items_len);
	item->type = type;
	item->unused = 0;
	item->len = len;
	memcpy(item->data, str, len);
	return true;
}

/* Every record begins with the database's name. */
static void
begin(void)
{
	char	   *name = get_database_name(MyDatabaseId);
	const char *utf8;
	int			len;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	if (name == NULL)
		name = pstrdup("");
	len = strlen(name);
	utf8 = to_utf8(name, &len);
	items_size = 1024;
	items_len = 0;
	offsets_size = 32;
	offsets = palloc(offsets_size * sizeof(uint32));
	levels = palloc(offsets_size * sizeof(int));
	item_set = itemset_create(TopTransactionContext, 32, NULL);
	items = palloc(items_size);
	MemoryContextSwitchTo(old);
	if (append_item(CEXT_RELAY_DATABASE, utf8, len))
		items_len += CEXT_RELAY_ITEM_SIZE(len);
}

static void
add(CextRelayType type, const char *str, int len)
{
	bool		found;

	if (incomplete > 0)
		return;
	if (items == NULL)
		begin();
	if (reserving_done || !append_item(type, str, len))
	{
		incomplete = GetCurrentTransactionNestLevel();
		why_incomplete = reserving_done ? CEXT_FLUSH_LATE : CEXT_FLUSH_OVERFLOW;
		return;
	}

	/* grow before the set knows the item: an error leaves both consistent */
	if (nitems == offsets_size)
	{
		offsets = repalloc(offsets, 2 * offsets_size * sizeof(uint32));
		levels = repalloc(levels, 2 * offsets_size * sizeof(int));
		offsets_size *= 2;
	}
	itemset_insert(item_set, (uint32) items_len, &found);
	if (found)
		return;
	offsets[nitems] = (uint32) items_len;
	levels[nitems++] = GetCurrentTransactionNestLevel();
	items_len += CEXT_RELAY_ITEM_SIZE(len);
}

/*
 * A pattern longer than any key is cut down to the literal text it starts
 * with: it then matches more.
 */
static void
add_long_pattern(const char *str, int len)
{
	StringInfoData literal;
	StringInfoData cut;

	initStringInfo(&literal);
	initStringInfo(&cut);
	cext_pattern_classify(str, len, &literal);
	cext_pattern_append_escaped(&cut, literal.data,
								pg_encoding_mbcliplen(PG_UTF8, literal.data, literal.len,
													  CEXT_MAX_KEY));
	appendStringInfoChar(&cut, '*');
	add(CEXT_RELAY_PATTERN, cut.data, cut.len);
	pfree(cut.data);
	pfree(literal.data);
}

/* Only while the relay is on; see cext_event(). */
void
cext_event_add(CextRelayType type, const char *str, int len)
{
	const char *utf8 = to_utf8(str, &len);

	if (type == CEXT_RELAY_PATTERN && len > CEXT_RELAY_ITEM_MAX)
		add_long_pattern(utf8, len);
	else
		add(type, utf8, len);
	if (utf8 != str)
		pfree(unconstify(char *, utf8));
}

/* A table; one that is temporary, or not there yet, nobody else has cached. */
void
cext_event_add_table(Oid relid)
{
	char	   *table = get_rel_name(relid);
	char	   *schema = table == NULL ? NULL :
		get_namespace_name(get_rel_namespace(relid));
	StringInfoData buf;
	const char *utf8;
	int			len;

	if (schema == NULL || get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	initStringInfo(&buf);
	len = strlen(schema);
	utf8 = to_utf8(schema, &len);
	appendBinaryStringInfo(&buf, utf8, len);
	appendStringInfoChar(&buf, '\0');
	len = strlen(table);
	utf8 = to_utf8(table, &len);
	appendBinaryStringInfo(&buf, utf8, len);
	add(CEXT_RELAY_TABLE, buf.data, buf.len);
	pfree(buf.data);
}


/* ----------------------------------------------------------------
 *		Transaction events, as cext_inval.c passes them on
 * ----------------------------------------------------------------
 */

void
cext_event_end_sub(bool commit, int level)
{
	if (commit)
	{
		for (int i = nitems - 1; i >= 0 && levels[i] >= level; i--)
			levels[i] = level - 1;
		if (incomplete >= level)
			incomplete = level - 1;
		return;
	}
	while (nitems > 0 && levels[nitems - 1] >= level)
	{
		nitems--;
		itemset_delete(item_set, offsets[nitems]);
		items_len = offsets[nitems];
	}
	if (incomplete >= level)
		incomplete = 0;
}

/*
 * PRE_COMMIT, after the tags were published: whoever turns the relay on after
 * the look at the switch below waits until this transaction is through.
 */
void
cext_event_reserve(void)
{
	reserving_done = true;
	if (likely(!cext_relay_on()) || RecoveryInProgress())
	{
		incomplete = 0;
		return;
	}
	if (cext_event_missed && incomplete == 0)
	{
		incomplete = 1;
		why_incomplete = CEXT_FLUSH_ENABLED;
	}
	if (nitems == 0 || incomplete > 0)
		return;
	reserved = cext_ring_reserve(items, items_len,
								 GetDatabaseEncoding() == PG_SQL_ASCII ?
								 PG_SQL_ASCII : PG_UTF8);
	if (reserved == NULL)
	{
		incomplete = 1;
		why_incomplete = CEXT_FLUSH_OVERFLOW;
	}
}

/* It has ended, one way or the other. */
void
cext_event_resolve(bool committed)
{
	if (reserved != NULL)
		cext_relay_resolve(reserved, committed);
	if (unlikely(incomplete > 0) && committed)
		cext_relay_lost(why_incomplete);
}

void
cext_event_forget(void)
{
	/* the memory goes with TopTransactionContext */
	items = NULL;
	items_len = items_size = 0;
	item_set = NULL;
	offsets = NULL;
	levels = NULL;
	nitems = offsets_size = 0;
	incomplete = 0;
	reserving_done = cext_event_missed = false;
	reserved = NULL;
}
