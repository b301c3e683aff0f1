/*-------------------------------------------------------------------------
 *
 * cext_temptype.h
 *		Temporary types of this session, which may hide permanent ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_TEMPTYPE_H
#define CEXT_TEMPTYPE_H

extern void cext_temptype_named(Oid type);
extern void cext_temptype_created(Oid class, Oid oid);
extern bool cext_temptype_matters(void);
extern bool cext_temptype_hides(const char *name);
extern void cext_temptype_tidy(void);

#endif							/* CEXT_TEMPTYPE_H */
