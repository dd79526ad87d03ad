/*
 * Numbers on disk: variable-length ones (seven bits a byte, lowest first, the high bit meaning
 * "more"), and fixed ones of 32 bits, least significant byte first. Pure.
 */
#ifndef PERSISTENCE_VARINT_H
#define PERSISTENCE_VARINT_H

#include <errno.h>
#include <stdint.h>

/* The longest varint: ten bytes hold 64 bits. */
#define VARINT_MAX 10

static inline void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Writes v at p, which has room for VARINT_MAX, and returns the place behind it. */
static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

/*
 * Reads a varint at *p, before end, and moves *p behind it. Returns 0, or -EBADMSG (with *p and
 * *ret unchanged) where the bytes end too early or the number needs more than 64 bits.
 */
static inline int get_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    const uint8_t *q = *p;

    for (unsigned shift = 0; shift < 64 && q < end; shift += 7) {
        uint8_t b = *q++;

        if (shift == 63 && b > 1)
            return -EBADMSG;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b & 0x80)
            continue;
        *p = q;
        *ret = v;
        return 0;
    }
    return -EBADMSG;
}

#endif
