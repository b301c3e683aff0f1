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

/* Error unless every {column} of the template is one of the relation's. */
extern void cext_template_check(const char *source, Relation rel);

#endif							/* CEXT_TRIGGER_H */
