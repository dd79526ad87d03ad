/*
 * Reading the Authorization header, and judging the peer's address.
 */
#include "mgmt/auth.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "broker/runtime/region.h"

/* The length of what base64 text of `len` bytes stands for, or -1. `out` has room for 3/4 of it. */
static int decode(const char *in, size_t len, unsigned char *out)
{
    RUNTIME_REGION();
    size_t pads = 0;
    int n;

    if (!len || len % 4)
        return -1;
    while (pads < 2 && in[len - 1 - pads] == '=')
        pads++;
    /* The library takes blanks for nothing and padding for zeros, wherever they stand. */
    if (strcspn(in, "= \t\r\n") != len - pads)
        return -1;
    n = EVP_DecodeBlock(out, (const unsigned char *)in, (int)len);
    return n < 0 ? -1 : n - (int)pads;
}

bool auth_parse_basic(const char *header, struct auth_basic *ret)
{
    unsigned char text[AUTH_TEXT_SIZE];
    const char *colon;
    size_t len;
    int n;

    if (!header || strncasecmp(header, "Basic ", 6))
        return false;
    header += 6;
    header += strspn(header, " ");
    len = strlen(header);
    if (len / 4 * 3 > sizeof(text))
        return false;
    n = decode(header, len, text);
    colon = n > 0 ? memchr(text, ':', (size_t)n) : NULL;
    if (!colon)
        return false;
    memcpy(ret->text, text, (size_t)n);
    ret->user_len = (size_t)(colon - (const char *)text);
    ret->password = ret->text + ret->user_len + 1;
    ret->password_len = (size_t)n - ret->user_len - 1;
    return true;
}

bool auth_is_loopback(const char *address)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, address, &six) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}
