/* The disk form of ack bitmaps, and their counting. */
#include "persistence/ackmap.h"

#include <errno.h>
#include <string.h>

#include "persistence/crc32c.h"
#include "persistence/varint.h"

uint32_t ackmap_count(const uint8_t *bits, uint32_t n)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < n / 8; i++)
        count += (uint32_t)__builtin_popcount(bits[i]);
    for (uint32_t i = n / 8 * 8; i < n; i++)
        count += ackmap_has(bits, i);
    return count;
}

void ackmap_encode(const uint8_t *bits, uint32_t n, uint8_t *out)
{
    size_t len = ackmap_bytes(n);

    memcpy(out, bits, len);
    put_u32(out + len, crc32c(0, bits, len));
}

int ackmap_decode(const uint8_t *in, size_t len, uint32_t n, uint8_t *bits)
{
    size_t want = ackmap_bytes(n);

    if (len != want + 4 || get_u32(in + want) != crc32c(0, in, want))
        return -EBADMSG;
    if (n % 8 != 0 && in[want - 1] >> (n % 8) != 0)
        return -EBADMSG;
    memcpy(bits, in, want);
    return 0;
}
