/*
 * share.c - permits of a shared prefetch in turns.
 *
 * Invariants:
 *   1. `out` is the sum of the members'.
 *   2. The ring holds those that want, n_wanting of them; nobody wants without a limit.
 */
#include "amqp/share.h"

#include <stddef.h>

static void leave(struct share *s, struct share_member *m)
{
    if (!m->wants)
        return;
    m->wants = false;
    s->n_wanting--;
    if (s->turn == m)
        s->turn = m->next == m ? NULL : m->next;
    m->prev->next = m->next;
    m->next->prev = m->prev;
    m->prev = m->next = NULL;
}

void share_set_limit(struct share *s, uint32_t limit)
{
    s->limit = limit;
    while (limit == 0 && s->turn)
        leave(s, s->turn);
}

/* Behind all others. */
void share_want(struct share *s, struct share_member *m)
{
    if (m->wants || s->limit == 0)
        return;
    m->wants = true;
    s->n_wanting++;
    if (!s->turn) {
        s->turn = m->prev = m->next = m;
        return;
    }
    m->next = s->turn;
    m->prev = s->turn->prev;
    m->prev->next = m;
    m->next->prev = m;
}

void share_back(struct share *s, struct share_member *m, uint32_t n)
{
    m->out -= n;
    s->out -= n;
    leave(s, m);
}

void share_forget(struct share *s, struct share_member *m)
{
    share_back(s, m, m->out);
}

struct share_member *share_give(struct share *s, uint32_t left, uint32_t *ret_n)
{
    uint32_t busy = s->used + s->out, n;
    struct share_member *m = s->turn;

    if (!m || busy >= s->limit || !share_has_room(s))
        return NULL;
    n = s->limit - busy;
    if (s->most > 0 && n > s->most - busy - s->others)
        n = s->most - busy - s->others;
    n = (n + left - 1) / left;
    s->turn = m->next;
    m->out += n;
    s->out += n;
    *ret_n = n;
    return m;
}

void share_drew(struct share *s, struct share_member *m)
{
    m->out--;
    s->out--;
}
