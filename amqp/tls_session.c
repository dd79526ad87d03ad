/*
 * tls_session.c - an SSL whose ends are memory.
 *
 * OpenSSL reads through a BIO that knows the bytes lent for one call, and takes all of them: what
 * makes no whole record it keeps in a buffer of its own. It writes through the same BIO, which
 * appends to `out`; `out` is freed whenever it is empty, so that idle connections own none.
 */
#include "amqp/tls_session.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

enum { RECORD = 16 * 1024, OUT_MIN = 4096 - 64 };

struct tls_session {
    SSL *ssl;
    const uint8_t *lent; /* off the wire, for the present call */
    size_t n_lent;
    uint8_t *out; /* NULL: nothing waits */
    size_t at, len, room;
    bool is_closed; /* close_notify was made */
    bool is_broken;
    bool is_over; /* nothing more will come of it */
    char error[160];
};

static int on_read(BIO *bio, char *to, size_t n, size_t *ret_n)
{
    struct tls_session *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (s->n_lent == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (n > s->n_lent)
        n = s->n_lent;
    memcpy(to, s->lent, n);
    s->lent += n;
    s->n_lent -= n;
    *ret_n = n;
    return 1;
}

static int on_write(BIO *bio, const char *from, size_t n, size_t *ret_n)
{
    struct tls_session *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (s->room - s->len < n) {
        size_t room = s->room * 2 > s->len + n ? s->room * 2 : s->len + n;

        s->room = room < OUT_MIN ? OUT_MIN : room;
        s->out = rt_realloc(s->out, s->room);
    }
    memcpy(s->out + s->len, from, n);
    s->len += n;
    *ret_n = n;
    return 1;
}

static long on_control(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* nothing stands between it and `out` */
}

/* The one BIO method: made when it is first asked for, and kept, since OpenSSL has no other way. */
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method;

static void make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "warren");

    if (!m)
        return;
    (void)BIO_meth_set_read_ex(m, on_read); /* these only store */
    (void)BIO_meth_set_write_ex(m, on_write);
    (void)BIO_meth_set_ctrl(m, on_control);
    method = m;
}

struct tls_session *tls_session_new(SSL_CTX *ctx, bool is_server)
{
    RUNTIME_REGION();
    struct tls_session *s = rt_zalloc(sizeof(*s));
    BIO *bio;

    (void)CRYPTO_THREAD_run_once(&method_once, make_method);
    s->ssl = SSL_new(ctx);
    bio = method ? BIO_new(method) : NULL;
    if (!s->ssl || !bio) {
        BIO_free(bio);
        tls_session_free(s);
        return NULL;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    if (is_server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    return s;
}

void tls_session_free(void *session)
{
    RUNTIME_REGION();
    struct tls_session *s = session;

    if (!s)
        return;
    SSL_free(s->ssl);
    rt_free(s->out);
    rt_free(s);
}

/* What SSL_read or SSL_write failed of. */
static int failed(struct tls_session *s, int ret)
{
    int error = SSL_get_error(s->ssl, ret);
    const char *text;
    long verified;

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    s->is_over = true;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    s->is_broken = true;
    text = ERR_reason_error_string(ERR_peek_error());
    verified = SSL_get_verify_result(s->ssl);
    snprintf(s->error, sizeof(s->error), "%s%s%s", text ? text : "protocol error",
             verified == X509_V_OK ? "" : ": ",
             verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified));
    ERR_clear_error();
    return -EPROTO;
}

/* Fills one place as far as it goes. */
static ssize_t fill(struct tls_session *s, const struct iovec *place)
{
    size_t have = 0, n;

    while (have < place->iov_len) {
        int r = SSL_read_ex(s->ssl, (uint8_t *)place->iov_base + have, place->iov_len - have, &n);

        if (r != 1) {
            int error = failed(s, r);

            return have > 0 ? (ssize_t)have : error;
        }
        have += n;
    }
    return (ssize_t)have;
}

ssize_t tls_session_feed(struct tls_session *s, const void *bytes, size_t n,
                         const struct iovec *places, int n_places)
{
    RUNTIME_REGION();
    size_t have = 0;
    ssize_t r = 0;

    s->lent = bytes;
    s->n_lent = n;
    ERR_clear_error();
    for (int i = 0; i < n_places; i++) {
        r = fill(s, &places[i]);
        if (r > 0)
            have += (size_t)r;
        if (r < (ssize_t)places[i].iov_len)
            break;
    }
    s->n_lent = 0;
    return have > 0 ? (ssize_t)have : r;
}

bool tls_session_is_over(const struct tls_session *s)
{
    return s->is_over;
}

static int write_record(struct tls_session *s, const uint8_t *bytes, size_t n)
{
    size_t written;

    if (n == 0)
        return 0;
    return SSL_write_ex(s->ssl, bytes, n, &written) == 1 ? 0 : failed(s, 0);
}

/* Small pieces are put together, because each record costs 22 bytes or more, and a call. */
int tls_session_write(struct tls_session *s, const struct iovec *places, int n_places)
{
    RUNTIME_REGION();
    uint8_t record[RECORD];
    size_t have = 0;
    int r = 0;

    if (!SSL_is_init_finished(s->ssl))
        return -EAGAIN;
    ERR_clear_error();
    for (int i = 0; i < n_places; i++) {
        const uint8_t *p = places[i].iov_base, *end = p + places[i].iov_len;

        while (p < end && r == 0) {
            size_t left = (size_t)(end - p), take = left < RECORD - have ? left : RECORD - have;

            if (take == RECORD) { /* it is whole where it lies */
                r = write_record(s, p, RECORD);
            } else {
                memcpy(record + have, p, take);
                have += take;
            }
            if (have == RECORD) {
                r = write_record(s, record, RECORD);
                have = 0;
            }
            p += take;
        }
    }
    return r < 0 ? r : write_record(s, record, have);
}

void tls_session_close(struct tls_session *s)
{
    RUNTIME_REGION();

    if (s->is_closed)
        return;
    s->is_closed = true;
    ERR_clear_error();
    if (SSL_is_init_finished(s->ssl) && !s->is_broken)
        (void)SSL_shutdown(s->ssl); /* the peer's answer is not waited for */
    ERR_clear_error();
}

struct iovec tls_session_output(const struct tls_session *s)
{
    return (struct iovec){s->out ? s->out + s->at : NULL, s->len - s->at};
}

void tls_session_written(struct tls_session *s, size_t n)
{
    s->at += n;
    if (s->at < s->len)
        return;
    rt_free(s->out);
    s->out = NULL;
    s->at = s->len = s->room = 0;
}

bool tls_session_is_ready(const struct tls_session *s)
{
    return SSL_is_init_finished(s->ssl);
}

const char *tls_session_error(const struct tls_session *s)
{
    return s->error;
}

const SSL *tls_session_ssl(const struct tls_session *s)
{
    return s->ssl;
}
