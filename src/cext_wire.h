/*-------------------------------------------------------------------------
 *
 * cext_wire.h
 *		Entries as bytes that can be trusted when they come back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_WIRE_H
#define CEXT_WIRE_H

#include "cext_epoch.h"
#include "cext_redis_conf.h"
#include "cext_store.h"

typedef enum CextWireVerdict
{
	CEXT_WIRE_GOOD,
	CEXT_WIRE_ODD,				/* not ours, damaged, forged */
	CEXT_WIRE_OTHER				/* ours, but not what was asked for */
} CextWireVerdict;

extern char *cext_wire_encode(const CextIdent *id, const CextEntryInfo *info,
							  const char *payload, Size size, const uint8 *epoch,
							  const uint8 *secret, CextCompression compression,
							  Size *length);
extern CextWireVerdict cext_wire_decode(const char *bytes, Size length,
										const CextIdent *id, const uint8 *epoch,
										const uint8 *secret, Size max_payload,
										MemoryContext context, CextEntry **entry);

#endif							/* CEXT_WIRE_H */
