/*
 * channel.h - the process of one channel; spawned by and linked to its connection.
 */
#ifndef AMQP_CHANNEL_H
#define AMQP_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

struct channel_arg { /* the arg blob */
    proc_id connection;
    uint16_t number;
    bool cancel_notify; /* the client wants to hear of cancelled consumers */
    bool spec_qos;      /* it takes basic.qos as the specification has it */
    uint8_t vhost_len, user_len;
    char vhost[256], user[256]; /* NUL-terminated */
};

extern const struct proc_ops channel_ops;

#endif
