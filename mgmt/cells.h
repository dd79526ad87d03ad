/*
 * cells.h - the cells of queues and exchanges, held over several turns, and what the counters of
 * queues say.
 */
#ifndef MGMT_CELLS_H
#define MGMT_CELLS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct cell;

struct cells { /* all zero: none. Each is a reference */
    struct cell **cell;
    size_t n, size;
};

void cells_fini(struct cells *c);
/* Adds one, whose reference is moved. */
void cells_add(struct cells *c, struct cell *cell);
/* Adds the queues of a vhost, which there must be. */
void cells_add_queues(struct cells *c, const char *vhost);
void cells_add_exchanges(struct cells *c, const char *vhost);
/* Calls fn with each vhost's name. */
void cells_each_vhost(void (*fn)(void *ctx, const char *vhost), void *ctx);

/* The counters of one queue, or of many added up. */
struct queue_sums {
    uint64_t ready, unacked, consumers, ready_bytes, unacked_bytes;
    uint64_t published, confirmed, delivered, delivered_no_ack, got, acked, redelivered;
};

void queue_sums_add(struct queue_sums *s, const struct cell *c);
/* The members of "message_stats". The caller's reference. */
json_t *queue_sums_stats(const struct queue_sums *s);

#endif
