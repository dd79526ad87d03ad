/*
 * CRC32C by the processor's instruction or by a table of constants.
 *
 * The table is made by the compiler out of the macros below, so that there is no state to
 * initialise and nothing that threads could race for.
 */
#include "persistence/crc32c.h"

#include <string.h>

#define POLY    0x82f63b78U /* 0x1edc6f41 with its bits reversed */
#define BIT(c)  (((c) >> 1) ^ (POLY & (0U - ((c)&1U))))
#define BIT4(c) BIT(BIT(BIT(BIT((uint32_t)(c)))))
#define ROW4(n) BIT4(n), BIT4((n) + 1), BIT4((n) + 2), BIT4((n) + 3)
#define NIBBLES ROW4(0), ROW4(4), ROW4(8), ROW4(12)

/* Half a byte a step: slow, but only machines without the instruction come here. */
static const uint32_t table[16] = {NIBBLES};

uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t len)
{
    const uint8_t *b = p;

    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= b[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *p,
                                                                 size_t len)
{
    const uint8_t *b = p;
    uint64_t c = (uint32_t)~crc;

    for (; len >= 8; len -= 8, b += 8) {
        uint64_t word;

        memcpy(&word, b, 8);
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; len > 0; len--, b++)
        c = __builtin_ia32_crc32qi((uint32_t)c, *b);
    return ~(uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction(crc, p, len);
#endif
    return crc32c_by_table(crc, p, len);
}
