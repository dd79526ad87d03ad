/*
 * Hashes for the registry's maps: FNV-1a with a finishing mix, because the maps take low bits.
 */
#include "queues/registry_hash.h"

#include "broker/runtime/blob.h"

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    h ^= h >> 33;
    return h;
}

uint64_t registry_hash(uint64_t seed, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t h = 0xcbf29ce484222325ull ^ mix(seed + 1);

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    h = mix(h ^ len);
    return h ? h : 1;
}

static uint64_t blob_hash(uint64_t seed, const struct blob *b)
{
    return b ? registry_hash(seed, blob_bytes(b), blob_size(b)) : registry_hash(seed, "", 0);
}

uint64_t registry_binding_hash(uint64_t source_id, uint64_t dest_id, const struct blob *key,
                               const struct blob *args)
{
    uint64_t h = mix(source_id * 0x9e3779b97f4a7c15ull + dest_id);

    h = blob_hash(blob_hash(h, key), args);
    return h ? h : 1;
}
