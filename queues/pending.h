/*
 * pending.h - publishes that the store was given and that are not known to be durable: for confirms
 * and for sending them again when the store dies.
 *
 * Pure. A ring in order of seq; each publish is found by the index that pending_push returned. The
 * first of its three ends counts: durable, settled before, or the queue's own.
 */
#ifndef QUEUES_PENDING_H
#define QUEUES_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pending_item {
    uint64_t seq;
    uint64_t tag; /* 0: nobody waits for a confirm */
    void *owner;  /* the publisher, as the caller knows it */
    uint32_t size;
    bool done; /* settled before it was durable */
};

struct pending {
    struct pending_item *item;
    uint64_t head, tail; /* counted from the beginning of time; a place is their low bits */
    uint32_t cap;        /* a power of two, or 0 */
    uint64_t n, bytes;   /* those not done: the store's backlog of this queue */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
};

void pending_init(struct pending *p, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
void pending_fini(struct pending *p);
/* Adds one behind all; seq is above all before. Returns its index. */
uint32_t pending_push(struct pending *p, uint64_t seq, uint64_t tag, void *owner, uint32_t size);
/* The item of an index that is still in the ring. */
struct pending_item *pending_at(const struct pending *p, uint32_t index);
/* It was settled and needs no write. The item stays readable until the next push. */
struct pending_item *pending_settle(struct pending *p, uint32_t index);
/*
 * Takes the first item with seq <= up_to, done ones skipped; NULL: no more. The result is valid
 * until the next push.
 */
struct pending_item *pending_pop(struct pending *p, uint64_t up_to);
/* Iterates over those not done, in order: begin with *at = 0; NULL at the end. */
struct pending_item *pending_next(const struct pending *p, uint64_t *at);

#endif
