/*-------------------------------------------------------------------------
 *
 * cext_refill.h
 *		Comparing a new result with the one whose place it takes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_REFILL_H
#define CEXT_REFILL_H

#include "cext_policy.h"
#include "cext_result.h"
#include "cext_store.h"

extern void cext_refill(const CextIdent *ident, CextEntryInfo *info,
						const CextBuffer *buf, const CextStaying *staying);

#endif							/* CEXT_REFILL_H */
