/*
 * connection.h - the process of one client's socket. It is started without a socket and gets it as
 * its first message (MSG_FD); CONNECTION_SHUTDOWN (queues/connection.h) asks it to close.
 */
#ifndef AMQP_CONNECTION_H
#define AMQP_CONNECTION_H

#include "broker/runtime/proc.h"

extern const struct proc_ops connection_ops;

#endif
