/*
 * Two sessions back to back: what goes in at one end comes out at the other, however it is cut, in
 * both versions; and what is damaged, or ends, is told.
 */
#include "amqp/tls_session.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TOTAL = 3 << 20 };

static SSL_CTX *server_ctx, *client_ctx;

static int make_contexts(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();

    (void)state;
    assert_true(X509_set_pubkey(x, key));
    assert_true(X509_gmtime_adj(X509_getm_notBefore(x), 0));
    assert_true(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    assert_true(X509_sign(x, key, EVP_sha256()));
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate(server_ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
    SSL_CTX_set_mode(server_ctx, SSL_MODE_RELEASE_BUFFERS);
    X509_free(x);
    EVP_PKEY_free(key);
    return 0;
}

static int free_contexts(void **state)
{
    (void)state;
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return 0;
}

struct pair {
    struct tls_session *end[2]; /* 0: the server */
    uint8_t *got[2];
    size_t n_got[2];
};

static void pair_init(struct pair *p, int version)
{
    *p = (struct pair){{tls_session_new(server_ctx, true), NULL}, {NULL, NULL}, {0, 0}};
    SSL_CTX_set_max_proto_version(client_ctx, version);
    p->end[1] = tls_session_new(client_ctx, false);
    for (int i = 0; i < 2; i++) {
        assert_non_null(p->end[i]);
        p->got[i] = malloc(TOTAL + TLS_SESSION_PLAIN);
    }
}

static void pair_fini(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        tls_session_free(p->end[i]);
        free(p->got[i]);
    }
}

/* At most n bytes from one end to the other, what they bring into several places. */
static ssize_t carry(struct pair *p, int to, size_t n)
{
    struct iovec out = tls_session_output(p->end[!to]);
    uint8_t *exact, *at = p->got[to] + p->n_got[to];
    struct iovec places[3] = {
        {at, 1}, {at + 1, (size_t)(rand() % 5000)}, {NULL, TLS_SESSION_PLAIN}};
    ssize_t r;

    places[2].iov_base = at + 1 + places[1].iov_len;
    if (n > out.iov_len)
        n = out.iov_len;
    exact = malloc(n ? n : 1); /* so that a sanitizer sees a read beyond it */
    if (n)
        memcpy(exact, out.iov_base, n);
    r = tls_session_feed(p->end[to], exact, n, places, 3);
    free(exact);
    tls_session_written(p->end[!to], n);
    if (r > 0)
        p->n_got[to] += (size_t)r;
    return r;
}

/* A client says the first word, in which it may be fed nothing. */
static void shake_hands(struct pair *p, size_t step)
{
    uint8_t byte;

    (void)tls_session_feed(p->end[1], "", 0, &(struct iovec){&byte, 1}, 1);
    for (int i = 0; i < 20000; i++) {
        ssize_t r = carry(p, i % 2, step);

        assert_true(r == -EAGAIN);
        if (tls_session_is_ready(p->end[0]) && tls_session_is_ready(p->end[1]))
            return;
    }
    fail_msg("no handshake");
}

static void fill(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(rand() >> 7);
}

/* Everything that one end has to give, in pieces of up to `step`. */
static void carry_all(struct pair *p, int to, size_t step)
{
    while (tls_session_output(p->end[!to]).iov_len > 0) {
        ssize_t r = carry(p, to, 1 + (size_t)rand() % step);

        assert_true(r > 0 || r == -EAGAIN);
    }
}

static void exchange(int version, size_t step, int total)
{
    uint8_t *sent = malloc((size_t)total);
    struct pair p;

    pair_init(&p, version);
    shake_hands(&p, step);
    carry_all(&p, 1, step); /* tickets */
    for (int to = 0; to < 2; to++) {
        size_t at = 0, n;

        p.n_got[to] = 0;
        fill(sent, (size_t)total);
        while (at < (size_t)total) {
            struct iovec places[3];

            for (int i = 0; i < 3; i++) {
                n = (size_t)rand() % (i == 1 ? 70000 : 300);
                n = n < (size_t)total - at ? n : (size_t)total - at;
                places[i] = (struct iovec){sent + at, n};
                at += n;
            }
            assert_int_equal(tls_session_write(p.end[!to], places, 3), 0);
            carry_all(&p, to, step);
        }
        assert_int_equal(p.n_got[to], total);
        assert_memory_equal(p.got[to], sent, (size_t)total);
        assert_int_equal(tls_session_output(p.end[0]).iov_len, 0);
    }
    pair_fini(&p);
    free(sent);
}

static void test_exchange(void **state)
{
    (void)state;
    srand(3);
    for (int i = 0; i < 2; i++) {
        int version = i ? TLS1_2_VERSION : TLS1_3_VERSION;

        exchange(version, TLS_SESSION_FEED, TOTAL);
        exchange(version, 1000, 500000);
        exchange(version, 1, 3000);
    }
}

/* The end is told, be it behind other bytes in the same piece. */
static void test_end(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p, TLS1_3_VERSION);
    shake_hands(&p, TLS_SESSION_FEED);
    carry_all(&p, 1, TLS_SESSION_FEED); /* tickets */
    assert_int_equal(tls_session_write(p.end[1], &(struct iovec){"last", 4}, 1), 0);
    tls_session_close(p.end[1]);
    tls_session_close(p.end[1]);
    p.n_got[0] = 0;
    assert_int_equal(carry(&p, 0, TLS_SESSION_FEED), 4);
    assert_memory_equal(p.got[0], "last", 4);
    assert_true(tls_session_is_over(p.end[0]));
    assert_int_equal(tls_session_write(p.end[0], &(struct iovec){"still", 5}, 1), 0);
    assert_int_equal(carry(&p, 1, TLS_SESSION_FEED), 5);
    assert_false(tls_session_is_over(p.end[1]));
    pair_fini(&p);
}

/* A changed octet anywhere is an error with words, and an alert for the peer. */
static void test_damage(void **state)
{
    struct iovec out;
    struct pair p;

    (void)state;
    for (int i = 0; i < 60; i++) {
        uint8_t bytes[4096], got[TLS_SESSION_PLAIN];
        ssize_t r;

        pair_init(&p, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
        shake_hands(&p, TLS_SESSION_FEED);
        assert_int_equal(tls_session_write(p.end[1], &(struct iovec){"0123456789", 10}, 1), 0);
        out = tls_session_output(p.end[1]);
        assert_true(out.iov_len > (size_t)i % 10 + 5);
        memcpy(bytes, out.iov_base, out.iov_len);
        bytes[5 + (size_t)i % (out.iov_len - 5)] ^= (uint8_t)(1 << i % 8);
        r = tls_session_feed(p.end[0], bytes, out.iov_len, &(struct iovec){got, sizeof(got)}, 1);
        assert_int_equal(r, -EPROTO);
        assert_true(*tls_session_error(p.end[0]));
        assert_true(tls_session_is_over(p.end[0]));
        assert_true(tls_session_output(p.end[0]).iov_len > 0);
        pair_fini(&p);
    }
}

static void test_noise(void **state)
{
    (void)state;
    srand(5);
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[600], got[TLS_SESSION_PLAIN];
        struct tls_session *s = tls_session_new(server_ctx, true);
        ssize_t r = -EAGAIN;

        fill(bytes, sizeof(bytes));
        memcpy(bytes, "\x16\x03\x01\x01\x00\x01", (size_t)(i % 7)); /* the more of a hello */
        for (size_t at = 0; at < sizeof(bytes) && r == -EAGAIN; at += 100)
            r = tls_session_feed(s, bytes + at, 100, &(struct iovec){got, sizeof(got)}, 1);
        assert_true(r == -EPROTO || r == -EAGAIN);
        assert_int_equal(tls_session_write(s, &(struct iovec){"x", 1}, 1), -EAGAIN);
        tls_session_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_noise),
    };

    return cmocka_run_group_tests(tests, make_contexts, free_contexts);
}
