/*
 * blob.h - reference-counted bytes, immutable once they are shared.
 *
 * A blob is the only thing besides values that several processes may hold at once. Its bytes are
 * counted in one place when it is made and freed (blob_total_bytes), which is what the memory alarm
 * reads; nobody adds up queues.
 */
#ifndef BROKER_RUNTIME_BLOB_H
#define BROKER_RUNTIME_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct blob;

/*
 * A new blob of `size` bytes with one reference, which the caller owns. *ret_bytes is where the
 * maker writes them; nobody may write once a second reference exists or the blob was sent.
 */
struct blob *blob_new(size_t size, uint8_t **ret_bytes);

/* A new blob that holds a copy of `bytes`. */
struct blob *blob_copy(const void *bytes, size_t size);

/* One reference more; returns b. NULL gives NULL. */
struct blob *blob_ref(struct blob *b);

/* Gives one reference back; the last one frees. NULL is ignored. Any thread. */
void blob_unref(struct blob *b);

/* The bytes, lent as long as the caller holds its reference. Aligned as malloc's. */
const uint8_t *blob_bytes(const struct blob *b);
size_t blob_size(const struct blob *b);

/*
 * Bytes counted by hand, for objects that hold message bytes of their own beside blobs (message
 * records). `delta` may be negative. Cheap: gathered per thread.
 */
void blob_count(int64_t delta);

/* All bytes of blobs and of what blob_count was told, in the whole program; may lag by a turn. */
uint64_t blob_total_bytes(void);

#endif
