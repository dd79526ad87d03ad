/*
 * world_real.c - the machine itself: clocks, random numbers, sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "broker/runtime/internal.h"
#include "broker/runtime/io.h"

#define BACKLOG 1024

static uint64_t real_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static int64_t real_wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Not for keys: spreads retries and picks consumers. Seeded from the machine on each thread. */
static uint64_t real_random(void)
{
    static _Thread_local uint64_t state;
    uint64_t z;

    if (!state && getrandom(&state, sizeof(state), 0) != sizeof(state))
        state = real_now_ns() | 1;
    z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void real_secret(void *p, size_t size)
{
    BUG_ON(getrandom(p, size, 0) != (ssize_t)size); /* at most 256 bytes at a time: all or none */
}

static int address_parse(const char *text, uint16_t port, struct sockaddr_storage *ret,
                         socklen_t *ret_len)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    struct sockaddr_in *four = (struct sockaddr_in *)ret;

    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        *ret_len = sizeof(*four);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
        return -EINVAL;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    *ret_len = sizeof(*six);
    return 0;
}

static int fail_close(int fd)
{
    int r = -errno;

    close(fd);
    return r;
}

static int real_listen(const char *addr, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_storage at;
    socklen_t len;
    int fd, on = 1, r = address_parse(addr, port, &at, &len);

    if (r < 0)
        return r;
    fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* an optimisation only */
    /* "::" leaves IPv4 to a listener of its own, so that both can be told apart and refused. */
    if (at.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return fail_close(fd);
    if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, BACKLOG) < 0)
        return fail_close(fd);
    len = sizeof(at);
    if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return fail_close(fd);
    if (ret_port) {
        *ret_port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                   : ((struct sockaddr_in *)&at)->sin_port);
    }
    return fd;
}

/* Whether a socket lies at this path on which nobody listens any more. */
static bool is_stale(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;
    /* A plain file refuses, too. */
    bool is = fd >= 0 && lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
              connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return is;
}

static int bind_path(int fd, const struct sockaddr_un *at)
{
    if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
        return 0;
    if (errno != EADDRINUSE || !is_stale(at) || unlink(at->sun_path) < 0)
        return -EADDRINUSE;
    return bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ? 0 : -errno;
}

static int real_listen_unix(const char *path, unsigned mode)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd, r;

    if (strlen(path) >= sizeof(at.sun_path))
        return -ENAMETOOLONG;
    strcpy(at.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* On Linux the file is made with no more rights than the socket has: none too many for a
     * moment. */
    r = fchmod(fd, mode) < 0 ? -errno : bind_path(fd, &at);
    if (r < 0) {
        close(fd);
        return r;
    }
    if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0)
        return fail_close(fd);
    return fd;
}

/* On Linux what is accepted inherits all of it, and listen() may be said again. */
static void real_tune(int fd, const struct io_tuning *t)
{
    const int no_delay = t->no_delay, keep_alive = t->keep_alive;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep_alive, sizeof(keep_alive));
    if (t->send_bytes)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &t->send_bytes, sizeof(t->send_bytes));
    if (t->recv_bytes)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &t->recv_bytes, sizeof(t->recv_bytes));
    (void)listen(fd, t->backlog);
}

static int real_accept(int fd, struct sockaddr_storage *ret_peer,
                       struct sockaddr_storage *ret_local)
{
    struct sockaddr_storage peer = {0}, local = {0};
    socklen_t len = sizeof(peer);
    int conn = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (conn < 0)
        return -errno;
    len = sizeof(local);
    if (getsockname(conn, (struct sockaddr *)&local, &len) < 0)
        return fail_close(conn);
    if (ret_peer)
        *ret_peer = peer;
    if (ret_local)
        *ret_local = local;
    return conn;
}

static ssize_t real_readv(int fd, const struct iovec *iov, int n)
{
    ssize_t r = n == 1 ? read(fd, iov->iov_base, iov->iov_len) : readv(fd, iov, n);

    return r < 0 ? -errno : r;
}

/* sendmsg, because a write to a closed socket must not raise SIGPIPE. */
static ssize_t real_writev(int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    ssize_t r = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (r < 0 && errno == ENOTSOCK)
        r = writev(fd, iov, n);
    return r < 0 ? -errno : r;
}

static void real_shutdown(int fd)
{
    (void)shutdown(fd, SHUT_WR); /* a peer that is gone already needs no goodbye */
}

static void real_close(int fd)
{
    (void)close(fd); /* nothing is buffered here that could fail */
}

static void real_set_user_timeout(int fd, unsigned timeout_ms)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static const struct world_net net_real = {
    .listen = real_listen,
    .listen_unix = real_listen_unix,
    .tune = real_tune,
    .accept = real_accept,
    .readv = real_readv,
    .writev = real_writev,
    .shutdown = real_shutdown,
    .close = real_close,
    .set_user_timeout = real_set_user_timeout,
};

const struct world world_real = {
    .now_ns = real_now_ns,
    .wall_ms = real_wall_ms,
    .random = real_random,
    .secret = real_secret,
    .net = &net_real,
};
