#include "amqp/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* Of HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2. */
enum { V1_MAX = 107, V2_HEAD = 16, V2_TCP4 = 0x11, V2_TCP6 = 0x21, LEN_TCP4 = 12, LEN_TCP6 = 36 };
static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";
enum { V2_START = sizeof(v2_start) - 1, V1_START = sizeof(v1_start) - 1 };

static bool begins_so(const uint8_t *p, size_t n, const char *start, size_t len)
{
    return memcmp(p, start, n < len ? n : len) == 0;
}

/* The next word of a line of words divided by single spaces; false: there is none that fits. */
static bool take_word(const char **at, char *out, size_t size)
{
    size_t n = strcspn(*at, " ");

    if (n == 0 || n >= size)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    if (**at == ' ')
        ++*at;
    return true;
}

/* A decimal number without zeros in front; -1: it is none. */
static long port_of(const char *word)
{
    long v = 0;

    if (word[0] == '0' && word[1])
        return -1;
    for (; *word; word++) {
        if (*word < '0' || *word > '9')
            return -1;
        v = v * 10 + (*word - '0');
        if (v > UINT16_MAX)
            return -1;
    }
    return v;
}

static bool set_address(struct sockaddr_storage *to, int family, const char *host, const char *port)
{
    struct sockaddr_in6 *six = (void *)to;
    struct sockaddr_in *four = (void *)to;
    long n = port_of(port);

    memset(to, 0, sizeof(*to));
    to->ss_family = (sa_family_t)family;
    if (n < 0)
        return false;
    if (family == AF_INET) {
        four->sin_port = htons((uint16_t)n);
        return inet_pton(AF_INET, host, &four->sin_addr) == 1;
    }
    six->sin6_port = htons((uint16_t)n);
    return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
}

/* What follows "PROXY ", without the line's end. */
static bool parse_line(const char *line, struct proxy_header *ret)
{
    char word[8], from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], from_port[6], to_port[6];
    int family;

    if (!take_word(&line, word, sizeof(word)))
        return false;
    if (!strcmp(word, "UNKNOWN"))
        return true; /* whatever follows */
    if (strcmp(word, "TCP4") && strcmp(word, "TCP6"))
        return false;
    family = word[3] == '4' ? AF_INET : AF_INET6;
    if (!take_word(&line, from, sizeof(from)) || !take_word(&line, to, sizeof(to)) ||
        !take_word(&line, from_port, sizeof(from_port)) ||
        !take_word(&line, to_port, sizeof(to_port)) || *line || line[-1] == ' ')
        return false;
    ret->has_addresses = true;
    return set_address(&ret->peer, family, from, from_port) &&
           set_address(&ret->local, family, to, to_port);
}

static ssize_t parse_v1(const uint8_t *p, size_t n, struct proxy_header *ret)
{
    const uint8_t *end = memchr(p, '\n', n < V1_MAX ? n : V1_MAX);
    char line[V1_MAX + 1];
    size_t len;

    if (!end)
        return n < V1_MAX ? 0 : -EBADMSG;
    len = (size_t)(end - p);
    if (len < V1_START || end[-1] != '\r' || memchr(p, 0, len))
        return -EBADMSG;
    memcpy(line, p, len - 1);
    line[len - 1] = '\0';
    return parse_line(line + V1_START, ret) ? (ssize_t)len + 1 : -EBADMSG;
}

static void set_bytes(struct sockaddr_storage *to, int family, const uint8_t *host,
                      const uint8_t *port)
{
    struct sockaddr_in6 *six = (void *)to;
    struct sockaddr_in *four = (void *)to;

    memset(to, 0, sizeof(*to));
    to->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        memcpy(&four->sin_addr, host, 4);
        memcpy(&four->sin_port, port, 2);
    } else {
        memcpy(&six->sin6_addr, host, 16);
        memcpy(&six->sin6_port, port, 2);
    }
}

static ssize_t parse_v2(const uint8_t *p, size_t n, struct proxy_header *ret)
{
    size_t len;

    if (n > 12 && (p[12] >> 4 != 2 || (p[12] & 0xf) > 1))
        return -EBADMSG; /* another version, or neither LOCAL nor PROXY */
    if (n < V2_HEAD)
        return 0;
    len = (size_t)p[14] << 8 | p[15];
    if (V2_HEAD + len > PROXY_HEADER_MAX)
        return -EBADMSG;
    ret->has_addresses = (p[12] & 0xf) == 1 && (p[13] == V2_TCP4 || p[13] == V2_TCP6);
    if (ret->has_addresses && len < (size_t)(p[13] == V2_TCP4 ? LEN_TCP4 : LEN_TCP6))
        return -EBADMSG;
    if (n < V2_HEAD + len)
        return 0;
    if (ret->has_addresses && p[13] == V2_TCP4) {
        set_bytes(&ret->peer, AF_INET, p + V2_HEAD, p + V2_HEAD + 8);
        set_bytes(&ret->local, AF_INET, p + V2_HEAD + 4, p + V2_HEAD + 10);
    } else if (ret->has_addresses) {
        set_bytes(&ret->peer, AF_INET6, p + V2_HEAD, p + V2_HEAD + 32);
        set_bytes(&ret->local, AF_INET6, p + V2_HEAD + 16, p + V2_HEAD + 34);
    }
    return (ssize_t)(V2_HEAD + len);
}

ssize_t proxy_header_parse(const void *bytes, size_t n, struct proxy_header *ret)
{
    const uint8_t *p = bytes;
    struct proxy_header h = {0};
    ssize_t r = -EBADMSG;

    if (n == 0)
        return 0;
    if (begins_so(p, n, v1_start, V1_START))
        r = n < V1_START ? 0 : parse_v1(p, n, &h);
    else if (begins_so(p, n, v2_start, V2_START))
        r = n < V2_START ? 0 : parse_v2(p, n, &h);
    if (r > 0)
        *ret = h;
    return r;
}
