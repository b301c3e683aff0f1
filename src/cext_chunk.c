/*-------------------------------------------------------------------------
 *
 * cext_chunk.c
 *		The store's memory: chains of chunks.
 *
 * An array of chunks of 256 bytes, all there ever is, and a bitmap of those
 * that are free.  What is stored is a chain of chunks; the links are in an
 * array of their own, so chunks with consecutive numbers are one piece of
 * memory, and a reader usually gets a row without copying it.  No allocator
 * that can throw, and no fragmentation that could keep a free chunk from being
 * used, except for what must be in one piece.
 *
 * The bitmap is protected by the store's alloc_lock.  A chain belongs to whoever
 * allocated it until it is published, and does not change from then on until it
 * is released; readers need no lock here, only the pin that prevents that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "cext_chunk.h"

typedef struct ChunkPool
{
	uint32		nchunks;		/* a multiple of 64; constant */
	uint32		free;
	uint32		cursor;			/* where the next search starts */
} ChunkPool;

char	   *cext_chunk_base;

static ChunkPool *pool;
static uint64 *bitmap;			/* one is free */
static uint32 *links;			/* next chunk of a chain */

Size
cext_chunk_shmem_size(uint32 nchunks)
{
	return CACHELINEALIGN(sizeof(ChunkPool)) +
		CACHELINEALIGN((Size) nchunks * sizeof(uint32)) +
		CACHELINEALIGN((Size) nchunks / 8) +
		(Size) nchunks * CEXT_CHUNK_SIZE;
}

void
cext_chunk_shmem_init(uint32 nchunks)
{
	bool		found;
	char	   *p = ShmemInitStruct("cache_ext chunks",
									cext_chunk_shmem_size(nchunks), &found);

	pool = (ChunkPool *) p;
	p += CACHELINEALIGN(sizeof(ChunkPool));
	links = (uint32 *) p;
	p += CACHELINEALIGN((Size) nchunks * sizeof(uint32));
	bitmap = (uint64 *) p;
	p += CACHELINEALIGN((Size) nchunks / 8);
	cext_chunk_base = p;
	if (!found)
	{
		pool->nchunks = nchunks;
		pool->free = nchunks;
		pool->cursor = 0;
		memset(bitmap, 0xFF, (Size) nchunks / 8);
	}
}


/* ----------------------------------------------------------------
 *		Allocating
 * ----------------------------------------------------------------
 */

/*
 * The next run of free chunks at or after "from", before "end", no longer than
 * "want".  Returns its length, 0 if there is none.
 */
static uint32
find_run(uint32 from, uint32 end, uint32 want, uint32 *start)
{
	uint32		i = from;
	uint32		n = 0;

	while (i < end)
	{
		uint64		word = bitmap[i / 64] >> (i % 64);

		if (word == 0)
			i = (i / 64 + 1) * 64;
		else
		{
			i += pg_rightmost_one_pos64(word);
			break;
		}
	}
	if (i >= end)
		return 0;
	*start = i;
	while (i < end && n < want)
	{
		if (i % 64 == 0 && want - n >= 64 && end - i >= 64 &&
			bitmap[i / 64] == ~UINT64CONST(0))
		{
			n += 64;
			i += 64;
		}
		else if (bitmap[i / 64] & (UINT64CONST(1) << (i % 64)))
		{
			n++;
			i++;
		}
		else
			break;
	}
	return n;
}

static void
take_run(uint32 start, uint32 n, uint32 *last)
{
	for (uint32 i = start; i < start + n; i++)
	{
		bitmap[i / 64] &= ~(UINT64CONST(1) << (i % 64));
		if (*last != CEXT_NO_CHUNK)
			links[*last] = i;
		*last = i;
	}
	pool->free -= n;
}

/*
 * A chain of n chunks whose first "whole" ones are consecutive, or CEXT_NO_CHUNK.
 * alloc_lock held.
 */
uint32
cext_chunk_allocate(uint32 n, uint32 whole)
{
	uint32		first = CEXT_NO_CHUNK;
	uint32		last = CEXT_NO_CHUNK;
	uint32		start;
	uint32		run;
	uint32		from;

	if (pool->free < n)
		return CEXT_NO_CHUNK;

	/* the head, from the cursor on and then from the beginning */
	for (int pass = 0; pass < 2 && first == CEXT_NO_CHUNK; pass++)
	{
		uint32		end = pass == 0 ? pool->nchunks : pool->cursor;

		from = pass == 0 ? pool->cursor : 0;
		while ((run = find_run(from, end, n, &start)) > 0)
		{
			if (run >= whole)
			{
				first = start;
				break;
			}
			from = start + run;
		}
	}
	if (first == CEXT_NO_CHUNK)
		return CEXT_NO_CHUNK;
	take_run(first, run, &last);
	n -= run;
	from = first + run;

	/* the rest, wherever it is */
	while (n > 0)
	{
		run = find_run(from, pool->nchunks, n, &start);
		if (run == 0)
		{
			Assert(from != 0);
			from = 0;
			continue;
		}
		take_run(start, run, &last);
		n -= run;
		from = start + run;
	}
	links[last] = CEXT_NO_CHUNK;
	pool->cursor = from < pool->nchunks ? from : 0;
	return first;
}

/* alloc_lock held. */
void
cext_chunk_release(uint32 c)
{
	/* in a full store, the next search had better start here */
	if (pool->free < pool->nchunks / 16)
		pool->cursor = c;
	while (c != CEXT_NO_CHUNK)
	{
		uint32		next = links[c];

		bitmap[c / 64] |= UINT64CONST(1) << (c % 64);
		pool->free++;
		c = next;
	}
}

uint32
cext_chunk_count(void)
{
	return pool->nchunks;
}

uint32
cext_chunk_count_free(void)
{
	return pool->free;
}


/* ----------------------------------------------------------------
 *		Contents of a chain
 * ----------------------------------------------------------------
 */

/* Copy into a chain, from a position on. */
void
cext_chunk_write(uint32 c, Size pos, const char *src, Size len)
{
	for (; pos >= CEXT_CHUNK_SIZE; pos -= CEXT_CHUNK_SIZE)
		c = links[c];
	while (len > 0)
	{
		Size		n = Min(len, CEXT_CHUNK_SIZE - pos);

		memcpy(CEXT_CHUNK_ADDRESS(c) + pos, src, n);
		src += n;
		len -= n;
		pos = 0;
		c = links[c];
	}
}

/* Start to read at an offset from the beginning of a chain. */
void
cext_reader_start(CextReader *r, uint32 chunk, uint32 offset, uint32 size)
{
	for (; offset >= CEXT_CHUNK_SIZE; offset -= CEXT_CHUNK_SIZE)
		chunk = links[chunk];
	r->flat = NULL;
	r->chunk = chunk;
	r->offset = offset;
	r->left = size;
	r->scratch = NULL;
	r->scratch_size = 0;
}

/* Start to read memory in one piece, aligned as an entry's payload is. */
void
cext_reader_start_flat(CextReader *r, const char *data, uint32 size)
{
	memset(r, 0, sizeof(CextReader));
	r->flat = data;
	r->left = size;
}

/* The next four bytes, without moving on.  The position must be aligned. */
uint32
cext_reader_peek(const CextReader *r)
{
	if (r->left < sizeof(uint32))
		elog(ERROR, "cache entry is shorter than its contents");
	if (unlikely(r->flat != NULL))
		return *(const uint32 *) r->flat;
	return *(uint32 *) (CEXT_CHUNK_ADDRESS(r->chunk) + r->offset);
}

/* Copy the next bytes out.  Reading past the end is an error of the caller. */
void
cext_reader_copy(CextReader *r, char *dest, Size len)
{
	if (len > r->left)
		elog(ERROR, "cache entry is shorter than its contents");
	r->left -= len;
	if (unlikely(r->flat != NULL))
	{
		memcpy(dest, r->flat, len);
		r->flat += len;
		return;
	}
	while (len > 0)
	{
		Size		n = Min(len, CEXT_CHUNK_SIZE - r->offset);

		memcpy(dest, CEXT_CHUNK_ADDRESS(r->chunk) + r->offset, n);
		dest += n;
		len -= n;
		r->offset += n;
		if (r->offset == CEXT_CHUNK_SIZE)
		{
			r->offset = 0;
			r->chunk = links[r->chunk];
		}
	}
}

/*
 * The next bytes, in one piece: in place where their chunks are neighbours,
 * else put together in scratch memory that the next call overwrites.
 */
const char *
cext_reader_get(CextReader *r, Size len)
{
	uint32		c = r->chunk;
	Size		have = CEXT_CHUNK_SIZE - r->offset;

	if (len > r->left)
		elog(ERROR, "cache entry is shorter than its contents");
	if (unlikely(r->flat != NULL))
	{
		const char *result = r->flat;

		r->flat += len;
		r->left -= len;
		return result;
	}
	while (have < len && links[c] == c + 1)
	{
		have += CEXT_CHUNK_SIZE;
		c++;
	}
	if (have >= len)
	{
		const char *result = CEXT_CHUNK_ADDRESS(r->chunk) + r->offset;
		Size		end = r->offset + len;

		/* c is the chunk of the last byte; at its end, go on to the next */
		r->left -= len;
		if (end / CEXT_CHUNK_SIZE > c - r->chunk)
		{
			r->chunk = links[c];
			r->offset = 0;
		}
		else
		{
			r->chunk += end / CEXT_CHUNK_SIZE;
			r->offset = end % CEXT_CHUNK_SIZE;
		}
		return result;
	}

	if (r->scratch_size < len)
	{
		if (r->scratch != NULL)
			pfree(r->scratch);
		r->scratch_size = Max(len, 1024);
		r->scratch = MemoryContextAllocHuge(CurrentMemoryContext, r->scratch_size);
	}
	cext_reader_copy(r, r->scratch, len);
	return r->scratch;
}
