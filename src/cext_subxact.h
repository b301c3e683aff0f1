/*-------------------------------------------------------------------------
 *
 * cext_subxact.h
 *		Doing something that may fail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_SUBXACT_H
#define CEXT_SUBXACT_H

extern ErrorData *cext_in_subtransaction(void (*what) (void *arg), void *arg);

#endif							/* CEXT_SUBXACT_H */
