/*-------------------------------------------------------------------------
 *
 * cext_relation.h
 *		Questions about relations in the catalogs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_RELATION_H
#define CEXT_RELATION_H

#include "nodes/pg_list.h"

extern List *cext_relation_ancestors(Oid relid);

extern List *cext_database_names(void);

extern bool cext_may_clear(Oid schema, Oid roleid);

#endif							/* CEXT_RELATION_H */
