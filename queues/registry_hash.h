/*
 * registry_hash.h - 64-bit names of names and bindings, for maps. Pure.
 */
#ifndef QUEUES_REGISTRY_HASH_H
#define QUEUES_REGISTRY_HASH_H

#include <stddef.h>
#include <stdint.h>

struct blob;

/* Never 0. `seed` tells kinds of names apart. */
uint64_t registry_hash(uint64_t seed, const void *bytes, size_t len);

/* Never 0. What makes two bindings the same: source, destination, key and arguments. */
uint64_t registry_binding_hash(uint64_t source_id, uint64_t dest_id, const struct blob *key,
                               const struct blob *args);

#endif
