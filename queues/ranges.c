#include "queues/ranges.h"

void ranges_add(struct ranges *r, uint64_t x, void *(*realloc_fn)(void *, size_t))
{
    if (r->n > 0 && r->range[r->n - 1].last + 1 == x) {
        r->range[r->n - 1].last = x;
        return;
    }
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 8;
        r->range = realloc_fn(r->range, r->cap * sizeof(*r->range));
    }
    r->range[r->n++] = (struct range){x, x};
}
