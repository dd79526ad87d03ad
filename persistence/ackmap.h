/*
 * The ack bitmap of one segment: one bit for each of its entries, set when the entry is settled.
 *
 * Pure. The bits are bytes, lowest bit first; on disk they are followed by their CRC32C, least
 * significant byte first. The caller owns the bytes; ackmap_bytes says how many they are.
 */
#ifndef PERSISTENCE_ACKMAP_H
#define PERSISTENCE_ACKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that the bits of n entries take in RAM. */
static inline size_t ackmap_bytes(uint32_t n)
{
    return ((size_t)n + 7) / 8;
}

/* Bytes of the same on disk, the checksum included. */
static inline size_t ackmap_disk_bytes(uint32_t n)
{
    return ackmap_bytes(n) + 4;
}

static inline bool ackmap_has(const uint8_t *bits, uint32_t i)
{
    return (bits[i / 8] >> (i % 8)) & 1;
}

static inline void ackmap_set(uint8_t *bits, uint32_t i)
{
    bits[i / 8] |= (uint8_t)(1U << (i % 8));
}

/* How many of the first n bits are set. */
uint32_t ackmap_count(const uint8_t *bits, uint32_t n);

/* Writes the disk form of n bits to out, which has room for ackmap_disk_bytes(n). */
void ackmap_encode(const uint8_t *bits, uint32_t n, uint8_t *out);

/*
 * Reads the disk form of n bits into bits. Returns 0, or -EBADMSG and changes nothing when the
 * length is another one, the checksum is wrong, or a bit beyond n is set.
 */
int ackmap_decode(const uint8_t *in, size_t len, uint32_t n, uint8_t *bits);

#endif
