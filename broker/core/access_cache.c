#include "broker/core/access_cache.h"

#include <string.h>

static void clear(struct access_cache *c)
{
    while (c->n > 0)
        proc_free(c->entry[--c->n]);
}

static bool is_entry(const struct access_cached *e, enum access_resource kind, const void *name,
                     size_t len, enum access_right right)
{
    return e->len == len && e->right == right && e->kind == kind &&
           (len == 0 || memcmp(e->name, name, len) == 0);
}

/* Moves an entry to the front. */
static void use(struct access_cache *c, uint8_t at)
{
    struct access_cached *e = c->entry[at];

    memmove(c->entry + 1, c->entry, at * sizeof(c->entry[0]));
    c->entry[0] = e;
}

static void add(struct access_cache *c, enum access_resource kind, const void *name, size_t len,
                enum access_right right)
{
    struct access_cached *e = proc_alloc(sizeof(*e) + len);

    if (!c->entry)
        c->entry = proc_alloc(ACCESS_CACHE_MAX * sizeof(c->entry[0]));
    if (c->n == ACCESS_CACHE_MAX)
        proc_free(c->entry[--c->n]);
    e->kind = (uint8_t)kind;
    e->right = (uint8_t)right;
    e->len = (uint8_t)len;
    if (len > 0)
        memcpy(e->name, name, len);
    c->entry[c->n] = e;
    use(c, c->n++);
}

bool access_cache_check(struct access_cache *c, const char *user, const char *vhost,
                        enum access_resource kind, const void *name, size_t len,
                        enum access_right right)
{
    uint64_t version = access_version();

    if (c->version != version)
        clear(c);
    c->version = version; /* read before the facts: what is kept is true of this or a newer one */
    for (uint8_t i = 0; i < c->n; i++) {
        if (!is_entry(c->entry[i], kind, name, len, right))
            continue;
        if (i > 0)
            use(c, i);
        return true;
    }
    if (len > 255 || !access_check(user, vhost, kind, name, len, right))
        return false;
    add(c, kind, name, len, right);
    return true;
}
