/*-------------------------------------------------------------------------
 *
 * cext_job.h
 *		The state of warm jobs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_JOB_H
#define CEXT_JOB_H

#include "datatype/timestamp.h"

#include "cext_jobtable.h"

#define CEXT_JOB_ERROR	256

/* A run. */
typedef struct CextJobRun
{
	int			slot;
	char		name[NAMEDATALEN];
	TimestampTz since;			/* what is newer was done by an attempt before */
} CextJobRun;

extern Size cext_job_shmem_size(void);
extern void cext_job_shmem_init(void);

/* who reads the table */
extern void cext_job_scan(Oid dbid, const CextJobRow *rows, int nrows);

/* the launcher */
extern bool cext_job_due(int *pos, TimestampTz now, Oid *dbid, Oid *roleid,
						 TimestampTz *next);
extern void cext_job_abandon(Oid dbid, Oid roleid, bool all, const char *why);
extern void cext_job_forget_database(Oid dbid);

/* a worker */
extern bool cext_job_take(Oid dbid, Oid roleid, CextJobRun *run);
extern void cext_job_total(const CextJobRun *run, int64 total);
extern void cext_job_progress(const CextJobRun *run, bool ok, const char *error);
extern void cext_job_finish(const CextJobRun *run, const char *error);
extern void cext_job_gone(const CextJobRun *run);

#endif							/* CEXT_JOB_H */
