/*
 * Processes in the order of their tree.
 */
#include "mgmt/process_tree.h"

#include <string.h>

#include "broker/runtime/runtime.h"

enum { PART = 256 }; /* rows of one step */

void process_tree_init(struct process_tree *t, const struct proc_info *row, uint32_t n,
                       void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    const size_t count = (size_t)n + 1;

    *t = (struct process_tree){.row = row, .n = n};
    t->up = realloc_fn(NULL, 3 * count * sizeof(*t->up));
    memset(t->up, 0, 3 * count * sizeof(*t->up));
    t->first = t->up + count;
    t->next = t->first + count;
    u64map_init(&t->number_of, realloc_fn, free_fn);
}

void process_tree_fini(struct process_tree *t)
{
    t->number_of.free(t->up);
    u64map_fini(&t->number_of);
}

/*
 * Puts a row before its siblings. No circle can come of it: a process is younger than its parent,
 * and no pid is used twice.
 */
static void place(struct process_tree *t, uint32_t i)
{
    const struct proc_info *p = &t->row[i - 1];
    uint64_t *parent = p->parent ? u64map_get(&t->number_of, p->parent) : NULL;
    uint32_t up = parent ? (uint32_t)*parent : 0;

    t->up[i] = up;
    t->next[i] = t->first[up];
    t->first[up] = i;
}

bool process_tree_build(struct process_tree *t)
{
    for (uint32_t part = 0; part < PART && t->n_known < t->n; part++) {
        const struct proc_info *p = &t->row[t->n_known++];

        u64map_put(&t->number_of, p->pid, t->n_known);
    }
    if (t->n_known < t->n)
        return false;
    /* From the last to the first, so that siblings keep the order of the listing. */
    for (uint32_t part = 0; part < PART && t->n_placed < t->n; part++)
        place(t, t->n - t->n_placed++);
    return t->n_placed == t->n;
}

uint32_t process_tree_next(const struct process_tree *t, uint32_t at, unsigned *ret_closed)
{
    *ret_closed = 0;
    if (t->first[at])
        return t->first[at];
    while (at) {
        (*ret_closed)++;
        if (t->next[at])
            return t->next[at];
        at = t->up[at];
    }
    return 0;
}
