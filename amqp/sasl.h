/*
 * sasl.h - what a client says to log in, taken apart; and whether what it asks for in tune-ok may
 * be. Pure.
 */
#ifndef AMQP_SASL_H
#define AMQP_SASL_H

#include <stddef.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"

struct credentials { /* lent from the response */
    struct amqp_bytes user, password;
};

/* PLAIN: [authzid] NUL user NUL password. 0 or -EBADMSG. */
int sasl_parse_plain(struct amqp_bytes response, struct credentials *ret);
/* AMQPLAIN: the contents of a field table with LOGIN and PASSWORD. 0 or -EBADMSG. */
int sasl_parse_amqplain(struct amqp_bytes response, struct credentials *ret);

struct tune_limits {
    uint32_t channel_max, frame_max;
};
/* 0, or -ERANGE with a text for the client. */
int tune_check(const struct tune_limits *ours, const struct tune_limits *asked, char *ret_text,
               size_t size);

#endif
