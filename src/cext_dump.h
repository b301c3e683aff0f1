/*-------------------------------------------------------------------------
 *
 * cext_dump.h
 *		Entries survive a clean restart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_DUMP_H
#define CEXT_DUMP_H

extern void cext_dump_init(void);

#endif							/* CEXT_DUMP_H */
