/*
 * connection_front.c - what stands between a socket and AMQP's bytes: a proxy's header at their
 * beginning, and TLS. A connection without either has no front, and pays one comparison for it.
 *
 * Bytes off the wire are read into the scheduler's second buffer. What the header leaves of them
 * goes on in the same turn, to TLS or to the framer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "amqp/connection_internal.h"
#include "amqp/proxy_header.h"
#include "amqp/tls_peer.h"
#include "amqp/tls_session.h"
#include "broker/core/cidr.h"
#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/core/tls.h"
#include "broker/runtime/region.h"

enum {
    MAX_PLACES = 64,
    BATCH = 64 * 1024,           /* plain bytes that are encrypted at a time */
    WRITE_MAX = 4 * 1024 * 1024, /* in one turn */
    ANSWERS_MAX = 256 * 1024,    /* bytes on their way out, over which nothing is read */
    SILENT_CLOSE_US = 3 * 1000 * 1000,
};

struct conn_front {
    struct tls_session *tls; /* NULL: none */
    uint8_t *head;           /* of a PROXY header that is not whole; process memory */
    size_t n_head;
    bool awaits_proxy;
    bool is_failed; /* what comes is read and dropped */
    bool is_cut;    /* nothing can be written any more */
};

/* Whether a connection from there begins with a PROXY header. */
static bool is_proxied(const struct sockaddr_storage *peer)
{
    const char *at = config()->proxy_trusted;
    struct config_pair p;
    struct cidr net;

    if (!*at)
        return true;
    while (config_pair_next(&at, &p))
        if (cidr_parse(p.value, (size_t)p.value_len, &net) == 0 && cidr_has(&net, peer))
            return true;
    return false;
}

static struct tls_session *new_session(void)
{
    RUNTIME_REGION();
    SSL_CTX *ctx = tls_context(TLS_AMQP);
    struct tls_session *s = ctx ? tls_session_new(ctx, true) : NULL;

    SSL_CTX_free(ctx);
    return s;
}

void connection_open_front(struct connection *c, const struct sockaddr_storage *peer)
{
    bool has_proxy = c->kind.has_proxy && is_proxied(peer);

    if (!c->kind.has_tls && !has_proxy)
        return;
    c->front = proc_zalloc(sizeof(*c->front));
    c->front->awaits_proxy = has_proxy;
    if (!c->kind.has_tls)
        return;
    c->front->tls = new_session();
    if (!c->front->tls)
        proc_exit(EXIT_NORMAL, 0, "there is no certificate");
    proc_at_exit(tls_session_free, c->front->tls);
}

/* What comes is no AMQP, and will not become any: the peer gets what is written, and the end. */
static ssize_t give_up(struct connection *c)
{
    c->front->is_failed = true;
    c->deaf = true;
    if (conn_state(c) >= CONN_RUNNING)
        return -EPROTO;
    c->half_close = true;
    connection_move(c, CONN_LINGER);
    fsm_state_timeout(&c->fsm, SILENT_CLOSE_US);
    return -EAGAIN;
}

/* The bytes so far, those that came before in front of them; they lie in the second buffer. */
static uint8_t *with_head(struct conn_front *f, uint8_t *bytes, size_t *n)
{
    memmove(bytes + f->n_head, bytes, *n);
    memcpy(bytes, f->head, f->n_head);
    *n += f->n_head;
    return bytes;
}

static void keep_head(struct conn_front *f, const uint8_t *bytes, size_t n)
{
    proc_free(f->head);
    f->head = memcpy(proc_alloc(n), bytes, n);
    f->n_head = n;
}

/* Takes the header off; what is left of *n bytes, or -EAGAIN: it is not whole; -EBADMSG. */
static ssize_t take_proxy_header(struct connection *c, uint8_t **bytes, size_t n)
{
    struct conn_front *f = c->front;
    struct proxy_header h;
    ssize_t r;

    if (f->head)
        *bytes = with_head(f, *bytes, &n);
    r = proxy_header_parse(*bytes, n, &h);
    if (r == 0)
        keep_head(f, *bytes, n);
    if (r <= 0)
        return r == 0 ? -EAGAIN : r;
    proc_free(f->head);
    f->head = NULL;
    f->awaits_proxy = false;
    if (h.has_addresses)
        connection_set_peer(c, &h.peer, &h.local);
    *bytes += r;
    return (ssize_t)n - r;
}

/* Nothing is between the socket and AMQP any more. */
static ssize_t end_front(struct connection *c, const uint8_t *bytes, size_t n,
                         const struct iovec *place)
{
    proc_free(c->front);
    c->front = NULL;
    memcpy(place->iov_base, bytes, n);
    return n > 0 ? (ssize_t)n : -EAGAIN;
}

/* The last place is the scheduler's buffer, which has room for all, however much of it the framer
 * wants a socket to fill. */
static ssize_t feed_tls(struct connection *c, const uint8_t *bytes, size_t n, struct iovec *places,
                        int n_places)
{
    struct tls_session *tls = c->front->tls;
    ssize_t r;

    places[n_places - 1].iov_base = io_scratch(&places[n_places - 1].iov_len);
    r = tls_session_feed(tls, bytes, n, places, n_places);
    if (r != -EPROTO)
        return r;
    log_info("%s: TLS: %s", c->name, tls_session_error(tls));
    return give_up(c);
}

ssize_t connection_read_front(struct connection *c, struct iovec *places, int n_places)
{
    struct conn_front *f = c->front;
    size_t size;
    uint8_t *bytes = io_scratch_coded(&size);
    ssize_t n = io_readv(c->io, &(struct iovec){bytes, TLS_SESSION_FEED - f->n_head}, 1);

    if (n <= 0)
        return n;
    if (f->is_failed)
        return -EAGAIN;
    if (f->awaits_proxy)
        n = take_proxy_header(c, &bytes, (size_t)n);
    if (n == -EBADMSG) {
        log_warn("%s: closed, it does not begin with a PROXY header", c->name);
        return give_up(c);
    }
    if (n <= 0)
        return n < 0 ? n : f->tls ? -EAGAIN : end_front(c, bytes, 0, places);
    if (!f->tls)
        return end_front(c, bytes, (size_t)n, places);
    return feed_tls(c, bytes, (size_t)n, places, n_places);
}

bool connection_front_is_over(const struct connection *c)
{
    return c->front && c->front->tls && !c->front->is_failed && tls_session_is_over(c->front->tls);
}

static size_t waiting(const struct connection *c)
{
    if (!c->front || !c->front->tls || c->front->is_cut)
        return 0;
    return tls_session_output(c->front->tls).iov_len;
}

bool connection_has_output(const struct connection *c)
{
    return c->out.pending > 0 || waiting(c) > 0;
}

bool connection_front_is_choked(const struct connection *c)
{
    return waiting(c) > ANSWERS_MAX;
}

void connection_cut_front(struct connection *c)
{
    if (c->front)
        c->front->is_cut = true;
}

bool connection_says_end(struct connection *c)
{
    if (!c->front || !c->front->tls)
        return false;
    tls_session_close(c->front->tls);
    if (waiting(c) > 0)
        connection_write(c);
    return connection_has_output(c);
}

/* The next bytes of the output, at most a batch of them. */
static int next_places(const struct connection *c, struct iovec places[MAX_PLACES], size_t *ret_n)
{
    int n = output_places(&c->out, places, MAX_PLACES), i;
    size_t total = 0;

    for (i = 0; i < n && total < BATCH; i++) {
        if (places[i].iov_len > BATCH - total)
            places[i].iov_len = BATCH - total;
        total += places[i].iov_len;
    }
    *ret_n = total;
    return i;
}

/* Hands what waits to the socket; 0 when it took all, else -errno. */
static int drain(struct connection *c)
{
    struct iovec out;
    ssize_t n;

    while ((out = tls_session_output(c->front->tls)).iov_len > 0) {
        n = io_writev(c->io, &out, 1);
        if (n < 0)
            return (int)n;
        c->n_writes++;
        tls_session_written(c->front->tls, (size_t)n);
    }
    return 0;
}

int connection_write_tls(struct connection *c)
{
    struct iovec places[MAX_PLACES];
    uint64_t written = 0;
    size_t n;
    int r;

    while ((r = drain(c)) == 0 && c->out.pending > 0 && written < WRITE_MAX) {
        int n_places = next_places(c, places, &n);

        r = tls_session_write(c->front->tls, places, n_places);
        if (r < 0)
            break;
        output_written(&c->out, n);
        written += n;
    }
    return r;
}

bool connection_has_tls(const struct connection *c)
{
    return c->front && c->front->tls;
}

bool connection_is_verified(const struct connection *c)
{
    return connection_has_tls(c) && tls_peer_is_verified(tls_session_ssl(c->front->tls));
}

int connection_user_by_certificate(const struct connection *c, char *ret, size_t size)
{
    const struct config *f = config();

    if (!connection_is_verified(c))
        return -ENOENT;
    return tls_peer_user(tls_session_ssl(c->front->tls), (enum cert_login)f->cert_login_from,
                         (enum cert_san)f->cert_login_san_type, f->cert_login_san_index, ret, size);
}

void connection_tls_facts(const struct connection *c, struct connection_tls *ret)
{
    tls_peer_facts(tls_session_ssl(c->front->tls), ret);
}
