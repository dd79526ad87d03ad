/*
 * share.h - a prefetch that all consumers of a channel share, given to queues as permits. Pure.
 *
 * A queue that has messages for the channel says that it wants permits, and goes on wanting until
 * it says otherwise. What the limit leaves is given to those that want in turn, so that a queue
 * with much to give does not keep the others waiting. A permit is out at a queue until a delivery
 * has used it or the queue gives it back; a delivery uses the limit until it is settled.
 *
 *   used + out <= limit, unless the limit was lowered or set while there were deliveries.
 *
 * What is in the hands of the client by other ways counts for a bound of its own only:
 *
 *   used + out + others <= most, likewise.
 */
#ifndef AMQP_SHARE_H
#define AMQP_SHARE_H

#include <stdbool.h>
#include <stdint.h>

struct share_member {                 /* one queue; zeroed at first, in the caller's storage */
    struct share_member *prev, *next; /* in the ring of those that want */
    uint32_t out;                     /* permits that it has */
    bool wants;
};

struct share {                 /* zeroed at first */
    struct share_member *turn; /* who is next; NULL: nobody wants */
    uint32_t n_wanting;
    uint32_t limit; /* 0: none */
    uint32_t used, out;
    uint32_t most, others; /* most 0: no bound */
};

/* A new limit; 0: none, and nobody wants any more. */
void share_set_limit(struct share *s, uint32_t limit);
void share_want(struct share *s, struct share_member *m);
/* It has no use for any, and gives back n of those that it had. */
void share_back(struct share *s, struct share_member *m, uint32_t n);
/* Its queue is gone, and its permits with it. */
void share_forget(struct share *s, struct share_member *m);

/*
 * Who gets permits now, and how many; NULL: nobody. A round is n_wanting calls with `left` counting
 * down from n_wanting to 1; it gives all there is, in equal parts.
 */
struct share_member *share_give(struct share *s, uint32_t left, uint32_t *ret_n);

/* A delivery that drew a permit has come. What it uses is counted apart. */
void share_drew(struct share *s, struct share_member *m);

/* A delivery that somebody has to settle, and its end. */
static inline void share_use(struct share *s)
{
    s->used++;
}
static inline void share_release(struct share *s)
{
    s->used--;
}

/* The same of what draws no permits. */
static inline void share_use_other(struct share *s)
{
    s->others++;
}
static inline void share_release_other(struct share *s)
{
    s->others--;
}

/* Whether the bound on all leaves room for one more. */
static inline bool share_has_room(const struct share *s)
{
    return s->most == 0 || s->used + s->out + s->others < s->most;
}

#endif
