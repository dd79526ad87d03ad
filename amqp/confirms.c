/*
 * confirms.c - publish numbers and who has spoken of them.
 *
 * Invariants:
 *   1. slot[first + i] stands for base + i, i < n; slot[first] is not told unless n is 0.
 *   2. A number's count only falls; at 0 it is told once, then TOLD.
 */
#include "amqp/confirms.h"

#include <string.h>

#define NACK   (1U << 31)
#define TOLD   (1U << 30)
#define COUNT  (TOLD - 1)
#define SPOKEN (1ULL << 63)

enum { MIN_CAP = 16 };

void confirms_init(struct confirms *c, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    *c = (struct confirms){.base = 1, .realloc = realloc_fn, .free = free_fn};
}

void confirms_fini(struct confirms *c)
{
    if (c->slot)
        c->free(c->slot);
    if (c->done)
        c->free(c->done);
    c->slot = NULL;
    c->done = NULL;
    c->n = c->cap = c->n_done = c->done_cap = c->done_at = 0;
}

static uint32_t *slot_of(struct confirms *c, uint64_t tag)
{
    return &c->slot[(c->first + (uint32_t)(tag - c->base)) & (c->cap - 1)];
}

static void grow(struct confirms *c)
{
    uint32_t cap = c->cap ? c->cap * 2 : MIN_CAP;
    uint32_t *slot = c->realloc(NULL, cap * sizeof(slot[0]));

    for (uint32_t i = 0; i < c->n; i++)
        slot[i] = c->slot[(c->first + i) & (c->cap - 1)];
    if (c->slot)
        c->free(c->slot);
    c->slot = slot;
    c->first = 0;
    c->cap = cap;
}

static void note_done(struct confirms *c, uint64_t tag)
{
    c->changed = true;
    if (tag == c->base)
        return; /* found by looking at the front */
    if (c->n_done == c->done_cap) {
        c->done_cap = c->done_cap ? c->done_cap * 2 : MIN_CAP;
        c->done = c->realloc(c->done, c->done_cap * sizeof(c->done[0]));
    }
    c->done[c->n_done++] = tag;
}

uint64_t confirms_add(struct confirms *c, uint32_t n_queues)
{
    uint64_t tag = c->base + c->n;

    if (c->n == c->cap)
        grow(c);
    c->n++;
    *slot_of(c, tag) = n_queues;
    if (n_queues == 0)
        note_done(c, tag);
    return tag;
}

void confirms_part(struct confirms *c, uint64_t tag, bool nack)
{
    uint32_t *slot;

    if (tag < c->base || tag - c->base >= c->n)
        return;
    slot = slot_of(c, tag);
    if ((*slot & COUNT) == 0)
        return;
    if (nack)
        *slot |= NACK;
    (*slot)--;
    if ((*slot & COUNT) == 0)
        note_done(c, tag);
}

static void pop_first(struct confirms *c)
{
    c->first = (c->first + 1) & (c->cap - 1);
    c->base++;
    c->n--;
}

/* The longest run of complete numbers of one kind at the front. */
static bool front_run(struct confirms *c, struct confirm *ret)
{
    uint32_t told = 0;

    while (c->n > 0) {
        uint32_t s = c->slot[c->first];

        if (!(s & TOLD)) {
            if ((s & COUNT) != 0 || (told > 0 && ret->nack != !!(s & NACK)))
                break;
            ret->nack = s & NACK;
            ret->tag = c->base;
            ret->multiple = told > 0;
            ret->n = ++told;
        }
        pop_first(c);
    }
    return told > 0;
}

/* Puts an end to a look: memory of a burst is not kept. */
static void look_over(struct confirms *c)
{
    c->n_done = c->done_at = 0;
    c->changed = false;
    if (c->n == 0 && c->cap > MIN_CAP)
        confirms_fini(c);
}

bool confirms_next(struct confirms *c, struct confirm *ret)
{
    if (!c->changed)
        return false;
    if (front_run(c, ret))
        return true;
    while (c->done_at < c->n_done) {
        uint64_t tag = c->done[c->done_at++];
        uint32_t *slot;

        if (tag < c->base)
            continue;
        slot = slot_of(c, tag);
        *ret = (struct confirm){tag, false, *slot & NACK, 1};
        *slot |= TOLD;
        return true;
    }
    look_over(c);
    return false;
}

void inflight_add(struct inflight *f, uint64_t tag, void *(*realloc_fn)(void *, size_t))
{
    if (f->first == f->end)
        f->first = f->end = 0;
    if (f->end == f->cap) {
        uint32_t n = f->end - f->first;

        if (n > f->cap / 2 || f->cap == 0) {
            f->cap = f->cap ? f->cap * 2 : MIN_CAP;
            f->tag = realloc_fn(f->tag, f->cap * sizeof(f->tag[0]));
        }
        memmove(f->tag, f->tag + f->first, n * sizeof(f->tag[0]));
        f->first = 0;
        f->end = n;
    }
    f->tag[f->end++] = tag;
}

/* The place of the lowest number >= tag, spoken of or not. */
static uint32_t place_of(const struct inflight *f, uint64_t tag)
{
    uint32_t low = f->first, high = f->end;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if ((f->tag[mid] & ~SPOKEN) < tag)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint64_t inflight_take(struct inflight *f, uint64_t first, uint64_t last)
{
    uint32_t at;
    uint64_t tag;

    if (f->first == f->end)
        return 0;
    at = f->tag[f->first] >= first ? f->first : place_of(f, first);
    while (at < f->end && (f->tag[at] & SPOKEN))
        at++;
    if (at == f->end || f->tag[at] > last)
        return 0;
    tag = f->tag[at];
    f->tag[at] |= SPOKEN;
    while (f->first < f->end && (f->tag[f->first] & SPOKEN))
        f->first++;
    return tag;
}
