/*
 * test_framing.c - what of a client's octets is taken, dropped and refused, cut at any place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mgmt/framing.h"

#define GET     "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define PUT     "PUT /a HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED PUT "Transfer-Encoding: chunked\r\n\r\n"
#define LINE    "GET /a HTTP/1.1\r\n"

enum { MAX_HEAD = 200, MAX_BODY = 1000, MAX_KEPT = 4096 };

struct stream {
    const char *sent;
    const char *kept; /* NULL: all of it */
    int status;
};

static const struct stream streams[] = {
    {GET GET, NULL, 0},
    {"GET /a HTTP/1.0\r\n\r\n", NULL, 0},
    {"GET //a/b HTTP/1.1\r\nHost: x\r\n\r\n" GET, NULL, 0},
    {"OPTIONS * HTTP/1.1\r\nhOST:\r\nX!#$%&'*+-.^_`|~1: any\x80 \t\r\n\r\n" GET, NULL, 0},
    {"GET http://a-b.c_d:80/x?y HTTP/1.1\r\nHost: x\r\n\r\n" GET, NULL, 0},
    {"GET HTTPS://[::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n" GET, NULL, 0},
    {PUT "Content-Length: 3\r\n\r\n\r\nx" GET, NULL, 0},
    {PUT "Content-Length: \t003 \r\nExpect: 100-Continue\r\n\r\nabc" GET, NULL, 0},
    {"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" GET, NULL, 0},
    {CHUNKED "0\r\n\r\n" GET, NULL, 0},
    {PUT "Transfer-Encoding:  CHUNKED\t\r\n\r\n2\r\nab\r\n0a\r\n0123456789\r\n00\r\n\r\n" GET, NULL,
     0},
    /* What means nothing goes. */
    {"\r\n\r\n" GET "\r\n" GET, GET GET, 0},
    {CHUNKED "2;a=\"b\"\r\nab\r\n0;\r\n\r\n" GET, CHUNKED "2\r\nab\r\n0\r\n\r\n" GET, 0},
    {CHUNKED "0\r\nHost: y\r\nA: b\r\n\r\n" GET, CHUNKED "0\r\n\r\n" GET, 0},
    /* What is refused takes nothing of those ahead with it. */
    {GET "\n" GET, GET, 400},
    {GET "hello\r\n\r\n", GET, 400},
    {"GET /a HTTP/1.0\n\n", "", 400},
    {"\r" GET, "", 400},
    {"AMQP\1\1\0\11", "", 400},
    {" " GET, "", 400},
    {"FOO /a HTTP/1.1\r\n", "", 501},
    {"get /a HTTP/1.1\r\n", "", 501},
    {"CONNECT a:1 HTTP/1.1\r\n", "", 405},
    {"GET  /a HTTP/1.1\r\n", "", 400},
    {"GET //[ HTTP/1.1\r\n", "", 400},
    {"GET ///a HTTP/1.1\r\n", "", 400},
    {"GET a HTTP/1.1\r\n", "", 400},
    {"GET *a HTTP/1.1\r\n", "", 400},
    {"GET /a\t HTTP/1.1\r\n", "", 400},
    {"GET /\x7f HTTP/1.1\r\n", "", 400},
    {"GET ftp://a/ HTTP/1.1\r\n", "", 400},
    {"GET hello://a/ HTTP/1.1\r\n", "", 400},
    {"GET http:/a HTTP/1.1\r\n", "", 400},
    {"GET http:///a HTTP/1.1\r\n", "", 400},
    {"GET http://u@a/ HTTP/1.1\r\n", "", 400},
    {"GET http://a:b/ HTTP/1.1\r\n", "", 400},
    {"GET http://a:65536/ HTTP/1.1\r\n", "", 400},
    {"GET http://[::1/ HTTP/1.1\r\n", "", 400},
    {"GET http://[x]/ HTTP/1.1\r\n", "", 400},
    {"GET http://[::1]x/ HTTP/1.1\r\n", "", 400},
    {"GET /a HTTP/2.0\r\n", "", 505},
    {"GET /a HTTP/1.2\r\n", "", 505},
    {"GET /a HTTP/1.1 \r\n", "", 400},
    {"GET /a HTTP/11\r\n", "", 400},
    {"GET /a\r\n\r\n", "", 400},
    {"GET /a HTTP/1.1\n", "", 400},
    {LINE "\r\n", "", 400},
    {LINE "Host: x\r\nhost: x\r\n\r\n", "", 400},
    {LINE "Host: x\r\nAuthorization: a\r\nauthorization: a\r\n\r\n", "", 400},
    {LINE "Host: x\n", "", 400},
    {LINE "Host: x\r\r\n", "", 400},
    {LINE " Host: x\r\n", "", 400},
    {PUT "A: b\r\n c\r\n", "", 400},
    {PUT ": b\r\n", "", 400},
    {PUT "A B: b\r\n", "", 400},
    {PUT "A : b\r\n", "", 400},
    {PUT "A\x80: b\r\n", "", 400},
    {PUT "A: \1\r\n", "", 400},
    {PUT "A\r\n", "", 400},
    {PUT "Content-Length:\r\n", "", 400},
    {PUT "Content-Length: +2\r\n", "", 400},
    {PUT "Content-Length: 2, 2\r\n", "", 400},
    {PUT "Content-Length: 0x2\r\n", "", 400},
    {PUT "Content-Length: 2\r\ncontent-length: 2\r\n", "", 400},
    {PUT "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "", 400},
    {PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "", 400},
    {PUT "Transfer-Encoding: gzip, chunked\r\n", "", 400},
    {PUT "Transfer-Encoding: \vchunked\r\n", "", 400},
    {"PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "", 400},
    {"TRACE /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "", 400},
    {PUT "Expect: 200-ok\r\n", "", 417},
    {PUT "Content-Length: 1001\r\n", "", 413},
    {PUT "Content-Length: 99999999999999999999999\r\n", "", 413},
    {GET CHUNKED "3e9\r\n", GET, 413},
    {GET CHUNKED "3e8\r\n", NULL, 0},
    {CHUNKED "1\r\na\r\n3e8\r\n", "", 413},
    {CHUNKED "00000000000000000\r\n", "", 400},
    {CHUNKED "\r\n", "", 400},
    {CHUNKED "+2\r\nab\r\n", "", 400},
    {CHUNKED "0x2\r\nab\r\n", "", 400},
    {CHUNKED " 2\r\nab\r\n", "", 400},
    {CHUNKED "2 \r\nab\r\n", "", 400},
    {CHUNKED "2 junk\r\nab\r\n", "", 400},
    {CHUNKED "-2\r\nab\r\n", "", 400},
    {CHUNKED "2\nab\r\n", "", 400},
    {CHUNKED "2\r\nabc\r\n", "", 400},
    {CHUNKED "2\r\nab\n0\r\n", "", 400},
    {CHUNKED "2;a\n\r\nab", "", 400},
    {CHUNKED "0\r\nA B: c\r\n\r\n", "", 400},
};

/* The input of a server that has read nothing yet. */
struct input {
    char kept[MAX_KEPT];
    size_t n;
    struct framing f;
};

static void feed(struct input *in, const char *octets, size_t n)
{
    while (n > 0 && !in->f.status) {
        enum framing_verdict v;
        size_t used = framing_look(&in->f, octets, n, &v);

        assert_in_range(used, 1, n);
        if (v == FRAMING_REFUSE) {
            assert_true(in->f.taken <= in->n && in->f.reason);
            in->n -= in->f.taken;
        } else if (v == FRAMING_TAKE) {
            memcpy(in->kept + in->n, octets, used);
            in->n += used;
        }
        octets += used;
        n -= used;
    }
}

static void check(const struct stream *s, size_t part)
{
    size_t len = s->sent[0] == 'A' ? 8 : strlen(s->sent);
    const char *kept = s->kept ? s->kept : s->sent;
    struct input in = {.n = 0};

    framing_init(&in.f, MAX_HEAD, MAX_BODY);
    for (size_t at = 0; at < len; at += part)
        feed(&in, s->sent + at, part < len - at ? part : len - at);
    if (in.f.status != s->status)
        fail_msg("%.60s: %d %s", s->sent, in.f.status, in.f.status ? in.f.reason : "");
    in.kept[in.n] = 0;
    assert_string_equal(in.kept, kept);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
        for (size_t part = 1; part <= 20; part++)
            check(&streams[i], part);
        check(&streams[i], MAX_KEPT);
    }
}

/* A request with a target, a header and a trailer of these lengths. */
static int status_of(int target, int header, int trailer)
{
    struct input in = {.n = 0};
    char text[2000];
    int n = snprintf(text, sizeof(text),
                     "PUT /%0*d HTTP/1.1\r\nHost: %0*d\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "0\r\nT: %0*d\r\n\r\n",
                     target, 0, header, 0, trailer, 0);

    framing_init(&in.f, MAX_HEAD, MAX_BODY);
    feed(&in, text, (size_t)n);
    return in.f.status;
}

static void test_bounds_of_heads(void **state)
{
    /* Octets of the head beside the target and the value, of the trailers beside their value. */
    const int head = 5 + 11 + 6 + 2 + 28 + 2, trailers = 3 + 2 + 2;

    (void)state;
    assert_int_equal(status_of(1, MAX_HEAD - head - 1, 1), 0);
    assert_int_equal(status_of(1, MAX_HEAD - head, 1), 431);
    assert_int_equal(status_of(MAX_HEAD - 5 - 11, 1, 1), 431);
    assert_int_equal(status_of(MAX_HEAD, 1, 1), 414);
    assert_int_equal(status_of(1, 1, MAX_HEAD - trailers), 0);
    assert_int_equal(status_of(1, 1, MAX_HEAD - trailers + 1), 431);
}

static void test_blank_lines_end(void **state)
{
    struct input in = {.n = 0};

    (void)state;
    framing_init(&in.f, MAX_HEAD, MAX_BODY);
    for (int i = 0; i < MAX_HEAD && !in.f.status; i++)
        feed(&in, "\r\n", 2);
    assert_int_equal(in.f.status, 414);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_bounds_of_heads),
        cmocka_unit_test(test_blank_lines_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
