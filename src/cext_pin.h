/*-------------------------------------------------------------------------
 *
 * cext_pin.h
 *		Entries that this backend keeps from being freed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_PIN_H
#define CEXT_PIN_H

struct CextEntry;

extern void cext_pin_init(void (*release) (struct CextEntry *entry));

/* room first, then the reference, then the note of it, which cannot fail */
extern bool cext_pin_possible(int n);
extern void cext_pin_note(struct CextEntry *entry);
extern void cext_pin_drop(struct CextEntry *entry);

extern bool cext_pin_may_keep(void);
extern uint32 cext_pin_epoch(void);

#endif							/* CEXT_PIN_H */
