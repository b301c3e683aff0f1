/*-------------------------------------------------------------------------
 *
 * cext_chunk.h
 *		The store's memory: chains of chunks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_CHUNK_H
#define CEXT_CHUNK_H

#define CEXT_CHUNK_SIZE		256
#define CEXT_NO_CHUNK		PG_UINT32_MAX

/* Reads a chain, or memory in one piece, from front to back. */
typedef struct CextReader
{
	const char *flat;			/* one piece: where we are; else NULL */
	uint32		chunk;			/* where we are */
	uint32		offset;			/* in the chunk */
	uint32		left;			/* bytes to come */
	char	   *scratch;		/* palloc'd: pieces put together */
	Size		scratch_size;
} CextReader;

extern char *cext_chunk_base;

#define CEXT_CHUNK_ADDRESS(c) (cext_chunk_base + (Size) (c) * CEXT_CHUNK_SIZE)

extern Size cext_chunk_shmem_size(uint32 nchunks);
extern void cext_chunk_shmem_init(uint32 nchunks);

/* with the store's alloc_lock held */
extern uint32 cext_chunk_allocate(uint32 n, uint32 whole);
extern void cext_chunk_release(uint32 chunk);
extern uint32 cext_chunk_count(void);
extern uint32 cext_chunk_count_free(void);

/* by the owner of a chain */
extern void cext_chunk_write(uint32 chunk, Size pos, const char *src, Size len);

/* by whoever has it pinned */
extern void cext_reader_start(CextReader *reader, uint32 chunk, uint32 offset,
							  uint32 size);
extern void cext_reader_start_flat(CextReader *reader, const char *data, uint32 size);
extern const char *cext_reader_get(CextReader *reader, Size len);
extern uint32 cext_reader_peek(const CextReader *reader);
extern void cext_reader_copy(CextReader *reader, char *dest, Size len);

#endif							/* CEXT_CHUNK_H */
