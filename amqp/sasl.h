/*
 * sasl.h - what a client says to log in, taken apart; and whether what it asks for in tune-ok may
 * be. Pure.
 */
#ifndef AMQP_SASL_H
#define AMQP_SASL_H

#include <stddef.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"

enum sasl_mechanism { SASL_NONE, SASL_PLAIN, SASL_AMQPLAIN, SASL_EXTERNAL, SASL_MECHANISMS };

/* By its name; SASL_NONE: it is not known. */
enum sasl_mechanism sasl_mechanism_of(struct amqp_bytes name);
const char *sasl_mechanism_name(enum sasl_mechanism m);

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
