/*-------------------------------------------------------------------------
 *
 * cext_verify.h
 *		Recomputing a share of the hits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_VERIFY_H
#define CEXT_VERIFY_H

#include "cext_query.h"
#include "cext_result.h"

extern bool cext_verify(const CextCall *call, const CextIdent *ident, CextEntry *entry);
extern CextVerdict cext_verify_compare(CextEntry *entry, char form, const CextBuffer *fresh);

#endif							/* CEXT_VERIFY_H */
