/*-------------------------------------------------------------------------
 *
 * cext_log.h
 *		A line in the server's log for each operation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_LOG_H
#define CEXT_LOG_H

#include "portability/instr_time.h"

#include "cext_guc.h"

extern char *cext_quote_key(const char *key, int keylen);
extern void cext_log(const char *operation, const char *key, int keylen,
					 double us, const char *fmt,...) pg_attribute_printf(5, 6);
extern double cext_elapsed_us(instr_time start);

/* Is this kind of operation to be logged? */
static inline bool
cext_logs(CextLogKind kind)
{
	return unlikely((cext_log_operations & kind) != 0);
}

#endif							/* CEXT_LOG_H */
