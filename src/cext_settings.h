/*-------------------------------------------------------------------------
 *
 * cext_settings.h
 *		The settings of the session that can change an answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_SETTINGS_H
#define CEXT_SETTINGS_H

#include "cext_digest.h"

/* as of the last check; the generation is another when they are */
extern uint64 cext_settings_generation;
extern uint8 cext_settings_digest[CEXT_DIGEST_SIZE];
extern uint8 cext_settings_identity[CEXT_DIGEST_SIZE];	/* the listed ones alone */

extern void cext_settings_check(void);
extern void cext_settings_add_all(CextDigest *d);

#endif							/* CEXT_SETTINGS_H */
