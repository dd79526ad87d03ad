/*
 * heap.c - private memory of processes: malloc'ed blocks on a doubly linked list.
 *
 * A process that ends by a fault may have written over its own blocks, and the teardown runs in
 * region RUNTIME, where a second fault ends the program. So each header carries a seal over its
 * links and size, which is checked before a link is followed.
 */
#include <stdlib.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

struct block {
    struct block *prev, *next;
    size_t size;
    uint64_t seal;
};
_Static_assert(sizeof(struct block) % alignof(max_align_t) == 0, "blocks keep malloc's alignment");

static uint64_t seal_of(const struct block *b)
{
    uint64_t h = (uintptr_t)b ^ 0x57a66e4e0b10c4edULL;

    h = (h ^ (uintptr_t)b->prev) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ (uintptr_t)b->next) * 0x9e3779b97f4a7c15ULL;
    return (h ^ b->size) * 0x9e3779b97f4a7c15ULL;
}

static void block_link(struct proc *p, struct block *b)
{
    b->prev = NULL;
    b->next = p->heap;
    b->seal = seal_of(b);
    if (b->next) {
        b->next->prev = b;
        b->next->seal = seal_of(b->next);
    }
    p->heap = b;
    stat_add(&p->heap_bytes, b->size);
}

static bool is_sound(const struct block *b)
{
    return b->seal == seal_of(b);
}

static void block_unlink(struct proc *p, struct block *b)
{
    if (!is_sound(b) || (b->prev && !is_sound(b->prev)) || (b->next && !is_sound(b->next)))
        misuse("heap block %p is damaged, or was freed before", (void *)(b + 1));
    if (b->prev) {
        b->prev->next = b->next;
        b->prev->seal = seal_of(b->prev);
    } else {
        p->heap = b->next;
    }
    if (b->next) {
        b->next->prev = b->prev;
        b->next->seal = seal_of(b->next);
    }
    stat_add(&p->heap_bytes, -b->size);
    b->seal = 0;
}

static void check_limit(struct proc *p, size_t more)
{
    struct exit_reason why = {.kind = EXIT_HEAP, .text = "heap over its limit"};

    if (unlikely(more > p->heap_limit || p->heap_bytes > p->heap_limit - more))
        exit_with(&why);
}

void *proc_alloc(size_t size)
{
    RUNTIME_REGION();
    struct proc *p = self();
    struct block *b;

    check_limit(p, size);
    if (p->heap && !is_sound(p->heap))
        misuse("heap block %p is damaged", (void *)(p->heap + 1));
    b = rt_alloc(sizeof(*b) + size);
    b->size = size;
    block_link(p, b);
    return b + 1;
}

void *proc_zalloc(size_t size)
{
    void *m = proc_alloc(size);

    memset(m, 0, size);
    return m;
}

void *proc_realloc(void *old, size_t size)
{
    RUNTIME_REGION();
    struct proc *p = self();
    struct block *b = old ? (struct block *)old - 1 : NULL;

    if (!b)
        return proc_alloc(size);
    if (size > b->size)
        check_limit(p, size - b->size);
    block_unlink(p, b);
    b = rt_realloc(b, sizeof(*b) + size);
    b->size = size;
    block_link(p, b);
    return b + 1;
}

void proc_free(void *m)
{
    RUNTIME_REGION();
    struct block *b = m ? (struct block *)m - 1 : NULL;

    if (!b)
        return;
    block_unlink(self(), b);
    rt_free(b);
}

/*
 * Owned blocks: what must be done with one stands in front of it, sealed like the header, and a bit
 * of the size says that it is there.
 */
struct owned {
    void (*fini)(void *);
    uint64_t seal;
};
_Static_assert(sizeof(struct owned) % alignof(max_align_t) == 0, "blocks keep malloc's alignment");
#define OWNED ((size_t)1 << 63)

static uint64_t owned_seal(const struct owned *o)
{
    return ((uintptr_t)o ^ (uintptr_t)o->fini) * 0x9e3779b97f4a7c15ULL;
}

void *proc_alloc_owned(size_t size, void (*fini)(void *))
{
    struct owned *o = proc_zalloc(sizeof(*o) + size);
    struct block *b = (struct block *)(void *)o - 1;

    RUNTIME_REGION();
    o->fini = fini;
    o->seal = owned_seal(o);
    b->size |= OWNED;
    b->seal = seal_of(b);
    return o + 1;
}

static void owned_fini(struct block *b)
{
    struct owned *o = (struct owned *)(void *)(b + 1);

    if (o->seal == owned_seal(o))
        o->fini(o + 1);
}

void proc_free_owned(void *m)
{
    RUNTIME_REGION();
    struct block *b = m ? (struct block *)(void *)((struct owned *)m - 1) - 1 : NULL;

    if (!b)
        return;
    if (!is_sound(b) || !(b->size & OWNED))
        misuse("heap block %p is damaged, or was freed before", m);
    b->size &= ~OWNED;
    b->seal = seal_of(b);
    owned_fini(b);
    block_unlink(self(), b);
    rt_free(b);
}

size_t proc_heap_bytes(void)
{
    RUNTIME_REGION();

    return self()->heap_bytes;
}

bool heap_fini(struct proc *p)
{
    struct block *b = p->heap;

    while (b) {
        struct block *next = b->next;

        if (!is_sound(b))
            return false;
        if (b->size & OWNED)
            owned_fini(b);
        b->seal = 0;
        rt_free(b);
        b = next;
    }
    p->heap = NULL;
    return true;
}
