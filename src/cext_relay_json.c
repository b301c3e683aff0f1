/*-------------------------------------------------------------------------
 *
 * cext_relay_json.c
 *		The relay's messages.
 *
 * A message is JSON in UTF-8, whatever the database's encoding:
 *
 *	{"version":1,"database":"school","lsn":"0/1A2B3C","seq":17,"events":[
 *		{"type":"key","key":"dashboard:student:42"},
 *		{"type":"pattern","pattern":"analytics:*"},
 *		{"type":"table","schema":"public","table":"courses"},
 *		{"type":"clear"}]}
 *	{"version":1,"database":"school","lsn":"0/1A2B3C","seq":18,"events":[
 *		{"type":"flush","reason":"overflow"}]}
 *
 * A string that is not UTF-8 (the server's encoding is SQL_ASCII, or has a
 * character that UTF-8 has not) is given by its bytes in hexadecimal, as the
 * member "key_hex" instead of "key": nothing is lost, and nobody takes it for
 * something else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlogdefs.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "cext_relay_json.h"

static const char *const flush_reasons[] = {
	[CEXT_FLUSH_RESTART] = "restart",
	[CEXT_FLUSH_ENABLED] = "enabled",
	[CEXT_FLUSH_OVERFLOW] = "overflow",
	[CEXT_FLUSH_PREPARED] = "prepared",
	[CEXT_FLUSH_LATE] = "late",
};

/* Append "name":"value". */
static void
append_member(StringInfo buf, const char *name, const char *str, int len)
{
	char	   *copy;

	if (pg_encoding_verifymbstr(PG_UTF8, str, len) != len)
	{
		appendStringInfo(buf, "\"%s_hex\":\"", name);
		for (int i = 0; i < len; i++)
			appendStringInfo(buf, "%02x", (unsigned char) str[i]);
		appendStringInfoChar(buf, '"');
		return;
	}
	copy = pnstrdup(str, len);
	appendStringInfo(buf, "\"%s\":", name);
	escape_json(buf, copy);
	pfree(copy);
}

static void
append_head(StringInfo buf, const char *database, int len, XLogRecPtr lsn, uint64 seq)
{
	appendStringInfoString(buf, "{\"version\":1,");
	if (database != NULL)
		append_member(buf, "database", database, len);
	else
		appendStringInfoString(buf, "\"database\":null");
	appendStringInfo(buf, ",\"lsn\":\"%X/%X\",\"seq\":" UINT64_FORMAT ",\"events\":[",
					 LSN_FORMAT_ARGS(lsn), seq);
}

/* One transaction's. */
void
cext_relay_json(StringInfo buf, const CextRelayRecord *rec, uint64 seq)
{
	const CextRelayItem *item = CEXT_RELAY_ITEMS(rec);
	const char *comma = "";

	Assert(item->type == CEXT_RELAY_DATABASE);
	append_head(buf, item->data, item->len, rec->lsn, seq);
	for (item = CEXT_RELAY_NEXT(item); item < CEXT_RELAY_ITEMS_END(rec);
		 item = CEXT_RELAY_NEXT(item))
	{
		appendStringInfoString(buf, comma);
		comma = ",";
		switch ((CextRelayType) item->type)
		{
			case CEXT_RELAY_KEY:
				appendStringInfoString(buf, "{\"type\":\"key\",");
				append_member(buf, "key", item->data, item->len);
				break;
			case CEXT_RELAY_PATTERN:
				appendStringInfoString(buf, "{\"type\":\"pattern\",");
				append_member(buf, "pattern", item->data, item->len);
				break;
			case CEXT_RELAY_TABLE:
				{
					int			schema = strnlen(item->data, item->len);

					appendStringInfoString(buf, "{\"type\":\"table\",");
					append_member(buf, "schema", item->data, schema);
					appendStringInfoChar(buf, ',');
					append_member(buf, "table", item->data + schema + 1,
								  item->len - schema - 1);
					break;
				}
			case CEXT_RELAY_CLEAR:
				appendStringInfoString(buf, "{\"type\":\"clear\"");
				break;
			case CEXT_RELAY_DATABASE:
				Assert(false);
				break;
		}
		appendStringInfoChar(buf, '}');
	}
	appendStringInfoString(buf, "]}");
}

/* Whatever committed before this LSN may have been missed.  No database: all. */
void
cext_relay_json_flush(StringInfo buf, CextFlushReason reason,
					  const char *database, int len, XLogRecPtr lsn, uint64 seq)
{
	append_head(buf, database, len, lsn, seq);
	appendStringInfo(buf, "{\"type\":\"flush\",\"reason\":\"%s\"}]}", flush_reasons[reason]);
}
