/*-------------------------------------------------------------------------
 *
 * cext_send.h
 *		Sending an entry's rows to the client as they were sent before.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_SEND_H
#define CEXT_SEND_H

#include "executor/execdesc.h"

#include "cext_query.h"

typedef struct CextSend CextSend;

extern CextSend *cext_send_open(QueryDesc *queryDesc, Node *call);
extern void cext_send_close(CextSend *send);
extern void cext_send_done(CextSend *send);

/* by the scan at the top of the query */
extern void cext_send_rows(CextSend *send, CextEntry *entry, TupleTableSlot *slot,
						   bool exact);
extern bool cext_send_all(CextSend *send);

/* by cached_json() */
extern CextSend *cext_send_of_call(Node *call);
extern Datum cext_send_json(CextSend *send, CextCall *call);

#endif							/* CEXT_SEND_H */
