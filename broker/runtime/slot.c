/*
 * slot.c - where ids lead: one table of slots for each home, in chunks that never move.
 *
 * Any thread may spawn onto any scheduler, so taking a slot from outside needs the lock. The owner
 * has a free list of its own, and hands what it has too much of to the shared one.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

#define OWN_FREE_MAX 64U

void slots_init(struct slots *s)
{
    s->chunk = rt_zalloc(SLOT_CHUNKS * sizeof(*s->chunk));
    pthread_mutex_init(&s->lock, NULL);
    s->n_used = 0;
    s->shared_free = s->own_free = NO_SLOT;
    s->n_own_free = 0;
}

void slots_fini(struct slots *s)
{
    for (uint32_t i = 0; i < SLOT_CHUNKS && s->chunk; i++)
        rt_free(atomic_load(&s->chunk[i]));
    rt_free(s->chunk);
    s->chunk = NULL;
    pthread_mutex_destroy(&s->lock);
}

static struct slot *slot_at(const struct slots *s, uint32_t n)
{
    struct slot *chunk = atomic_load_explicit(&s->chunk[n / SLOTS_PER_CHUNK], memory_order_acquire);

    return &chunk[n % SLOTS_PER_CHUNK];
}

/* Under the lock. */
static uint32_t slot_add(struct slots *s)
{
    uint32_t n = s->n_used;
    struct slot *chunk;

    BUG_ON(n >= SLOT_HOME);
    if (n % SLOTS_PER_CHUNK == 0) {
        chunk = rt_zalloc(SLOTS_PER_CHUNK * sizeof(*chunk));
        for (uint32_t i = 0; i < SLOTS_PER_CHUNK; i++)
            atomic_init(&chunk[i].gen, 1);
        atomic_store_explicit(&s->chunk[n / SLOTS_PER_CHUNK], chunk, memory_order_release);
    }
    s->n_used++;
    return n;
}

static uint32_t slot_from_shared(struct slots *s)
{
    uint32_t n;

    pthread_mutex_lock(&s->lock);
    n = s->shared_free;
    if (n != NO_SLOT)
        s->shared_free = slot_at(s, n)->next_free;
    else
        n = slot_add(s);
    pthread_mutex_unlock(&s->lock);
    return n;
}

proc_id slot_take(struct home *h, struct proc *p, bool own)
{
    struct slots *s = &h->slots;
    uint32_t n = own ? s->own_free : NO_SLOT;
    struct slot *slot;

    if (n != NO_SLOT) {
        s->own_free = slot_at(s, n)->next_free;
        s->n_own_free--;
    } else {
        n = slot_from_shared(s);
    }
    slot = slot_at(s, n);
    p->id = (uint64_t)h->number << 56 | (uint64_t)n << 32 |
            atomic_load_explicit(&slot->gen, memory_order_relaxed);
    atomic_store_explicit(&slot->p, p, memory_order_release);
    return p->id;
}

void slot_give(struct home *h, proc_id id)
{
    struct slots *s = &h->slots;
    uint32_t n = id_slot(id), gen = (uint32_t)id + 1;
    struct slot *slot = slot_at(s, n);

    atomic_store_explicit(&slot->p, NULL, memory_order_relaxed);
    atomic_store_explicit(&slot->gen, gen ? gen : 1, memory_order_release);
    if (s->n_own_free < OWN_FREE_MAX) {
        slot->next_free = s->own_free;
        s->own_free = n;
        s->n_own_free++;
        return;
    }
    pthread_mutex_lock(&s->lock);
    slot->next_free = s->shared_free;
    s->shared_free = n;
    pthread_mutex_unlock(&s->lock);
}

bool slots_part(const struct home *h, uint32_t *at, void (*fn)(void *ctx, struct proc *p),
                void *ctx)
{
    uint32_t end = *at + SLOTS_PER_PART;
    struct slot *chunk;

    if (*at >= SLOT_HOME)
        return false;
    chunk = atomic_load_explicit(&h->slots.chunk[*at / SLOTS_PER_CHUNK], memory_order_acquire);
    if (!chunk)
        return false;
    for (; *at < end; ++*at) {
        struct proc *p =
            atomic_load_explicit(&chunk[*at % SLOTS_PER_CHUNK].p, memory_order_acquire);

        if (p)
            fn(ctx, p);
    }
    return true;
}

void slots_each(const struct home *h, void (*fn)(void *ctx, struct proc *p), void *ctx)
{
    uint32_t at = 0;

    while (slots_part(h, &at, fn, ctx))
        continue;
}
