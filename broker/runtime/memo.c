/*
 * memo.c - sets of a few entries each, found by the key's hash; the oldest of a set is replaced.
 *
 * The tags stand apart from the entries, so that a look-up touches one line of them and the entry
 * that it is about. Entries of versions that are gone are never found and get replaced in turn.
 */
#include "broker/runtime/memo.h"

#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/hamt.h"
#include "broker/runtime/internal.h"

enum { SETS = 1024, WAYS = 4 };

struct memo {
    uint32_t tag[SETS][WAYS]; /* of the entry in the same place; 0: none */
    uint8_t next[SETS];       /* place that is replaced next */
    struct memo_entry entry[SETS][WAYS];
};

struct place {
    uint32_t set, tag;
};

struct memo *memo_new(void)
{
    RUNTIME_REGION();

    return rt_zalloc(sizeof(struct memo));
}

void memo_free(struct memo *m)
{
    RUNTIME_REGION();

    rt_free(m);
}

struct memo *memo_here(void)
{
    RUNTIME_REGION();
    struct worker *w = rt_me;

    if (!w || !w->sched)
        return NULL;
    if (!w->memo)
        w->memo = memo_new();
    return w->memo;
}

static struct place place_of(uint64_t version, const void *key, size_t len)
{
    uint64_t hash = hamt_hash(version, key, len);

    return (struct place){.set = hash % SETS, .tag = (uint32_t)(hash >> 32) | 1};
}

const struct memo_entry *memo_get(const struct memo *m, uint64_t version, const void *key,
                                  size_t len)
{
    struct place at = place_of(version, key, len);

    for (unsigned i = 0; i < WAYS; i++) {
        const struct memo_entry *e = &m->entry[at.set][i];

        if (m->tag[at.set][i] == at.tag && e->version == version && e->key_len == len &&
            memcmp(e->key, key, len) == 0)
            return e;
    }
    return NULL;
}

void memo_put(struct memo *m, uint64_t version, const void *key, size_t len,
              const void *const *item, size_t n)
{
    RUNTIME_REGION();
    struct place at = place_of(version, key, len);
    struct memo_entry *e;
    unsigned i;

    if (len > MEMO_KEY_MAX || n > MEMO_ITEMS)
        return;
    i = m->next[at.set]++ % WAYS;
    e = &m->entry[at.set][i];
    m->tag[at.set][i] = at.tag;
    e->version = version;
    e->n = (uint8_t)n;
    e->key_len = (uint8_t)len;
    memcpy(e->key, key, len);
    memcpy(e->item, item, n * sizeof(item[0]));
}
