/*-------------------------------------------------------------------------
 *
 * cext_args.c
 *		A call's arguments as bytes.
 *
 * Type, length and bytes of each, as they identify an entry (cext_identity.c)
 * and as a recipe keeps them (cext_recipe.c).  The bytes are of this server: a
 * type is an OID, a value its binary form in memory.
 *
 * Memory: the caller's current context.  No state, no locks; bytes that do not
 * fit are an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "cext_args.h"
#include "cext_compat.h"

/* Append one argument: type, length, bytes. */
void
cext_append_arg(StringInfo buf, Oid type, Datum value, bool isnull)
{
	int16		typlen;
	bool		typbyval;
	int32		len;
	const char *bytes;
	struct varlena *detoasted = NULL;

	appendBinaryStringInfo(buf, (char *) &type, sizeof(Oid));
	if (isnull)
	{
		len = -1;
		appendBinaryStringInfo(buf, (char *) &len, sizeof(len));
		return;
	}

	if (type == UNKNOWNOID)
	{
		typlen = -2;
		typbyval = false;
	}
	else
		get_typlenbyval(type, &typlen, &typbyval);
	if (typbyval)
	{
		len = sizeof(Datum);
		bytes = (char *) &value;
	}
	else if (typlen == -1)
	{
		detoasted = PG_DETOAST_DATUM_PACKED(value);
		len = VARSIZE_ANY_EXHDR(detoasted);
		bytes = VARDATA_ANY(detoasted);
	}
	else
	{
		len = typlen == -2 ? (int32) strlen(DatumGetCString(value)) : typlen;
		bytes = DatumGetPointer(value);
	}
	appendBinaryStringInfo(buf, (char *) &len, sizeof(len));
	appendBinaryStringInfo(buf, bytes, len);
	if (detoasted != NULL && (Pointer) detoasted != DatumGetPointer(value))
		pfree(detoasted);
}

/* Take one out of such bytes; returns where it ends. */
const char *
cext_read_arg(const char *p, const char *end, Oid *type, Datum *value, bool *isnull)
{
	int16		typlen = -2;
	bool		typbyval = false;
	int32		len;

	if (end - p < (ptrdiff_t) (sizeof(Oid) + sizeof(len)))
		elog(ERROR, "argument list is shorter than its contents");
	memcpy(type, p, sizeof(Oid));
	memcpy(&len, p + sizeof(Oid), sizeof(len));
	p += sizeof(Oid) + sizeof(len);
	*isnull = len < 0;
	*value = (Datum) 0;
	if (len < 0)
		return p;
	if (*type != UNKNOWNOID)
		get_typlenbyval(*type, &typlen, &typbyval);
	if (len > end - p || (typbyval && len != sizeof(Datum)) ||
		(typlen > 0 && !typbyval && len != typlen))
		elog(ERROR, "argument does not fit its type");
	if (typbyval)
		memcpy(value, p, sizeof(Datum));
	else if (typlen == -1)
	{
		struct varlena *v = palloc(VARHDRSZ + len);

		SET_VARSIZE(v, VARHDRSZ + len);
		memcpy(VARDATA(v), p, len);
		*value = PointerGetDatum(v);
	}
	else if (typlen == -2)
		*value = CStringGetDatum(pnstrdup(p, len));
	else
		*value = PointerGetDatum(memcpy(palloc(len), p, len));
	return p + len;
}

/*
 * Anonymous records carry row types by numbers that are this backend's own, so
 * their bytes do not identify them.
 */
bool
cext_args_have_record(const CextArgs *args)
{
	for (int i = 0; i < args->nargs; i++)
	{
		Oid			type = getBaseType(args->types[i]);

		if (type == RECORDOID || type == RECORDARRAYOID)
			return true;
	}
	return false;
}
