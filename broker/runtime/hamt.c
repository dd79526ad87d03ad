/*
 * hamt.c - five bits of the hash a level; below the last level a node lists leaves of one hash.
 *
 * Invariants:
 *   1. A node is never changed once a version that holds it has been returned (but its chain
 *      pointer, which no reader follows).
 *   2. A node above SHIFT_END has as many children as bits in its bitmap, in the order of the bits.
 *   3. No node but the root has a leaf as its only child: deletion puts the leaf in its place.
 */
#include "broker/runtime/hamt.h"

#include <stdbool.h>
#include <string.h>

#include "broker/runtime/alloc.h"

enum { SHIFT_STEP = 5, SHIFT_END = 65 }; /* 13 levels use up 64 bits */

struct hamt_node {
    struct hamt_node *chain; /* the next piece of garbage */
    uint32_t bitmap;         /* 0 in a node of leaves with one hash */
    uint32_t n;
    hamt_ref child[];
};

static bool is_leaf(hamt_ref ref)
{
    return ref & 1;
}

static struct hamt_leaf *leaf_of(hamt_ref ref)
{
    return (struct hamt_leaf *)(ref & ~(hamt_ref)1);
}

static hamt_ref ref_of_leaf(struct hamt_leaf *leaf)
{
    return (hamt_ref)leaf | 1;
}

static struct hamt_node *node_of(hamt_ref ref)
{
    return (struct hamt_node *)ref;
}

static uint32_t bit_at(uint64_t hash, unsigned shift)
{
    return 1u << (hash >> shift & 31);
}

/* How many bits below this one are set. By hand, because where the processor's own instruction may
 * not be assumed the compiler calls a function, which was a sixth of a look-up. */
static uint32_t index_of(const struct hamt_node *node, uint32_t bit)
{
    uint32_t v = node->bitmap & (bit - 1);

    v -= v >> 1 & 0x55555555;
    v = (v & 0x33333333) + (v >> 2 & 0x33333333);
    return ((v + (v >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

static bool is_key(const struct hamt_leaf *leaf, uint64_t hash, const void *key, size_t len)
{
    return leaf->hash == hash && leaf->len == len && memcmp(leaf->key, key, len) == 0;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* The last 0 to 7 bytes of a key, different for different ones of one length; without the call
 * that a copy of unknown length would be. */
static uint64_t tail_of(const unsigned char *p, size_t len)
{
    uint32_t first, last;

    if (len >= 4) {
        memcpy(&first, p, 4);
        memcpy(&last, p + len - 4, 4);
        return (uint64_t)first << 32 | last;
    }
    return len ? (uint64_t)p[0] << 16 | (uint64_t)p[len / 2] << 8 | p[len - 1] : 0;
}

uint64_t hamt_hash(uint64_t seed, const void *key, size_t len)
{
    const unsigned char *p = key;
    uint64_t h = seed ^ len, word;

    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = fold(h ^ 0x9e3779b97f4a7c15ull, word ^ seed);
    }
    h = fold(h ^ 0xd1b54a32d192ed03ull, tail_of(p, len) ^ seed);
    return fold(h ^ seed, 0x8cb92ba72f3d8dd7ull);
}

struct hamt_leaf *hamt_leaf_new(uint64_t hash, const void *key, size_t len, void *value)
{
    struct hamt_leaf *leaf = rt_alloc(sizeof(*leaf) + len);

    *leaf = (struct hamt_leaf){.hash = hash, .value = value, .len = len};
    memcpy(leaf->key, key, len);
    return leaf;
}

static struct hamt_node *node_new(uint32_t bitmap, uint32_t n)
{
    struct hamt_node *node = rt_alloc(sizeof(*node) + n * sizeof(hamt_ref));

    node->chain = NULL;
    node->bitmap = bitmap;
    node->n = n;
    return node;
}

/* Only the writer comes here: the chain is garbage's, not the trie's. */
static void discard_node(struct hamt_garbage *garbage, struct hamt_node *node)
{
    node->chain = garbage->nodes;
    garbage->nodes = node;
}

/* A copy with child i replaced; the old one is garbage. */
static hamt_ref replace_child(struct hamt_node *node, uint32_t i, hamt_ref child,
                              struct hamt_garbage *garbage)
{
    struct hamt_node *copy = node_new(node->bitmap, node->n);

    memcpy(copy->child, node->child, node->n * sizeof(hamt_ref));
    copy->child[i] = child;
    discard_node(garbage, node);
    return (hamt_ref)copy;
}

static hamt_ref insert_child(struct hamt_node *node, uint32_t bit, uint32_t i, hamt_ref child,
                             struct hamt_garbage *garbage)
{
    struct hamt_node *copy = node_new(node->bitmap | bit, node->n + 1);

    memcpy(copy->child, node->child, i * sizeof(hamt_ref));
    copy->child[i] = child;
    memcpy(copy->child + i + 1, node->child + i, (node->n - i) * sizeof(hamt_ref));
    discard_node(garbage, node);
    return (hamt_ref)copy;
}

/* A copy without child i: nothing, or the leaf itself, when no more than that is left. */
static hamt_ref remove_child(struct hamt_node *node, uint32_t bit, uint32_t i,
                             struct hamt_garbage *garbage)
{
    struct hamt_node *copy;

    discard_node(garbage, node);
    if (node->n == 1)
        return 0;
    if (node->n == 2 && is_leaf(node->child[!i]))
        return node->child[!i];
    copy = node_new(node->bitmap & ~bit, node->n - 1);
    memcpy(copy->child, node->child, i * sizeof(hamt_ref));
    memcpy(copy->child + i, node->child + i + 1, (node->n - 1 - i) * sizeof(hamt_ref));
    return (hamt_ref)copy;
}

/* The smallest trie of two leaves with different keys, from this level down. */
static hamt_ref join(hamt_ref a, hamt_ref b, unsigned shift)
{
    uint64_t hash_a = leaf_of(a)->hash, hash_b = leaf_of(b)->hash;
    struct hamt_node *node;
    uint32_t bit_a, bit_b;

    if (shift >= SHIFT_END) {
        node = node_new(0, 2);
        node->child[0] = a;
        node->child[1] = b;
        return (hamt_ref)node;
    }
    bit_a = bit_at(hash_a, shift);
    bit_b = bit_at(hash_b, shift);
    if (bit_a == bit_b) {
        node = node_new(bit_a, 1);
        node->child[0] = join(a, b, shift + SHIFT_STEP);
        return (hamt_ref)node;
    }
    node = node_new(bit_a | bit_b, 2);
    node->child[bit_a > bit_b] = a;
    node->child[bit_a < bit_b] = b;
    return (hamt_ref)node;
}

/* Where a leaf of this key stands in a node of leaves, or node->n. */
static uint32_t find_leaf(const struct hamt_node *node, uint64_t hash, const void *key, size_t len)
{
    uint32_t i = 0;

    while (i < node->n && !is_key(leaf_of(node->child[i]), hash, key, len))
        i++;
    return i;
}

struct hamt_leaf *hamt_get(hamt_ref root, uint64_t hash, const void *key, size_t len)
{
    hamt_ref ref = root;

    for (unsigned shift = 0; ref != 0 && !is_leaf(ref); shift += SHIFT_STEP) {
        const struct hamt_node *node = node_of(ref);
        uint32_t i, bit;

        if (shift >= SHIFT_END) {
            i = find_leaf(node, hash, key, len);
            return i < node->n ? leaf_of(node->child[i]) : NULL;
        }
        bit = bit_at(hash, shift);
        if (!(node->bitmap & bit))
            return NULL;
        ref = node->child[index_of(node, bit)];
    }
    return ref != 0 && is_key(leaf_of(ref), hash, key, len) ? leaf_of(ref) : NULL;
}

static hamt_ref put_at(hamt_ref ref, struct hamt_leaf *leaf, unsigned shift,
                       struct hamt_garbage *garbage)
{
    struct hamt_node *node;
    uint32_t bit = 0, i;

    if (ref == 0)
        return ref_of_leaf(leaf);
    if (is_leaf(ref)) {
        if (!is_key(leaf_of(ref), leaf->hash, leaf->key, leaf->len))
            return join(ref, ref_of_leaf(leaf), shift);
        garbage->leaf = leaf_of(ref);
        return ref_of_leaf(leaf);
    }
    node = node_of(ref);
    if (shift >= SHIFT_END) {
        i = find_leaf(node, leaf->hash, leaf->key, leaf->len);
        if (i == node->n)
            return insert_child(node, 0, i, ref_of_leaf(leaf), garbage);
    } else {
        bit = bit_at(leaf->hash, shift);
        i = index_of(node, bit);
        if (!(node->bitmap & bit))
            return insert_child(node, bit, i, ref_of_leaf(leaf), garbage);
    }
    return replace_child(node, i, put_at(node->child[i], leaf, shift + SHIFT_STEP, garbage),
                         garbage);
}

hamt_ref hamt_put(hamt_ref root, struct hamt_leaf *leaf, struct hamt_garbage *garbage)
{
    *garbage = (struct hamt_garbage){0};
    return put_at(root, leaf, 0, garbage);
}

static hamt_ref del_at(hamt_ref ref, const struct hamt_leaf *leaf, unsigned shift,
                       struct hamt_garbage *garbage)
{
    struct hamt_node *node;
    uint32_t bit = 0, i;
    hamt_ref child;

    if (is_leaf(ref)) {
        garbage->leaf = leaf_of(ref);
        return 0;
    }
    node = node_of(ref);
    if (shift >= SHIFT_END) {
        i = find_leaf(node, leaf->hash, leaf->key, leaf->len);
    } else {
        bit = bit_at(leaf->hash, shift);
        i = index_of(node, bit);
    }
    child = del_at(node->child[i], leaf, shift + SHIFT_STEP, garbage);
    if (child == 0)
        return remove_child(node, bit, i, garbage);
    if (node->n == 1 && is_leaf(child)) {
        discard_node(garbage, node);
        return child;
    }
    return replace_child(node, i, child, garbage);
}

hamt_ref hamt_del(hamt_ref root, uint64_t hash, const void *key, size_t len,
                  struct hamt_garbage *garbage)
{
    struct hamt_leaf *leaf = hamt_get(root, hash, key, len);

    *garbage = (struct hamt_garbage){0};
    return leaf ? del_at(root, leaf, 0, garbage) : root;
}

int hamt_each(hamt_ref root, int (*fn)(void *ctx, struct hamt_leaf *leaf), void *ctx)
{
    struct hamt_node *node = node_of(root);
    int r = 0;

    if (root == 0)
        return 0;
    if (is_leaf(root))
        return fn(ctx, leaf_of(root));
    for (uint32_t i = 0; i < node->n && r == 0; i++)
        r = hamt_each(node->child[i], fn, ctx);
    return r;
}

/* A part is the keys that go the same way through the two uppermost levels. */
int hamt_each_in(hamt_ref root, unsigned part, int (*fn)(void *ctx, struct hamt_leaf *leaf),
                 void *ctx)
{
    for (unsigned shift = 0; shift < 2 * SHIFT_STEP && root && !is_leaf(root);
         shift += SHIFT_STEP) {
        struct hamt_node *node = node_of(root);
        uint32_t bit = bit_at(part, shift);

        root = node->bitmap & bit ? node->child[index_of(node, bit)] : 0;
    }
    if (root && is_leaf(root) && leaf_of(root)->hash % HAMT_PARTS != part)
        return 0;
    return hamt_each(root, fn, ctx);
}

static void leaf_free(struct hamt_leaf *leaf, void (*free_value)(void *))
{
    if (free_value)
        free_value(leaf->value);
    rt_free(leaf);
}

void hamt_garbage_free(struct hamt_garbage *garbage, void (*free_value)(void *))
{
    struct hamt_node *node = garbage->nodes;

    while (node) {
        struct hamt_node *next = node->chain;

        rt_free(node);
        node = next;
    }
    if (garbage->leaf)
        leaf_free(garbage->leaf, free_value);
    *garbage = (struct hamt_garbage){0};
}

void hamt_free(hamt_ref root, void (*free_value)(void *))
{
    struct hamt_node *node = node_of(root);

    if (root == 0)
        return;
    if (is_leaf(root)) {
        leaf_free(leaf_of(root), free_value);
        return;
    }
    for (uint32_t i = 0; i < node->n; i++)
        hamt_free(node->child[i], free_value);
    rt_free(node);
}
