/*-------------------------------------------------------------------------
 *
 * cext_find.h
 *		Finding an entry that answers now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_FIND_H
#define CEXT_FIND_H

#include "cext_stats.h"
#include "cext_store.h"

/* what was found last is old enough to think of a refresh */
extern bool cext_refresh_near;

/* Find an entry that holds now, pinned, or say why not. */
extern CextEntry *cext_find(const CextIdent *id, double ttl, CextBypass *reason,
							uint64 *hash);
extern CextEntry *cext_find_near(const CextIdent *id, double ttl, CextBypass *reason);
extern bool cext_find_remote(const CextIdent *ids, int n, CextEntry **entries);
extern uint64 cext_full_xid(TransactionId xid);
extern bool cext_entry_alive(CextEntry *entry);
extern CextBypass cext_session_bypass(void);
extern CextEntry *cext_find_in(const CextIdent *id, double ttl, int64 grace,
							   CextBypass *reason, uint64 *hash, bool anywhere);
extern CextEntry *cext_find_stale(const CextIdent *id, double ttl, double seconds);

#endif							/* CEXT_FIND_H */
