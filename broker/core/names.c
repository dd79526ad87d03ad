#include "broker/core/names.h"

#include <string.h>

size_t name_of_bits(char *out, const char *prefix, const uint64_t bits[2])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(prefix);

    memcpy(out, prefix, n);
    for (unsigned at = 0; at < 128; at += 6) {
        uint64_t v = at < 64 ? bits[0] >> at : bits[1] >> (at - 64);

        if (at < 64 && at > 58)
            v |= bits[1] << (64 - at);
        out[n++] = digits[v & 63];
    }
    out[n] = '\0';
    return n;
}
