/*-------------------------------------------------------------------------
 *
 * cext_args.h
 *		A call's arguments as bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_ARGS_H
#define CEXT_ARGS_H

#include "fmgr.h"
#include "lib/stringinfo.h"

/* What a caller asked for. */
typedef struct CextArgs
{
	char		form;			/* as in CextIdent, in lower case */
	bool		rls_covered;	/* identity settings stand for row security */
	const char *key;
	int			keylen;
	const char *query;
	int			querylen;
	int			nargs;
	Oid		   *types;			/* UNKNOWNOID: to be inferred from the query */
	Datum	   *values;			/* of an UNKNOWNOID: a cstring */
	bool	   *nulls;
} CextArgs;

extern void cext_append_arg(StringInfo buf, Oid type, Datum value, bool isnull);
extern const char *cext_read_arg(const char *p, const char *end, Oid *type,
								 Datum *value, bool *isnull);
extern bool cext_args_have_record(const CextArgs *args);

#endif							/* CEXT_ARGS_H */
