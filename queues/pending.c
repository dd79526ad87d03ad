#include "queues/pending.h"

#include <string.h>

enum { MIN_CAP = 64, KEPT_CAP = 4096 };

void pending_init(struct pending *p, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    *p = (struct pending){.realloc = realloc_fn, .free = free_fn};
}

void pending_fini(struct pending *p)
{
    if (p->item)
        p->free(p->item);
    p->item = NULL;
    p->cap = 0;
}

static struct pending_item *at(const struct pending *p, uint64_t index)
{
    return &p->item[index & (p->cap - 1)];
}

/* Moves the ring into one of twice the size; indexes keep their meaning. */
static void grow(struct pending *p)
{
    uint32_t cap = p->cap ? 2 * p->cap : MIN_CAP;
    struct pending_item *item = p->realloc(NULL, cap * sizeof(*item));

    for (uint64_t i = p->head; i < p->tail; i++)
        item[i & (cap - 1)] = *at(p, i);
    if (p->item)
        p->free(p->item);
    p->item = item;
    p->cap = cap;
}

uint32_t pending_push(struct pending *p, uint64_t seq, uint64_t tag, void *owner, uint32_t size)
{
    if (p->head == p->tail && p->cap > KEPT_CAP)
        pending_fini(p); /* after an outage of the store */
    if (p->tail - p->head == p->cap)
        grow(p);
    *at(p, p->tail) =
        (struct pending_item){.seq = seq, .tag = tag, .owner = owner, .size = size, .done = false};
    p->n++;
    p->bytes += size;
    return (uint32_t)p->tail++;
}

struct pending_item *pending_at(const struct pending *p, uint32_t index)
{
    return at(p, index);
}

static void uncount(struct pending *p, struct pending_item *item)
{
    item->done = true;
    p->n--;
    p->bytes -= item->size;
}

struct pending_item *pending_settle(struct pending *p, uint32_t index)
{
    struct pending_item *item = at(p, index);

    uncount(p, item);
    while (p->head < p->tail && at(p, p->head)->done)
        p->head++;
    return item;
}

struct pending_item *pending_pop(struct pending *p, uint64_t up_to)
{
    while (p->head < p->tail && at(p, p->head)->seq <= up_to) {
        struct pending_item *item = at(p, p->head++);

        if (item->done)
            continue;
        uncount(p, item);
        return item;
    }
    return NULL;
}

struct pending_item *pending_next(const struct pending *p, uint64_t *from)
{
    uint64_t i = *from < p->head ? p->head : *from;

    for (; i < p->tail; i++) {
        if (at(p, i)->done)
            continue;
        *from = i + 1;
        return at(p, i);
    }
    *from = i;
    return NULL;
}
