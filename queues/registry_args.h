/*
 * registry_args.h - what a declare may say: names, arguments, and whether two declares agree. Pure.
 *
 * Rules and words are RabbitMQ's. Each returns 0, or the reply code with a text for the client.
 */
#ifndef QUEUES_REGISTRY_ARGS_H
#define QUEUES_REGISTRY_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queues/cell.h"

struct blob;

struct refusal {   /* what a client is told */
    uint16_t code; /* 0: nothing is wrong */
    char text[256];
};

/* A queue's arguments by type and value. 406. */
uint16_t check_queue_args(const char *vhost, const struct blob *name, const struct blob *args,
                          struct refusal *ret);

/* What a quorum queue may not be: exclusive, auto-delete, not durable, server-named. 406. */
uint16_t check_queue_quorum(const char *vhost, const struct blob *name, const struct blob *args,
                            uint32_t flags, bool is_made, struct refusal *ret);

/* Whether a declare of a queue agrees with the one that is there. 406. */
uint16_t check_queue_equivalence(const struct cell *q, uint32_t flags, const struct blob *args,
                                 struct refusal *ret);

/* The same for exchanges. */
uint16_t check_exchange_equivalence(const struct cell *x, enum exchange_type type, uint32_t flags,
                                    const struct blob *args, struct refusal *ret);

/* An exchange's arguments by type and value. 406. */
uint16_t check_exchange_args(const char *vhost, const struct blob *name, const struct blob *args,
                             struct refusal *ret);

/* The key and arguments of a binding to this source. 406. */
uint16_t check_binding(const struct cell *source, const struct blob *key, const struct blob *args,
                       struct refusal *ret);

/* The type of that name; 406 for an unknown one. */
uint16_t exchange_type_of(const struct blob *name, enum exchange_type *ret_type,
                          struct refusal *ret);
const char *exchange_type_name(enum exchange_type type);

/* NULL or no bytes. */
bool is_name_empty(const struct blob *name);

/* Whether it begins with "amq.", which is the broker's. */
bool is_name_reserved(const struct blob *name);

/* "%s" of a name that a client chose, for texts: at most 255 bytes, NUL-terminated in `out`. */
const char *name_text(char out[256], const struct blob *name);

/* Writes code and text; returns the code. */
__attribute__((format(printf, 3, 4))) uint16_t refuse(struct refusal *ret, uint16_t code,
                                                      const char *fmt, ...);

#endif
