/*
 * output.h - bytes that wait for a socket, in order: small ones copied together, large ones where
 * they lie. Pure; it owns nothing while it is empty.
 */
#ifndef AMQP_OUTPUT_H
#define AMQP_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct output_block;

struct output {
    struct output_block *first, *last;
    uint64_t pending;  /* bytes that wait */
    uint64_t appended; /* bytes that were ever appended */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void (*release)(void *); /* for owners given to output_refer */
};

void output_init(struct output *o, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *),
                 void (*release)(void *));

/* Room for n contiguous bytes at the end, to be told of by output_commit before anything else. */
uint8_t *output_reserve(struct output *o, size_t n);
void output_commit(struct output *o, size_t n);
/* Copies. */
void output_put(struct output *o, const void *bytes, size_t n);
/* Refers to n > 0 bytes that stay as they are until `release(owner)`; owner may be NULL. */
void output_refer(struct output *o, const uint8_t *bytes, size_t n, void *owner);

/* The first bytes as at most max places; how many places. */
int output_places(const struct output *o, struct iovec *ret, int max);
/* n bytes were written. */
void output_written(struct output *o, size_t n);

/* How many bytes were ever written. */
static inline uint64_t output_position(const struct output *o)
{
    return o->appended - o->pending;
}

#endif
