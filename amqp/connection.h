/*
 * connection.h - the process of one client's socket. It is started without a socket and gets it as
 * its first message (MSG_FD); CONNECTION_SHUTDOWN (queues/connection.h) asks it to close.
 */
#ifndef AMQP_CONNECTION_H
#define AMQP_CONNECTION_H

#include "broker/runtime/proc.h"

struct connection_arg { /* the arg blob: what its listener is for */
    bool has_tls;
    bool has_proxy; /* a PROXY header comes first, from those who are trusted */
};

extern const struct proc_ops connection_ops;

#endif
