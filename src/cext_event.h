/*-------------------------------------------------------------------------
 *
 * cext_event.h
 *		What the current transaction will announce through the relay.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_EVENT_H
#define CEXT_EVENT_H

#include "cext_relay.h"

/* something was invalidated while the relay was off; transaction-local */
extern bool cext_event_missed;

extern void cext_event_add(CextRelayType type, const char *str, int len);
extern void cext_event_add_table(Oid relid);

extern void cext_event_end_sub(bool commit, int level);
extern void cext_event_reserve(void);
extern void cext_event_resolve(bool committed);
extern void cext_event_forget(void);

/* A key, pattern, or everything, if and when this transaction commits. */
static inline void
cext_event(CextRelayType type, const char *str, int len)
{
	if (unlikely(cext_relay_on()))
		cext_event_add(type, str, len);
	else
		cext_event_missed = true;
}

static inline void
cext_event_table(Oid relid)
{
	if (unlikely(cext_relay_on()))
		cext_event_add_table(relid);
	else
		cext_event_missed = true;
}

#endif							/* CEXT_EVENT_H */
