/*
 * blob.c - shared bytes, and the one count of all of them.
 *
 * Each worker gathers its changes of the count and adds them to the program's at the end of a
 * round, or as soon as they amount to something.
 */
#include "broker/runtime/blob.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

struct blob {
    _Atomic uint32_t refs;
    size_t size;
    alignas(max_align_t) uint8_t bytes[];
};

#define GATHER_BYTES 65536

static _Atomic int64_t total_bytes;

struct blob *blob_new(size_t size, uint8_t **ret_bytes)
{
    struct blob *b = rt_alloc(sizeof(*b) + size);

    atomic_init(&b->refs, 1);
    b->size = size;
    blob_count((int64_t)(sizeof(*b) + size));
    *ret_bytes = b->bytes;
    return b;
}

struct blob *blob_copy(const void *bytes, size_t size)
{
    uint8_t *to;
    struct blob *b = blob_new(size, &to);

    if (size)
        memcpy(to, bytes, size);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b)
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b)
        return;
    /* The only reference needs no read-modify-write: nobody else can take another. */
    if (atomic_load_explicit(&b->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    blob_count(-(int64_t)(sizeof(*b) + b->size));
    rt_free(b);
}

const uint8_t *blob_bytes(const struct blob *b)
{
    return b->bytes;
}

size_t blob_size(const struct blob *b)
{
    return b->size;
}

void blob_count(int64_t delta)
{
    RUNTIME_REGION();
    struct worker *w = rt_me;

    if (!w) {
        atomic_fetch_add_explicit(&total_bytes, delta, memory_order_relaxed);
        return;
    }
    w->blob_delta += delta;
    if (w->blob_delta > GATHER_BYTES || w->blob_delta < -GATHER_BYTES)
        blob_flush(w);
}

void blob_flush(struct worker *w)
{
    if (!w->blob_delta)
        return;
    atomic_fetch_add_explicit(&total_bytes, w->blob_delta, memory_order_relaxed);
    w->blob_delta = 0;
}

uint64_t blob_total_bytes(void)
{
    int64_t n = atomic_load_explicit(&total_bytes, memory_order_relaxed);

    return n > 0 ? (uint64_t)n : 0;
}
