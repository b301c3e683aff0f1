/*-------------------------------------------------------------------------
 *
 * cext_redis_views.c
 *		What Redis is to us now: the view cache_redis.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "cext_breaker.h"
#include "cext_guc.h"
#include "cext_row.h"

PG_FUNCTION_INFO_V1(cache_redis);

enum
{
	REDIS_PURPOSE,
	REDIS_STATE,
	REDIS_SINCE,
	REDIS_RETRY_AT,
	REDIS_FAILURES,
	REDIS_TRIPS,
	REDIS_LAST_ERROR,
	REDIS_COLUMNS
};

static const char *const purposes[CEXT_BREAKERS] = {"server", "reads", "writes"};

/* cache_redis() returns a row for each circuit breaker */
Datum
cache_redis(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	cext_begin_rows(fcinfo, REDIS_COLUMNS);
	if (!cext_active())
		return (Datum) 0;
	for (int kind = 0; kind < CEXT_BREAKERS; kind++)
	{
		CextBreakerStatus status;
		Datum		values[REDIS_COLUMNS];
		bool		nulls[REDIS_COLUMNS] = {false};

		cext_breaker_status(kind, &status);
		values[REDIS_PURPOSE] = CStringGetTextDatum(purposes[kind]);
		values[REDIS_STATE] = CStringGetTextDatum(cext_breaker_name(kind));
		values[REDIS_SINCE] = TimestampTzGetDatum(status.since);
		nulls[REDIS_SINCE] = status.since == 0;
		values[REDIS_RETRY_AT] = TimestampTzGetDatum(status.retry_at);
		nulls[REDIS_RETRY_AT] = status.state == CEXT_BREAKER_CLOSED;
		values[REDIS_FAILURES] = Int32GetDatum((int32) status.failures);
		values[REDIS_TRIPS] = Int64GetDatum((int64) status.trips);
		values[REDIS_LAST_ERROR] = CStringGetTextDatum(status.error);
		nulls[REDIS_LAST_ERROR] = status.error[0] == '\0';
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
