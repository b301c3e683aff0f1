/*-------------------------------------------------------------------------
 *
 * cext_temptype.h
 *		Temporary types of this session, which may hide permanent ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_TEMPTYPE_H
#define CEXT_TEMPTYPE_H

extern void cext_temptype_created(Oid type);
extern bool cext_temptype_matters(void);

#endif							/* CEXT_TEMPTYPE_H */
