/*-------------------------------------------------------------------------
 *
 * cext_relay_json.h
 *		The relay's messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RELAY_JSON_H
#define CEXT_RELAY_JSON_H

#include "lib/stringinfo.h"

#include "cext_relay.h"

extern void cext_relay_json(StringInfo buf, const CextRelayRecord *rec, uint64 seq);
extern void cext_relay_json_flush(StringInfo buf, CextFlushReason reason,
								  const char *database, int len,
								  XLogRecPtr lsn, uint64 seq);

#endif							/* CEXT_RELAY_JSON_H */
