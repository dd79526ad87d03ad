/*
 * connection.h - what anybody may ask of a connection, by the pid that its slot names.
 */
#ifndef QUEUES_CONNECTION_H
#define QUEUES_CONNECTION_H

#include <stdint.h>

#include "broker/runtime/proc.h"

enum {
    CONNECTION_SHUTDOWN = 0x190
}; /* cast, anybody to connection: close, and tell the client why */

struct msg_connection_shutdown {
    struct msg hdr;
    uint16_t code;  /* of connection.close */
    char text[256]; /* what is said behind the code's name */
};

/* Asks it to close with this reply code and text (copied, cut). Nothing happens if it is dead. */
void connection_shut(proc_id connection, uint16_t code, const char *text);

#endif
