/*-------------------------------------------------------------------------
 *
 * cext_plan.h
 *		Plans of statements that come again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_PLAN_H
#define CEXT_PLAN_H

extern void cext_plan_init(void);

#endif							/* CEXT_PLAN_H */
