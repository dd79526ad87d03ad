/*
 * sim_net.c - loopback sockets without a kernel.
 *
 * Invariants:
 * 1. A stream's `peer` points back as long as both ends are open, and is 0 afterwards.
 * 2. A byte lies in the receiver's ring from the moment it was written, and no longer than the
 *    receiver is open and not reset.
 */
#include "tests/sim/sim_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/io.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum { MAX_FDS = 4096, BACKLOG = 64, FIRST_PORT = 20000 };

enum sock_kind { SOCK_LISTENER, SOCK_END };

struct sock {
    enum sock_kind kind;
    bool of_broker;
    bool accepted;
    bool eof_in;   /* the other side sends no more */
    bool shut_out; /* this side sends no more */
    bool reset;
    int peer; /* index; 0: gone */
    uint16_t port, peer_port;
    uint8_t *ring; /* what the peer wrote and this side has not read */
    uint32_t cap, head, used;
    int waiting[BACKLOG]; /* listeners: indices of the broker's ends, not accepted yet */
    unsigned n_waiting;
};

static struct {
    struct sock *sock[MAX_FDS]; /* 0 is never used */
    uint16_t next_port;
    uint32_t least_ring;
} net;

static struct sock *sock_of(int fd)
{
    int i = fd - SIM_FD_BASE;

    if (i <= 0 || i >= MAX_FDS || !net.sock[i])
        sim_fail("descriptors", "descriptor %d is used and not open", fd);
    return net.sock[i];
}

static int sock_new(enum sock_kind kind, bool of_broker)
{
    struct sock *s = calloc(1, sizeof(*s));

    for (int i = 1; s && i < MAX_FDS; i++) {
        if (net.sock[i])
            continue;
        s->kind = kind;
        s->of_broker = of_broker;
        net.sock[i] = s;
        return i;
    }
    sim_fail("descriptors", "more than %d are open", MAX_FDS);
}

static void ring_set(struct sock *s, uint32_t cap)
{
    s->ring = malloc(cap);
    s->cap = cap;
    if (!s->ring)
        sim_fail("simulation", "no memory");
}

/* The next bytes that lie in one piece, from `at` in the ring, at most n. */
static uint32_t piece(const struct sock *s, uint32_t at, size_t n)
{
    uint32_t left = s->cap - at;

    return n < left ? (uint32_t)n : left;
}

static size_t ring_put(struct sock *s, const uint8_t *from, size_t size)
{
    size_t n = size < s->cap - s->used ? size : s->cap - s->used;

    for (size_t done = 0; done < n;) {
        uint32_t at = (s->head + s->used) % s->cap, part = piece(s, at, n - done);

        memcpy(s->ring + at, from + done, part);
        s->used += part;
        done += part;
    }
    return n;
}

static size_t ring_take(struct sock *s, uint8_t *to, size_t size)
{
    size_t n = size < s->used ? size : s->used;

    for (size_t done = 0; done < n;) {
        uint32_t part = piece(s, s->head, n - done);

        memcpy(to + done, s->ring + s->head, part);
        s->head = (s->head + part) % s->cap;
        s->used -= part;
        done += part;
    }
    return n;
}

static void set_addr(struct sockaddr_storage *ret, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, &in, sizeof(in));
}

static struct sock *listener_of(uint16_t port)
{
    for (int i = 1; i < MAX_FDS; i++)
        if (net.sock[i] && net.sock[i]->kind == SOCK_LISTENER && net.sock[i]->port == port)
            return net.sock[i];
    return NULL;
}

/* The peer of one that goes: it may still read what it has, unless `lose`. */
static void peer_tell(struct sock *s, bool reset, bool lose)
{
    struct sock *p = s->peer ? net.sock[s->peer] : NULL;

    if (!p)
        return;
    p->peer = 0;
    p->eof_in = true;
    p->reset = p->reset || reset;
    if (lose)
        p->used = 0;
}

static void sock_free(int i, bool hard)
{
    struct sock *s = net.sock[i];
    bool unread = s->used > 0;

    net.sock[i] = NULL;
    for (unsigned k = 0; k < s->n_waiting; k++)
        sock_free(s->waiting[k], true);
    /* Closing over unread bytes resets, as TCP does; whether the peer still reads is luck. */
    peer_tell(s, hard || unread, hard || (unread && sim_chance(SIM_NET, 500000)));
    free(s->ring);
    free(s);
}

static int on_listen(const char *addr, uint16_t port, uint16_t *ret_port)
{
    int i;

    if (strchr(addr, ':'))
        return -EAFNOSUPPORT; /* there is one loopback address, of IPv4 */
    if (port && listener_of(port))
        return -EADDRINUSE;
    i = sock_new(SOCK_LISTENER, true);
    net.sock[i]->port = port ? port : net.next_port++;
    if (ret_port)
        *ret_port = net.sock[i]->port;
    return SIM_FD_BASE + i;
}

static int on_accept(int fd, struct sockaddr_storage *ret_peer, struct sockaddr_storage *ret_local)
{
    struct sock *l = sock_of(fd), *s;
    int i;

    if (l->kind != SOCK_LISTENER)
        return -EINVAL;
    if (l->n_waiting == 0 || sim_chance(SIM_NET, 20000))
        return -EAGAIN;
    i = l->waiting[0];
    memmove(l->waiting, l->waiting + 1, --l->n_waiting * sizeof(l->waiting[0]));
    s = net.sock[i];
    s->accepted = true;
    if (ret_peer)
        set_addr(ret_peer, s->peer_port);
    if (ret_local)
        set_addr(ret_local, s->port);
    sim_note("accept", (uint64_t)i, s->port, 0);
    return SIM_FD_BASE + i;
}

static ssize_t take(struct sock *s, uint8_t *to, size_t size)
{
    size_t n = ring_take(s, to, size);

    if (n > 0 || size == 0)
        return (ssize_t)n;
    if (s->reset)
        return -ECONNRESET;
    return s->eof_in ? 0 : -EAGAIN;
}

static ssize_t give(struct sock *s, const uint8_t *from, size_t size)
{
    size_t n;

    if (s->reset)
        return -ECONNRESET;
    if (s->shut_out || !s->peer)
        return -EPIPE;
    if (s->of_broker && size > 1 && sim_is_planted("lose-byte") && sim_chance(SIM_NET, 5000))
        from++, size--; /* a planted bug of this very file */
    n = ring_put(net.sock[s->peer], from, size);
    return n > 0 || size == 0 ? (ssize_t)n : -EAGAIN;
}

/* How much of `size` is moved: mostly all, sometimes a part, sometimes a single byte. */
static size_t cut(size_t size)
{
    uint32_t r = sim_below(SIM_NET, 100);

    if (size < 2 || r < 60)
        return size;
    return r < 70 ? 1 : 1 + sim_below(SIM_NET, (uint32_t)size - 1);
}

static size_t iov_size(const struct iovec *iov, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* Moves through the vector until `move` gives less than it was asked for. */
static ssize_t each_iov(struct sock *s, const struct iovec *iov, int n, bool read)
{
    size_t left = cut(iov_size(iov, n)), done = 0;

    for (int i = 0; i < n && left > 0; i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
        ssize_t r = read ? take(s, iov[i].iov_base, part) : give(s, iov[i].iov_base, part);

        if (r < 0)
            return done > 0 ? (ssize_t)done : r;
        done += (size_t)r;
        left -= (size_t)r;
        if ((size_t)r < part)
            break;
    }
    return (ssize_t)done;
}

static ssize_t on_readv(int fd, const struct iovec *iov, int n)
{
    struct sock *s = sock_of(fd);
    ssize_t r = sim_chance(SIM_NET, 20000) ? -EAGAIN : each_iov(s, iov, n, true);

    sim_note("read", (uint64_t)fd, (uint64_t)r, 0);
    return r;
}

static ssize_t on_writev(int fd, const struct iovec *iov, int n)
{
    struct sock *s = sock_of(fd);
    ssize_t r = sim_chance(SIM_NET, 20000) ? -EAGAIN : each_iov(s, iov, n, false);

    sim_note("write", (uint64_t)fd, (uint64_t)r, 0);
    return r;
}

static void shut(struct sock *s)
{
    s->shut_out = true;
    if (s->peer)
        net.sock[s->peer]->eof_in = true;
}

static void on_shutdown(int fd)
{
    shut(sock_of(fd));
}

static void on_close(int fd)
{
    struct sock *s = sock_of(fd);

    if (!s->of_broker)
        sim_fail("descriptors", "the broker closed the test's descriptor %d", fd);
    sim_note("close", (uint64_t)fd, 0, 0);
    sock_free(fd - SIM_FD_BASE, false);
}

static void on_user_timeout(int fd, unsigned timeout_ms)
{
    (void)sock_of(fd);
    (void)timeout_ms; /* nothing is ever lost on this wire */
}

static unsigned on_ready(int fd)
{
    struct sock *s = sock_of(fd);
    unsigned r = 0;

    if (s->eof_in && sim_is_planted("lose-readiness"))
        return 0;
    if (s->kind == SOCK_LISTENER)
        return s->n_waiting > 0 ? IO_READ : 0;
    if (s->used > 0 || s->eof_in || s->reset)
        r |= IO_READ;
    if (s->reset || s->shut_out || !s->peer || net.sock[s->peer]->used < net.sock[s->peer]->cap)
        r |= IO_WRITE;
    return r;
}

const struct world_net sim_net = {
    .listen = on_listen,
    .accept = on_accept,
    .readv = on_readv,
    .writev = on_writev,
    .shutdown = on_shutdown,
    .close = on_close,
    .set_user_timeout = on_user_timeout,
    .ready = on_ready,
};

void sim_net_init(void)
{
    sim_net_fini();
    net.next_port = FIRST_PORT;
    net.least_ring = 0;
}

void sim_net_fini(void)
{
    for (int i = 1; i < MAX_FDS; i++) {
        if (!net.sock[i])
            continue;
        free(net.sock[i]->ring);
        free(net.sock[i]);
        net.sock[i] = NULL;
    }
}

void sim_net_least_ring(uint32_t bytes)
{
    net.least_ring = bytes;
}

static uint32_t pick_ring(void)
{
    uint32_t n = 1 + sim_below(SIM_NET, 16384);

    return n < net.least_ring ? net.least_ring : n;
}

int sim_connect(uint16_t port)
{
    struct sock *l = listener_of(port);
    int here, there;

    if (!l || l->n_waiting == BACKLOG)
        return -ECONNREFUSED;
    here = sock_new(SOCK_END, false);
    there = sock_new(SOCK_END, true);
    net.sock[here]->peer = there;
    net.sock[there]->peer = here;
    net.sock[here]->port = net.sock[there]->peer_port = net.next_port++;
    net.sock[here]->peer_port = net.sock[there]->port = port;
    ring_set(net.sock[here], pick_ring());
    ring_set(net.sock[there], pick_ring());
    l->waiting[l->n_waiting++] = there;
    sim_note("connect", (uint64_t)here, port, 0);
    return SIM_FD_BASE + here;
}

uint16_t sim_local_port(int fd)
{
    return sock_of(fd)->port;
}

ssize_t sim_read(int fd, void *buf, size_t size)
{
    return take(sock_of(fd), buf, size);
}

ssize_t sim_write(int fd, const void *buf, size_t size)
{
    return give(sock_of(fd), buf, size);
}

void sim_shutdown(int fd)
{
    shut(sock_of(fd));
}

void sim_close(int fd)
{
    (void)sock_of(fd);
    sock_free(fd - SIM_FD_BASE, false);
}

void sim_reset(int fd)
{
    (void)sock_of(fd);
    sock_free(fd - SIM_FD_BASE, true);
}

void sim_net_crash(void)
{
    for (int i = 1; i < MAX_FDS; i++)
        if (net.sock[i] && net.sock[i]->of_broker)
            sock_free(i, true);
}

unsigned sim_net_broker_fds(void)
{
    unsigned n = 0;

    for (int i = 1; i < MAX_FDS; i++) {
        struct sock *s = net.sock[i];

        n += s && s->of_broker && (s->kind == SOCK_LISTENER || s->accepted);
    }
    return n;
}

unsigned sim_net_backlog(void)
{
    unsigned n = 0;

    for (int i = 1; i < MAX_FDS; i++)
        n += net.sock[i] ? net.sock[i]->n_waiting : 0;
    return n;
}
