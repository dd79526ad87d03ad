/*
 * hamt.h - a hash array mapped trie of immutable nodes, changed by path copying.
 *
 * Internal to table.c, and the hash to memo.c. A version of the trie is one word, its root; whoever
 * holds a root may walk it while a writer makes the next version. A change returns the new root and
 * tells what the old version alone holds, so that the caller can free it when no reader can be
 * left.
 */
#ifndef BROKER_RUNTIME_HAMT_H
#define BROKER_RUNTIME_HAMT_H

#include <stddef.h>
#include <stdint.h>

/* 0: empty; bit 0 set: a leaf; else a node. */
typedef uintptr_t hamt_ref;

struct hamt_leaf {
    uint64_t hash;
    void *value;
    size_t len;
    char key[];
};

struct hamt_node;

/* What one change took out of the trie. */
struct hamt_garbage {
    struct hamt_node *nodes; /* chained; the chain is no reader's */
    struct hamt_leaf *leaf;  /* NULL: none */
};

/* A key's hash; `seed` keeps clients from choosing keys that collide. */
uint64_t hamt_hash(uint64_t seed, const void *key, size_t len);

/* A new leaf with a copy of the key, owned by the caller until hamt_put. */
struct hamt_leaf *hamt_leaf_new(uint64_t hash, const void *key, size_t len, void *value);

/* NULL: no such key. */
struct hamt_leaf *hamt_get(hamt_ref root, uint64_t hash, const void *key, size_t len);

/* The version with `leaf` (moved) in it; *garbage is set. */
hamt_ref hamt_put(hamt_ref root, struct hamt_leaf *leaf, struct hamt_garbage *garbage);

/* The version without this key; the same root and garbage->leaf NULL when it was not there. */
hamt_ref hamt_del(hamt_ref root, uint64_t hash, const void *key, size_t len,
                  struct hamt_garbage *garbage);

/* Calls fn for each leaf, in no order, until it returns nonzero, which is then returned. */
int hamt_each(hamt_ref root, int (*fn)(void *ctx, struct hamt_leaf *leaf), void *ctx);

enum { HAMT_PARTS = 1024 };

/* The same for one part of the keys: each is in one part below HAMT_PARTS, in every version. */
int hamt_each_in(hamt_ref root, unsigned part, int (*fn)(void *ctx, struct hamt_leaf *leaf),
                 void *ctx);

/* Frees nodes and leaf, and gives the leaf's value to free_value (may be NULL). */
void hamt_garbage_free(struct hamt_garbage *garbage, void (*free_value)(void *));

/* Frees a whole version that nobody reads any more. */
void hamt_free(hamt_ref root, void (*free_value)(void *));

#endif
