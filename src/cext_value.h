/*-------------------------------------------------------------------------
 *
 * cext_value.h
 *		Plain values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_VALUE_H
#define CEXT_VALUE_H

extern void cext_value_init(void);

#endif							/* CEXT_VALUE_H */
