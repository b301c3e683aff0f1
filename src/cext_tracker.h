/*-------------------------------------------------------------------------
 *
 * cext_tracker.h
 *		What a fill turns out to read while it runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_TRACKER_H
#define CEXT_TRACKER_H

#include "nodes/pg_list.h"

#include "cext_stats.h"
#include "cext_store.h"
#include "cext_version.h"

/*
 * Everything learned about one fill while it runs.  The fills of nested calls
 * each have their own, which is merged into the outer one.
 */
typedef struct CextTracker
{
	struct CextTracker *parent;
	MemoryContext context;
	CextBypass	reason;			/* why not to store, so far */
	bool		varies;			/* reads settings by itself */
	bool		caught;			/* an error: perhaps something was not there */
	bool		rls_covered;
	List	   *rels;			/* relations read; OIDs, distinct */
	List	   *inherited;		/* tags of entries read by nested calls */
	uint64		stamp;			/* the clock before its snapshot */
	TimestampTz expires;		/* the earliest */
} CextTracker;

extern void cext_tracker_init(void);

extern void cext_tracker_push(CextTracker *tracker);
extern void cext_tracker_pop(CextTracker *tracker, const char *key, int keylen);
extern void cext_note_setting_read(void);
extern bool cext_tracking(void);
extern void cext_tracker_entry(CextEntry *entry);
extern void cext_tracker_varies(void);
extern void cext_tracker_type(Oid type);
extern void cext_tracker_names(void);
extern void cext_tracker_refuse(CextBypass reason);
extern int	cext_tracker_tags(CextTracker *tracker, const char *key, int keylen,
							  CextTag **tags, List **rels);

#endif							/* CEXT_TRACKER_H */
