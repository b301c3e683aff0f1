/*-------------------------------------------------------------------------
 *
 * cext_ddl.h
 *		DDL invalidates what it changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_DDL_H
#define CEXT_DDL_H

extern void cext_ddl_init(void);

#endif							/* CEXT_DDL_H */
