/*
 * listener.h - accepts AMQP connections. Registered as "listener:amqp" once it listens; its port is
 * then in broker/core/listeners.h.
 */
#ifndef AMQP_LISTENER_H
#define AMQP_LISTENER_H

#include <stdint.h>

#include "broker/runtime/proc.h"

struct listener_arg { /* the arg blob */
    char bind[256];   /* empty: all addresses */
    uint16_t port;    /* 0: any, or the one that the last listener had */
};

extern const struct proc_ops listener_ops;

#endif
