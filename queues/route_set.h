/*
 * route_set.h - what an exchange's routes are made of: immutable sets of bindings.
 *
 * A set stands under one key of the exchange's table. It holds its bindings in the order of their
 * destinations' ids (then keys, then arguments), in chunks that versions share, so that a change
 * copies one chunk and the list of chunks, however many bindings there are. For topic exchanges a
 * set is a node of the trie as well and knows which children it has.
 */
#ifndef QUEUES_ROUTE_SET_H
#define QUEUES_ROUTE_SET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob;
struct cell;

enum { ROUTE_CHUNK_MAX = 64 }; /* bindings */

struct binding {             /* immutable where it is in a set */
    struct cell *dest;       /* referenced; a queue or an exchange */
    struct blob *key, *args; /* referenced; NULL: empty */
    bool durable;
};

struct route_chunk { /* shared by versions of a set */
    _Atomic uint32_t refs;
    uint32_t n; /* never 0 */
    struct binding binding[];
};

struct route_links { /* topic: which children a node has; more than there are does no harm */
    uint32_t n_literal;
    bool has_star, has_hash;
    bool is_nested; /* a `#` node below another one */
};

struct route_set { /* the value of an exchange's table under one key */
    uint32_t n;    /* bindings in all chunks */
    uint32_t n_chunks;
    struct route_links links;
    uint16_t path_len; /* topic: the key that it stands under, when it is a node */
    const char *path;
    struct route_chunk *chunk[]; /* references; the path lies behind them */
};

/* A set without bindings, the caller's; the path is copied. */
struct route_set *route_set_new(const char *path, size_t path_len);
/* A copy, the caller's, whose links may be changed before it is shown. */
struct route_set *route_set_copy(const struct route_set *old);
/* A new set with b added (referenced), or NULL when it is there already. `old` may be NULL. */
struct route_set *route_set_with(const struct route_set *old, const struct binding *b);
/* A new set without b, which may be empty, or NULL when b is not there. `old` may be NULL. */
struct route_set *route_set_without(const struct route_set *old, const struct binding *b);
/* Gives all references back; for table_open. NULL is allowed. */
void route_set_free(void *set);

static inline bool route_links_any(const struct route_links *l)
{
    return l->n_literal > 0 || l->has_star || l->has_hash;
}

/* Bytes of a key or of arguments; "" for NULL. */
const void *binding_bytes(const struct blob *b, size_t *ret_len);

#endif
