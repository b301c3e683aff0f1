/*-------------------------------------------------------------------------
 *
 * cext_settings.c
 *		The settings of the session that can change an answer.
 *
 * Digested with SHA-256: those built in, the search path as resolved, the
 * session user, and those the administrator lists.  A hit must not pay for the
 * digest: it is computed again only when one has changed, which is noticed by
 * comparing their values: a few dozen loads and short string comparisons, no
 * lookup by name.
 *
 * The values kept for that are the backend's, in TopMemoryContext.  An error
 * half way leaves the digest marked as not valid.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_settings.h"

#define FEW_SCHEMAS		16

/*
 * Settings that can change what a query returns.  The search path is not among
 * them: it is compared as resolved, and by what its current schema is.
 */
static const char *const setting_names[] = {
	"TimeZone",					/* timestamptz to text, date, timestamp */
	"timezone_abbreviations",	/* reading time zone names */
	"DateStyle",				/* date to text and back */
	"IntervalStyle",			/* interval to text and back */
	"extra_float_digits",		/* float to text */
	"bytea_output",				/* bytea to text */
	"xmlbinary",				/* bytea in XML */
	"xmloption",				/* text to xml */
	"row_security",				/* error instead of filtered rows */
	"lc_monetary",				/* money to text, to_char */
	"lc_numeric",				/* to_char, to_number */
	"lc_time",					/* to_char with TM */
	"default_text_search_config",	/* to_tsvector with one argument */
	"gin_fuzzy_search_limit",	/* a sample instead of all rows */
	"standard_conforming_strings",	/* backslashes in the query text */
	"backslash_quote",			/* likewise */
	"transform_null_equals",	/* x = NULL */
	"array_nulls",				/* NULL in array input */
	"quote_all_identifiers",	/* quote_ident(), pg_get_viewdef() */
	"client_encoding",			/* pg_client_encoding() */
	"lo_compat_privileges",		/* access to large objects */
};

#define NSETTINGS lengthof(setting_names)

/*
 * Where their values are, by type since this is looked at for each hit, and the
 * values as of the last call.
 */
static bool settings_found;
static int	nflags;
static const bool *flags[NSETTINGS];
static bool flags_kept[NSETTINGS];
static int	nnumbers;
static const int *numbers[NSETTINGS];	/* enums as well */
static int	numbers_kept[NSETTINGS];
static int	nstrings;
static char *const *strings[NSETTINGS];
static char *strings_kept[NSETTINGS];
static Oid *path;
static int	path_len = -1;
static char *path_names;		/* as it was set */
static Oid	path_role;			/* what $user in it meant */
static bool path_has_catalog;	/* named there; else it comes first */
static bool path_is_temp;		/* the current schema is pg_temp ... */
static Oid	path_temp;			/* which is this one */
static int	volatile_functions; /* who bypasses must not hit what others store */
static Oid	session_user_id;
static uint64 identity_generation;
static char **identity_values;	/* of cext_identity_names */
static int	identity_values_count;
static bool digest_valid;		/* cext_settings_digest is that of the above */

uint64		cext_settings_generation;
uint8		cext_settings_digest[CEXT_DIGEST_SIZE];
uint8		cext_settings_identity[CEXT_DIGEST_SIZE];


/* Settings that are not known are no settings. */
static void
finish(CextDigest *d, uint8 *result)
{
	if (!cext_digest_end(d, result))
		elog(ERROR, "could not compute a SHA-256 digest");
}


/* A setting's value: a string, or a number. */
static const char *
setting_value(struct config_generic *record, int64 *number)
{
	*number = 0;
	switch (record->vartype)
	{
		case PGC_BOOL:
			*number = *CEXT_GUC_VARIABLE(record, bool);
			return NULL;
		case PGC_INT:
			*number = *CEXT_GUC_VARIABLE(record, int);
			return NULL;
		case PGC_ENUM:
			*number = *CEXT_GUC_VARIABLE(record, enum);
			return NULL;
		case PGC_REAL:
			memcpy(number, CEXT_GUC_VARIABLE(record, real), sizeof(double));
			return NULL;
		case PGC_STRING:
			return *CEXT_GUC_VARIABLE(record, string);
	}
	return NULL;
}

static inline bool
same_string(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static char *
keep_string(const char *s)
{
	return s == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, s);
}

static void
add_setting(struct config_generic *record)
{
	switch (record->vartype)
	{
		case PGC_BOOL:
			flags[nflags++] = CEXT_GUC_VARIABLE(record, bool);
			break;
		case PGC_INT:
			numbers[nnumbers++] = CEXT_GUC_VARIABLE(record, int);
			break;
		case PGC_ENUM:
			numbers[nnumbers++] = CEXT_GUC_VARIABLE(record, enum);
			break;
		case PGC_STRING:
			strings[nstrings++] = CEXT_GUC_VARIABLE(record, string);
			break;
		default:
			elog(ERROR, "setting \"%s\" has an unexpected type", record->name);
	}
}

/* Built-in settings stay where they are: look them up once. */
static void
find_settings(void)
{
	int			n;
	struct config_generic **all = cext_guc_variables(&n);

	nflags = nnumbers = nstrings = 0;
	for (int j = 0; j < (int) NSETTINGS; j++)
	{
		int			i = 0;

		while (i < n && pg_strcasecmp(all[i]->name, setting_names[j]) != 0)
			i++;
		if (i == n)
			elog(ERROR, "setting \"%s\" not found", setting_names[j]);
		add_setting(all[i]);
	}
	settings_found = true;
}

/* Note a change of a remembered string. */
static inline bool
update_string(char **kept, const char *now)
{
	char	   *old = *kept;

	if (likely(same_string(old, now)))
		return false;
	*kept = keep_string(now);
	if (old != NULL)
		pfree(old);
	return true;
}

/* Note changes of the built-in settings. */
static bool
update_settings(void)
{
	bool		changed = false;

	for (int i = 0; i < nflags; i++)
	{
		changed |= *flags[i] != flags_kept[i];
		flags_kept[i] = *flags[i];
	}
	for (int i = 0; i < nnumbers; i++)
	{
		changed |= *numbers[i] != numbers_kept[i];
		numbers_kept[i] = *numbers[i];
	}
	for (int i = 0; i < nstrings; i++)
		changed |= update_string(&strings_kept[i], *strings[i]);
	return changed;
}

/* ... of the search path, as resolved. */
static bool
update_path(void)
{
	Oid			few[FEW_SCHEMAS];
	Oid		   *now = few;
	int			len = fetch_search_path_array(now, FEW_SCHEMAS);
	bool		changed;

	if (len > FEW_SCHEMAS)
	{
		now = palloc(len * sizeof(Oid));
		len = fetch_search_path_array(now, len);
	}
	changed = len != path_len || memcmp(now, path, len * sizeof(Oid)) != 0;
	if (changed)
	{
		Oid		   *copy = MemoryContextAlloc(TopMemoryContext, (len + 1) * sizeof(Oid));

		memcpy(copy, now, len * sizeof(Oid));
		if (path != NULL)
			pfree(path);
		path = copy;
		path_len = len;
	}
	if (now != few)
		pfree(now);
	return changed;
}

/* Is this schema on the resolved path? */
static bool
on_path(const char *schema)
{
	Oid			oid = get_namespace_oid(schema, true);

	for (int i = 0; i < path_len; i++)
		if (path[i] == oid)
			return true;
	return false;
}

/*
 * What the resolved path does not tell of the current schema: whether pg_catalog
 * at its beginning was named, and whether the first schema is the temporary one.
 */
static void
find_current_schema(void)
{
	List	   *names;
	ListCell   *lc;
	bool		found = false;

	path_has_catalog = path_is_temp = false;
	if (!SplitIdentifierString(pstrdup(path_names), ',', &names))
		return;
	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (strcmp(name, "pg_catalog") == 0)
			path_has_catalog = true;
		if (strncmp(name, "pg_temp", strlen("pg_temp")) == 0)
			path_is_temp |= !found;
		else
			found |= on_path(strcmp(name, "$user") == 0 ?
							 GetUserNameFromId(path_role, false) : name);
	}
}

/* ... of the current schema; "changed": it may have changed. */
static bool
update_current_schema(bool changed)
{
	Oid			temp = InvalidOid;
	Oid			toast;

	changed |= update_string(&path_names, namespace_search_path);
	if (changed || path_role != GetUserId())
	{
		bool		had_catalog = path_has_catalog;
		bool		was_temp = path_is_temp;

		path_role = GetUserId();
		find_current_schema();
		changed |= had_catalog != path_has_catalog || was_temp != path_is_temp;
	}
	if (unlikely(path_is_temp))
		GetTempNamespaceState(&temp, &toast);
	changed |= temp != path_temp;
	path_temp = temp;
	return changed;
}

/* ... of those in cache_ext.identity_settings, and of that itself. */
static bool
update_identity_settings(void)
{
	bool		changed = false;

	if (unlikely(identity_generation != cext_identity_generation))
	{
		char	  **values;

		values = MemoryContextAllocZero(TopMemoryContext,
										(cext_identity_count + 1) * sizeof(char *));
		for (int i = 0; i < identity_values_count; i++)
			if (identity_values[i] != NULL)
				pfree(identity_values[i]);
		if (identity_values != NULL)
			pfree(identity_values);
		identity_values = values;
		identity_values_count = cext_identity_count;
		identity_generation = cext_identity_generation;
		changed = true;
	}
	for (int i = 0; i < identity_values_count; i++)
		changed |= update_string(&identity_values[i],
								 GetConfigOption(cext_identity_names[i], true, false));
	return changed;
}

static void
digest_add_identity_settings(CextDigest *d)
{
	for (int i = 0; i < identity_values_count; i++)
	{
		cext_digest_add_string(d, cext_identity_names[i]);
		cext_digest_add_string(d, identity_values[i]);
	}
}

/* Bring the digests and the generation up to date. */
void
cext_settings_check(void)
{
	bool		changed = !digest_valid;
	CextDigest	d;

	if (unlikely(!settings_found))
		find_settings();

	/* an error on the way must not leave a digest that looks current */
	digest_valid = false;
	changed |= update_settings();
	changed |= update_path();
	changed |= update_current_schema(changed);
	if (volatile_functions != cext_volatile_functions)
	{
		volatile_functions = cext_volatile_functions;
		changed = true;
	}
	if (session_user_id != GetSessionUserId())
	{
		session_user_id = GetSessionUserId();
		changed = true;
	}
	changed |= update_identity_settings();
	if (likely(!changed))
	{
		digest_valid = true;
		return;
	}

	cext_settings_generation++;
	cext_digest_begin(&d);
	cext_digest_add(&d, flags_kept, nflags * sizeof(bool));
	cext_digest_add(&d, numbers_kept, nnumbers * sizeof(int));
	for (int i = 0; i < nstrings; i++)
		cext_digest_add_string(&d, strings_kept[i]);
	cext_digest_add(&d, path, path_len * sizeof(Oid));
	cext_digest_add(&d, &path_has_catalog, sizeof(bool));
	cext_digest_add(&d, &path_temp, sizeof(Oid));
	cext_digest_add(&d, &session_user_id, sizeof(Oid));
	cext_digest_add(&d, &volatile_functions, sizeof(int));
	digest_add_identity_settings(&d);
	finish(&d, cext_settings_digest);

	cext_digest_begin(&d);
	digest_add_identity_settings(&d);
	finish(&d, cext_settings_identity);
	digest_valid = true;
}

/* Add what a session can have made its own: see cext_identify_varying(). */
void
cext_settings_add_all(CextDigest *d)
{
	int			n;
	struct config_generic **all = cext_guc_variables(&n);

	for (int i = 0; i < n; i++)
	{
		struct config_generic *record = all[i];
		int64		number;
		const char *string;

		if (strchr(record->name, '.') == NULL
			? record->source < PGC_S_DATABASE
			: strncmp(record->name, "cache_ext.", 10) == 0)
			continue;

		/* what a library defines when it is first used is no difference */
		if (record->source == PGC_S_DEFAULT &&
			(record->flags & GUC_CUSTOM_PLACEHOLDER) == 0)
			continue;
		string = setting_value(record, &number);
		cext_digest_add_string(d, record->name);
		cext_digest_add(d, &number, sizeof(number));
		cext_digest_add_string(d, string);
	}
}
