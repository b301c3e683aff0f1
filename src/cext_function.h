/*-------------------------------------------------------------------------
 *
 * cext_function.h
 *		What a function reads besides its arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_FUNCTION_H
#define CEXT_FUNCTION_H

/* What is to be known of a function that is called. */
typedef enum CextFunctionKind
{
	CEXT_FUNCTION_PLAIN,
	CEXT_FUNCTION_SETTING,		/* reads a setting by name */
	CEXT_FUNCTION_SESSION,		/* of the session, its transaction or snapshot */
	CEXT_FUNCTION_TEMPORARY,	/* of the session, too: in its own schema */
	CEXT_FUNCTION_CATALOG,		/* looks into the catalogs by itself */
	CEXT_FUNCTION_C,			/* of an extension: may read settings, too */
	CEXT_FUNCTION_C_IMMUTABLE,	/* of which that is not to be expected */
	CEXT_FUNCTION_OURS
} CextFunctionKind;

extern CextFunctionKind cext_function_kind(Oid funcid);
extern bool cext_is_read_function(Oid funcid);

#endif							/* CEXT_FUNCTION_H */
