/*
 * pairs.c - a small map: one pair in place, the others in a u64map made when it is needed.
 *
 * Most processes have one link, one monitor and one call under way, so that most own no table; and
 * a process with 10,000 monitors still adds and removes each in O(1).
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

uint64_t *pairs_get(const struct pairs *s, uint64_t key)
{
    if (s->key == key)
        return (uint64_t *)(uintptr_t)&s->value;
    return s->more ? u64map_get(s->more, key) : NULL;
}

void pairs_put(struct pairs *s, uint64_t key, uint64_t value)
{
    uint64_t *old = pairs_get(s, key);

    if (old) {
        *old = value;
        return;
    }
    if (!s->key) {
        s->key = key;
        s->value = value;
        return;
    }
    if (!s->more) {
        s->more = rt_alloc(sizeof(*s->more));
        u64map_init(s->more, rt_realloc, rt_free);
    }
    u64map_put(s->more, key, value);
}

bool pairs_del(struct pairs *s, uint64_t key, uint64_t *ret)
{
    if (s->key == key) {
        if (ret)
            *ret = s->value;
        s->key = 0;
        return true;
    }
    return s->more && u64map_del(s->more, key, ret);
}

bool pairs_next(const struct pairs *s, uint32_t *at, uint64_t *ret_key, uint64_t *ret_value)
{
    uint32_t more_at;
    bool found;

    if (*at == 0) {
        *at = 1;
        if (s->key) {
            *ret_key = s->key;
            *ret_value = s->value;
            return true;
        }
    }
    if (!s->more)
        return false;
    more_at = *at - 1;
    found = u64map_next(s->more, &more_at, ret_key, ret_value);
    *at = more_at + 1;
    return found;
}

void pairs_fini(struct pairs *s)
{
    if (s->more) {
        u64map_fini(s->more);
        rt_free(s->more);
    }
    *s = (struct pairs){0};
}
