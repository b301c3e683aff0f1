/*-------------------------------------------------------------------------
 *
 * cext_wire.c
 *		Entries as bytes that can be trusted when they come back.
 *
 * A fixed header, then tags, relations, key, arguments and payload.  The header
 * has all lengths, the whole identity, and an HMAC-SHA-256 (RFC 2104) of
 * everything, with a key that only this server knows.  Nothing behind the
 * header is looked at before the lengths add up to what is there and the HMAC
 * is right; so what follows handles our own bytes or none.
 *
 * What the HMAC cannot tell is whether these bytes answer this question: that
 * is what the epoch and the identity are compared for, byte for byte.
 *
 * Integers are in the machine's order: an epoch never leaves the machine.
 * Standbys share one across machines, and need the same order and alignment,
 * as physical replication does.
 *
 * Payloads are compressed with LZ4, ZSTD or PostgreSQL's pglz, if that makes
 * them smaller by an eighth at least.  Each entry says how it was.
 *
 * Nothing here throws.  No memory is a failure like any other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef CEXT_LZ4
#include <lz4.h>
#endif
#ifdef CEXT_ZSTD
#include <zstd.h>
#endif

#include "access/htup_details.h"
#include "common/hmac.h"
#include "common/pg_lzcompress.h"
#include "common/sha2.h"
#include "utils/memutils.h"

#include "cext_compat.h"
#include "cext_result.h"
#include "cext_wire.h"

#define WIRE_MAGIC		0x31545843	/* "CXT1" */
#define WIRE_MAC_SIZE	PG_SHA256_DIGEST_LENGTH
#define MIN_COMPRESSED	1024

typedef struct WireHeader
{
	uint32		magic;
	char		form;
	uint8		flags;
	uint8		compression;
	uint8		reserved;
	uint8		mac[WIRE_MAC_SIZE]; /* of all, with this as zeros */
	uint8		epoch[CEXT_EPOCH_SIZE];
	uint8		seed[CEXT_SEED_SIZE];
	uint64		stamp;
	uint64		globs;
	uint64		xmax;
	int64		created;
	int64		expires;
	int64		refresh;		/* when a hit is to think of computing it anew */
	uint32		dbid;
	uint32		roleid;
	uint32		nrows;
	uint32		fill_us;
	uint32		payload_size;	/* as it was */
	uint32		stored_size;	/* as it is here */
	uint32		checksum;		/* of the payload, for comparisons */
	uint32		reserved2;
	uint16		keylen;
	uint16		argslen;
	uint16		ntags;
	uint16		nrels;
} WireHeader;


/* ----------------------------------------------------------------
 *		Compression
 * ----------------------------------------------------------------
 */

/* Returns the compressed size, or 0 if it is not worth it. */
static Size
compress(CextCompression how, const char *src, Size size, char *dest, Size room)
{
	int64		n = 0;

	if (size < MIN_COMPRESSED || size > INT_MAX / 2)
		return 0;
	switch (how)
	{
		case CEXT_COMPRESSION_OFF:
			break;
		case CEXT_COMPRESSION_PGLZ:
			if (room >= PGLZ_MAX_OUTPUT(size))
				n = pglz_compress(src, size, dest, PGLZ_strategy_default);
			break;
		case CEXT_COMPRESSION_LZ4:
#ifdef CEXT_LZ4
			n = LZ4_compress_default(src, dest, size, room);
#endif
			break;
		case CEXT_COMPRESSION_ZSTD:
#ifdef CEXT_ZSTD
			{
				size_t		rc = ZSTD_compress(dest, room, src, size, 1);

				n = ZSTD_isError(rc) ? 0 : rc;
			}
#endif
			break;
	}
	return n > 0 && n <= size - size / 8 ? n : 0;
}

/* False unless exactly the expected size comes out. */
static bool
decompress(int how, const char *src, Size stored, char *dest, Size size)
{
	switch (how)
	{
		case CEXT_COMPRESSION_OFF:
			if (stored != size)
				return false;
			if (size > 0)
				memcpy(dest, src, size);
			return true;
		case CEXT_COMPRESSION_PGLZ:
			return pglz_decompress(src, stored, dest, size, true) == size;
#ifdef CEXT_LZ4
		case CEXT_COMPRESSION_LZ4:
			return LZ4_decompress_safe(src, dest, stored, size) == size;
#endif
#ifdef CEXT_ZSTD
		case CEXT_COMPRESSION_ZSTD:
			return ZSTD_decompress(dest, size, src, stored) == size;
#endif
		default:
			return false;
	}
}


/* ----------------------------------------------------------------
 *		Authentication
 * ----------------------------------------------------------------
 */

static bool
compute_mac(const WireHeader *header, const char *rest, Size len,
			const uint8 *secret, uint8 *mac)
{
	WireHeader	blank = *header;
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);
	bool		ok;

	if (ctx == NULL)
		return false;
	memset(blank.mac, 0, WIRE_MAC_SIZE);
	ok = pg_hmac_init(ctx, secret, CEXT_SECRET_SIZE) >= 0 &&
		pg_hmac_update(ctx, (const uint8 *) &blank, sizeof(blank)) >= 0 &&
		pg_hmac_update(ctx, (const uint8 *) rest, len) >= 0 &&
		pg_hmac_final(ctx, mac, WIRE_MAC_SIZE) >= 0;
	pg_hmac_free(ctx);
	return ok;
}

/* In a time that does not depend on where they differ. */
static bool
same_mac(const uint8 *a, const uint8 *b)
{
	uint8		differ = 0;

	for (int i = 0; i < WIRE_MAC_SIZE; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}


/* ----------------------------------------------------------------
 *		Encoding and decoding
 * ----------------------------------------------------------------
 */

static char *
append(char *p, const void *data, Size len)
{
	if (len > 0)
		memcpy(p, data, len);
	return p + len;
}

/*
 * The bytes of an entry, palloc'd; NULL if that fails.
 */
char *
cext_wire_encode(const CextIdent *id, const CextEntryInfo *info,
				 const char *payload, Size size, const uint8 *epoch,
				 const uint8 *secret, CextCompression compression, Size *length)
{
	WireHeader	header;
	Size		middle = info->ntags * sizeof(uint32) + info->nrels * sizeof(Oid) +
		id->keylen + id->argslen;
	Size		room = compression == CEXT_COMPRESSION_PGLZ ? PGLZ_MAX_OUTPUT(size) : size;
	Size		stored;
	char	   *bytes;
	char	   *p;

	if (info->ntags > PG_UINT16_MAX || info->nrels > PG_UINT16_MAX ||
		size > MaxAllocSize)
		return NULL;
	bytes = MemoryContextAllocExtended(CurrentMemoryContext,
									   sizeof(header) + middle + room,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (bytes == NULL)
		return NULL;
	memset(&header, 0, sizeof(header));
	header.magic = WIRE_MAGIC;
	header.form = id->form;
	header.flags = info->flags;
	memcpy(header.epoch, epoch, CEXT_EPOCH_SIZE);
	memcpy(header.seed, id->seed, CEXT_SEED_SIZE);
	header.stamp = info->stamp;
	header.globs = info->globs;
	header.xmax = info->xmax;
	header.created = info->created;
	header.expires = info->expires;
	header.refresh = info->refresh == 0 ? CEXT_NO_REFRESH : info->refresh;
	header.dbid = id->dbid;
	header.roleid = id->roleid;
	header.nrows = info->nrows;
	header.fill_us = info->fill_us;
	header.checksum = info->checksum;
	header.payload_size = size;
	header.keylen = id->keylen;
	header.argslen = id->argslen;
	header.ntags = info->ntags;
	header.nrels = info->nrels;

	p = bytes + sizeof(header);
	p = append(p, info->tags, info->ntags * sizeof(uint32));
	p = append(p, info->rels, info->nrels * sizeof(Oid));
	p = append(p, id->key, id->keylen);
	p = append(p, id->args, id->argslen);
	stored = compress(compression, payload, size, p, room);
	if (stored > 0)
		header.compression = compression;
	else
	{
		append(p, payload, size);
		stored = size;
	}
	header.stored_size = stored;
	if (!compute_mac(&header, bytes + sizeof(header), middle + stored, secret, header.mac))
	{
		pfree(bytes);
		return NULL;
	}
	memcpy(bytes, &header, sizeof(header));
	*length = sizeof(header) + middle + stored;
	return bytes;
}

/* Is it ours, whole, and not of another epoch? */
static CextWireVerdict
check_bytes(const WireHeader *header, const char *bytes, Size length,
			const uint8 *epoch, const uint8 *secret, Size max_payload)
{
	uint8		mac[WIRE_MAC_SIZE];

	if (header->magic != WIRE_MAGIC ||
		header->payload_size > max_payload ||
		header->stored_size > header->payload_size ||
		length != sizeof(WireHeader) + header->ntags * sizeof(uint32) +
		header->nrels * sizeof(Oid) + header->keylen + header->argslen +
		(Size) header->stored_size)
		return CEXT_WIRE_ODD;
	if (!compute_mac(header, bytes + sizeof(WireHeader), length - sizeof(WireHeader),
					 secret, mac) ||
		!same_mac(mac, header->mac))
		return CEXT_WIRE_ODD;
	return memcmp(header->epoch, epoch, CEXT_EPOCH_SIZE) == 0 ?
		CEXT_WIRE_GOOD : CEXT_WIRE_OTHER;
}

static bool
same_identity(const WireHeader *header, const char *key, const char *args,
			  const CextIdent *id)
{
	return header->dbid == id->dbid &&
		header->roleid == id->roleid &&
		header->form == id->form &&
		header->keylen == id->keylen &&
		header->argslen == id->argslen &&
		memcmp(header->seed, id->seed, CEXT_SEED_SIZE) == 0 &&
		memcmp(key, id->key, id->keylen) == 0 &&
		memcmp(args, id->args, id->argslen) == 0;
}

/*
 * Does a payload of rows (see cext_result.c) add up: columns, and so many
 * minimal tuples?  The HMAC says so already; this keeps a mistake elsewhere
 * from reading past the end.  What is within an attribute is not looked at.
 */
static bool
rows_add_up(const char *payload, Size size, uint32 nrows)
{
	uint32		natts;
	Size		pos = MAXALIGN(sizeof(natts));

	if (size < pos)
		return false;
	memcpy(&natts, payload, sizeof(natts));
	if (natts > MaxTupleAttributeNumber)
		return false;
	pos += MAXALIGN(natts * sizeof(CextColumn));
	for (uint32 i = 0; i < nrows; i++)
	{
		const MinimalTupleData *row = (const MinimalTupleData *) (payload + pos);
		Size		header;

		if (pos > size || size - pos < SizeofMinimalTupleHeader ||
			row->t_len < SizeofMinimalTupleHeader || row->t_len > size - pos)
			return false;
		header = row->t_hoff;
		if (HeapTupleHeaderGetNatts(row) > natts ||
			header < MINIMAL_TUPLE_OFFSET + SizeofMinimalTupleHeader +
			((row->t_infomask & HEAP_HASNULL) != 0 ?
			 BITMAPLEN(HeapTupleHeaderGetNatts(row)) : 0) ||
			header > MINIMAL_TUPLE_OFFSET + row->t_len)
			return false;
		pos += MAXALIGN(row->t_len);
	}
	return pos == size;
}

/* And the one datum that anything else is? */
static bool
datum_adds_up(const char *payload, Size size)
{
	return size >= VARHDRSZ && VARATT_IS_4B_U(payload) &&
		VARSIZE_4B(payload) >= VARHDRSZ && VARSIZE_4B(payload) <= size;
}

static bool
payload_adds_up(const CextEntry *e)
{
	const char *payload = (const char *) e + e->payload_offset;

	if ((e->flags & CEXT_ENTRY_VARIES) != 0)
		return e->payload_size == 0;
	return e->form == 'r' || e->form == 'R' ?
		rows_add_up(payload, e->payload_size, e->nrows) :
		datum_adds_up(payload, e->payload_size);
}

/*
 * The entry in these bytes, if it is the one asked for: in one piece of the
 * context's memory, laid out as in shared memory, and belonging to nobody else.
 */
CextWireVerdict
cext_wire_decode(const char *bytes, Size length, const CextIdent *id,
				 const uint8 *epoch, const uint8 *secret, Size max_payload,
				 MemoryContext context, CextEntry **entry)
{
	WireHeader	header;
	CextWireVerdict verdict;
	Size		tags_size;
	Size		rels_size;
	Size		head;
	const char *p = bytes + sizeof(header);
	CextEntry  *e;

	if (length < sizeof(header))
		return CEXT_WIRE_ODD;
	memcpy(&header, bytes, sizeof(header));
	verdict = check_bytes(&header, bytes, length, epoch, secret, max_payload);
	if (verdict != CEXT_WIRE_GOOD)
		return verdict;
	tags_size = header.ntags * sizeof(uint32);
	rels_size = header.nrels * sizeof(Oid);
	if (!same_identity(&header, p + tags_size + rels_size,
					   p + tags_size + rels_size + header.keylen, id))
		return CEXT_WIRE_OTHER;

	head = MAXALIGN(MAXALIGN(sizeof(CextEntry)) + tags_size + rels_size +
					header.keylen + header.argslen);
	e = MemoryContextAllocExtended(context, head + header.payload_size,
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (e == NULL)
		return CEXT_WIRE_OTHER;
	memset(e, 0, sizeof(CextEntry));
	pg_atomic_init_u32(&e->refs, 1);
	pg_atomic_init_u32(&e->hits, 0);
	pg_atomic_init_u64(&e->globs, header.globs);
	pg_atomic_init_u64(&e->refresh, header.refresh);
	e->hash = id->hash;
	e->stamp = header.stamp;
	e->created = header.created;
	e->expires = header.expires;
	e->xmax = header.xmax;
	e->dbid = header.dbid;
	e->roleid = header.roleid;
	e->payload_size = header.payload_size;
	e->payload_offset = head;
	e->nrows = header.nrows;
	e->fill_us = header.fill_us;
	e->checksum = header.checksum;
	e->keylen = header.keylen;
	e->argslen = header.argslen;
	e->ntags = header.ntags;
	e->nrels = header.nrels;
	e->form = header.form;
	e->flags = (header.flags & ~CEXT_ENTRY_PASSING) | CEXT_ENTRY_LOCAL;
	memcpy(e->seed, header.seed, CEXT_SEED_SIZE);
	append((char *) CEXT_ENTRY_TAGS(e), p, tags_size + rels_size +
		   header.keylen + header.argslen);
	p += tags_size + rels_size + header.keylen + header.argslen;
	if (!decompress(header.compression, p, header.stored_size,
					(char *) e + head, header.payload_size) ||
		!payload_adds_up(e))
	{
		pfree(e);
		return CEXT_WIRE_ODD;
	}
	*entry = e;
	return CEXT_WIRE_GOOD;
}
