/*-------------------------------------------------------------------------
 *
 * cext_path.h
 *		The planner's part of a Cache Scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_PATH_H
#define CEXT_PATH_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

extern void cext_path_init(void);
extern FuncExpr *cext_path_call(RangeTblEntry *rte);

#endif							/* CEXT_PATH_H */
