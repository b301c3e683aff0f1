/*-------------------------------------------------------------------------
 *
 * cext_result.c
 *		Rows to bytes and back.
 *
 * A payload of rows is a count of columns, their types with modifiers, then
 * the rows as minimal tuples, each part padded to MAXALIGN.  Nothing
 * in a row points elsewhere: TOAST pointers and expanded objects are flattened
 * before it is formed; a composite value never holds either; anonymous
 * records, whose row types are numbered per backend, are not stored at all.
 * In-line compressed values stay compressed.
 *
 * Types are compared with the caller's column list on every replay.  That they
 * still mean the same is the business of the DDL hook: an entry does not
 * survive a change of a type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "cext_compat.h"
#include "cext_result.h"

/* A buffer in the current memory context. */
void
cext_buffer_init(CextBuffer *buf, Size limit)
{
	memset(buf, 0, sizeof(CextBuffer));
	buf->limit = limit;
	buf->context = CurrentMemoryContext;
}

void
cext_buffer_free(CextBuffer *buf)
{
	if (buf->data != NULL)
		pfree(buf->data);
	buf->data = NULL;
	buf->size = buf->allocated = 0;
}

/* Append, padded to MAXALIGN. */
void
cext_buffer_append(CextBuffer *buf, const void *data, Size len)
{
	Size		padded = MAXALIGN(len);

	if (buf->overflowed)
		return;
	if (padded > buf->limit - buf->size)
	{
		/* this will not be stored: do not keep what there is */
		cext_buffer_free(buf);
		buf->overflowed = true;
		return;
	}
	if (buf->size + padded > buf->allocated)
	{
		Size		want = Max(buf->allocated * 2, 8192);

		want = Min(Max(want, buf->size + padded), buf->limit);
		if (buf->data == NULL)
			buf->data = MemoryContextAllocHuge(buf->context, want);
		else
			buf->data = repalloc_huge(buf->data, want);
		buf->allocated = want;
	}
	memcpy(buf->data + buf->size, data, len);
	memset(buf->data + buf->size + len, 0, padded - len);
	buf->size += padded;
}

/* Is there a column whose values only this backend understands? */
bool
cext_desc_has_record(TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			type = getBaseType(TupleDescAttr(desc, i)->atttypid);

		if (type == RECORDOID || type == RECORDARRAYOID)
			return true;
	}
	return false;
}

/* Start the payload of rows of this shape. */
void
cext_desc_append(CextBuffer *buf, TupleDesc desc)
{
	uint32		natts = desc->natts;

	cext_buffer_append(buf, &natts, sizeof(natts));
	cext_buffer_append(buf, cext_desc_columns(desc), natts * sizeof(CextColumn));
}

/* A row type's columns, palloc'd. */
CextColumn *
cext_desc_columns(TupleDesc desc)
{
	CextColumn *columns = palloc((desc->natts + 1) * sizeof(CextColumn));

	for (int i = 0; i < desc->natts; i++)
	{
		columns[i].type = TupleDescAttr(desc, i)->atttypid;
		columns[i].typmod = TupleDescAttr(desc, i)->atttypmod;
	}
	return columns;
}

void
cext_row_append(CextBuffer *buf, MinimalTuple row)
{
	cext_buffer_append(buf, row, row->t_len);
	buf->nrows++;
}

/*
 * A row of its own from a slot, allocated in tmp like everything on the way.
 */
MinimalTuple
cext_row_flatten(TupleTableSlot *slot, MemoryContext tmp)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	MemoryContext old = MemoryContextSwitchTo(tmp);
	Datum	   *values = slot->tts_values;
	bool		copied = false;
	MinimalTuple result;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (slot->tts_isnull[i] || att->attlen != -1 ||
			!VARATT_IS_EXTERNAL(DatumGetPointer(slot->tts_values[i])))
			continue;
		if (!copied)
		{
			values = palloc(desc->natts * sizeof(Datum));
			memcpy(values, slot->tts_values, desc->natts * sizeof(Datum));
			copied = true;
		}
		values[i] = PointerGetDatum(detoast_external_attr((struct varlena *)
														  DatumGetPointer(values[i])));
	}
	result = cext_form_minimal_tuple(desc, values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	return result;
}

/* The columns of a row type that are not dropped. */
TupleDesc
cext_live_columns(TupleDesc desc)
{
	TupleDesc	result;
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
		n += !TupleDescAttr(desc, i)->attisdropped;
	if (n == desc->natts)
		return desc;
	result = CreateTemplateTupleDesc(n);
	n = 0;
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			TupleDescCopyEntry(result, ++n, desc, i + 1);
	cext_finish_desc(result);
	return result;
}

/* Are these the very types? */
bool
cext_same_columns(TupleDesc desc, int natts, const CextColumn *columns)
{
	if (natts != desc->natts)
		return false;
	for (int i = 0; i < natts; i++)
		if (columns[i].type != TupleDescAttr(desc, i)->atttypid)
			return false;
	return true;
}

/*
 * Error 42804 unless rows of these types can be returned as the caller's
 * columns, by the rule PostgreSQL has for functions returning record.
 */
void
cext_check_columns(TupleDesc expected, int natts, const CextColumn *columns)
{
	if (natts != expected->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column list does not fit the cached query"),
				 natts > expected->natts && expected->natts > 0 ?
				 errdetail_plural("The query returns %d column, but the list ends with column %d, \"%s\".",
								  "The query returns %d columns, but the list ends with column %d, \"%s\".",
								  natts, natts, expected->natts,
								  NameStr(TupleDescAttr(expected, expected->natts - 1)->attname)) :
				 natts < expected->natts ?
				 errdetail_plural("The query returns %d column, but the list goes on with column %d, \"%s\".",
								  "The query returns %d columns, but the list goes on with column %d, \"%s\".",
								  natts, natts, natts + 1,
								  NameStr(TupleDescAttr(expected, natts)->attname)) :
				 errdetail_plural("The query returns %d column, but the list is empty.",
								  "The query returns %d columns, but the list is empty.",
								  natts, natts)));

	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(expected, i);

		/* a modifier in the list is a promise that only the same one keeps */
		if (likely(columns[i].type == att->atttypid) &&
			(att->atttypmod < 0 || columns[i].typmod == att->atttypmod))
			continue;
		if (!IsBinaryCoercible(columns[i].type, att->atttypid) ||
			(att->atttypmod >= 0 && columns[i].typmod != att->atttypmod))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the column list does not fit the cached query",
							NameStr(att->attname)),
					 errdetail("The query returns type %s at position %d, but the list says %s.",
							   format_type_with_typemod(columns[i].type, columns[i].typmod),
							   i + 1,
							   format_type_with_typemod(att->atttypid, att->atttypmod)),
					 errhint("Change the column list, or cast the column in the query.")));
	}
}

/*
 * Add a row of the live columns to a tuplestore of rows with the dropped ones.
 */
void
cext_row_put(Tuplestorestate *store, TupleTableSlot *slot, TupleDesc expected)
{
	Datum	   *values;
	bool	   *nulls;
	int			n = 0;

	if (likely(slot->tts_tupleDescriptor->natts == expected->natts))
	{
		tuplestore_puttupleslot(store, slot);
		return;
	}
	slot_getallattrs(slot);
	values = palloc0(expected->natts * sizeof(Datum));
	nulls = palloc(expected->natts * sizeof(bool));
	for (int i = 0; i < expected->natts; i++)
	{
		nulls[i] = true;
		if (!TupleDescAttr(expected, i)->attisdropped)
		{
			values[i] = slot->tts_values[n];
			nulls[i] = slot->tts_isnull[n++];
		}
	}
	tuplestore_putvalues(store, expected, values, nulls);
	pfree(values);
	pfree(nulls);
}

/* Put the rows of a pinned entry into a tuplestore. */
void
cext_rows_replay(CextEntry *entry, TupleDesc expected, Tuplestorestate *store)
{
	CextReader	reader;
	uint32		natts;
	const char *p;
	TupleTableSlot *slot;
	TupleDesc	live;

	cext_store_read(&reader, entry);

	memcpy(&natts, cext_reader_get(&reader, MAXALIGN(sizeof(natts))), sizeof(natts));
	live = cext_live_columns(expected);
	cext_check_columns(live, natts, (const CextColumn *)
					   cext_reader_get(&reader, MAXALIGN(natts * sizeof(CextColumn))));

	slot = MakeSingleTupleTableSlot(live, &TTSOpsMinimalTuple);
	for (uint32 i = 0; i < entry->nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		/* a minimal tuple starts with its length */
		p = cext_reader_get(&reader, MAXALIGN(cext_reader_peek(&reader)));
		ExecStoreMinimalTuple((MinimalTuple) p, slot, false);
		cext_row_put(store, slot, expected);
	}
	ExecDropSingleTupleTableSlot(slot);
}
