/*-------------------------------------------------------------------------
 *
 * cext_recipe.h
 *		A call of a read function as bytes, to be made again elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RECIPE_H
#define CEXT_RECIPE_H

#include "cext_query.h"

/* The fixed part; the bytes of a recipe are not aligned, so copy it out. */
typedef struct CextRecipe
{
	uint32		size;			/* of all */
	Oid			dbid;
	Oid			roleid;
	Oid			schema;			/* of the extension */
	char		form;
	TimestampTz when;			/* asked for */
	double		ttl;
	CextStaying staying;
	CextStorage tier;
	uint64		hash;			/* the entry's identity */
	uint8		seed[CEXT_SEED_SIZE];
	int32		nargs;
	uint32		keylen;
	uint32		querylen;
	uint32		argslen;
	uint32		settingslen;
	/* then: key, query, arguments, settings */
} CextRecipe;

extern char *cext_recipe_make(const CextCall *call, uint64 hash,
							  const uint8 *seed, uint32 *size);
extern bool cext_recipe_read(const char *bytes, Size size, CextRecipe *recipe);
extern void cext_recipe_call(const char *bytes, const CextRecipe *recipe,
							 CextCall *call);
extern void cext_recipe_apply_settings(const char *bytes, const CextRecipe *recipe);

#endif							/* CEXT_RECIPE_H */
