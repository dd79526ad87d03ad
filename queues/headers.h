/*
 * headers.h - the routes of headers exchanges: bindings whose arguments are compared with the
 * headers of a message. Pure but for the table that it reads and writes.
 *
 * A binding stands in the table under what a message must have for it to match at all: for `all`
 * one of its pairs, for `any` each of them. So a message looks at the bindings that share something
 * with it, and not at the others.
 */
#ifndef QUEUES_HEADERS_H
#define QUEUES_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "amqp/codec/bytes.h"

struct binding;
struct route_set;
struct table;

/* Which arguments of a binding count, and how many of them must be met. */
enum headers_mode { HEADERS_ALL, HEADERS_ANY, HEADERS_ALL_WITH_X, HEADERS_ANY_WITH_X };

/*
 * The mode that the `x-match` among the arguments says, `all` when there is none: 1, or 0 when it
 * is no string or none of the four.
 */
int headers_mode_of(struct amqp_bytes args, enum headers_mode *ret);

/* Adds or removes a binding; whether the table changed. The exchange's writer only. */
bool headers_change(struct table *t, const struct binding *b, bool remove);

struct headers_query {
    const struct table *table;
    struct amqp_bytes headers; /* the table's contents, lent; may be empty */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    /* Called for each binding that matches, perhaps more than once. */
    void (*hit)(void *ctx, const struct binding *b);
    void *ctx;
};

void headers_match(const struct headers_query *q);

#endif
