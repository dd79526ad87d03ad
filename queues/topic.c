/*
 * The trie of a topic exchange, and how a key is matched against it.
 *
 * Keys of the table: '=' and the pattern for one without wildcards; for a node of the trie its
 * path, each word with a '.' before it, the root being the empty path.
 *
 * Matching goes through the key word by word with the list of nodes that are reached so far. A node
 * other than a `#` has one predecessor at one place of the key, so the list has no doubles. A `#`
 * stays reached until the end: it is noted once, in a list of its own, and a set tells whether it
 * is there when another `#` above makes it reachable at several places.
 *
 * Invariants
 *   1. A node's links name every child that has bindings below it. They are set before the child is
 *      put, and taken back after it went, so that a writer that dies between the two leaves a link
 *      too many and never one too few.
 *   2. No `#` node has `#` or `*` children.
 */
#include "queues/topic.h"

#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "queues/ptrset.h"
#include "queues/route_set.h"

enum { PATH_MAX_LEN = TOPIC_KEY_MAX + 2, WORDS_MAX = TOPIC_KEY_MAX + 1 };

struct path {
    bool has_wildcard;
    unsigned n;                  /* words */
    uint16_t end[WORDS_MAX + 1]; /* of the first i words in text */
    char text[PATH_MAX_LEN];
};

struct word {
    const char *p;
    size_t len;
};

static bool is_star(struct word w)
{
    return w.len == 1 && w.p[0] == '*';
}

static bool is_hash(struct word w)
{
    return w.len == 1 && w.p[0] == '#';
}

/* The next word of a key; false at the end. "" has no words, "a." two, the second one empty. */
struct words {
    const char *at, *end;
    bool more;
};

static struct words words_of(const char *key, size_t len)
{
    return (struct words){.at = key, .end = key + len, .more = len > 0};
}

static bool next_word(struct words *in, struct word *ret)
{
    const char *dot;

    if (!in->more)
        return false;
    dot = memchr(in->at, '.', (size_t)(in->end - in->at));
    in->more = dot != NULL;
    *ret = (struct word){in->at, (size_t)((dot ? dot : in->end) - in->at)};
    in->at = dot ? dot + 1 : in->end;
    return true;
}

static void path_add(struct path *p, struct word w)
{
    size_t at = p->end[p->n];

    p->text[at] = '.';
    memcpy(p->text + at + 1, w.p, w.len);
    p->end[++p->n] = (uint16_t)(at + 1 + w.len);
}

/* A pattern's words, with each run of wildcards brought to `*.*.#`. */
static void path_make(struct path *p, const char *key, size_t len)
{
    struct words in = words_of(key, len);
    bool is_after_hash = false;
    struct word w;

    p->n = 0;
    p->end[0] = 0;
    p->has_wildcard = false;
    while (next_word(&in, &w)) {
        if (is_hash(w)) {
            is_after_hash = p->has_wildcard = true;
            continue;
        }
        if (is_star(w)) {
            p->has_wildcard = true;
        } else if (is_after_hash) {
            path_add(p, (struct word){"#", 1});
            is_after_hash = false;
        }
        path_add(p, w);
    }
    if (is_after_hash)
        path_add(p, (struct word){"#", 1});
}

/*
 * Changing
 */

static struct word word_at(const struct path *p, unsigned i)
{
    return (struct word){p->text + p->end[i] + 1, (size_t)(p->end[i + 1] - p->end[i] - 1)};
}

static struct route_set *node_at(struct table *t, const struct path *p, unsigned depth)
{
    return table_get(t, p->text, p->end[depth]);
}

static void link_child(struct route_links *links, struct word w, int by)
{
    if (is_star(w))
        links->has_star = by > 0;
    else if (is_hash(w))
        links->has_hash = by > 0;
    else if (by > 0 || links->n_literal > 0)
        links->n_literal += (uint32_t)by;
}

static bool is_nested_hash(const struct path *p, unsigned depth)
{
    if (depth == 0 || !is_hash(word_at(p, depth - 1)))
        return false;
    for (unsigned i = 0; i + 1 < depth; i++) {
        if (is_hash(word_at(p, i)))
            return true;
    }
    return false;
}

static struct route_set *node_new(const struct path *p, unsigned depth)
{
    struct route_set *node = route_set_new(p->text, p->end[depth]);

    node->links.is_nested = is_nested_hash(p, depth);
    return node;
}

/* From the root down, every node that is missing or lacks the link to the next. */
static void make_way(struct table *t, const struct path *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct route_set *old = node_at(t, p, i);
        struct route_set *node;

        if (old && node_at(t, p, i + 1))
            continue;
        node = old ? route_set_copy(old) : node_new(p, i);
        link_child(&node->links, word_at(p, i), 1);
        table_put(t, p->text, p->end[i], node);
    }
}

static bool node_add(struct table *t, const struct path *p, const struct binding *b)
{
    const struct route_set *old = node_at(t, p, p->n);
    struct route_set *fresh = old ? NULL : node_new(p, p->n);
    struct route_set *set = route_set_with(old ? old : fresh, b);

    route_set_free(fresh);
    if (!set)
        return false;
    make_way(t, p);
    table_put(t, p->text, p->end[p->n], set);
    return true;
}

static bool is_dead(const struct route_set *node)
{
    return node->n == 0 && !route_links_any(&node->links);
}

static bool node_remove(struct table *t, const struct path *p, const struct binding *b)
{
    struct route_set *node = route_set_without(node_at(t, p, p->n), b);
    const struct route_set *parent;
    unsigned i = p->n;

    if (!node)
        return false;
    while (is_dead(node)) {
        route_set_free(node);
        (void)table_del(t, p->text, p->end[i]); /* it was there */
        if (i == 0)
            return true;
        parent = node_at(t, p, --i);
        if (!parent)
            return true;
        node = route_set_copy(parent);
        link_child(&node->links, word_at(p, i), -1);
    }
    table_put(t, p->text, p->end[i], node);
    return true;
}

static bool literal_change(struct table *t, const struct binding *b, const char *key, size_t len,
                           bool remove)
{
    char at[TOPIC_KEY_MAX + 1] = "=";
    struct route_set *old, *set;

    memcpy(at + 1, key, len);
    old = table_get(t, at, len + 1);
    set = remove ? route_set_without(old, b) : route_set_with(old, b);
    if (!set)
        return false;
    if (set->n > 0) {
        table_put(t, at, len + 1, set);
        return true;
    }
    route_set_free(set);
    (void)table_del(t, at, len + 1); /* it was there */
    return true;
}

bool topic_change(struct table *t, const struct binding *b, bool remove)
{
    struct path p;
    size_t len;
    const char *key = binding_bytes(b->key, &len);

    if (len > TOPIC_KEY_MAX)
        return false;
    path_make(&p, key, len);
    if (!p.has_wildcard)
        return literal_change(t, b, key, len, remove);
    return remove ? node_remove(t, &p, b) : node_add(t, &p, b);
}

/*
 * Matching
 */

struct match {
    const struct topic_query *q;
    struct ptrset lists[2]; /* nodes reached at this word, and at the next */
    struct ptrset hashes;   /* every `#` reached so far */
    size_t n_steps;
    char path[2 * PATH_MAX_LEN];
};

static const struct route_set *find_child(struct match *m, const struct route_set *at,
                                          struct word w)
{
    size_t len = at->path_len;

    m->n_steps++;
    memcpy(m->path, at->path, len);
    m->path[len++] = '.';
    memcpy(m->path + len, w.p, w.len);
    return table_get(m->q->table, m->path, len + w.len);
}

/* Reached at some word: a `#` below it matches no word at all. */
static void enter(struct match *m, struct ptrset *list, const struct route_set *node)
{
    const struct route_set *hash;

    if (!node)
        return;
    ptrset_push(list, node);
    if (!node->links.has_hash)
        return;
    hash = find_child(m, node, (struct word){"#", 1});
    if (hash && hash->links.is_nested)
        (void)ptrset_add(&m->hashes, hash); /* it may have been reached at a word before */
    else if (hash)
        ptrset_push(&m->hashes, hash);
}

static void step(struct match *m, const struct route_set *at, struct word w, struct ptrset *to)
{
    bool is_wildcard = is_star(w) || is_hash(w); /* in a key; no pattern says it literally */

    if (at->links.n_literal > 0 && !is_wildcard)
        enter(m, to, find_child(m, at, w));
    if (at->links.has_star)
        enter(m, to, find_child(m, at, (struct word){"*", 1}));
}

static void report(struct match *m, const struct ptrset *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct route_set *node = list->item[i];

        if (node->n > 0)
            m->q->hit(m->q->ctx, node);
    }
}

static void walk(struct match *m, const struct route_set *root)
{
    struct words in = words_of(m->q->key, m->q->len);
    struct ptrset *now = &m->lists[0], *next = &m->lists[1], *swap;
    struct word w;

    enter(m, now, root);
    while (next_word(&in, &w)) {
        uint32_t n_hashes = m->hashes.n; /* later ones are reached behind this word */

        next->n = 0;
        for (uint32_t i = 0; i < now->n; i++)
            step(m, now->item[i], w, next);
        for (uint32_t i = 0; i < n_hashes; i++)
            step(m, m->hashes.item[i], w, next);
        swap = now;
        now = next;
        next = swap;
    }
    report(m, now);
    report(m, &m->hashes);
}

size_t topic_match(const struct topic_query *q)
{
    const struct route_set *set;
    struct match m;

    if (q->len > TOPIC_KEY_MAX)
        return 0;
    m.q = q;
    m.n_steps = 1;
    m.path[0] = '=';
    memcpy(m.path + 1, q->key, q->len);
    set = table_get(q->table, m.path, q->len + 1);
    if (set)
        q->hit(q->ctx, set);
    set = table_get(q->table, "", 0);
    if (!set)
        return m.n_steps;
    ptrset_init(&m.lists[0], q->realloc, q->free);
    ptrset_init(&m.lists[1], q->realloc, q->free);
    ptrset_init(&m.hashes, q->realloc, q->free);
    walk(&m, set);
    ptrset_fini(&m.lists[0]);
    ptrset_fini(&m.lists[1]);
    ptrset_fini(&m.hashes);
    return m.n_steps;
}
