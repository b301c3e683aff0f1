/*-------------------------------------------------------------------------
 *
 * cext_analyze.h
 *		What a query reads, and whether its result may be stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_ANALYZE_H
#define CEXT_ANALYZE_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

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
	bool		rls_covered;
	List	   *rels;			/* relations read; OIDs, distinct */
	List	   *inherited;		/* tags of entries read by nested calls */
	uint64		stamp;			/* the clock before its snapshot */
	TimestampTz expires;		/* the earliest */
} CextTracker;

extern void cext_analyze_init(void);

extern void cext_tracker_push(CextTracker *tracker);
extern void cext_tracker_pop(CextTracker *tracker, const char *key, int keylen);
extern void cext_note_setting_read(void);
extern bool cext_tracking(void);
extern void cext_tracker_entry(CextEntry *entry);
extern void cext_tracker_varies(void);
extern void cext_tracker_type(Oid type);
extern void cext_tracker_refuse(CextBypass reason);
extern int	cext_tracker_tags(CextTracker *tracker, const char *key, int keylen,
							  CextTag **tags, List **rels);

/* Parse analysis of a caller's query; what is refused is an error. */
extern Query *cext_analyze(const char *query, Oid **types, int *ntypes,
						   int nargs);
extern CextBypass cext_plan_bypass(PlannedStmt *stmt);
extern bool cext_row_security_in_force(PlannedStmt *stmt);
extern CextBypass cext_classify(Query *query, bool *user_functions);

#endif							/* CEXT_ANALYZE_H */
