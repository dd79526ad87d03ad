/*
 * rt_echo.c - the scenario of sockets: a listener, a process for each connection that sends back
 * what it gets, and clients that write, read, half-close, reset and vanish.
 *
 * Invariants, by the names under which they fail:
 * 1. "bytes": a client gets back what it sent, in order, and nothing else.
 * 2. "end of stream": one that ended its side in peace, and whose process did not crash, gets all
 *    back and then the end.
 * 3. "nothing leaked": descriptors, messages, processes.
 */
#include "tests/sim/rt_scenarios.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "broker/runtime/io.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

enum { MAX_CLIENTS = 8, MAX_CONNS = 4096, ECHO_STOP = MSG_USER, SETTLE_LIMIT = 100000 };

struct client {
    int fd; /* 0: none */
    uint32_t id;
    uint64_t sent, got;
    bool ended; /* sends no more */
};

struct conn_note { /* the driver's view of a connection's process */
    proc_id pid;
    uint16_t port; /* the client's */
    bool crashed;
};

static struct {
    struct client client[MAX_CLIENTS];
    struct conn_note conn[MAX_CONNS];
    uint32_t n_conns, n_clients;
    uint16_t port;
    proc_id root;
} ec;

struct echo { /* a connection's state */
    struct io *io;
    uint8_t buf[2048];
    size_t from, to; /* what is to be sent back */
    bool eof;
};

struct echo_root {
    struct io *listener;
};

static void echo_finish(struct echo *s)
{
    io_close(s->io);
    s->io = NULL;
    proc_exit(EXIT_NORMAL, 0, "the client is gone");
}

static void echo_write(struct echo *s)
{
    while (s->from < s->to) {
        struct iovec v = {s->buf + s->from, s->to - s->from};
        ssize_t r = io_writev(s->io, &v, 1);

        if (r == -EAGAIN)
            return;
        if (r < 0)
            echo_finish(s);
        s->from += (size_t)r;
    }
    s->from = s->to = 0;
}

static void echo_read(struct echo *s)
{
    struct iovec v[2] = {{s->buf, 100}, {s->buf + 100, sizeof(s->buf) - 100}};
    ssize_t r = io_readv(s->io, v, 2);

    if (r == -EAGAIN)
        return;
    if (r < 0)
        echo_finish(s);
    s->eof = r == 0;
    s->to = (size_t)r;
    if (r > 0 && sim_is_planted("echo-flip") && sim_chance(SIM_ACTOR, 5000))
        s->buf[0] ^= 1;
}

static void echo_io(struct echo *s, unsigned events)
{
    if (s->to > 0)
        echo_write(s);
    else if (events & IO_READ && !s->eof)
        echo_read(s);
    if (s->to > 0)
        echo_write(s);
    if (s->to == 0 && s->eof)
        echo_finish(s);
    io_want(s->io, s->to > 0 ? IO_WRITE : IO_READ);
}

static void echo_handle(void *state, struct msg *m)
{
    struct echo *s = state;

    sim_note("conn", m->type, 0, 0);
    switch (m->type) {
    case MSG_FD:
        CHECK(!s->io);
        s->io = io_open(io_take(MSG_OF(struct msg_fd, m)));
        io_want(s->io, IO_READ);
        break;
    case MSG_IO:
        echo_io(s, MSG_OF(struct msg_io, m)->events);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "message %u", m->type);
    }
}

static const struct proc_ops echo_ops = {
    .kind = "echo-conn",
    .state_size = sizeof(struct echo),
    .handle = echo_handle,
};

static void root_init(void *state, const void *arg)
{
    struct echo_root *s = state;
    int fd = io_listen("127.0.0.1", 0, &ec.port);

    (void)arg;
    CHECK(fd >= 0);
    s->listener = io_open(fd);
    io_want(s->listener, IO_READ);
    if (sim_is_planted("leak-descriptor"))
        (void)io_listen("127.0.0.1", 0, &(uint16_t){0}); /* owned by nobody */
}

static void root_accept(struct echo_root *s)
{
    struct spawn spec = {.ops = &echo_ops, .scheduler = SCHED_ANY};
    struct sockaddr_storage peer, local;
    struct sockaddr_in in;
    struct msg_fd *m;
    int fd = io_accept(s->listener, &peer, &local);

    if (fd < 0)
        return;
    memcpy(&in, &peer, sizeof(in));
    if (ec.n_conns == MAX_CONNS)
        sim_fail("simulation", "more than %d connections", MAX_CONNS);
    ec.conn[ec.n_conns].port = ntohs(in.sin_port);
    ec.conn[ec.n_conns++].pid = proc_spawn(&spec);
    m = io_give(fd, &peer, &local);
    PROC_SEND(ec.conn[ec.n_conns - 1].pid, m);
}

static void root_handle(void *state, struct msg *m)
{
    struct echo_root *s = state;

    if (m->type == MSG_IO)
        root_accept(s);
    else if (m->type == ECHO_STOP)
        proc_exit(EXIT_NORMAL, 0, "by order");
}

static const struct proc_ops root_ops = {
    .kind = "echo-root",
    .state_size = sizeof(struct echo_root),
    .init = root_init,
    .handle = root_handle,
};

static void on_crash(const struct crash_report *report)
{
    for (uint32_t i = 0; i < ec.n_conns; i++)
        if (ec.conn[i].pid == report->pid)
            ec.conn[i].crashed = true;
    sim_note("report", report->why.kind, 0, 0);
    if (report->why.kind == EXIT_FAULT)
        sim_fail("exit signals", "%s took a fault: %s", report->kind, report->why.text);
}

static uint8_t byte_of(uint32_t id, uint64_t i)
{
    return (uint8_t)((i * 131 + (i >> 8) * 17 + id * 29) & 0xff);
}

static bool has_crashed(const struct client *c)
{
    uint16_t port = sim_local_port(c->fd);

    for (uint32_t i = ec.n_conns; i-- > 0;)
        if (ec.conn[i].port == port)
            return ec.conn[i].crashed;
    return false;
}

static void client_open(struct client *c)
{
    int fd = sim_connect(ec.port);

    if (fd < 0)
        return;
    *c = (struct client){.fd = fd, .id = ++ec.n_clients};
}

static void client_write(struct client *c)
{
    uint8_t buf[3000];
    uint32_t n = 1 + sim_below(SIM_DRIVER, sizeof(buf));
    ssize_t r;

    if (c->ended)
        return;
    for (uint32_t i = 0; i < n; i++)
        buf[i] = byte_of(c->id, c->sent + i);
    r = sim_write(c->fd, buf, n);
    if (r > 0)
        c->sent += (uint64_t)r;
}

/* The stream is over: rightly so? */
static void client_over(struct client *c, ssize_t r)
{
    bool in_peace = c->ended && r == 0 && c->got == c->sent;

    if (!in_peace && !has_crashed(c))
        sim_fail("end of stream", "client %u gets %zd after %llu of %llu bytes", c->id, r,
                 (unsigned long long)c->got, (unsigned long long)c->sent);
    sim_close(c->fd);
    c->fd = 0;
}

static void client_read(struct client *c)
{
    uint8_t buf[3000];
    ssize_t r = sim_read(c->fd, buf, 1 + sim_below(SIM_DRIVER, sizeof(buf)));

    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        client_over(c, r);
        return;
    }
    for (ssize_t i = 0; i < r; i++, c->got++)
        if (c->got >= c->sent || buf[i] != byte_of(c->id, c->got))
            sim_fail("bytes", "client %u: byte %llu is wrong", c->id, (unsigned long long)c->got);
}

static void client_act(struct client *c)
{
    uint32_t how = sim_below(SIM_DRIVER, 1000);

    if (c->fd == 0) {
        client_open(c);
    } else if (how < 450) {
        client_write(c);
    } else if (how < 980) {
        client_read(c);
    } else if (how < 990) {
        sim_shutdown(c->fd);
        c->ended = true;
    } else {
        (how < 995 ? sim_reset : sim_close)(c->fd);
        c->fd = 0;
    }
}

static void run_disturbed(uint32_t steps)
{
    sim_crash_enable(true);
    for (uint32_t i = 0; i < steps; i++) {
        if (sim_chance(SIM_DRIVER, 600000))
            client_act(&ec.client[sim_below(SIM_DRIVER, MAX_CLIENTS)]);
        (void)sim_step();
    }
    sim_crash_enable(false);
}

static void settle(void)
{
    unsigned left = MAX_CLIENTS;

    for (uint32_t i = 0; left > 0 && i < SETTLE_LIMIT; i++) {
        left = 0;
        for (int k = 0; k < MAX_CLIENTS; k++) {
            struct client *c = &ec.client[k];

            if (c->fd && !c->ended)
                sim_shutdown(c->fd);
            c->ended = true;
            if (c->fd)
                client_read(c);
            left += c->fd != 0;
        }
        (void)sim_step();
    }
    if (left > 0)
        sim_fail("end of stream", "%u clients wait for ever", left);
}

static void start_echo(void)
{
    struct spawn spec = {.ops = &root_ops};

    memset(&ec, 0, sizeof(ec));
    scenario_start(on_crash);
    ec.root = rt_spawn_root(&spec);
    sim_drain(1000);
}

void echo_run(void)
{
    sim_crash_set("echo-conn", 500);
    if (sim_below(SIM_DRIVER, 4) == 0) {
        start_echo();
        run_disturbed(sim_below(SIM_DRIVER, sim.steps));
        scenario_kill();
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (ec.client[i].fd)
                sim_close(ec.client[i].fd);
    }
    start_echo();
    run_disturbed(sim.steps);
    settle();
    sim_drain(10000);
    rt_send(ec.root, msg_new(ECHO_STOP, sizeof(struct msg), NULL));
    scenario_end(EXIT_NORMAL);
}
