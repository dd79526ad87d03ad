#include "broker/core/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { MAPPED_BITS = 96 };

static void map(uint8_t to[16], const void *four)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(to, prefix, sizeof(prefix));
    memcpy(to + sizeof(prefix), four, 4);
}

/* A whole number of at most three digits. */
static int parse_bits(const char *text, unsigned max, unsigned *ret)
{
    unsigned v = 0;
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 3 || text[n])
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (unsigned)(text[i] - '0');
    if (v > max)
        return -EINVAL;
    *ret = v;
    return 0;
}

int cidr_parse(const char *text, size_t len, struct cidr *ret)
{
    char copy[INET6_ADDRSTRLEN + 4], *slash;
    struct cidr c = {0};
    uint8_t four[4];
    unsigned max = 128, bits;
    bool is_v4;

    if (len >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    slash = strchr(copy, '/');
    if (slash)
        *slash++ = '\0';
    is_v4 = inet_pton(AF_INET, copy, four) == 1;
    if (is_v4) {
        map(c.bytes, four);
        max = 32;
    } else if (inet_pton(AF_INET6, copy, c.bytes) != 1) {
        return -EINVAL;
    }
    bits = max;
    if (slash && parse_bits(slash, max, &bits) < 0)
        return -EINVAL;
    c.bits = bits + (is_v4 ? MAPPED_BITS : 0);
    *ret = c;
    return 0;
}

bool cidr_has(const struct cidr *c, const struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *six = (const void *)address;
    const struct sockaddr_in *four = (const void *)address;
    uint8_t bytes[16];
    unsigned whole = c->bits / 8, rest = c->bits % 8;

    if (address->ss_family == AF_INET)
        map(bytes, &four->sin_addr);
    else if (address->ss_family == AF_INET6)
        memcpy(bytes, &six->sin6_addr, sizeof(bytes));
    else
        return false;
    if (memcmp(bytes, c->bytes, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] ^ c->bytes[whole]) >> (8 - rest) == 0;
}
