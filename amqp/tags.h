/*
 * tags.h - the deliveries of a channel that its client has not settled, by delivery tag. Pure.
 *
 * Tags count from 1 and are given in order, also to deliveries that need no ack, of which nothing
 * is kept. Entries stand in one array by tag; those that are gone leave holes, which are closed
 * when they are more than the rest, so that one message held for hours costs no more than itself.
 */
#ifndef AMQP_TAGS_H
#define AMQP_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tag_entry {
    uint64_t tag;
    uint64_t seq; /* in its queue */
    void *link;   /* the channel's tie to that queue; NULL: settled */
    uint32_t cid; /* the consumer's number; 0: by a get */
    bool lasts;   /* survives the queue's process; else void once that has died */
    uint8_t tx;   /* settled in a transaction that is not committed; 0: it is not */
};

struct tags {
    struct tag_entry *entry;
    uint32_t first, end, cap; /* entries [first, end) of cap */
    uint32_t n;               /* of them not settled */
    uint64_t last;            /* last tag given */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
};

void tags_init(struct tags *t, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
void tags_fini(struct tags *t);

/* The next tag for a delivery that nobody will settle. */
static inline uint64_t tags_skip(struct tags *t)
{
    return ++t->last;
}

/* The next tag, and an entry for it; the caller sets the rest (link not NULL) before anything else.
 */
struct tag_entry *tags_add(struct tags *t);

/* NULL: unknown or settled. Valid until the next add or take. */
struct tag_entry *tags_find(struct tags *t, uint64_t tag);

/* The first entry not settled; NULL: none. Valid as above. */
struct tag_entry *tags_first(struct tags *t);

/* The first one with this tag or a later one. */
struct tag_entry *tags_from(struct tags *t, uint64_t tag);

/* The next one after it that is not settled, in order of tags. */
struct tag_entry *tags_next(struct tags *t, struct tag_entry *e);

/* Settles an entry. Others stay valid. */
void tags_take(struct tags *t, struct tag_entry *e);

/* Gives memory back that is not needed; no entry is valid after it. */
void tags_trim(struct tags *t);

#endif
