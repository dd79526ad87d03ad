/*
 * Headers exchanges: what a binding asks for, where it stands, and how a message finds it.
 *
 * Keys of the table: a letter, and 8 bytes of hash where it is 'v' (a name and its value) or 'n' (a
 * name alone). 'e' holds bindings that every message must be compared with, 'z' those that match
 * nothing. What stands under a key is compared in full, so that hashes may collide.
 *
 * Values are compared as ftable_value_equal does; one of type void asks for the name alone.
 */
#include "queues/headers.h"

#include <string.h>

#include "amqp/codec/table.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "broker/runtime/u64map.h"
#include "queues/registry_hash.h"
#include "queues/route_set.h"

enum {
    PLACES_MAX = 16, /* keys that one binding stands under; one with more pairs stands under 'e' */
    FEW_HEADERS = 16 /* of a message, searched one by one */
};

struct place { /* a key of the table */
    uint8_t len;
    char key[9];
};

static struct place place_of(char letter, uint64_t hash)
{
    struct place p = {.len = 9};

    p.key[0] = letter;
    memcpy(p.key + 1, &hash, sizeof(hash));
    return p;
}

static struct place place_plain(char letter)
{
    return (struct place){.len = 1, .key = {letter}};
}

static uint64_t name_hash(struct amqp_bytes name)
{
    return registry_hash(1, name.p, name.len);
}

/* Whether it is a whole number, of an integer type or a decimal. */
static bool is_whole(const struct ftable_value *v, int64_t *ret)
{
    int64_t i = v->i;

    if (!ftable_is_int(v) && v->type != 'D')
        return false;
    for (unsigned scale = v->type == 'D' ? v->scale : 0; scale > 0 && i != 0; scale--) {
        if (i % 10 != 0)
            return false;
        i /= 10;
    }
    *ret = i;
    return true;
}

/* Whether equal values have equal hashes; of others the name alone is looked up. */
static bool value_hash(uint64_t name, const struct ftable_value *v, uint64_t *ret)
{
    int64_t whole;

    if (is_whole(v, &whole))
        *ret = registry_hash(name, &whole, sizeof(whole));
    else if (v->type == 'S' || v->type == 'x')
        *ret = registry_hash(name + (uint64_t)v->type, v->bytes.p, v->bytes.len);
    else if (v->type == 't')
        *ret = name + 2 + v->b;
    else
        return false;
    return true;
}

static bool is_any(enum headers_mode mode)
{
    return mode == HEADERS_ANY || mode == HEADERS_ANY_WITH_X;
}

/* Whether an argument takes part in the comparison. */
static bool counts(enum headers_mode mode, struct amqp_bytes name)
{
    if (mode == HEADERS_ALL_WITH_X || mode == HEADERS_ANY_WITH_X)
        return !amqp_bytes_is(name, "x-match");
    return name.len < 2 || memcmp(name.p, "x-", 2) != 0;
}

int headers_mode_of(struct amqp_bytes args, enum headers_mode *ret)
{
    static const char *const names[] = {"all", "any", "all-with-x", "any-with-x"};
    struct ftable_value v;

    *ret = HEADERS_ALL;
    if (ftable_lookup(args, "x-match", &v) != 1)
        return 1;
    for (int i = 0; i < 4 && v.type == 'S'; i++) {
        if (amqp_bytes_is(v.bytes, names[i])) {
            *ret = (enum headers_mode)i;
            return 1;
        }
    }
    return 0;
}

static struct amqp_bytes args_of(const struct binding *b)
{
    size_t len;
    const void *p = binding_bytes(b->args, &len);

    return amqp_bytes(p, len);
}

/*
 * Changing
 */

struct places {
    unsigned n;
    struct place place[PLACES_MAX];
};

static struct place place_of_pair(struct amqp_bytes name, const struct ftable_value *v)
{
    uint64_t hash = name_hash(name), with_value;

    return value_hash(hash, v, &with_value) ? place_of('v', with_value) : place_of('n', hash);
}

/* One that `all` needs: better a value than a name. */
static void places_all(struct places *p, enum headers_mode mode, struct amqp_bytes args)
{
    struct ftable_iter it = ftable_begin(args);
    struct amqp_bytes name;
    struct ftable_value v;

    p->n = 1;
    p->place[0] = place_plain('e');
    while (p->place[0].key[0] != 'v' && ftable_next(&it, &name, &v) == 1) {
        struct place at = place_of_pair(name, &v);

        if (counts(mode, name) && (at.key[0] == 'v' || p->place[0].key[0] == 'e'))
            p->place[0] = at;
    }
}

static void places_any(struct places *p, enum headers_mode mode, struct amqp_bytes args)
{
    struct ftable_iter it = ftable_begin(args);
    struct amqp_bytes name;
    struct ftable_value v;

    p->n = 0;
    while (ftable_next(&it, &name, &v) == 1) {
        if (!counts(mode, name))
            continue;
        if (p->n == PLACES_MAX) {
            p->n = 1;
            p->place[0] = place_plain('e');
            return;
        }
        p->place[p->n++] = place_of_pair(name, &v);
    }
    if (p->n == 0)
        p->place[p->n++] = place_plain('z');
}

static bool change_at(struct table *t, const struct place *p, const struct binding *b, bool remove)
{
    struct route_set *old = table_get(t, p->key, p->len);
    struct route_set *set = remove ? route_set_without(old, b) : route_set_with(old, b);

    if (!set)
        return false;
    if (set->n > 0) {
        table_put(t, p->key, p->len, set);
        return true;
    }
    route_set_free(set);
    (void)table_del(t, p->key, p->len); /* it was there */
    return true;
}

bool headers_change(struct table *t, const struct binding *b, bool remove)
{
    struct amqp_bytes args = args_of(b);
    enum headers_mode mode;
    struct places p;
    bool changed = false;

    (void)headers_mode_of(args, &mode); /* a wrong one was refused at the bind */
    if (is_any(mode))
        places_any(&p, mode, args);
    else
        places_all(&p, mode, args);
    for (unsigned i = 0; i < p.n; i++)
        changed |= change_at(t, &p.place[i], b, remove);
    return changed;
}

/*
 * Matching
 */

struct header {
    struct amqp_bytes name;
    uint64_t hash;
    struct ftable_value value;
};

struct message { /* its headers, taken apart once */
    struct header *item;
    uint32_t n, cap;
    struct u64map by_hash; /* name_hash to place plus 1, when there are more than a few */
    struct header few[FEW_HEADERS];
};

static void message_grow(const struct headers_query *q, struct message *m)
{
    uint32_t cap = m->cap * 2;

    if (m->item == m->few) {
        m->item = q->realloc(NULL, cap * sizeof(m->item[0]));
        memcpy(m->item, m->few, sizeof(m->few));
    } else {
        m->item = q->realloc(m->item, cap * sizeof(m->item[0]));
    }
    m->cap = cap;
}

static void message_init(const struct headers_query *q, struct message *m)
{
    struct ftable_iter it = ftable_begin(q->headers);
    struct header h;

    m->item = m->few;
    m->n = 0;
    m->cap = FEW_HEADERS;
    u64map_init(&m->by_hash, q->realloc, q->free);
    while (ftable_next(&it, &h.name, &h.value) == 1) {
        h.hash = name_hash(h.name);
        if (m->n == m->cap)
            message_grow(q, m);
        m->item[m->n++] = h;
    }
    if (m->n <= FEW_HEADERS)
        return;
    for (uint32_t i = m->n; i > 0; i--) /* of repeated names the first counts */
        u64map_put(&m->by_hash, m->item[i - 1].hash, i);
}

static void message_fini(const struct headers_query *q, struct message *m)
{
    if (m->item != m->few)
        q->free(m->item);
    u64map_fini(&m->by_hash);
}

static const struct header *message_find(const struct message *m, struct amqp_bytes name)
{
    uint64_t hash = name_hash(name), *at;
    uint32_t i = 0;

    if (m->n > FEW_HEADERS) {
        at = u64map_get(&m->by_hash, hash);
        if (!at)
            return NULL;
        i = (uint32_t)*at - 1;
    }
    for (; i < m->n; i++) { /* one step, unless hashes collide */
        if (m->item[i].hash == hash && amqp_bytes_equal(m->item[i].name, name))
            return &m->item[i];
    }
    return NULL;
}

static bool is_met(const struct message *m, struct amqp_bytes name, const struct ftable_value *v)
{
    const struct header *h = message_find(m, name);

    return h && (v->type == 'V' || ftable_value_equal(v, &h->value));
}

static bool is_match(const struct message *m, const struct binding *b)
{
    struct amqp_bytes args = args_of(b), name;
    struct ftable_iter it = ftable_begin(args);
    enum headers_mode mode;
    struct ftable_value v;

    if (!headers_mode_of(args, &mode))
        return false;
    while (ftable_next(&it, &name, &v) == 1) {
        if (counts(mode, name) && is_met(m, name, &v) == is_any(mode))
            return is_any(mode);
    }
    return !is_any(mode);
}

static void look_at(const struct headers_query *q, const struct message *m, struct place p)
{
    const struct route_set *set = table_get(q->table, p.key, p.len);

    for (uint32_t c = 0; set && c < set->n_chunks; c++) {
        for (uint32_t i = 0; i < set->chunk[c]->n; i++) {
            if (is_match(m, &set->chunk[c]->binding[i]))
                q->hit(q->ctx, &set->chunk[c]->binding[i]);
        }
    }
}

void headers_match(const struct headers_query *q)
{
    struct message m;
    uint64_t hash;

    message_init(q, &m);
    look_at(q, &m, place_plain('e'));
    for (uint32_t i = 0; i < m.n; i++) {
        const struct header *h = &m.item[i];

        if (message_find(&m, h->name) != h)
            continue; /* repeated */
        look_at(q, &m, place_of('n', h->hash));
        if (value_hash(h->hash, &h->value, &hash))
            look_at(q, &m, place_of('v', hash));
    }
    message_fini(q, &m);
}
