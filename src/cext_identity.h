/*-------------------------------------------------------------------------
 *
 * cext_identity.h
 *		What identifies an entry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_IDENTITY_H
#define CEXT_IDENTITY_H

#include "cext_args.h"
#include "cext_store.h"

extern void cext_identify(const CextArgs *args, CextIdent *id);
extern void cext_identify_value(const char *key, int keylen, CextIdent *id);
extern void cext_identify_varying(const CextIdent *plain, CextIdent *id);

#endif							/* CEXT_IDENTITY_H */
