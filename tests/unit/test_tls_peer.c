/*
 * Users by certificate: each kind of name that one may have, and those by which nobody gets in.
 */
#include "amqp/tls_peer.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "amqp/tls_session.h"

enum { NAMES = 4 };

/* What a client's certificate says. */
struct subject {
    const char *common[NAMES]; /* NULL behind the last */
    int common_len;            /* of the first; 0: as its NUL says */
    const char *alternative;   /* as OpenSSL's configuration has them; NULL: none */
};

static EVP_PKEY *key;

static int make_key(void **state)
{
    (void)state;
    key = EVP_EC_gen("P-256");
    return key ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static void add_entry(X509_NAME *name, const char *field, const char *text, int len)
{
    assert_int_equal(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                                (const unsigned char *)text, len ? len : -1, -1, 0),
                     1);
}

/* It vouches for itself, and is trusted. */
static X509 *make_certificate(const struct subject *s)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);

    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    add_entry(name, "O", "Warren, or so", 0);
    for (int i = 0; i < NAMES && s->common[i]; i++)
        add_entry(name, "CN", s->common[i], i == 0 ? s->common_len : 0);
    assert_int_equal(X509_set_issuer_name(x, name), 1);
    if (s->alternative) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, s->alternative);

        assert_non_null(e);
        assert_int_equal(X509_add_ext(x, e, -1), 1);
        X509_EXTENSION_free(e);
    }
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static SSL_CTX *context(const SSL_METHOD *method, X509 *x)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (x) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    }
    return ctx;
}

struct met {
    SSL_CTX *server, *client;
    struct tls_session *end[2]; /* 0: the server */
};

/* A client with this certificate (NULL: none) and its server, hands shaken. */
static void meet(struct met *m, X509 *x, int verify)
{
    X509 *own = make_certificate(&(struct subject){.common = {"server"}});
    uint8_t got[TLS_SESSION_PLAIN];
    struct iovec place = {got, sizeof(got)};

    m->server = context(TLS_server_method(), own);
    m->client = context(TLS_client_method(), x);
    X509_free(own);
    SSL_CTX_set_verify(m->server, verify, NULL);
    if (x)
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(m->server), x), 1);
    m->end[0] = tls_session_new(m->server, true);
    m->end[1] = tls_session_new(m->client, false);
    (void)tls_session_feed(m->end[1], "", 0, &place, 1);
    for (int to = 0; !tls_session_is_ready(m->end[0]) || !tls_session_is_ready(m->end[1]);
         to = !to) {
        struct iovec out = tls_session_output(m->end[!to]);

        assert_int_equal(
            tls_session_feed(m->end[to], out.iov_len ? out.iov_base : "", out.iov_len, &place, 1),
            -EAGAIN);
        tls_session_written(m->end[!to], out.iov_len);
    }
}

static void part(struct met *m)
{
    for (int i = 0; i < 2; i++)
        tls_session_free(m->end[i]);
    SSL_CTX_free(m->server);
    SSL_CTX_free(m->client);
}

/* want NULL: the error. */
static void check(const struct subject *s, enum cert_login from, enum cert_san type, uint64_t index,
                  const char *want, int error)
{
    X509 *x = make_certificate(s);
    char got[64] = "untouched";
    struct met m;
    int r;

    meet(&m, x, SSL_VERIFY_PEER);
    assert_true(tls_peer_is_verified(tls_session_ssl(m.end[0])));
    r = tls_peer_user(tls_session_ssl(m.end[0]), from, type, index, got, sizeof(got));
    assert_int_equal(r, want ? 0 : error);
    assert_string_equal(got, want ? want : "untouched");
    part(&m);
    X509_free(x);
}

static void test_subject(void **state)
{
    static const char longer[] =
        "a name that is longer than anybody's is allowed to be in this test";
    const struct subject one = {.common = {"guest"}}, none = {.common = {NULL}};
    const struct subject two = {.common = {"guest", "admin"}};
    const struct subject cut = {.common = {"guest\0.evil"}, .common_len = 11};
    const struct subject umlaut = {.common = {"m\xc3\xbcller"}};
    const struct subject too_long = {.common = {longer}, .common_len = 64};

    (void)state;
    check(&one, CERT_LOGIN_CN, 0, 0, "guest", 0);
    check(&umlaut, CERT_LOGIN_CN, 0, 0, "m\xc3\xbcller", 0);
    check(&none, CERT_LOGIN_CN, 0, 0, NULL, -ENOENT);
    check(&two, CERT_LOGIN_CN, 0, 0, NULL, -ENOENT);
    check(&cut, CERT_LOGIN_CN, 0, 0, NULL, -EINVAL);
    check(&too_long, CERT_LOGIN_CN, 0, 0, NULL, -EINVAL);
    check(&one, CERT_LOGIN_DN, 0, 0, "CN=guest,O=Warren\\, or so", 0);
    check(&umlaut, CERT_LOGIN_DN, 0, 0, "CN=m\xc3\xbcller,O=Warren\\, or so", 0);
    check(&two, CERT_LOGIN_DN, 0, 0, "CN=admin,CN=guest,O=Warren\\, or so", 0);
}

static void test_alternative(void **state)
{
    const struct subject s = {.common = {"x"},
                              .alternative =
                                  "DNS:a.example,DNS:b.example,IP:192.0.2.1,IP:2001:db8::1,"
                                  "email:me@example.org,URI:urn:x,"
                                  "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:me@realm"};
    const struct subject none = {.common = {"x"}};
    static const struct {
        enum cert_san type;
        uint64_t index;
        const char *want;
    } rows[] = {
        {CERT_SAN_DNS, 0, "a.example"},  {CERT_SAN_DNS, 1, "b.example"},
        {CERT_SAN_DNS, 2, NULL},         {CERT_SAN_IP, 0, "192.0.2.1"},
        {CERT_SAN_IP, 1, "2001:db8::1"}, {CERT_SAN_EMAIL, 0, "me@example.org"},
        {CERT_SAN_URI, 0, "urn:x"},      {CERT_SAN_OTHER, 0, "me@realm"},
        {CERT_SAN_OTHER, 1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check(&s, CERT_LOGIN_SAN, rows[i].type, rows[i].index, rows[i].want, -ENOENT);
    check(&none, CERT_LOGIN_SAN, CERT_SAN_DNS, 0, NULL, -ENOENT);
}

/* Who has shown nothing, or to whom nobody has listened, is nobody. */
static void test_unverified(void **state)
{
    X509 *x = make_certificate(&(struct subject){.common = {"guest"}});
    struct connection_tls facts;
    char got[64];
    struct met m;

    (void)state;
    meet(&m, NULL, SSL_VERIFY_PEER);
    assert_false(tls_peer_is_verified(tls_session_ssl(m.end[0])));
    assert_int_equal(tls_peer_user(tls_session_ssl(m.end[0]), CERT_LOGIN_CN, 0, 0, got, 64),
                     -ENOENT);
    tls_peer_facts(tls_session_ssl(m.end[0]), &facts);
    assert_string_equal(facts.protocol, "TLSv1.3");
    assert_string_equal(facts.subject, "");
    part(&m);
    meet(&m, x, SSL_VERIFY_NONE);
    assert_false(tls_peer_is_verified(tls_session_ssl(m.end[0])));
    part(&m);
    X509_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_alternative),
        cmocka_unit_test(test_unverified),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
