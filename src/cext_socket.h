/*-------------------------------------------------------------------------
 *
 * cext_socket.h
 *		Many messages to the client at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CEXT_SOCKET_H
#define CEXT_SOCKET_H

extern void cext_socket_init(void);
extern bool cext_socket_is_used(void);
extern void cext_socket_write(const char *messages, Size len);

#endif							/* CEXT_SOCKET_H */
