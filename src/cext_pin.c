/*-------------------------------------------------------------------------
 *
 * cext_pin.c
 *		Entries that this backend keeps from being freed.
 *
 * A pin is a reference counted in the entry, and a note of it here, so that it
 * is given back when the transaction or the process ends, whatever happened in
 * between.  The store counts, since only it knows when an entry may be found;
 * this file remembers, and hands back through the function it was given.
 *
 * Memory: a fixed array of the process, so that noting a pin, which is done with
 * a lock held, cannot fail.  Whoever wants one asks for room before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/ipc.h"

#include "cext_pin.h"

#define MAX_PINS		64		/* by one backend at a time */

static struct CextEntry *pins[MAX_PINS];
static int	npins;
static uint32 pin_epoch;		/* changes when all are dropped at once */
static bool exit_registered;
static void (*release_entry) (struct CextEntry *entry);

void
cext_pin_init(void (*release) (struct CextEntry *entry))
{
	release_entry = release;
}

static void
drop_all_pins(void)
{
	while (npins > 0)
		release_entry(pins[--npins]);
	pin_epoch++;
}

static void
pins_at_exit(int code, Datum arg)
{
	drop_all_pins();
}

static void
pins_at_xact(XactEvent event, void *arg)
{
	if (npins > 0 && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
					  event == XACT_EVENT_PREPARE))
		drop_all_pins();
}

/* Is there room for so many more? */
bool
cext_pin_possible(int n)
{
	if (unlikely(!exit_registered))
	{
		before_shmem_exit(pins_at_exit, (Datum) 0);
		RegisterXactCallback(pins_at_xact, NULL);
		exit_registered = true;
	}
	return npins + n <= MAX_PINS;
}

/* This backend has counted itself as a reader of the entry. */
void
cext_pin_note(struct CextEntry *e)
{
	Assert(npins < MAX_PINS);
	pins[npins++] = e;
}

/* Give a pin back. */
void
cext_pin_drop(struct CextEntry *e)
{
	for (int i = npins - 1; i >= 0; i--)
	{
		if (pins[i] == e)
		{
			pins[i] = pins[--npins];
			release_entry(e);
			return;
		}
	}
}

/* May a pin be kept for longer?  Some are left for lookups. */
bool
cext_pin_may_keep(void)
{
	return npins <= MAX_PINS / 2;
}

/* Whoever keeps one gives it back only if this is still the same. */
uint32
cext_pin_epoch(void)
{
	return pin_epoch;
}
