/*
 * output.c - a list of blocks, each either bytes of its own with room behind them, or bytes that
 * lie elsewhere.
 */
#include "amqp/output.h"

#include <stdbool.h>
#include <string.h>

enum { FIRST_BLOCK = 2048 - 64, NEXT_BLOCK = 32 * 1024 - 64 };

struct output_block {
    struct output_block *next;
    const uint8_t *p; /* what is not written */
    size_t len;
    size_t room; /* free bytes behind p + len; 0 for bytes that lie elsewhere */
    void *owner; /* released with the block */
    bool is_referred;
    uint8_t bytes[];
};

void output_init(struct output *o, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *),
                 void (*release)(void *))
{
    *o = (struct output){.realloc = realloc_fn, .free = free_fn, .release = release};
}

static struct output_block *add_block(struct output *o, size_t room)
{
    struct output_block *b = o->realloc(NULL, sizeof(*b) + room);

    *b = (struct output_block){.p = b->bytes, .room = room};
    if (o->last)
        o->last->next = b;
    else
        o->first = b;
    o->last = b;
    return b;
}

uint8_t *output_reserve(struct output *o, size_t n)
{
    struct output_block *b = o->last;

    if (!b || b->room < n) {
        /* Between bytes that lie elsewhere there are few of our own. */
        bool is_little = o->pending < FIRST_BLOCK / 2 || b->is_referred;
        size_t room = is_little ? FIRST_BLOCK : NEXT_BLOCK;

        b = add_block(o, n > room ? n : room);
    }
    return (uint8_t *)(uintptr_t)b->p + b->len;
}

void output_commit(struct output *o, size_t n)
{
    o->last->len += n;
    o->last->room -= n;
    o->pending += n;
    o->appended += n;
}

void output_put(struct output *o, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    memcpy(output_reserve(o, n), bytes, n);
    output_commit(o, n);
}

void output_refer(struct output *o, const uint8_t *bytes, size_t n, void *owner)
{
    struct output_block *b = add_block(o, 0);

    b->p = bytes;
    b->len = n;
    b->owner = owner;
    b->is_referred = true;
    o->pending += n;
    o->appended += n;
}

int output_places(const struct output *o, struct iovec *ret, int max)
{
    int n = 0;

    for (struct output_block *b = o->first; b && n < max; b = b->next)
        if (b->len > 0)
            ret[n++] = (struct iovec){(void *)(uintptr_t)b->p, b->len};
    return n;
}

void output_written(struct output *o, size_t n)
{
    o->pending -= n;
    while (o->first && n >= o->first->len) {
        struct output_block *b = o->first;

        n -= b->len;
        o->first = b->next;
        if (!o->first)
            o->last = NULL;
        if (b->owner)
            o->release(b->owner);
        o->free(b);
    }
    if (n > 0) {
        o->first->p += n;
        o->first->len -= n;
    }
}
