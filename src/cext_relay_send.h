/*-------------------------------------------------------------------------
 *
 * cext_relay_send.h
 *		What the relay asks of Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RELAY_SEND_H
#define CEXT_RELAY_SEND_H

#include "cext_relay.h"

/* A transaction's invalidations, or a flush, on its way. */
typedef struct CextRelayEvent
{
	CextRelayRecord *rec;		/* NULL: a flush */
	CextFlush	flush;
	uint64		seq;			/* 0: not published yet */
	bool		keys_done;		/* the keys it names are gone */
	bool		sweep;			/* has patterns that no sweep has covered */
	bool		in_sweep;		/* the one under way will */
} CextRelayEvent;

/* False: try again later, cext_relay_error() tells why. */
extern bool cext_relay_send_keys(CextRelayEvent *events, int n);
extern bool cext_relay_send_sweep(CextRelayEvent *events, int n);
extern bool cext_relay_send_messages(CextRelayEvent *events, int n, int *published);

extern void cext_relay_abandon_sweep(CextRelayEvent *events, int n);
extern bool cext_relay_needs_sweep(const CextRelayRecord *rec);
extern const char *cext_relay_error(void);

#endif							/* CEXT_RELAY_SEND_H */
