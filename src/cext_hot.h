/*-------------------------------------------------------------------------
 *
 * cext_hot.h
 *		The hottest entries, to be computed anew after they were lost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_HOT_H
#define CEXT_HOT_H

/* the launcher */
extern void cext_hot_load(void);
extern void cext_hot_save(bool settled);
extern void cext_hot_rewarm(Oid dbid);
extern bool cext_hot_feed(void);

#endif							/* CEXT_HOT_H */
