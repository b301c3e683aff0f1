/*-------------------------------------------------------------------------
 *
 * cext_policy.h
 *		Times to live and named policies.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_POLICY_H
#define CEXT_POLICY_H

#include "utils/timestamp.h"

#include "cext_redis_conf.h"

/* How what falls under a policy stays hot. */
typedef struct CextStaying
{
	double		ahead;			/* XFetch's beta; 0: never early */
	double		stale;			/* seconds beyond its end while it is
								 * refreshed */
	double		stale_error;	/* seconds beyond its end if the query fails */
	bool		rewarm;			/* compute it anew after a restart or clear */

	/* a time to live that adapts; ttl_max is 0 where it does not */
	double		ttl_first;
	double		ttl_min;
	double		ttl_max;
} CextStaying;

typedef struct CextPolicy
{
	char		name[NAMEDATALEN];
	char	   *key_pattern;	/* or NULL */
	double		ttl;			/* seconds */
	bool		rls_covered;	/* identity settings stand for row security */
	bool		builtin;
	CextStorage tier;			/* instead of cache_ext.storage */
	CextStaying staying;
} CextPolicy;

extern void cext_policy_init(void);
extern List *cext_policies(Oid schema);
extern const CextPolicy *cext_policy_for_key(Oid schema, const char *key, int keylen);

extern double cext_interval_seconds(const Interval *interval);

/* seconds; error 22023 if there is no sense in it */
extern double cext_ttl_from_number(double seconds);
extern double cext_ttl_from_interval(const Interval *interval);
extern double cext_ttl_from_text(Oid schema, const char *text, int len,
								 const CextPolicy **named);
extern double cext_ttl_argument(FunctionCallInfo fcinfo, int n, Oid schema,
								const CextPolicy **named);
extern Oid	cext_argument_type(FunctionCallInfo fcinfo, int n);

#endif							/* CEXT_POLICY_H */
