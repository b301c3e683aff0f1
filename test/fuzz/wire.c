/*
 * test/fuzz/wire.c - mutated entries through the decoder
 *
 *	wire iterations [seed]
 *
 * src/cext_wire.c is part of this program, compiled with AddressSanitizer and
 * UndefinedBehaviorSanitizer; PostgreSQL's allocator is malloc() here, so that
 * every block has its exact size.  Every other mutation gets a right HMAC, as
 * if the key were known, to reach what is behind it.  Whatever is accepted is
 * read to its last byte.  Without a right HMAC nothing may be accepted.
 */
#include "../../src/cext_wire.c"

#include <stdio.h>
#include <stdlib.h>

#include "common/pg_prng.h"

#define SEEDS		64
#define MAX_PAYLOAD	(256 * 1024)

static pg_prng_state prng;
static long allocated;

/* what cext_wire.c takes from the server */
MemoryContext CurrentMemoryContext = NULL;

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	allocated++;
	return malloc(size);
}

void
pfree(void *pointer)
{
	allocated--;
	free(pointer);
}

static uint32
below(uint32 n)
{
	return n == 0 ? 0 : (uint32) (pg_prng_uint64(&prng) % n);
}

static void
fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void
random_bytes(void *p, Size len)
{
	for (Size i = 0; i < len; i++)
		((char *) p)[i] = (char) pg_prng_uint64(&prng);
}

/* ---- originals ---- */

typedef struct Original
{
	CextIdent	id;
	char		key[64];
	char		args[64];
	char	   *bytes;
	Size		length;
	uint8		epoch[CEXT_EPOCH_SIZE];
}			Original;

static Original originals[SEEDS];
static uint8 secret[CEXT_SECRET_SIZE];

/* Rows as cext_result.c lays them out. */
static Size
make_rows(char *buf, uint32 *nrows)
{
	uint32		natts = 1 + below(5);
	Size		size = MAXALIGN(sizeof(natts)) + MAXALIGN(natts * sizeof(CextColumn));

	memset(buf, 0, size);
	memcpy(buf, &natts, sizeof(natts));
	*nrows = below(below(4) == 0 ? 1000 : 20);
	for (uint32 i = 0; i < *nrows; i++)
	{
		MinimalTuple row = (MinimalTuple) (buf + size);
		uint32		data = below(100);

		memset(row, 0, MAXALIGN(SizeofMinimalTupleHeader + 1) + data + 8);
		row->t_hoff = MAXALIGN(SizeofHeapTupleHeader + 1);
		row->t_len = row->t_hoff - MINIMAL_TUPLE_OFFSET + data;
		row->t_infomask2 = natts;
		row->t_infomask = below(2) ? HEAP_HASNULL : 0;
		memset((char *) row + row->t_hoff - MINIMAL_TUPLE_OFFSET, 'a' + below(3), data);
		size += MAXALIGN(row->t_len);
	}
	return size;
}

static void
make_original(Original * o)
{
	static char payload[MAX_PAYLOAD];
	static const char forms[] = "rRjv";
	static const CextCompression hows[] = {
		CEXT_COMPRESSION_OFF, CEXT_COMPRESSION_PGLZ,
#ifdef CEXT_LZ4
		CEXT_COMPRESSION_LZ4,
#endif
#ifdef CEXT_ZSTD
		CEXT_COMPRESSION_ZSTD,
#endif
	};
	CextEntryInfo info;
	uint32		tags[40];
	Oid			rels[10];
	Size		size;

	memset(&info, 0, sizeof(info));
	random_bytes(&o->id.hash, sizeof(o->id.hash));
	o->id.dbid = below(5);
	o->id.roleid = below(5);
	o->id.form = forms[below(4)];
	random_bytes(o->id.seed, CEXT_SEED_SIZE);
	random_bytes(o->key, sizeof(o->key));
	random_bytes(o->args, sizeof(o->args));
	o->id.key = o->key;
	o->id.keylen = 1 + below(sizeof(o->key));
	o->id.args = o->args;
	o->id.argslen = below(sizeof(o->args));
	random_bytes(o->epoch, sizeof(o->epoch));
	random_bytes(tags, sizeof(tags));
	random_bytes(rels, sizeof(rels));
	info.stamp = pg_prng_uint64(&prng);
	info.expires = (TimestampTz) pg_prng_uint64(&prng);
	info.ntags = below(lengthof(tags));
	info.tags = tags;
	info.nrels = below(lengthof(rels));
	info.rels = rels;
	if (below(16) == 0)
	{
		info.flags = CEXT_ENTRY_VARIES;
		size = 0;
	}
	else if (o->id.form == 'r' || o->id.form == 'R')
		size = make_rows(payload, &info.nrows);
	else
	{
		size = VARHDRSZ + below(below(4) == 0 ? 100000 : 2000);
		memset(payload, 'x', size);
		random_bytes(payload + VARHDRSZ, below(size - VARHDRSZ));
		SET_VARSIZE_4B(payload, size);
	}
	o->bytes = cext_wire_encode(&o->id, &info, payload, size, o->epoch, secret,
								hows[below(lengthof(hows))], &o->length);
	if (o->bytes == NULL)
		fail("could not encode");
}

/* ---- mutations ---- */

static const uint64 numbers[] = {0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff,
0xffffffff, 0xfffffff8, MAX_PAYLOAD, MAX_PAYLOAD + 1, UINT64CONST(0xffffffffffffffff)};

static void
mutate(char *bytes, Size *length, Size room)
{
	const		Original *other = &originals[below(SEEDS)];
	Size		at = below(*length);
	Size		n;

	/* half of it in the header, where the lengths are */
	if (below(2) == 0)
		at = below(Min(*length, sizeof(WireHeader)));
	switch (below(8))
	{
		case 0:
			bytes[at] ^= 1 << below(8);
			break;
		case 1:
			bytes[at] = (char) pg_prng_uint64(&prng);
			break;
		case 2:
			n = Min((Size) 1 << below(4), *length - at);
			memcpy(bytes + at, &numbers[below(lengthof(numbers))], n);
			break;
		case 3:					/* a little more or less */
			bytes[at] += (char) (below(17) - 8);
			break;
		case 4:					/* shorter */
			*length = 1 + below(*length);
			break;
		case 5:					/* longer */
			n = Min(below(100), room - *length);
			random_bytes(bytes + *length, n);
			*length += n;
			break;
		case 6:					/* with a piece of another */
			n = Min(below(200), Min(*length - at, other->length));
			memcpy(bytes + at, other->bytes + below(other->length - n + 1), n);
			break;
		case 7:					/* with another's header, or the reverse */
			n = Min(sizeof(WireHeader), Min(*length, other->length));
			memcpy(bytes, other->bytes, n);
			break;
	}
}

/* As if the key were known: all but the HMAC as it is. */
static void
sign(char *bytes, Size length)
{
	WireHeader	header;

	if (length < sizeof(header))
		return;
	memcpy(&header, bytes, sizeof(header));
	if (below(4) != 0)
	{
		/* and lengths that add up, more often than by chance */
		Size		rest = length - sizeof(header);
		Size		middle = header.ntags * sizeof(uint32) + header.nrels * sizeof(Oid) +
			header.keylen + header.argslen;

		if (middle <= rest)
			header.stored_size = rest - middle;
	}
	if (!compute_mac(&header, bytes + sizeof(header), length - sizeof(header), secret, header.mac))
		fail("could not sign");
	memcpy(bytes, &header, sizeof(header));
}

/* ---- reading what was accepted ---- */

static uint64 sum;

static void
touch(const void *p, Size len)
{
	for (Size i = 0; i < len; i++)
		sum = sum * 31 + ((const unsigned char *) p)[i];
}

static void
walk(CextEntry *e)
{
	const char *p = (const char *) e + e->payload_offset;

	for (int i = 0; i < e->ntags; i++)
		sum += CEXT_ENTRY_TAGS(e)[i];
	for (int i = 0; i < e->nrels; i++)
		sum += CEXT_ENTRY_RELS(e)[i];
	touch(CEXT_ENTRY_KEY(e), e->keylen);
	touch(CEXT_ENTRY_ARGS(e), e->argslen);
	if ((e->flags & CEXT_ENTRY_VARIES) != 0)
		return;
	if (e->form == 'r' || e->form == 'R')
	{
		uint32		natts;

		/* as cext_rows_replay() does */
		memcpy(&natts, p, sizeof(natts));
		p += MAXALIGN(sizeof(natts));
		touch(p, natts * sizeof(CextColumn));
		p += MAXALIGN(natts * sizeof(CextColumn));
		for (uint32 i = 0; i < e->nrows; i++)
		{
			MinimalTuple row = (MinimalTuple) p;

			touch(row, row->t_len);
			if (row->t_infomask & HEAP_HASNULL)
				touch(row->t_bits, BITMAPLEN(HeapTupleHeaderGetNatts(row)));
			touch((char *) row + row->t_hoff - MINIMAL_TUPLE_OFFSET,
				  row->t_len - (row->t_hoff - MINIMAL_TUPLE_OFFSET));
			p += MAXALIGN(row->t_len);
		}
	}
	else
		touch(p, VARSIZE_4B(p));
}

int
main(int argc, char **argv)
{
	long		iterations = argc > 1 ? atol(argv[1]) : 1000000;
	uint64		seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	long		verdicts[2][3] = {{0}};
	static char work[2 * MAX_PAYLOAD];

	pg_prng_seed(&prng, seed);
	random_bytes(secret, sizeof(secret));
	for (int i = 0; i < SEEDS; i++)
	{
		Original   *o = &originals[i];
		CextEntry  *e = NULL;

		make_original(o);
		if (cext_wire_decode(o->bytes, o->length, &o->id, o->epoch, secret, MAX_PAYLOAD,
							 NULL, &e) != CEXT_WIRE_GOOD)
			fail("an original was not accepted");
		walk(e);
		pfree(e);
	}

	for (long i = 0; i < iterations; i++)
	{
		Original   *o = &originals[below(SEEDS)];
		Size		length = o->length;
		int			is_signed = i & 1;
		long		before = allocated;
		CextEntry  *e = NULL;
		CextWireVerdict verdict;
		char	   *bytes;

		memcpy(work, o->bytes, length);
		for (int n = 1 + below(4); n > 0; n--)
			mutate(work, &length, sizeof(work));
		if (is_signed)
			sign(work, length);
		bytes = malloc(length);
		memcpy(bytes, work, length);
		verdict = cext_wire_decode(bytes, length, &o->id, o->epoch, secret, MAX_PAYLOAD,
								   NULL, &e);
		verdicts[is_signed][verdict]++;
		if (verdict == CEXT_WIRE_GOOD)
		{
			if (!is_signed && (length != o->length || memcmp(bytes, o->bytes, length) != 0))
				fail("a forged entry was accepted");
			walk(e);
			pfree(e);
		}
		if (allocated != before)
			fail("memory was leaked");
		free(bytes);
	}
	printf("%ld mutations, seed %llu\n", iterations, (unsigned long long) seed);
	for (int s = 0; s < 2; s++)
		printf("%s: %ld refused, %ld of other identity, %ld accepted\n",
			   s ? "signed" : "unsigned", verdicts[s][CEXT_WIRE_ODD],
			   verdicts[s][CEXT_WIRE_OTHER], verdicts[s][CEXT_WIRE_GOOD]);
	return 0;
}
