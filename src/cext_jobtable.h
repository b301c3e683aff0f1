/*-------------------------------------------------------------------------
 *
 * cext_jobtable.h
 *		The rows of cache_warm_job.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_JOBTABLE_H
#define CEXT_JOBTABLE_H

/* A job as the table has it, as far as the launcher must know. */
typedef struct CextJobRow
{
	char		name[NAMEDATALEN];
	Oid			roleid;
	int64		every;			/* microseconds; 0: not by itself */
	uint64		version;		/* changes with the row */
} CextJobRow;

/* What it is to do. */
typedef struct CextJobText
{
	Oid			schema;			/* of the extension */
	char	   *key;
	char	   *query;
	char	   *ttl;			/* or NULL */
	char	   *parameters;		/* or NULL */
	bool		untyped;
	char		form;
	int			nsettings;
	char	  **settings;		/* "name=value" */
} CextJobText;

extern bool cext_jobtable_find(Oid schema, const char *name, CextJobRow *row);
extern int	cext_jobtable_all(CextJobRow **rows);
extern bool cext_jobtable_text(const char *name, MemoryContext context, CextJobText *job);

#endif							/* CEXT_JOBTABLE_H */
