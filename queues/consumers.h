/*
 * consumers.h - whose turn it is: the consumers of one queue and what each may still get.
 *
 * Pure. A consumer is able when it has a permit (its share of the socket's output) and, unless it
 * needs no acks, room in its prefetch. Able ones stand in a list, higher priority first; who got a
 * message goes behind its equals, so that they take turns.
 */
#ifndef QUEUES_CONSUMERS_H
#define QUEUES_CONSUMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "queues/backlog.h"

struct blob;

struct consumer;

/*
 * A prefetch that all consumers of one channel share: each delivery that must be acked uses one of
 * the permits that are here; one that needs no ack waits for a permit too, and leaves it here.
 */
struct draw {
    bool is_limited;
    uint32_t permits;
    struct consumer *last; /* used the last permit; NULL: nobody, or it is gone */
};

struct consumer {
    struct consumer *prev, *next; /* in the list of able ones */
    struct holder holder;         /* what it got and has not settled */
    void *owner;                  /* its channel, as the caller knows it */
    struct draw *draw;            /* its channel's; NULL: it shares nothing */
    struct blob *tag, *args;      /* the caller's references, for listings */
    uint64_t sent_messages, sent_bytes;
    uint64_t window_messages, window_bytes; /* absolute: what may have been sent */
    uint32_t cid;
    int32_t priority;
    uint16_t prefetch; /* 0: no limit */
    bool no_ack, exclusive;
    bool is_able; /* stands in the list */
    bool is_gone; /* cancelled; here only for what it still holds */
};

struct consumers {                 /* zeroed at first */
    struct consumer *first, *last; /* able ones */
    uint32_t n;                    /* all but the gone */
    bool exclusive;                /* one of them has the queue for itself */
};

/* Whether a consumer may join now; false: the queue is in exclusive use. */
bool consumers_admit(const struct consumers *cs, bool exclusive);
void consumers_add(struct consumers *cs, struct consumer *c);
/* Takes it out of turns and counts; its holder may live on. */
void consumers_remove(struct consumers *cs, struct consumer *c);
/* Whether it gets nothing without a permit of a shared prefetch. */
static inline bool consumer_shares(const struct consumer *c)
{
    return c->draw && c->draw->is_limited;
}
/* Whether each of its messages uses such a permit. */
static inline bool consumer_draws(const struct consumer *c)
{
    return !c->no_ack && consumer_shares(c);
}
/* Whether it could get a message if there were a permit. */
bool consumer_lacks_permit(const struct consumer *c);
/* Who gets the next message; NULL: nobody can. */
struct consumer *consumers_pick(struct consumers *cs);
/* It was sent one message (and holds it already, if it must ack), and used a permit. */
void consumers_sent(struct consumers *cs, struct consumer *c, uint32_t bytes);
/* Its holder has fewer, or there are permits again. */
void consumers_settled(struct consumers *cs, struct consumer *c);
/* A new absolute window; older ones are ignored. */
void consumers_permit(struct consumers *cs, struct consumer *c, uint64_t messages, uint64_t bytes);

#endif
