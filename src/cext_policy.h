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

typedef struct CextPolicy
{
	char		name[NAMEDATALEN];
	char	   *key_pattern;	/* or NULL */
	double		ttl;			/* seconds */
	bool		rls_covered;	/* identity settings stand for row security */
	bool		builtin;
} CextPolicy;

extern void cext_policy_init(void);
extern List *cext_policies(Oid schema);
extern const CextPolicy *cext_policy_for_key(Oid schema, const char *key, int keylen);

/* seconds; error 22023 if there is no sense in it */
extern double cext_ttl_from_number(double seconds);
extern double cext_ttl_from_interval(const Interval *interval);
extern double cext_ttl_from_text(Oid schema, const char *text, int len);

#endif							/* CEXT_POLICY_H */
