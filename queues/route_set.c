/*
 * Sets of bindings: found by halving, changed by copying one chunk.
 */
#include "queues/route_set.h"

#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "queues/cell.h"

struct place {
    uint32_t chunk, at;
    bool is_there;
};

const void *binding_bytes(const struct blob *b, size_t *ret_len)
{
    *ret_len = b ? blob_size(b) : 0;
    return b ? (const void *)blob_bytes(b) : "";
}

static int compare_blobs(const struct blob *a, const struct blob *b)
{
    size_t na, nb;
    const void *pa = binding_bytes(a, &na), *pb = binding_bytes(b, &nb);

    if (a == b)
        return 0;
    if (na != nb)
        return na < nb ? -1 : 1;
    return memcmp(pa, pb, na);
}

static int compare(const struct binding *a, const struct binding *b)
{
    int r;

    if (a->dest->id != b->dest->id)
        return a->dest->id < b->dest->id ? -1 : 1;
    r = compare_blobs(a->key, b->key);
    return r ? r : compare_blobs(a->args, b->args);
}

static void take(struct binding *to, const struct binding *from)
{
    to->dest = cell_ref(from->dest);
    to->args = blob_ref(from->args);
    to->key = blob_ref(from->key);
    to->durable = from->durable;
}

static struct route_chunk *chunk_new(uint32_t cap)
{
    struct route_chunk *c = rt_alloc(sizeof(*c) + cap * sizeof(c->binding[0]));

    atomic_init(&c->refs, 1);
    c->n = 0;
    return c;
}

static struct route_chunk *chunk_ref(struct route_chunk *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void chunk_unref(struct route_chunk *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < c->n; i++) {
        cell_unref(c->binding[i].dest);
        blob_unref(c->binding[i].args);
        blob_unref(c->binding[i].key);
    }
    rt_free(c);
}

void route_set_free(void *p)
{
    struct route_set *set = p;

    if (!set)
        return;
    for (uint32_t i = 0; i < set->n_chunks; i++)
        chunk_unref(set->chunk[i]);
    rt_free(set);
}

/* Links and path are the old one's. */
static struct route_set *set_new(const struct route_set *old, uint32_t n_chunks)
{
    static const struct route_set none;
    struct route_set *set;
    size_t chunks = n_chunks * sizeof(set->chunk[0]);
    char *path;

    old = old ? old : &none;
    set = rt_zalloc(sizeof(*set) + chunks + old->path_len);
    path = (char *)set->chunk + chunks;
    memcpy(path, old->path_len ? old->path : "", old->path_len);
    set->path = path;
    set->path_len = old->path_len;
    set->links = old->links;
    return set;
}

static void add_chunk(struct route_set *set, struct route_chunk *c)
{
    set->chunk[set->n_chunks++] = c;
    set->n += c->n;
}

static void add_range(struct route_set *set, const struct route_set *old, uint32_t from,
                      uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        add_chunk(set, chunk_ref(old->chunk[i]));
}

struct route_set *route_set_new(const char *path, size_t path_len)
{
    RUNTIME_REGION();
    const struct route_set like = {.path = path, .path_len = (uint16_t)path_len};

    return set_new(&like, 0);
}

struct route_set *route_set_copy(const struct route_set *old)
{
    RUNTIME_REGION();
    struct route_set *set = set_new(old, old->n_chunks);

    add_range(set, old, 0, old->n_chunks);
    return set;
}

/* The last chunk that begins at or before b, and where in it b is or belongs. */
static struct place find(const struct route_set *set, const struct binding *b)
{
    uint32_t lo = 0, hi = set->n_chunks;
    struct place p = {0};

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (compare(&set->chunk[mid]->binding[0], b) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    p.chunk = lo ? lo - 1 : 0;
    hi = set->chunk[p.chunk]->n;
    for (lo = 0; lo < hi;) {
        uint32_t mid = (lo + hi) / 2;

        if (compare(&set->chunk[p.chunk]->binding[mid], b) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    p.at = lo;
    p.is_there = lo < set->chunk[p.chunk]->n && !compare(&set->chunk[p.chunk]->binding[lo], b);
    return p;
}

static void fill(struct route_chunk *to, const struct binding *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        take(&to->binding[to->n++], &from[i]);
}

/*
 * A full chunk becomes two: at its middle, or behind its last when b comes there, because ids of
 * queues grow and bindings made one after the other should fill their chunks.
 */
static void add_with(struct route_set *set, const struct route_chunk *old, uint32_t at,
                     const struct binding *b)
{
    uint32_t split = old->n < ROUTE_CHUNK_MAX ? old->n : at == old->n ? at : old->n / 2;
    struct route_chunk *left = chunk_new(split + 1), *right = NULL;

    if (old->n == ROUTE_CHUNK_MAX)
        right = chunk_new(old->n - split + 1);
    if (!right || (at <= split && split < old->n)) {
        fill(left, old->binding, at);
        take(&left->binding[left->n++], b);
        fill(left, old->binding + at, split - at);
        if (right)
            fill(right, old->binding + split, old->n - split);
    } else {
        fill(left, old->binding, split);
        fill(right, old->binding + split, at - split);
        take(&right->binding[right->n++], b);
        fill(right, old->binding + at, old->n - at);
    }
    add_chunk(set, left);
    if (right)
        add_chunk(set, right);
}

struct route_set *route_set_with(const struct route_set *old, const struct binding *b)
{
    RUNTIME_REGION();
    struct route_chunk *only;
    struct route_set *set;
    struct place p;

    if (!old || old->n_chunks == 0) {
        set = set_new(old, 1);
        only = chunk_new(1);
        fill(only, b, 1);
        add_chunk(set, only);
        return set;
    }
    p = find(old, b);
    if (p.is_there)
        return NULL;
    set = set_new(old, old->n_chunks + 1);
    add_range(set, old, 0, p.chunk);
    add_with(set, old->chunk[p.chunk], p.at, b);
    add_range(set, old, p.chunk + 1, old->n_chunks);
    return set;
}

struct route_set *route_set_without(const struct route_set *old, const struct binding *b)
{
    RUNTIME_REGION();
    const struct route_chunk *chunk;
    struct route_chunk *rest;
    struct route_set *set;
    struct place p;

    if (!old || old->n_chunks == 0)
        return NULL;
    p = find(old, b);
    if (!p.is_there)
        return NULL;
    set = set_new(old, old->n_chunks);
    add_range(set, old, 0, p.chunk);
    chunk = old->chunk[p.chunk];
    if (chunk->n > 1) {
        rest = chunk_new(chunk->n - 1);
        fill(rest, chunk->binding, p.at);
        fill(rest, chunk->binding + p.at + 1, chunk->n - p.at - 1);
        add_chunk(set, rest);
    }
    add_range(set, old, p.chunk + 1, old->n_chunks);
    return set;
}
