/*-------------------------------------------------------------------------
 *
 * cext_epoch.c
 *		Which run of which server an entry outside of it belongs to.
 *
 * Stamps mean something only beside the version slots they are compared with.
 * Shared memory dies with its slots; Redis does not.  So every start of the
 * server draws an epoch, 16 random bytes, and what it writes to Redis carries
 * that.  After a clean restart, which brings clock and slots back, it may read
 * the entries of the epoch before as well, until the last of them has expired.
 * It never writes under it again: a copy of the data directory that also comes
 * up with the old epoch meets only entries of the time that both have in
 * common, and judges them by its own slots.  After an unclean start, a restore
 * or a promotion the old epoch is not known, and its entries are garbage that
 * expires.
 *
 * Standbys have no slots to compare with, only times to live.  What they store
 * is under an epoch made of system identifier and timeline, so that the
 * standbys of one primary share it, and promotion ends it.
 *
 * Entries are authenticated with a key of 32 random bytes in the data
 * directory, $PGDATA/cache_ext.key, mode 0600, made at the first start.  It
 * never leaves the server but in a base backup, which is one more copy of all
 * the data anyway.
 *
 * The shared part is written at the start, by the postmaster, and not after,
 * but for the two atomics.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cext_compat.h"
#include "cext_digest.h"
#include "cext_epoch.h"
#include "cext_state.h"

#define KEY_FILE	"cache_ext.key"

typedef struct EpochShared
{
	bool		usable;			/* there are epoch and key */
	uint8		current[CEXT_EPOCH_SIZE];
	uint8		previous[CEXT_EPOCH_SIZE];
	uint8		secret[CEXT_SECRET_SIZE];
	pg_atomic_uint64 expires;	/* the latest, of entries of this epoch */
	pg_atomic_uint64 previous_until;	/* 0: no previous epoch */
} EpochShared;

static EpochShared *shared;

Size
cext_epoch_shmem_size(void)
{
	return CACHELINEALIGN(sizeof(EpochShared));
}

/* Read the key, or make it.  False if neither works. */
static bool
get_secret(uint8 *secret)
{
	int			fd;
	bool		ok;

	fd = BasicOpenFile(KEY_FILE, O_RDONLY | PG_BINARY);
	if (fd >= 0)
	{
		ok = read(fd, secret, CEXT_SECRET_SIZE) == CEXT_SECRET_SIZE;
		close(fd);
		if (ok)
			return true;
		ereport(LOG,
				(errmsg("file \"%s\" is damaged and made anew", KEY_FILE)));
		unlink(KEY_FILE);
	}
	if (!pg_strong_random(secret, CEXT_SECRET_SIZE))
		return false;
	fd = BasicOpenFilePerm(KEY_FILE, O_WRONLY | O_CREAT | O_EXCL | PG_BINARY,
						   S_IRUSR | S_IWUSR);
	ok = fd >= 0 && write(fd, secret, CEXT_SECRET_SIZE) == CEXT_SECRET_SIZE &&
		pg_fsync(fd) == 0;
	if (!ok)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", KEY_FILE)));
	if (fd >= 0)
		close(fd);

	/* good for this run of the server, even if it could not be written */
	return true;
}

void
cext_epoch_shmem_init(void)
{
	bool		found;

	shared = ShmemInitStruct("cache_ext epoch", cext_epoch_shmem_size(), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(EpochShared));
		pg_atomic_init_u64(&shared->expires, 0);
		pg_atomic_init_u64(&shared->previous_until, 0);
		shared->usable = pg_strong_random(shared->current, CEXT_EPOCH_SIZE) &&
			get_secret(shared->secret);
	}
}

/* Note that an entry of this epoch will be out there until then. */
void
cext_epoch_note_expiry(TimestampTz expires)
{
	uint64		known = pg_atomic_read_u64(&shared->expires);

	while (known < (uint64) expires &&
		   !pg_atomic_compare_exchange_u64(&shared->expires, &known, expires))
		;
}

static void
save_epoch(CextStateFile *file)
{
	uint64		expires = pg_atomic_read_u64(&shared->expires);

	cext_state_write(file, shared->current, CEXT_EPOCH_SIZE);
	cext_state_write(file, &expires, sizeof(expires));
}

static bool
load_epoch(CextStateFile *file)
{
	uint8		previous[CEXT_EPOCH_SIZE];
	uint64		expires;

	if (!cext_state_read(file, previous, CEXT_EPOCH_SIZE) ||
		!cext_state_read(file, &expires, sizeof(expires)))
		return false;
	memcpy(shared->previous, previous, CEXT_EPOCH_SIZE);
	pg_atomic_write_u64(&shared->previous_until, expires);
	return true;
}

void
cext_epoch_init(void)
{
	static const CextStateSection section = {"epoch", save_epoch, load_epoch};

	cext_state_register(&section);
}

/* The epoch of all standbys on this timeline. */
static const uint8 *
recovery_epoch(void)
{
	static uint8 epoch[CEXT_DIGEST_SIZE];	/* more than is used of it */
	static bool known = false;
	static TimeLineID known_timeline;
	TimeLineID	timeline;
	uint64		id = GetSystemIdentifier();
	CextDigest	d;

	(void) GetXLogReplayRecPtr(&timeline);
	if (known && timeline == known_timeline)
		return epoch;
	cext_digest_begin(&d);
	cext_digest_add_string(&d, "recovery");
	cext_digest_add(&d, &id, sizeof(id));
	cext_digest_add(&d, &timeline, sizeof(timeline));
	known = cext_digest_end(&d, epoch);
	known_timeline = timeline;
	return known ? epoch : NULL;
}

/* What to write under, and to read; NULL if there is none. */
const uint8 *
cext_epoch_current(void)
{
	if (!shared->usable)
		return NULL;
	return RecoveryInProgress() ? recovery_epoch() : shared->current;
}

/* What else may be read; NULL if nothing. */
const uint8 *
cext_epoch_previous(void)
{
	uint64		until = pg_atomic_read_u64(&shared->previous_until);

	if (likely(until == 0) || RecoveryInProgress())
		return NULL;
	if (until <= (uint64) GetCurrentTimestamp())
	{
		pg_atomic_write_u64(&shared->previous_until, 0);
		return NULL;
	}
	return shared->previous;
}

const uint8 *
cext_epoch_secret(void)
{
	return shared->secret;
}
