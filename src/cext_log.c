/*-------------------------------------------------------------------------
 *
 * cext_log.c
 *		A line in the server's log for each operation.
 *
 * What cache_ext.log_operations asks for, in the form
 *
 *		cache_ext: operation=hit key="course:42" ms=0.012
 *
 * with more of name=value behind that.  Keys are written as JSON strings, so
 * that each stays in its line whatever is in it.  Lines go to the server's log
 * alone.
 *
 * Memory: that of the caller.  May throw when there is none, so it is not for
 * places that must not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "cext_log.h"

/* A key as a JSON string, palloc'd. */
char *
cext_quote_key(const char *key, int keylen)
{
	StringInfoData buf;

	initStringInfo(&buf);
	escape_json(&buf, pnstrdup(key, keylen));
	return buf.data;
}

/* Since start, in microseconds. */
double
cext_elapsed_us(instr_time start)
{
	instr_time	end;

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	return INSTR_TIME_GET_DOUBLE(end) * 1e6;
}

/* Log an operation; key may be NULL, fmt makes the rest, with a space first. */
void
cext_log(const char *operation, const char *key, int keylen, double us,
		 const char *fmt,...)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "operation=%s", operation);
	if (key != NULL)
		appendStringInfo(&buf, " key=%s", cext_quote_key(key, keylen));
	appendStringInfo(&buf, " ms=%.3f", us / 1000.0);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	ereport(LOG_SERVER_ONLY,
			(errmsg_internal("cache_ext: %s", buf.data),
			 errhidestmt(true),
			 errhidecontext(true)));
	pfree(buf.data);
}
