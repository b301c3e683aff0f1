/*-------------------------------------------------------------------------
 *
 * cext_send.c
 *		Sending an entry's rows to the client as they were sent before.
 *
 * Most of what a hit of many rows costs is turning values into text.  So where
 * the rows of a query are those of an entry, and go to a client as text, the
 * DataRow messages are kept in the entry, after its payload, and sent again.
 * The executor runs the query as always and calls hooks.  A scan that finds
 * messages sends them all when it is asked for its first row, counts them, and
 * is at its end.  While nobody has made them yet, and where each row is to be
 * counted (EXPLAIN ANALYZE and what is like it), rows pass through the executor,
 * and only the last step, printtup(), is replaced by one that makes a message
 * or copies it.
 *
 * Conditions
 *		The query is nothing but FROM cached_query(...) with all its columns, or
 *		SELECT cached_json(...); it runs to its end, into the receiver of a
 *		portal; all columns are text, by format and encoding; the columns have
 *		the very types that were stored.  The text of a value depends only on
 *		settings that are part of an entry's identity: types for which that is
 *		not so (names of catalog objects, types of others) are left out.
 *
 * Making them
 *		An entry gets its messages when it is sent for the second time, if there
 *		is free memory for them, and at the latest at a later hit that shows it
 *		to be worth an eviction: while rows are sent they are collected, then
 *		a copy of the entry with both takes its place.  So what is read by
 *		functions only, or once, takes no more memory than its rows do.
 *
 * Sending them
 *		They lie in runs, as they go over the wire.  A long run is written to the
 *		socket from where it is; of a short one, messages are put among the
 *		others that PostgreSQL will send at the end of the query.
 *
 * Memory: that of the query.  Entries stay pinned until it goes; an error in
 * between leaves nothing behind but the receiver, which is restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cext_guc.h"
#include "cext_pin.h"
#include "cext_result.h"
#include "cext_send.h"
#include "cext_socket.h"

/* Sent so often, messages may make others give way. */
#define WORTH_EVICTION	16

/*
 * Messages are kept in runs: the length of each, then messages as they go over
 * the wire.  No longer than this, unless a message is: a query can be canceled
 * between two of them.
 */
#define MAX_RUN			(64 * 1024)

/*
 * From this size on, a system call of its own costs less than copying a run
 * message by message to where others wait to be sent.
 */
#define DIRECT_SIZE		(16 * 1024)

/* A message: its type, the size of all but that, and contents. */
#define MESSAGE_HEADER	5
#define MESSAGE_SIZE(m) (1 + message_size(m))

/* A query whose rows go to the client. */
struct CextSend
{
	CextSend   *outer;
	Node	   *call;			/* of cached_json(); NULL for a scan */
	EState	   *estate;
	TupleDesc	columns;		/* of the query */
	DestReceiver *dest;
	bool		(*print) (TupleTableSlot *slot, DestReceiver *self);

	CextEntry  *entry;			/* pinned, by a scan or by ourselves */
	uint32		pin_epoch;
	MemoryContextCallback at_end;
	CextReader	payload;		/* of json */
	Datum		json;

	TupleTableSlot *slot;		/* the scan's; a row in another is not the
								 * entry's */
	bool		ready;			/* there are messages: */
	CextReader	runs;
	const char *next;			/* in a run */
	const char *end;			/* of it */
	bool		collecting;		/* there will be */
	CextBuffer	collected;
	StringInfoData run;			/* not yet there */
	FmgrInfo   *output;			/* for each column */
	int			ncolumns;
};

static CextSend *current;

static bool send_row(TupleTableSlot *slot, DestReceiver *self);

static inline uint32
message_size(const char *message)
{
	uint32		size;

	memcpy(&size, message + 1, sizeof(uint32));
	return pg_ntoh32(size);
}


/* ----------------------------------------------------------------
 *		When
 * ----------------------------------------------------------------
 */

/* Is a value's text known from its identity? */
static bool
text_is_fixed(Oid type)
{
	Oid			other;

	switch (type)
	{
		case BOOLOID:
		case BYTEAOID:
		case CHAROID:
		case NAMEOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case JSONBOID:
		case JSONPATHOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case CASHOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case POINTOID:
		case TSVECTOROID:
		case TSQUERYOID:
			return true;
		default:
			break;
	}
	/* renaming a label makes every entry of the database dead */
	if (get_typtype(type) == TYPTYPE_ENUM)
		return true;
	other = getBaseType(type);
	if (other == type)
		other = get_element_type(type);
	return OidIsValid(other) && text_is_fixed(other);
}

/* The receiver of the rows of a portal. */
static bool
is_printtup(const DestReceiver *dest)
{
	static bool (*print) (TupleTableSlot *slot, DestReceiver *self) = NULL;

	if (dest->mydest != DestRemote && dest->mydest != DestRemoteExecute)
		return false;
	if (unlikely(print == NULL))
	{
		DestReceiver *sample = CreateDestReceiver(DestRemote);

		print = sample->receiveSlot;
		sample->rDestroy(sample);
	}
	return dest->receiveSlot == print;
}

/* Is text sent as the server has it? */
static bool
text_is_not_converted(void)
{
	int			encoding = pg_get_client_encoding();

	return encoding == GetDatabaseEncoding() || encoding == PG_SQL_ASCII;
}

/*
 * The rows of this query, which is about to run to its end, are those of a scan
 * or of a call of cached_json().  NULL if they do not go to the client as text;
 * else to be closed, whatever happens.
 */
CextSend *
cext_send_open(QueryDesc *queryDesc, Node *call)
{
	Portal		portal = ActivePortal;
	CextSend   *s;
	int			natts = queryDesc->tupDesc->natts;

	if (!is_printtup(queryDesc->dest) ||
		portal == NULL || portal->queryDesc != queryDesc ||
		queryDesc->estate->es_junkFilter != NULL || !text_is_not_converted())
		return NULL;
	for (int i = 0; portal->formats != NULL && i < natts; i++)
		if (portal->formats[i] != 0)
			return NULL;

	s = MemoryContextAllocZero(queryDesc->estate->es_query_cxt, sizeof(CextSend));
	s->call = call;
	s->estate = queryDesc->estate;
	s->columns = queryDesc->tupDesc;
	s->dest = queryDesc->dest;
	s->print = s->dest->receiveSlot;
	s->dest->receiveSlot = send_row;
	s->outer = current;
	current = s;
	return s;
}

/* No more rows will come, or there was an error. */
void
cext_send_close(CextSend *s)
{
	s->dest->receiveSlot = s->print;
	current = s->outer;
}


/* ----------------------------------------------------------------
 *		Messages
 * ----------------------------------------------------------------
 */

/* Shall the messages of this entry be kept? */
static bool
worthwhile(CextEntry *e)
{
	uint32		hits = pg_atomic_read_u32(&e->hits);

	/* this hit has been counted */
	if (hits < 2 || !cext_enable_writes)
		return false;
	if (cext_store_has_room(e, e->payload_size + e->payload_size / 2))
		return true;
	return hits >= WORTH_EVICTION && pg_popcount32(hits) == 1;
}

/* The next rows are those of this entry, or of none. */
static void
take_entry(CextSend *s, CextEntry *e, TupleDesc desc)
{
	s->entry = e;
	s->ready = s->collecting = false;

	/* evaluating the call's arguments may have changed the encoding */
	if (e == NULL || !text_is_not_converted())
		return;
	if (e->ready_size > 0)
	{
		cext_store_read_ready(&s->runs, e);
		s->next = s->end = NULL;
		s->ready = true;
		return;
	}
	if (!worthwhile(e))
		return;
	for (int i = 0; i < desc->natts; i++)
		if (!text_is_fixed(TupleDescAttr(desc, i)->atttypid))
			return;
	s->ncolumns = desc->natts;
	s->output = palloc(desc->natts * sizeof(FmgrInfo));
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid, &output, &varlena);
		fmgr_info(output, &s->output[i]);
	}
	cext_buffer_init(&s->collected, (Size) cext_max_entry_size * 1024);
	initStringInfo(&s->run);
	appendStringInfoSpaces(&s->run, sizeof(uint32));
	s->collecting = true;
}

/*
 * The scan is at the first row of this entry, NULL for rows from elsewhere,
 * which it will return in this slot.  It keeps the entry pinned.  "exact": the
 * columns have the types that were stored.
 */
void
cext_send_rows(CextSend *s, CextEntry *e, TupleTableSlot *slot, bool exact)
{
	MemoryContext old = MemoryContextSwitchTo(s->estate->es_query_cxt);

	s->slot = slot;
	s->pin_epoch = cext_pin_epoch();
	take_entry(s, exact ? e : NULL, slot->tts_tupleDescriptor);
	MemoryContextSwitchTo(old);
}

/* A whole message. */
static void
put_message(const char *message)
{
	StringInfoData buf;

	/* only read */
	buf.data = unconstify(char *, message) + MESSAGE_HEADER;
	buf.len = buf.maxlen = MESSAGE_SIZE(message) - MESSAGE_HEADER;
	buf.cursor = (unsigned char) message[0];
	pq_endmessage_reuse(&buf);
}

/* The messages since the last run are one. */
static void
end_run(CextSend *s)
{
	uint32		len = s->run.len - sizeof(uint32);

	memcpy(s->run.data, &len, sizeof(uint32));
	cext_buffer_append(&s->collected, s->run.data, s->run.len);
	s->run.len = sizeof(uint32);
}

/* Send a message of this row, and keep it. */
static void
collect_row(CextSend *s, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(s->estate));
	StringInfoData buf;
	uint32		len;

	slot_getallattrs(slot);
	initStringInfo(&buf);
	pq_sendbyte(&buf, 'D');
	pq_sendint32(&buf, 0);
	pq_sendint16(&buf, s->ncolumns);
	for (int i = 0; i < s->ncolumns; i++)
	{
		char	   *value;

		if (slot->tts_isnull[i])
		{
			pq_sendint32(&buf, -1);
			continue;
		}
		value = OutputFunctionCall(&s->output[i], slot->tts_values[i]);
		len = strlen(value);
		pq_sendint32(&buf, len);
		appendBinaryStringInfo(&buf, value, len);
	}
	len = pg_hton32(buf.len - 1);
	memcpy(buf.data + 1, &len, sizeof(uint32));
	put_message(buf.data);
	if (!s->collected.overflowed)
	{
		if (s->run.len > sizeof(uint32) && s->run.len + buf.len > MAX_RUN)
			end_run(s);
		appendBinaryStringInfo(&s->run, buf.data, buf.len);
	}
	MemoryContextSwitchTo(old);
}

/* Go to the next run. */
static void
next_run(CextSend *s)
{
	/* it may have to be put together */
	MemoryContext old = MemoryContextSwitchTo(s->estate->es_query_cxt);
	uint32		len = cext_reader_peek(&s->runs);

	s->next = cext_reader_get(&s->runs, MAXALIGN(len + sizeof(uint32))) + sizeof(uint32);
	s->end = s->next + len;
	MemoryContextSwitchTo(old);
}

/* Send the next so many bytes of it, which are whole messages. */
static inline void
send_ready(CextSend *s, Size len)
{
	const char *end = s->next + len;

	if (len >= DIRECT_SIZE && cext_socket_is_used())
	{
		cext_socket_write(s->next, len);
		s->next = end;
		return;
	}
	while (s->next < end)
	{
		put_message(s->next);
		s->next += MESSAGE_SIZE(s->next);
	}
}

/*
 * Send all rows of the entry that the scan is at the beginning of.  False,
 * without having sent one, if there are no messages of them.
 */
bool
cext_send_all(CextSend *s)
{
	if (s->entry == NULL || !s->ready)
		return false;
	while (s->runs.left > 0)
	{
		CHECK_FOR_INTERRUPTS();
		next_run(s);
		send_ready(s, s->end - s->next);
	}
	return true;
}

/* Replaces printtup(). */
static bool
send_row(TupleTableSlot *slot, DestReceiver *self)
{
	CextSend   *s = current;

	Assert(s != NULL && s->dest == self);
	if (s->call != NULL ?
		s->entry == NULL || slot->tts_isnull[0] || slot->tts_values[0] != s->json :
		s->entry == NULL || slot != s->slot)
		return s->print(slot, self);
	if (s->ready)
	{
		if (s->next == s->end)
			next_run(s);
		send_ready(s, MESSAGE_SIZE(s->next));
		return true;
	}
	if (s->collecting)
	{
		collect_row(s, slot);
		return true;
	}
	return s->print(slot, self);
}

/* All rows have been sent: keep the messages, if they were collected. */
void
cext_send_done(CextSend *s)
{
	if (!s->collecting || s->pin_epoch != cext_pin_epoch())
		return;
	if (s->run.len > sizeof(uint32))
		end_run(s);
	if (s->collected.overflowed || s->collected.size == 0)
		return;
	cext_store_add_ready(s->entry, s->collected.data, s->collected.size);
}


/* ----------------------------------------------------------------
 *		cached_json()
 * ----------------------------------------------------------------
 */

/* What is to become of the value of this call. */
CextSend *
cext_send_of_call(Node *call)
{
	return unlikely(current != NULL) && call != NULL && current->call == call ?
		current : NULL;
}

static void
unpin(void *arg)
{
	CextSend   *s = arg;

	if (s->entry != NULL && s->pin_epoch == cext_pin_epoch())
		cext_store_unpin(s->entry);
	s->entry = NULL;
}

/*
 * cached_json() where its value is all that is sent.  The value may be in the
 * entry, which is pinned as long as the query lasts.
 */
Datum
cext_send_json(CextSend *s, CextCall *call)
{
	CextLookup	lookup;
	CextEntry  *e;
	MemoryContext old;

	if (s->at_end.func == NULL)
	{
		s->at_end.func = unpin;
		s->at_end.arg = s;
		MemoryContextRegisterResetCallback(s->estate->es_query_cxt, &s->at_end);
	}
	unpin(s);
	e = cext_lookup(call, &lookup);
	if (e == NULL)
	{
		Datum		result = cext_lookup_compute(call, &lookup, NULL, NULL);

		/* a call of the same statement below may have left its own */
		unpin(s);
		return result;
	}
	if ((e->flags & CEXT_ENTRY_LOCAL) != 0)
	{
		Datum		result = PointerGetDatum(palloc(e->payload_size));

		cext_store_read(&s->payload, e);
		cext_reader_copy(&s->payload, DatumGetPointer(result), e->payload_size);
		cext_lookup_hit(call, &lookup, e);
		cext_store_unpin(e);
		return result;
	}
	s->entry = e;
	s->pin_epoch = cext_pin_epoch();
	cext_lookup_hit(call, &lookup, e);
	old = MemoryContextSwitchTo(s->estate->es_query_cxt);
	cext_store_read(&s->payload, e);
	s->json = PointerGetDatum(cext_reader_get(&s->payload, e->payload_size));
	take_entry(s, e, s->columns);
	MemoryContextSwitchTo(old);
	return s->json;
}
