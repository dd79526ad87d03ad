/*
 * Headers of proxies: both versions, what must be refused, and that nothing is decided before it
 * can be.
 */
#include "amqp/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

/* Host and port as text. */
static const char *text_of(const struct sockaddr_storage *a)
{
    static char out[80];
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in6 *six = (const void *)a;
    const struct sockaddr_in *four = (const void *)a;
    bool is_four = a->ss_family == AF_INET;

    inet_ntop(a->ss_family, is_four ? (const void *)&four->sin_addr : &six->sin6_addr, host,
              sizeof(host));
    snprintf(out, sizeof(out), "%s %u", host, ntohs(is_four ? four->sin_port : six->sin6_port));
    return out;
}

/* Each beginning of a header is not whole, and what follows it does not count. */
static void check(const char *header, size_t len, const char *peer, const char *local)
{
    uint8_t *exact, longer[PROXY_HEADER_MAX + 16];
    struct proxy_header h = {0};

    for (size_t n = 0; n < len; n++) {
        exact = malloc(n ? n : 1); /* so that a sanitizer sees a read beyond it */
        memcpy(exact, header, n);
        assert_int_equal(proxy_header_parse(exact, n, &h), 0);
        free(exact);
    }
    memcpy(longer, header, len);
    memset(longer + len, 'A', 16);
    for (size_t more = 0; more <= 16; more += 16) {
        memset(&h, 0, sizeof(h));
        assert_int_equal(proxy_header_parse(longer, len + more, &h), (int)len);
        assert_int_equal(h.has_addresses, peer != NULL);
        if (peer)
            assert_string_equal(text_of(&h.peer), peer);
        if (local)
            assert_string_equal(text_of(&h.local), local);
    }
}

static void check_line(const char *line, const char *peer, const char *local)
{
    check(line, strlen(line), peer, local);
}

static void test_v1(void **state)
{
    (void)state;
    check_line("PROXY TCP4 1.2.3.4 5.6.7.8 1 65535\r\n", "1.2.3.4 1", "5.6.7.8 65535");
    check_line("PROXY TCP6 2001:db8::1 ::1 4000 5672\r\n", "2001:db8::1 4000", "::1 5672");
    check_line("PROXY UNKNOWN\r\n", NULL, NULL);
    check_line("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", NULL, NULL);
}

static size_t v2(char *out, int command, int family, const char *body, size_t len)
{
    memcpy(out, V2, 12);
    out[12] = (char)(0x20 | command);
    out[13] = (char)family;
    out[14] = (char)(len >> 8);
    out[15] = (char)len;
    memcpy(out + 16, body, len);
    return 16 + len;
}

static void test_v2(void **state)
{
    static const char four[] = "\1\2\3\4\5\6\7\10\0\1\x16\x28";
    char h[PROXY_HEADER_MAX], body[300] = {0};

    (void)state;
    check(h, v2(h, 1, 0x11, four, 12), "1.2.3.4 1", "5.6.7.8 5672");
    memcpy(body, four, 12);
    memcpy(body + 12, "\x04\0\x02xy", 5); /* a further fact */
    check(h, v2(h, 1, 0x11, body, 17), "1.2.3.4 1", "5.6.7.8 5672");
    memset(body, 0, sizeof(body));
    body[15] = body[31] = 1;
    body[33] = 7;
    body[35] = 8;
    check(h, v2(h, 1, 0x21, body, 36), "::1 7", "::1 8");
    check(h, v2(h, 0, 0x00, "", 0), NULL, NULL);     /* LOCAL */
    check(h, v2(h, 0, 0x11, four, 12), NULL, NULL);  /* LOCAL: addresses do not count */
    check(h, v2(h, 1, 0x00, "abc", 3), NULL, NULL);  /* UNSPEC */
    check(h, v2(h, 1, 0x31, body, 216), NULL, NULL); /* Unix sockets */
    check(h, v2(h, 1, 0x12, four, 12), NULL, NULL);  /* datagrams */
}

static void refused(const char *bytes, size_t len)
{
    struct proxy_header h;
    uint8_t *exact = malloc(len);

    memcpy(exact, bytes, len);
    if (proxy_header_parse(exact, len, &h) != -EBADMSG)
        fail_msg("taken: %.*s", (int)len, bytes);
    free(exact);
}

static void test_refused_v1(void **state)
{
    static const char *const lines[] = {
        "A",
        "GET / HTTP/1.1\r\n",
        "AMQP",
        "PROXY\r\n",
        "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY \r\n",
        "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    };
    char endless[200];

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        refused(lines[i], strlen(lines[i]));
    refused("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n", 33);
    memset(endless, '1', sizeof(endless));
    memcpy(endless, "PROXY UNKNOWN ", 14);
    refused(endless, 107);
}

static void test_refused_v2(void **state)
{
    char h[PROXY_HEADER_MAX + 16] = {0};

    (void)state;
    v2(h, 2, 0x11, "", 0); /* a command that there is not */
    refused(h, 13);
    v2(h, 1, 0x11, "", 0);
    h[12] = 0x11; /* version 1 in version 2's clothes */
    refused(h, 13);
    refused(h, v2(h, 1, 0x11, "12345678901", 11)); /* too short for its family */
    refused(h, v2(h, 1, 0x21, "12345678901", 11));
    v2(h, 1, 0x11, "", 0);
    h[14] = (char)0xff; /* more than anybody has to say */
    refused(h, 16);
    memcpy(h, V2, 12);
    h[11] = 'x';
    refused(h, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_refused_v1),
        cmocka_unit_test(test_refused_v2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
