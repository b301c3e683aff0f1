/*-------------------------------------------------------------------------
 *
 * cext_read.h
 *		cached_query(), cached_rows(), cached_json().
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_READ_H
#define CEXT_READ_H

typedef enum CextReadKind
{
	CEXT_READ_NONE,				/* not ours */
	CEXT_READ_QUERY,
	CEXT_READ_ROWS,
	CEXT_READ_JSON
} CextReadKind;

extern void cext_read_init(void);
extern CextReadKind cext_read_kind(Oid funcid);

#endif							/* CEXT_READ_H */
