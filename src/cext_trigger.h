/*-------------------------------------------------------------------------
 *
 * cext_trigger.h
 *		Key templates over a table's columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_TRIGGER_H
#define CEXT_TRIGGER_H

#include "utils/rel.h"

/* Error unless the relation can have a trigger with this template. */
extern void cext_template_check(const char *source, Relation rel, Oid schema);

/* As if this relation, which the caller has locked, were truncated. */
extern void cext_trigger_truncated(Oid relid);

#endif							/* CEXT_TRIGGER_H */
