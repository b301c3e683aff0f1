/*-------------------------------------------------------------------------
 *
 * cext_recipe.c
 *		A call of a read function as bytes, to be made again elsewhere.
 *
 * An entry knows its query by a digest only.  Who wants it computed by another
 * process gives that process a recipe: key, query text, arguments, time to
 * live, and the settings that this session does not have from the server's
 * configuration.  Who carries it out applies the settings, identifies the call
 * as any call, and compares: a recipe that gives another identity is good for
 * nothing, and never lets anything be stored under an identity that is not the
 * executing session's own.
 *
 * Arguments are the bytes by which they are compared in an identity.  Those of
 * row types have no recipe: their bytes would be misread after the type has
 * changed.
 *
 * A recipe is made in the current memory context.  It holds what the session
 * could say itself, and is read by processes of the server alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_queue.h"
#include "cext_recipe.h"

/*
 * Settings that are not the session's to give: of the transaction, of the
 * connection, or with an effect of their own.
 */
static const char *const kept_settings[] = {
	"role",
	"session_authorization",
	"seed",
	"transaction_isolation",
	"transaction_read_only",
	"transaction_deferrable",
	"statement_timeout",
	"lock_timeout",
	"idle_in_transaction_session_timeout",
	"idle_session_timeout",
	"transaction_timeout",
};

/* Do the bytes of a value say all, whatever happens to its type? */
static bool
plain_type(Oid type)
{
	Oid			element;

	check_stack_depth();
	if (type == UNKNOWNOID)
		return true;
	switch (get_typtype(type))
	{
		case TYPTYPE_BASE:
			element = get_element_type(type);
			return !OidIsValid(element) || plain_type(element);
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_DOMAIN:
			return plain_type(getBaseType(type));
		case TYPTYPE_RANGE:
			return plain_type(get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return plain_type(get_multirange_range(type));
		default:
			return false;
	}
}

/* What this session has set, or was given as a role or in a database. */
static void
append_settings(StringInfo buf)
{
	int			n;
	struct config_generic **all = cext_guc_variables(&n);

	for (int i = 0; i < n; i++)
	{
		struct config_generic *record = all[i];
		char	   *value;
		bool		kept = false;

		if (record->source < PGC_S_DATABASE ||
			(record->context != PGC_USERSET && record->context != PGC_SUSET) ||
			(record->flags & GUC_SUPERUSER_ONLY) != 0 ||
			strncmp(record->name, "cache_ext.", 10) == 0)
			continue;
		for (int j = 0; j < (int) lengthof(kept_settings) && !kept; j++)
			kept = strcmp(record->name, kept_settings[j]) == 0;
		if (kept)
			continue;
		value = GetConfigOptionByName(record->name, NULL, true);
		if (value == NULL)
			continue;
		appendBinaryStringInfo(buf, record->name, strlen(record->name) + 1);
		appendBinaryStringInfo(buf, value, strlen(value) + 1);
	}
}

/*
 * The recipe for the entry that this call asks for, whose identity has this hash
 * and seed; NULL if there can be none, or it is too long.
 */
char *
cext_recipe_make(const CextCall *call, uint64 hash, const uint8 *seed, uint32 *size)
{
	const CextArgs *args = &call->args;
	StringInfoData buf;
	CextRecipe	head;
	int			before;

	/* a worker logs in as the role; what SET ROLE made of us it cannot be */
	if (GetSessionUserId() != GetUserId())
		return NULL;
	if (args->querylen + args->keylen + sizeof(head) > CEXT_REQUEST_SIZE)
		return NULL;
	for (int i = 0; i < args->nargs; i++)
		if (!plain_type(args->types[i]))
			return NULL;

	memset(&head, 0, sizeof(head));
	head.dbid = MyDatabaseId;
	head.roleid = GetUserId();
	head.schema = call->schema;
	head.form = args->form;
	head.when = GetCurrentTimestamp();
	head.ttl = call->ttl;
	head.staying = call->staying;
	head.tier = call->tier;
	head.hash = hash;
	memcpy(head.seed, seed, CEXT_SEED_SIZE);
	head.nargs = args->nargs;
	head.keylen = args->keylen;
	head.querylen = args->querylen;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (char *) &head, sizeof(head));
	appendBinaryStringInfo(&buf, args->key, args->keylen);
	appendBinaryStringInfo(&buf, args->query, args->querylen);
	before = buf.len;
	for (int i = 0; i < args->nargs; i++)
		cext_append_arg(&buf, args->types[i], args->values[i], args->nulls[i]);
	head.argslen = buf.len - before;
	before = buf.len;
	append_settings(&buf);
	head.settingslen = buf.len - before;
	head.size = buf.len;
	memcpy(buf.data, &head, sizeof(head));
	if (buf.len > CEXT_REQUEST_SIZE)
	{
		pfree(buf.data);
		return NULL;
	}
	*size = buf.len;
	return buf.data;
}

/* Take the fixed part out.  False if the lengths do not fit. */
bool
cext_recipe_read(const char *bytes, Size size, CextRecipe *recipe)
{
	if (size < sizeof(CextRecipe))
		return false;
	memcpy(recipe, bytes, sizeof(CextRecipe));
	return recipe->size == size &&
		recipe->keylen >= 1 && recipe->keylen <= size &&
		recipe->querylen <= size && recipe->argslen <= size &&
		recipe->settingslen <= size && recipe->nargs >= 0 &&
		sizeof(CextRecipe) + (uint64) recipe->keylen + recipe->querylen +
		recipe->argslen + recipe->settingslen == size &&
		(recipe->settingslen == 0 || bytes[size - 1] == '\0');
}

/* The call, in the current memory context. */
void
cext_recipe_call(const char *bytes, const CextRecipe *recipe, CextCall *call)
{
	CextArgs   *args = &call->args;
	const char *p = bytes + sizeof(CextRecipe);
	const char *end;

	memset(call, 0, sizeof(CextCall));
	call->ttl = recipe->ttl;
	call->schema = recipe->schema;
	call->staying = recipe->staying;
	call->tier = recipe->tier;
	args->form = recipe->form;
	args->key = pnstrdup(p, recipe->keylen);
	args->keylen = recipe->keylen;
	p += recipe->keylen;
	args->query = pnstrdup(p, recipe->querylen);
	args->querylen = recipe->querylen;
	p += recipe->querylen;
	args->nargs = recipe->nargs;
	args->types = palloc((args->nargs + 1) * sizeof(Oid));
	args->values = palloc((args->nargs + 1) * sizeof(Datum));
	args->nulls = palloc((args->nargs + 1) * sizeof(bool));
	end = p + recipe->argslen;
	for (int i = 0; i < args->nargs; i++)
		p = cext_read_arg(p, end, &args->types[i], &args->values[i], &args->nulls[i]);
}

/* Apply the settings until the end of the transaction, as far as possible. */
void
cext_recipe_apply_settings(const char *bytes, const CextRecipe *recipe)
{
	const char *end = bytes + recipe->size;
	const char *p = end - recipe->settingslen;

	while (p < end)
	{
		const char *name = p;
		const char *value = name + strlen(name) + 1;

		if (value >= end)
			break;
		p = value + strlen(value) + 1;
		(void) set_config_option(name, value,
								 superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, DEBUG1, false);
	}
}
