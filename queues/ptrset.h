/*
 * ptrset.h - a set of pointers in the order in which they came. Pure.
 *
 * Small sets lie in the struct itself and are searched; larger ones get an index. Memory comes from
 * the two functions given (proc_realloc and proc_free inside processes, where what is left goes
 * with the process).
 */
#ifndef QUEUES_PTRSET_H
#define QUEUES_PTRSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PTRSET_FEW = 32 };

struct ptrset {
    const void **item; /* may be walked by index while the set grows */
    uint32_t n, cap;
    uint32_t *slot; /* NULL: no index; 0: free, else a place in item plus 1 */
    uint32_t n_slots;
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    const void *few[PTRSET_FEW];
};

static inline void ptrset_init(struct ptrset *s, void *(*realloc_fn)(void *, size_t),
                               void (*free_fn)(void *))
{
    s->item = s->few;
    s->n = 0;
    s->cap = PTRSET_FEW;
    s->slot = NULL;
    s->n_slots = 0;
    s->realloc = realloc_fn;
    s->free = free_fn;
}

/* Gives memory back; the set may not be moved between init and fini. */
void ptrset_fini(struct ptrset *s);

/* For ptrset_push. */
void ptrset_append(struct ptrset *s, const void *p);

/* Adds what is known not to be there. */
static inline void ptrset_push(struct ptrset *s, const void *p)
{
    if (s->n < s->cap && !s->slot)
        s->item[s->n++] = p;
    else
        ptrset_append(s, p);
}

/* Adds it; false: it was there. */
bool ptrset_add(struct ptrset *s, const void *p);

#endif
