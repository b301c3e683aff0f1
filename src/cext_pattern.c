/*-------------------------------------------------------------------------
 *
 * cext_pattern.c
 *		Globs over keys: Redis KEYS syntax.
 *
 *		*       any bytes, also none
 *		?       one character
 *		[a-z]   one character of the set; [^a-z] one that is not
 *		\x      x itself
 *
 * A character is one of the encoding, usually the database's.  As in Redis, an
 * unclosed set runs to the end of the pattern.  Nothing here allocates except
 * into the caller's StringInfo, so matching is safe under a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "cext_pattern.h"

static inline int
char_len(int encoding, const char *s, int left)
{
	int			n = pg_encoding_mblen(encoding, s);

	return Min(n, left);
}

/* Compare two characters by their bytes, as a range in a set does. */
static inline int
char_cmp(const char *a, int alen, const char *b, int blen)
{
	int			c = memcmp(a, b, Min(alen, blen));

	return c != 0 ? c : alen - blen;
}

/*
 * Match one character against the set that starts after '['.  Returns the
 * number of pattern bytes used, the closing bracket included.
 */
static int
match_set(int encoding, const char *pat, int patlen, const char *ch, int chlen,
		  bool *matched)
{
	int			i = 0;
	bool		negate = false;
	bool		found = false;

	if (i < patlen && pat[i] == '^')
	{
		negate = true;
		i++;
	}
	while (i < patlen && pat[i] != ']')
	{
		const char *lo;
		int			lolen;

		if (pat[i] == '\\' && i + 1 < patlen)
			i++;
		lo = pat + i;
		lolen = char_len(encoding, lo, patlen - i);
		i += lolen;
		if (i + 1 < patlen && pat[i] == '-' && pat[i + 1] != ']')
		{
			const char *hi;
			int			hilen;

			i++;
			if (pat[i] == '\\' && i + 1 < patlen)
				i++;
			hi = pat + i;
			hilen = char_len(encoding, hi, patlen - i);
			i += hilen;
			if (char_cmp(lo, lolen, hi, hilen) > 0)
			{
				const char *t = lo;
				int			tlen = lolen;

				lo = hi;
				lolen = hilen;
				hi = t;
				hilen = tlen;
			}
			if (char_cmp(ch, chlen, lo, lolen) >= 0 &&
				char_cmp(ch, chlen, hi, hilen) <= 0)
				found = true;
		}
		else if (char_cmp(ch, chlen, lo, lolen) == 0)
			found = true;
	}
	if (i < patlen)
		i++;					/* the closing bracket */
	*matched = (found != negate);
	return i;
}

/*
 * Does the pattern match the whole string?  Both are in this encoding.
 *
 * Iterative, with one remembered star: linear in the pattern for each
 * restart, so at worst quadratic, never exponential.
 */
bool
cext_pattern_match_encoded(int encoding, const char *pat, int patlen,
						   const char *str, int len)
{
	int			p = 0;
	int			s = 0;
	int			star_p = -1;
	int			star_s = 0;

	while (s < len)
	{
		int			n = char_len(encoding, str + s, len - s);
		bool		ok = false;
		int			used = 0;

		if (p < patlen && pat[p] == '*')
		{
			star_p = ++p;
			star_s = s;
			continue;
		}
		if (p < patlen)
		{
			if (pat[p] == '?')
			{
				ok = true;
				used = 1;
			}
			else if (pat[p] == '[')
				used = 1 + match_set(encoding, pat + p + 1, patlen - p - 1,
									 str + s, n, &ok);
			else
			{
				int			esc = (pat[p] == '\\' && p + 1 < patlen) ? 1 : 0;
				int			m = char_len(encoding, pat + p + esc, patlen - p - esc);

				ok = char_cmp(pat + p + esc, m, str + s, n) == 0;
				used = esc + m;
			}
		}
		if (ok)
		{
			p += used;
			s += n;
		}
		else if (star_p >= 0)
		{
			star_s += char_len(encoding, str + star_s, len - star_s);
			s = star_s;
			p = star_p;
		}
		else
			return false;
	}
	while (p < patlen && pat[p] == '*')
		p++;
	return p == patlen;
}

/* The same in the database's encoding. */
bool
cext_pattern_match(const char *pat, int patlen, const char *str, int len)
{
	return cext_pattern_match_encoded(GetDatabaseEncoding(), pat, patlen, str, len);
}

/*
 * What does this pattern ask for?  The literal text before the first wildcard
 * is appended to *literal: the key itself for CEXT_PATTERN_KEY, the prefix
 * with its colon for CEXT_PATTERN_PREFIX.
 */
CextPatternKind
cext_pattern_classify(const char *pat, int patlen, StringInfo literal)
{
	int			i;

	for (i = 0; i < patlen; i++)
	{
		char		c = pat[i];

		if (c == '*' || c == '?' || c == '[')
			break;
		if (c == '\\' && i + 1 < patlen)
			c = pat[++i];
		appendStringInfoCharMacro(literal, c);
	}
	if (i == patlen)
		return CEXT_PATTERN_KEY;
	if (pat[i] == '*')
	{
		while (i + 1 < patlen && pat[i + 1] == '*')
			i++;
		if (i + 1 == patlen)
		{
			if (literal->len == 0)
				return CEXT_PATTERN_ALL;
			if (literal->data[literal->len - 1] == ':')
				return CEXT_PATTERN_PREFIX;
		}
	}
	return CEXT_PATTERN_GLOB;
}

/* Append a string so that a pattern matches it and nothing else. */
void
cext_pattern_append_escaped(StringInfo buf, const char *str, int len)
{
	int			i;

	for (i = 0; i < len; i++)
	{
		if (strchr("*?[]\\^-", str[i]) != NULL && str[i] != '\0')
			appendStringInfoCharMacro(buf, '\\');
		appendStringInfoCharMacro(buf, str[i]);
	}
}

/* False for a pattern that may reach keys of any name. */
bool
cext_pattern_has_literal_start(const char *pat, int patlen)
{
	return patlen > 0 && pat[0] != '*' && pat[0] != '?' && pat[0] != '[';
}
