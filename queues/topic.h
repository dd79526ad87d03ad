/*
 * topic.h - the routes of topic exchanges: patterns of words, `*` for one word, `#` for any number.
 * Pure but for the table that it reads and writes.
 *
 * Patterns without wildcards stand in the table under themselves, so that one look-up finds them.
 * The others form a trie whose nodes stand in the table under their paths, so that a change copies
 * the nodes on one path and no more. A run of wildcards is brought into one order first (`#.*.#` is
 * `*.#`), so that `#` has only literal children.
 */
#ifndef QUEUES_TOPIC_H
#define QUEUES_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct binding;
struct route_set;
struct table;

enum { TOPIC_KEY_MAX = 255 }; /* bytes of a key or pattern: what a shortstr can be */

/*
 * Adds or removes a binding; whether the table changed. The exchange's writer only. A key over
 * TOPIC_KEY_MAX is the caller's mistake and changes nothing.
 */
bool topic_change(struct table *t, const struct binding *b, bool remove);

struct topic_query {
    const struct table *table;
    const char *key; /* lent */
    size_t len;      /* at most TOPIC_KEY_MAX */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    /* Called once for each set whose patterns match. */
    void (*hit)(void *ctx, const struct route_set *set);
    void *ctx;
};

/*
 * Matches a key against all patterns. Returns the steps taken, which are at most one for each pair
 * of a word and a node of the trie, whatever the patterns.
 */
size_t topic_match(const struct topic_query *q);

#endif
