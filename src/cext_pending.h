/*-------------------------------------------------------------------------
 *
 * cext_pending.h
 *		Plain values that the current transaction has set or deleted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_PENDING_H
#define CEXT_PENDING_H

#include "cext_store.h"

extern void cext_pending_init(void);

extern void cext_pending_add(const CextIdent *id, const char *bytes, Size size, double ttl);
extern bool cext_pending_find(const CextIdent *id, const char **bytes, Size *size);

#endif							/* CEXT_PENDING_H */
