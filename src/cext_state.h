/*-------------------------------------------------------------------------
 *
 * cext_state.h
 *		What survives a clean restart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_STATE_H
#define CEXT_STATE_H

typedef struct CextStateFile CextStateFile;

/*
 * A module's part of the file.  save() writes what it likes; load() gets
 * exactly that back, at the next start of the postmaster, before any other
 * process runs.  If it returns false, it must have left its shared memory as
 * freshly initialized, and nothing after it is loaded.
 */
typedef struct CextStateSection
{
	const char *name;			/* at most 15 characters */
	void		(*save) (CextStateFile *file);
	bool		(*load) (CextStateFile *file);
} CextStateSection;

extern void cext_state_register(const CextStateSection *section);
extern void cext_state_startup(void);

extern void cext_state_write(CextStateFile *file, const void *data, Size len);
extern bool cext_state_read(CextStateFile *file, void *data, Size len);
extern uint64 cext_state_left(const CextStateFile *file);

#endif							/* CEXT_STATE_H */
