/*-------------------------------------------------------------------------
 *
 * cext_queue.h
 *		What is to be done in the background, and who does it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_QUEUE_H
#define CEXT_QUEUE_H

#include "datatype/timestamp.h"

#define CEXT_REQUEST_SIZE	8192	/* the longest recipe that is handed over */
#define CEXT_MAX_WORKERS	32

/* What the launcher is told about a database. */
#define CEXT_NOTICE_JOBS	0x01	/* rows of cache_warm_job may have changed */
#define CEXT_NOTICE_REWARM	0x02	/* compute the hottest entries anew */
#define CEXT_NOTICE_LEAVE	0x04	/* no connection to it for some seconds */

typedef enum CextWorkerKind
{
	CEXT_WORKER_SCAN,			/* read the jobs of a database, as its owner */
	CEXT_WORKER_ROLE			/* do the work of one role in one database */
} CextWorkerKind;

typedef struct CextNotice
{
	Oid			dbid;			/* InvalidOid: any */
	int			what;
} CextNotice;

extern Size cext_queue_shmem_size(void);
extern void cext_queue_shmem_init(void);
extern void cext_queue_init(void);

/* backends */
extern bool cext_queue_put(Oid dbid, Oid roleid, uint64 hash,
						   const char *recipe, uint32 size);
extern void cext_queue_notice(Oid dbid, int what);
extern void cext_queue_notice_at_commit(int what);
extern bool cext_queue_served(void);

/* the launcher */
extern bool cext_queue_launcher_enter(void);
extern void cext_queue_launcher_leave(void);
extern bool cext_queue_next(int *pos, Oid *dbid, Oid *roleid);
extern int	cext_queue_free(void);
extern int	cext_queue_notices(CextNotice *notices, int max);
extern void cext_queue_short(bool is_short);
extern int	cext_worker_reserve(Oid dbid, Oid roleid, CextWorkerKind kind);
extern bool cext_worker_vacate(int slot, bool started);
extern bool cext_worker_place(int slot, Oid *dbid, Oid *roleid, CextWorkerKind *kind,
							  bool *gone);
extern bool cext_worker_refused(Oid dbid, Oid roleid);
extern bool cext_worker_of(Oid dbid, Oid roleid);
extern void cext_worker_nudge(Oid dbid, Oid roleid);

/* workers */
extern bool cext_worker_enter(int slot, Oid *dbid, Oid *roleid,
							  CextWorkerKind *kind);
extern void cext_worker_succeeded(int slot);
extern void cext_worker_leave(int slot);
extern uint32 cext_queue_take(Oid dbid, Oid roleid, char *recipe);
extern bool cext_queue_is_short(void);

#endif							/* CEXT_QUEUE_H */
