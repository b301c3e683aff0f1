/*-------------------------------------------------------------------------
 *
 * cext_pin.c
 *		Entries that this backend keeps from being freed.
 *
 * A pin is a reference counted in the entry, and a note of it here, so that it
 * is given back when the transaction or the process ends, or an error ends the
 * subtransaction that took it; so no error needs to be caught for it.  The store
 * counts, since only it knows when an entry may be found; this file remembers,
 * and hands back through the function it was given.
 *
 * Who keeps a pin beyond one call may find that it has been given back for him,
 * and somebody else's is on the same entry; the epoch tells.  If an error has
 * changed it for a pin that is still there, that one is left to the end of the
 * transaction.
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

typedef struct Pin
{
	struct CextEntry *entry;
	int			level;			/* nesting level of the subtransaction */
} Pin;

static Pin	pins[MAX_PINS];
static int	npins;
static uint32 pin_epoch;		/* changes when an end drops any */
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
		release_entry(pins[--npins].entry);
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

static void
pins_at_subxact(SubXactEvent event, SubTransactionId mySubid,
				SubTransactionId parentSubid, void *arg)
{
	int			level;

	if (likely(npins == 0))
		return;
	level = GetCurrentTransactionNestLevel();
	for (int i = npins - 1; i >= 0; i--)
	{
		if (pins[i].level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			pins[i].level = level - 1;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
		{
			struct CextEntry *e = pins[i].entry;

			pins[i] = pins[--npins];
			release_entry(e);
			pin_epoch++;
		}
	}
}

/* Is there room for so many more? */
bool
cext_pin_possible(int n)
{
	if (unlikely(!exit_registered))
	{
		before_shmem_exit(pins_at_exit, (Datum) 0);
		RegisterXactCallback(pins_at_xact, NULL);
		RegisterSubXactCallback(pins_at_subxact, NULL);
		exit_registered = true;
	}
	return npins + n <= MAX_PINS;
}

/* This backend has counted itself as a reader of the entry. */
void
cext_pin_note(struct CextEntry *e)
{
	Assert(npins < MAX_PINS);
	pins[npins].entry = e;
	pins[npins++].level = GetCurrentTransactionNestLevel();
}

/*
 * Give a pin back.  Of several notes of the same entry it is the innermost one
 * that goes: what an abort of a subtransaction gives back is then none that is
 * still in use further out, whoever took which.
 */
void
cext_pin_drop(struct CextEntry *e)
{
	int			found = -1;

	for (int i = 0; i < npins; i++)
		if (pins[i].entry == e && (found < 0 || pins[i].level > pins[found].level))
			found = i;
	if (found < 0)
		return;
	pins[found] = pins[--npins];
	release_entry(e);
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
