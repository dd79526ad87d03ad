/*
 * listener.h - accepts AMQP connections. Registered as "listener:ID" once it listens; its port is
 * then in broker/core/listeners.h.
 */
#ifndef AMQP_LISTENER_H
#define AMQP_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/listeners.h"
#include "broker/runtime/proc.h"

struct listener_arg { /* the arg blob */
    char id[LISTENER_ID_SIZE];
    char where[256]; /* an address, empty: all; or a path */
    uint16_t port;   /* 0: any, or the one that the last listener of this id had */
    unsigned mode;   /* of the file of a Unix socket */
    bool is_unix, has_tls, has_proxy;
};

extern const struct proc_ops listener_ops;

#endif
