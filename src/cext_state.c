/*-------------------------------------------------------------------------
 *
 * cext_state.c
 *		What survives a clean restart.
 *
 * The postmaster writes $PGDATA/cache_ext.state as its last act, when all its
 * children are gone and the shutdown checkpoint is written, and reads and
 * removes it as one of its first.  The file is one of sections, each belonging
 * to a module; versions come first, since nothing else means anything without
 * them.
 *
 * It is loaded only where nothing can have changed since: pg_control must say
 * that the server was shut down, with the very checkpoint that was the last
 * when the file was written; no recovery may be asked for; the directory must
 * be the same one, by device and inode, so that a copy starts anew; server
 * version and the sizes in shared memory must be the same.  A crash leaves no
 * file, because it was removed at the start; a file that comes back from a
 * backup names another checkpoint.  Anything else that is odd about it means
 * an empty cache, and a line in the log.
 *
 * Sections hold structs as they are in memory, and what the bytes in them mean
 * is known only to the code that wrote them, so another build's file is never
 * read: the Makefile has a checksum of all sources in CEXT_BUILD.  The rest of
 * a layout is the server's (version), and the platform's, which pg_control has
 * been compared with before.
 *
 * Failure to write it costs the cache's contents and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_state.h"

#define STATE_FILE	"cache_ext.state"
#define STATE_TEMP	STATE_FILE ".tmp"
#define STATE_MAGIC	0x43455854
#define MAX_SECTIONS 8
#define SECTION_NAME 16

/* What must be the same for the file to be believed. */
typedef struct StateHeader
{
	uint32		magic;
	uint32		build;			/* of the library; these two stay in front */
	uint64		system_identifier;
	uint64		checkpoint;		/* the shutdown checkpoint's location */
	uint64		device;			/* of the data directory */
	uint64		inode;
	uint32		version;		/* of the server */
	uint32		timeline;
	int32		memory;			/* kilobytes */
	uint32		nsections;
} StateHeader;

typedef struct SectionHeader
{
	char		name[SECTION_NAME];
	uint64		size;
} SectionHeader;

struct CextStateFile
{
	FILE	   *file;
	bool		failed;
	pg_crc32c	crc;			/* writing: of all so far */
	uint64		done;			/* writing: bytes of this section */
	uint64		left;			/* reading: bytes of this section */
};

static const CextStateSection *sections[MAX_SECTIONS];
static int	nsections;

/* Register a part of the file; the order is the order of loading. */
void
cext_state_register(const CextStateSection *section)
{
	if (nsections == MAX_SECTIONS)
		elog(ERROR, "too many sections of the cache's state");
	Assert(strlen(section->name) < SECTION_NAME);
	sections[nsections++] = section;
}

/* Fill in the header as of now.  False if the server is not cleanly down. */
static bool
describe(StateHeader *header)
{
	ControlFileData *control;
	bool		crc_ok;
	struct stat st;

	memset(header, 0, sizeof(StateHeader));
	if (stat(DataDir, &st) != 0)
		return false;
	control = get_controlfile(DataDir, &crc_ok);
	if (!crc_ok || control->state != DB_SHUTDOWNED)
	{
		pfree(control);
		return false;
	}
	header->magic = STATE_MAGIC;
	header->build = CEXT_BUILD;
	header->system_identifier = control->system_identifier;
	header->checkpoint = control->checkPoint;
	header->timeline = control->checkPointCopy.ThisTimeLineID;
	header->device = st.st_dev;
	header->inode = st.st_ino;
	header->version = cext_server_version();
	header->memory = cext_memory;
	header->nsections = nsections;
	pfree(control);
	return true;
}


/* ----------------------------------------------------------------
 *		Writing
 * ----------------------------------------------------------------
 */

/* Add to the section that is being saved.  A failure shows at the end. */
void
cext_state_write(CextStateFile *file, const void *data, Size len)
{
	if (file->failed || len == 0)
		return;
	COMP_CRC32C(file->crc, data, len);
	file->done += len;
	if (fwrite(data, len, 1, file->file) != 1)
		file->failed = true;
}

/* Write a section, and its size in front of it afterwards. */
static void
save_section(CextStateFile *file, const CextStateSection *section)
{
	SectionHeader header;
	off_t		start = ftello(file->file);
	off_t		end;

	memset(&header, 0, sizeof(header));
	strlcpy(header.name, section->name, SECTION_NAME);
	if (start < 0 || fwrite(&header, sizeof(header), 1, file->file) != 1)
	{
		file->failed = true;
		return;
	}
	file->done = 0;
	section->save(file);
	header.size = file->done;
	COMP_CRC32C(file->crc, &header, sizeof(header));
	end = ftello(file->file);
	if (end < 0 || fseeko(file->file, start, SEEK_SET) != 0 ||
		fwrite(&header, sizeof(header), 1, file->file) != 1 ||
		fseeko(file->file, end, SEEK_SET) != 0)
		file->failed = true;
}

/* The postmaster exits. */
static void
save_at_exit(int code, Datum arg)
{
	CextStateFile file;
	StateHeader header;

	if (code != 0 || !describe(&header))
		return;
	memset(&file, 0, sizeof(file));
	INIT_CRC32C(file.crc);
	file.file = AllocateFile(STATE_TEMP, PG_BINARY_W);
	if (file.file == NULL)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", STATE_TEMP)));
		return;
	}
	COMP_CRC32C(file.crc, &header, sizeof(header));
	if (fwrite(&header, sizeof(header), 1, file.file) != 1)
		file.failed = true;
	for (int i = 0; i < nsections && !file.failed; i++)
		save_section(&file, sections[i]);
	FIN_CRC32C(file.crc);
	if (!file.failed && fwrite(&file.crc, sizeof(file.crc), 1, file.file) != 1)
		file.failed = true;
	if (FreeFile(file.file) != 0 || file.failed)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", STATE_TEMP)));
		unlink(STATE_TEMP);
		return;
	}
	(void) durable_rename(STATE_TEMP, STATE_FILE, LOG);
}


/* ----------------------------------------------------------------
 *		Reading
 * ----------------------------------------------------------------
 */

/* Take from the section that is being loaded.  False: there is not so much. */
bool
cext_state_read(CextStateFile *file, void *data, Size len)
{
	if (file->failed || len > file->left)
		return false;
	if (len > 0 && fread(data, len, 1, file->file) != 1)
	{
		file->failed = true;
		return false;
	}
	file->left -= len;
	return true;
}

uint64
cext_state_left(const CextStateFile *file)
{
	return file->left;
}

/* Not even the header's size may be the same then. */
static bool
of_another_build(FILE *file)
{
	uint32		start[2];
	bool		other;

	other = fread(start, sizeof(start), 1, file) == 1 &&
		start[0] == STATE_MAGIC && start[1] != CEXT_BUILD;

	/* if this fails, the file is found not to be whole */
	return fseek(file, 0, SEEK_SET) == 0 && other;
}

/*
 * Is the file whole?  What was written out of order is summed in the order of
 * writing: a section's header after its contents.
 */
static bool
whole(FILE *file, StateHeader *header)
{
	pg_crc32c	crc;
	pg_crc32c	expected;
	char	   *buf;
	bool		ok = true;

	if (fread(header, sizeof(*header), 1, file) != 1 ||
		header->magic != STATE_MAGIC || header->nsections > MAX_SECTIONS)
		return false;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, sizeof(*header));
	buf = palloc(BLCKSZ);
	for (uint32 i = 0; i < header->nsections && ok; i++)
	{
		SectionHeader section;
		uint64		left;

		ok = fread(&section, sizeof(section), 1, file) == 1;
		for (left = ok ? section.size : 0; ok && left > 0;)
		{
			Size		n = Min(left, BLCKSZ);

			ok = fread(buf, n, 1, file) == 1;
			COMP_CRC32C(crc, buf, n);
			left -= n;
		}
		COMP_CRC32C(crc, &section, sizeof(section));
	}
	pfree(buf);
	FIN_CRC32C(crc);
	return ok && fread(&expected, sizeof(expected), 1, file) == 1 &&
		EQ_CRC32C(crc, expected);
}

/* Is recovery asked for?  Then rows will change without our seeing it. */
static bool
recovery_requested(void)
{
	struct stat st;

	return stat("recovery.signal", &st) == 0 ||
		stat("standby.signal", &st) == 0 ||
		stat("backup_label", &st) == 0;
}

static bool
load_sections(FILE *f)
{
	CextStateFile file;

	memset(&file, 0, sizeof(file));
	file.file = f;
	if (fseeko(f, sizeof(StateHeader), SEEK_SET) != 0)
		return false;
	for (int i = 0; i < nsections; i++)
	{
		SectionHeader section;

		if (fread(&section, sizeof(section), 1, f) != 1 ||
			strncmp(section.name, sections[i]->name, SECTION_NAME) != 0)
			return false;
		file.left = section.size;
		if (!sections[i]->load(&file) || file.left != 0)
			return false;
	}
	return true;
}

/*
 * At the start of the postmaster, or after a crash of one of its children,
 * with shared memory freshly initialized.
 */
void
cext_state_startup(void)
{
	FILE	   *file;
	StateHeader found;
	StateHeader now;

	if (IsUnderPostmaster || !IsPostmasterEnvironment)
		return;
	on_shmem_exit(save_at_exit, (Datum) 0);

	file = AllocateFile(STATE_FILE, PG_BINARY_R);
	if (file == NULL)
		return;
	if (of_another_build(file))
		ereport(LOG,
				(errmsg("file \"%s\" is of another build of cache_ext, the cache starts empty",
						STATE_FILE)));
	else if (!whole(file, &found))
		ereport(LOG,
				(errmsg("file \"%s\" is damaged, the cache starts empty", STATE_FILE)));
	else if (recovery_requested() || !describe(&now) ||
			 memcmp(&found, &now, sizeof(found)) != 0)
		ereport(LOG,
				(errmsg("file \"%s\" is of another state of this server, the cache starts empty",
						STATE_FILE)));
	else if (!load_sections(file))
		ereport(LOG,
				(errmsg("could not load all of file \"%s\"", STATE_FILE)));
	FreeFile(file);
	durable_unlink(STATE_FILE, LOG);
}
