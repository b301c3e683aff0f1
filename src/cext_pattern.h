/*-------------------------------------------------------------------------
 *
 * cext_pattern.h
 *		Globs over keys: Redis KEYS syntax.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_PATTERN_H
#define CEXT_PATTERN_H

#include "lib/stringinfo.h"

#define CEXT_MAX_KEY	1024	/* bytes in a key */

typedef enum CextPatternKind
{
	CEXT_PATTERN_KEY,			/* no wildcard: one key */
	CEXT_PATTERN_PREFIX,		/* literal, then ":*" */
	CEXT_PATTERN_ALL,			/* "*" */
	CEXT_PATTERN_GLOB			/* anything else */
} CextPatternKind;

extern bool cext_pattern_match(const char *pat, int patlen,
							   const char *str, int len);
extern bool cext_pattern_match_encoded(int encoding, const char *pat, int patlen,
									   const char *str, int len);
extern CextPatternKind cext_pattern_classify(const char *pat, int patlen,
											 StringInfo literal);
extern void cext_pattern_append_escaped(StringInfo buf,
										const char *str, int len);
extern bool cext_pattern_has_literal_start(const char *pat, int patlen);

#endif							/* CEXT_PATTERN_H */
