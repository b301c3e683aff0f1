/*-------------------------------------------------------------------------
 *
 * cext_result.h
 *		Rows to bytes and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RESULT_H
#define CEXT_RESULT_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "utils/tuplestore.h"

#include "cext_store.h"

/* A growing payload.  Too large: it stops growing and says so. */
typedef struct CextBuffer
{
	char	   *data;
	Size		size;
	Size		allocated;
	Size		limit;
	bool		overflowed;
	MemoryContext context;
	uint32		nrows;
} CextBuffer;

/* What is kept of a column. */
typedef struct CextColumn
{
	Oid			type;
	int32		typmod;
} CextColumn;

extern void cext_buffer_init(CextBuffer *buf, Size limit);
extern void cext_buffer_append(CextBuffer *buf, const void *data, Size len);
extern void cext_buffer_free(CextBuffer *buf);

extern bool cext_desc_has_record(TupleDesc desc);
extern void cext_desc_append(CextBuffer *buf, TupleDesc desc);
extern void cext_row_append(CextBuffer *buf, MinimalTuple row);
extern MinimalTuple cext_row_flatten(TupleTableSlot *slot, MemoryContext tmp);

/* the caller's columns */
extern TupleDesc cext_live_columns(TupleDesc desc);
extern CextColumn *cext_desc_columns(TupleDesc desc);
extern bool cext_same_columns(TupleDesc desc, int natts, const CextColumn *columns);
extern void cext_check_columns(TupleDesc expected, int natts,
							   const CextColumn *columns);
extern void cext_row_put(Tuplestorestate *store, TupleTableSlot *slot,
						 TupleDesc expected);
extern void cext_rows_replay(CextEntry *entry, TupleDesc expected,
							 Tuplestorestate *store);

#endif							/* CEXT_RESULT_H */
