/*
 * listener.c - accepts AMQP connections and gives each a process of its own.
 *
 * Duties: owns the listening socket; has the supervisor `connections` start a process for each
 * accepted socket, spread over the schedulers, and gives it the socket.
 * In:  MSG_IO (somebody waits), MSG_SUP_REPLY or MSG_DOWN (answers of the supervisor), MSG_TIMEOUT
 *      (accepts again after an error).
 * Out: start_child calls, MSG_FD to new connections.
 * Links and monitors: none; connections outlive it.
 * Invariants:
 *   1. Each slot of `pending` with a ref holds a socket that this process owns as a kept message,
 *      so that it is closed however the process ends.
 *   2. Nothing is accepted while all slots are taken.
 */
#include "amqp/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "amqp/connection.h"
#include "broker/core/activation.h"
#include "broker/core/config.h"
#include "broker/core/listeners.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/io.h"
#include "broker/runtime/supervisor.h"

enum {
    MAX_PENDING = 64,
    START_TIMEOUT_US = 10 * 1000 * 1000,
    PORT_TRIES = 8,
    PAUSE_US = 200 * 1000, /* after EMFILE and the like */
};

enum { MAX_SOCKETS = 2 };

struct listener {
    struct listener_arg arg;
    char name[64];              /* registered */
    struct io *io[MAX_SOCKETS]; /* NULL: none; for all addresses, one of IPv4 and one of IPv6 */
    struct blob *connection;    /* the arg of its connections */
    uint64_t n_accepted;        /* for the ids of connections; begins at a random number */
    uint32_t n_pending;
    proc_ref pause; /* the timer that ends a pause; 0: none */
    struct {
        proc_ref ref; /* 0: free */
        struct msg_fd *fd;
    } pending[MAX_PENDING];
};

/* Both families on one port, for which either may be the one that is taken; -errno. */
static int listen_all(uint16_t port, int fds[MAX_SOCKETS], uint16_t *ret_port)
{
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        fds[0] = io_listen("0.0.0.0", port, ret_port);
        if (fds[0] < 0)
            return fds[0];
        fds[1] = io_listen("::", *ret_port, NULL);
        if (fds[1] != -EADDRINUSE)
            return 0; /* a machine without IPv6 is served all the same */
        io_close(io_open(fds[0]));
        if (port != 0)
            break;
    }
    return -EADDRINUSE;
}

static void want(struct listener *l, unsigned events)
{
    for (unsigned i = 0; i < MAX_SOCKETS; i++)
        if (l->io[i])
            io_want(l->io[i], events);
}

static void unref_blob(void *blob)
{
    blob_unref(blob);
}

/* A file that is left all the same is taken away by the next one who listens there. */
static void remove_file(void *path)
{
    (void)unlink(path);
    rt_free(path);
}

static int listen_at_path(const struct listener_arg *a)
{
    int fd = io_listen_unix(a->where, a->mode);

    if (fd >= 0)
        proc_at_exit(remove_file, strcpy(rt_alloc(strlen(a->where) + 1), a->where));
    return fd;
}

/* Its sockets, from whoever started the broker, or its own; -errno. */
static int open_sockets(const struct listener_arg *a, int fds[MAX_SOCKETS], uint16_t *port)
{
    int r = activation_sockets(a->id, fds, MAX_SOCKETS, port);

    if (r != 0)
        return r;
    if (a->is_unix)
        return fds[0] = listen_at_path(a);
    if (a->where[0])
        return fds[0] = io_listen(a->where, *port, port);
    return listen_all(*port, fds, port);
}

static void tune(struct io *io)
{
    const struct config *c = config();

    io_tune(io, &(struct io_tuning){.backlog = (int)c->tcp_backlog,
                                    .send_bytes = (int)c->tcp_sndbuf,
                                    .recv_bytes = (int)c->tcp_recbuf,
                                    .no_delay = c->tcp_nodelay,
                                    .keep_alive = c->tcp_keepalive});
}

static void listener_init(void *state, const void *arg)
{
    struct listener *l = state;
    const struct listener_arg *a = arg;
    const struct connection_arg connection = {.has_tls = a->has_tls, .has_proxy = a->has_proxy};
    const char *where = a->where[0] ? a->where : "any address";
    int fds[MAX_SOCKETS] = {-1, -1}, r;
    uint16_t port;

    l->arg = *a;
    port = a->port ? a->port : listeners_port(a->id);
    r = open_sockets(&l->arg, fds, &port);
    if (r < 0)
        proc_exit(EXIT_CRASH, r, "cannot listen on %s port %u: %s", where, port, strerror(-r));
    for (unsigned i = 0; i < MAX_SOCKETS; i++)
        if (fds[i] >= 0)
            l->io[i] = io_open(fds[i]);
    for (unsigned i = 0; i < MAX_SOCKETS && !a->is_unix; i++)
        if (l->io[i])
            tune(l->io[i]);
    l->connection = blob_copy(&connection, sizeof(connection));
    proc_at_exit(unref_blob, l->connection);
    l->n_accepted = proc_random() & 0xffffffff00000000u;
    want(l, IO_READ);
    listeners_tell(a->id, a->where, port);
    snprintf(l->name, sizeof(l->name), "listener:%s", a->id);
    log_info("%s: listens on %s port %u", l->name, where, port);
    CHECK(proc_register(l->name) == 0);
}

static void start_connection(struct listener *l, int fd, const struct sockaddr_storage *peer,
                             const struct sockaddr_storage *local)
{
    struct child_spec spec = {.ops = &connection_ops,
                              .arg = l->connection,
                              .restart = TEMPORARY,
                              .shutdown_ms = 5000,
                              .scheduler = SCHED_ANY};
    unsigned i = 0;
    char id[40];

    while (l->pending[i].ref != 0)
        i++;
    snprintf(id, sizeof(id), "connection-%llx", (unsigned long long)l->n_accepted++);
    spec.id = id;
    l->pending[i].fd = io_give(fd, peer, local);
    proc_keep(&l->pending[i].fd->hdr);
    l->pending[i].ref = sup_start_child(proc_whereis("connections"), &spec, START_TIMEOUT_US);
    l->n_pending++;
}

/* The ends of a Unix socket have no addresses: what tells them apart is put in their place. */
static void name_ends(const struct listener *l, struct sockaddr_storage *peer,
                      struct sockaddr_storage *local)
{
    struct sockaddr_un *from = (void *)peer, *to = (void *)local;

    *from = *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(from->sun_path, sizeof(from->sun_path), "unix:%u", (uint32_t)l->n_accepted & 0xffff);
    snprintf(to->sun_path, sizeof(to->sun_path), "%.100s", l->arg.where);
}

static void accept_some(struct listener *l, struct io *io)
{
    struct sockaddr_storage peer, local;

    while (l->n_pending < MAX_PENDING && !proc_is_over_budget()) {
        int fd = io_accept(io, &peer, &local);

        if (fd == -EAGAIN)
            return;
        if (fd == -ECONNABORTED || fd == -EINTR)
            continue;
        if (fd < 0) {
            log_warn("%s: accept: %s", l->name, strerror(-fd));
            want(l, 0);
            l->pause = proc_timer(PAUSE_US);
            return;
        }
        if (l->arg.is_unix)
            name_ends(l, &peer, &local);
        start_connection(l, fd, &peer, &local);
    }
    if (l->n_pending == MAX_PENDING)
        want(l, 0);
}

/* The supervisor answered: the socket goes to its process, or is closed. */
static void on_answer(struct listener *l, struct msg *m)
{
    for (unsigned i = 0; i < MAX_PENDING; i++) {
        struct msg_fd *fd = l->pending[i].fd;

        if (l->pending[i].ref != m->ref)
            continue;
        l->pending[i].ref = 0;
        l->pending[i].fd = NULL;
        l->n_pending--;
        if (m->type == MSG_SUP_REPLY && MSG_OF(struct msg_sup_reply, m)->err == 0)
            PROC_SEND(MSG_OF(struct msg_sup_reply, m)->child, fd);
        else
            msg_drop(&fd->hdr);
        break;
    }
    if (l->pause == 0)
        want(l, IO_READ);
}

static void listener_handle(void *state, struct msg *m)
{
    struct listener *l = state;

    switch (m->type) {
    case MSG_IO:
        accept_some(l, MSG_OF(struct msg_io, m)->io);
        break;
    case MSG_SUP_REPLY:
    case MSG_DOWN:
        on_answer(l, m);
        break;
    case MSG_TIMEOUT:
        if (m->ref == l->pause) {
            l->pause = 0;
            want(l, l->n_pending < MAX_PENDING ? IO_READ : 0);
        } else {
            on_answer(l, m);
        }
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message %u", m->type);
    }
}

static size_t listener_inspect(const void *state, char *out, size_t size)
{
    const struct listener *l = state;
    int n = snprintf(out, size, "{\"pending\":%u,\"paused\":%s}", l->n_pending,
                     l->pause ? "true" : "false");

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size;
}

const struct proc_ops listener_ops = {
    .kind = "listener",
    .state_size = sizeof(struct listener),
    .init = listener_init,
    .handle = listener_handle,
    .inspect = listener_inspect,
};
