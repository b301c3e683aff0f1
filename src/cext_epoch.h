/*-------------------------------------------------------------------------
 *
 * cext_epoch.h
 *		Which run of which server an entry outside of it belongs to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_EPOCH_H
#define CEXT_EPOCH_H

#include "datatype/timestamp.h"

#define CEXT_EPOCH_SIZE		16
#define CEXT_SECRET_SIZE	32

extern Size cext_epoch_shmem_size(void);
extern void cext_epoch_shmem_init(void);
extern void cext_epoch_init(void);

extern const uint8 *cext_epoch_current(void);
extern const uint8 *cext_epoch_previous(void);
extern const uint8 *cext_epoch_secret(void);
extern void cext_epoch_note_expiry(TimestampTz expires);

#endif							/* CEXT_EPOCH_H */
