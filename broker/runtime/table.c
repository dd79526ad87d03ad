/*
 * table.c - shared tables: a trie's root behind an atomic pointer, and the register of names.
 *
 * Duties: publishes each version of a trie with one store of its root, and retires what that
 * version no longer holds.
 *
 * Invariants:
 *   1. A version's nodes are written before its root is stored (release), and read after it is
 *      loaded (acquire).
 *   2. What a change took out is retired after the new root and then the new version's number are
 *      stored, never before; so who sees the old number may use what he finds until his turn ends.
 *   3. One process writes a table at a time; the lock guards only the register of names.
 */
#include "broker/runtime/table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/hamt.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table_impl.h"
#include "broker/runtime/world.h"

struct table {
    _Atomic(hamt_ref) root;
    _Atomic uint64_t version;
    atomic_size_t count;
    uint64_t seed; /* of the keys' hashes */
    void (*free_value)(void *);
    LIST_ENTRY(table) link; /* in the register */
    char name[];
};
LIST_HEAD(table_list, table);

/* What a change took out, until its grace period is over. */
struct trash {
    struct hamt_garbage garbage;
    void (*free_value)(void *);
};

enum { BUCKETS = 1024 };

static struct {
    pthread_mutex_t lock;
    bool is_ending;                /* tables_fini frees all that there is: nobody closes any more */
    _Atomic uint64_t last_version; /* of any table */
    struct table_list bucket[BUCKETS];
} tables = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct table_list *bucket_of(const char *name)
{
    return &tables.bucket[hamt_hash(0, name, strlen(name)) % BUCKETS];
}

static uint64_t version_next(void)
{
    return atomic_fetch_add_explicit(&tables.last_version, 1, memory_order_relaxed) + 1;
}

static struct table *table_new(const char *name, void (*free_value)(void *))
{
    size_t len = strlen(name) + 1;
    struct table *t = rt_zalloc(sizeof(*t) + len);

    t->seed = world()->random ? world()->random() : 1; /* 1: before rt_start */
    t->free_value = free_value;
    atomic_init(&t->version, version_next());
    memcpy(t->name, name, len);
    return t;
}

struct table *table_open(const char *name, void (*free_value)(void *))
{
    struct table *t;

    RUNTIME_REGION();
    pthread_mutex_lock(&tables.lock);
    LIST_FOREACH(t, bucket_of(name), link) {
        if (strcmp(t->name, name) == 0)
            break;
    }
    if (!t) {
        t = table_new(name, free_value);
        LIST_INSERT_HEAD(bucket_of(name), t, link);
    }
    pthread_mutex_unlock(&tables.lock);
    return t;
}

static void table_free(void *p)
{
    struct table *t = p;

    hamt_free(atomic_load_explicit(&t->root, memory_order_relaxed), t->free_value);
    rt_free(t);
}

void table_close(struct table *t)
{
    RUNTIME_REGION();
    if (tables.is_ending)
        return;
    pthread_mutex_lock(&tables.lock);
    LIST_REMOVE(t, link);
    pthread_mutex_unlock(&tables.lock);
    grace_retire(table_free, t);
}

void tables_fini(void)
{
    tables.is_ending = true; /* values may own tables */
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct table *t;

        while ((t = LIST_FIRST(&tables.bucket[i])) != NULL) {
            LIST_REMOVE(t, link);
            table_free(t);
        }
    }
    tables.is_ending = false;
}

void *table_get(const struct table *t, const void *key, size_t len)
{
    struct hamt_leaf *leaf;

    RUNTIME_REGION();
    leaf = hamt_get(atomic_load_explicit(&t->root, memory_order_acquire),
                    hamt_hash(t->seed, key, len), key, len);
    return leaf ? leaf->value : NULL;
}

static void trash_free(void *p)
{
    struct trash *trash = p;

    hamt_garbage_free(&trash->garbage, trash->free_value);
    rt_free(trash);
}

static void publish(struct table *t, hamt_ref root, const struct hamt_garbage *garbage,
                    void (*free_value)(void *))
{
    struct trash *trash;

    atomic_store_explicit(&t->root, root, memory_order_release);
    atomic_store_explicit(&t->version, version_next(), memory_order_release);
    if (!garbage->nodes && !garbage->leaf)
        return;
    trash = rt_alloc(sizeof(*trash));
    *trash = (struct trash){.garbage = *garbage, .free_value = free_value};
    grace_retire(trash_free, trash);
}

void table_put(struct table *t, const void *key, size_t len, void *value)
{
    struct hamt_garbage garbage;
    hamt_ref root;
    bool is_same;

    RUNTIME_REGION();
    root = hamt_put(atomic_load_explicit(&t->root, memory_order_relaxed),
                    hamt_leaf_new(hamt_hash(t->seed, key, len), key, len, value), &garbage);
    if (!garbage.leaf)
        atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    /* The same value put again is still the table's: its old leaf goes without it. */
    is_same = garbage.leaf && garbage.leaf->value == value;
    publish(t, root, &garbage, is_same ? NULL : t->free_value);
}

int table_del(struct table *t, const void *key, size_t len)
{
    struct hamt_garbage garbage;
    hamt_ref root;

    RUNTIME_REGION();
    root = hamt_del(atomic_load_explicit(&t->root, memory_order_relaxed),
                    hamt_hash(t->seed, key, len), key, len, &garbage);
    if (!garbage.leaf)
        return 0;
    atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
    publish(t, root, &garbage, t->free_value);
    return 1;
}

uint64_t table_version(const struct table *t)
{
    return atomic_load_explicit(&t->version, memory_order_acquire);
}

size_t table_count(const struct table *t)
{
    return atomic_load_explicit(&t->count, memory_order_relaxed);
}

struct each {
    int (*fn)(void *ctx, const void *key, size_t len, void *v);
    void *ctx;
};

static int each_leaf(void *ctx, struct hamt_leaf *leaf)
{
    struct each *each = ctx;

    return each->fn(each->ctx, leaf->key, leaf->len, leaf->value);
}

/* Stays in the caller's region, because fn is the caller's code and may end its process; a walk
 * that is left half-way leaves nothing behind. */
int table_each(const struct table *t, int (*fn)(void *ctx, const void *key, size_t len, void *v),
               void *ctx)
{
    struct each each = {.fn = fn, .ctx = ctx};

    return hamt_each(atomic_load_explicit(&t->root, memory_order_acquire), each_leaf, &each);
}

enum { ONE_PART = 256 }; /* entries that are called at once */

bool table_each_part(const struct table *t, unsigned *at,
                     int (*fn)(void *ctx, const void *key, size_t len, void *v), void *ctx)
{
    struct each each = {.fn = fn, .ctx = ctx};
    hamt_ref root = atomic_load_explicit(&t->root, memory_order_acquire);

    if (*at == 0 && table_count(t) <= ONE_PART) {
        (void)hamt_each(root, each_leaf, &each); /* whoever stops it has seen enough of this part */
        return false;
    }
    (void)hamt_each_in(root, (*at)++, each_leaf, &each); /* as above */
    return *at < HAMT_PARTS;
}
