/*
 * test_io.c - descriptors on a real scheduler: readiness, one message at a time, turns,
 * closing.
 *
 * The root owns one end of a socket pair; a helper process works the other end with plain calls.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"
#include "broker/runtime/io.h"
#include "tests/unit/threads.h"

enum { HELLO = 0xF400 };

struct pair {
    struct io *io;
    int other;
    unsigned n, step;
    proc_ref timer;
};

static void pair_open(struct pair *s)
{
    int fd[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
    s->io = io_open(fd[0]);
    s->other = fd[1];
}

static ssize_t read_some(struct io *io, char *to, size_t size)
{
    struct iovec iov = {to, size};

    return io_readv(io, &iov, 1);
}

static void put(int fd, const char *text)
{
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Level-triggered reading, a pause, and the end of file. */

static void reading_init(void *state, const void *arg)
{
    struct pair *s = state;

    (void)arg;
    pair_open(s);
    io_want(s->io, IO_READ);
    put(s->other, "abcdef");
}

static void reading_handle(void *state, struct msg *m)
{
    struct pair *s = state;
    char c[8];

    if (m->type == MSG_TIMEOUT) {
        CHECK(s->step == 6); /* nothing came while it was paused */
        s->step++;
        io_want(s->io, IO_READ);
        return;
    }
    CHECK(m->type == MSG_IO && MSG_OF(struct msg_io, m)->events == IO_READ);
    if (s->step < 6) { /* one byte at a time: the rest must show again */
        CHECK(read_some(s->io, c, 1) == 1 && c[0] == "abcdef"[s->step]);
        if (++s->step < 6)
            return;
        CHECK(read_some(s->io, c, 1) == -EAGAIN);
        io_want(s->io, 0);
        put(s->other, "later");
        (void)proc_timer(20000);
        return;
    }
    if (s->step == 7) {
        CHECK(read_some(s->io, c, 8) == 5);
        s->step++;
        close(s->other);
        return;
    }
    CHECK(read_some(s->io, c, 8) == 0);
    io_close(s->io);
    proc_exit(EXIT_NORMAL, 0, "end of file");
}

static void reading_is_level_triggered_and_pauses(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct pair),
                                        .init = reading_init,
                                        .handle = reading_handle};

    (void)state;
    run(&ops, 2, 1);
}

/* Writing: full, then ready again once the other side has read. */

static void writing_init(void *state, const void *arg)
{
    static char block[65536];
    struct pair *s = state;
    struct iovec iov = {block, sizeof(block)};
    ssize_t n;

    (void)arg;
    pair_open(s);
    do {
        n = io_writev(s->io, &iov, 1);
    } while (n > 0);
    CHECK(n == -EAGAIN);
    io_want(s->io, IO_WRITE);
    (void)proc_timer(10000);
}

static void writing_handle(void *state, struct msg *m)
{
    static char block[65536];
    struct pair *s = state;

    if (m->type == MSG_TIMEOUT) {
        CHECK(s->n == 0); /* still full */
        while (read(s->other, block, sizeof(block)) > 0)
            continue;
        return;
    }
    CHECK(m->type == MSG_IO && MSG_OF(struct msg_io, m)->events == IO_WRITE);
    close(s->other);
    proc_exit(EXIT_NORMAL, 0, "writable again"); /* and the runtime closes its end */
}

static void writing_waits_for_room(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct pair),
                                        .init = writing_init,
                                        .handle = writing_handle};

    (void)state;
    run(&ops, 2, 1);
}

/* Who has always more to read takes turns with those who work on what it gave. */

struct giver {
    struct pair pair;
    proc_id helper;
    unsigned *n_helped;
};

static void helper_handle(void *state, struct msg *m)
{
    (void)m;
    ++**(unsigned **)state;
}

static void helper_init(void *state, const void *arg)
{
    memcpy(state, arg, sizeof(unsigned *));
}
static const struct proc_ops helper_ops = {.kind = "helper",
                                           .state_size = sizeof(unsigned *),
                                           .init = helper_init,
                                           .handle = helper_handle};

static void giver_init(void *state, const void *arg)
{
    static unsigned n_helped; /* both are on one scheduler */
    struct giver *g = state;
    struct spawn spec = {.ops = &helper_ops, .scheduler = SCHED_SAME};
    char bytes[200] = "";

    (void)arg;
    n_helped = 0;
    g->n_helped = &n_helped;
    spec.arg = blob_copy(&g->n_helped, sizeof(g->n_helped));
    g->helper = proc_spawn(&spec);
    pair_open(&g->pair);
    io_want(g->pair.io, IO_READ);
    CHECK(write(g->pair.other, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes));
}

static void giver_handle(void *state, struct msg *m)
{
    struct giver *g = state;
    struct msg *job;
    char c;

    CHECK(m->type == MSG_IO);
    CHECK(*g->n_helped == g->pair.n++);
    CHECK(read_some(g->pair.io, &c, 1) == 1);
    job = msg_new(HELLO, sizeof(*job), NULL);
    proc_send(g->helper, job);
    if (g->pair.n < 200)
        return;
    close(g->pair.other);
    proc_exit(EXIT_NORMAL, 0, "all read");
}

static void endless_reader_takes_turns(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct giver),
                                        .init = giver_init,
                                        .handle = giver_handle};

    (void)state;
    run(&ops, 2, 1);
}

/* A reset that came with the last bytes is seen behind them, though no event tells of it again. */

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = __builtin_bswap16(port);
    to.sin_addr.s_addr = __builtin_bswap32(0x7f000001);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    return fd;
}

static void reset_init(void *state, const void *arg)
{
    struct linger at_once = {.l_onoff = 1};
    struct pair *s = state;
    uint16_t port;
    int listener = io_listen("127.0.0.1", 0, &port), fd;
    struct io *io;

    (void)arg;
    CHECK(listener >= 0);
    io = io_open(listener);
    s->other = connect_to(port);
    do {
        fd = io_accept(io, NULL, NULL);
    } while (fd == -EAGAIN);
    CHECK(fd >= 0);
    io_close(io);
    s->io = io_open(fd);
    io_want(s->io, IO_READ);
    put(s->other, "last words");
    CHECK(setsockopt(s->other, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
    close(s->other);
}

static void reset_handle(void *state, struct msg *m)
{
    struct pair *s = state;
    char c[64];
    ssize_t n;

    CHECK(m->type == MSG_IO);
    n = read_some(s->io, c, sizeof(c));
    if (n > 0 || n == -EAGAIN)
        return; /* and nothing is written, so only reading can tell */
    CHECK(n == 0 || n == -ECONNRESET);
    proc_exit(EXIT_NORMAL, 0, "saw the reset");
}

static void reset_behind_data_is_seen(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct pair),
                                        .init = reset_init,
                                        .handle = reset_handle};

    (void)state;
    run(&ops, 2, 1);
}

/* A suspended owner does not keep its scheduler spinning, and gets its message afterwards. */

static void sleeper_init(void *state, const void *arg)
{
    struct pair *s = state;

    (void)arg;
    pair_open(s);
    io_want(s->io, IO_READ);
    s->timer = proc_timer(1000);
}

static void sleeper_handle(void *state, struct msg *m)
{
    struct pair *s = state;
    char c[8];

    if (m->type == MSG_TIMEOUT) {
        put(s->other, "x");
        return;
    }
    CHECK(m->type == MSG_IO && read_some(s->io, c, 8) == 1);
    close(s->other);
    proc_exit(EXIT_NORMAL, 0, "read after the resume");
}
static const struct proc_ops sleeper_ops = {.kind = "sleeper",
                                            .state_size = sizeof(struct pair),
                                            .init = sleeper_init,
                                            .handle = sleeper_handle};

struct governor {
    proc_id sleeper;
    unsigned step;
    uint64_t cpu_us;
};

static uint64_t cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void governor_init(void *state, const void *arg)
{
    struct governor *g = state;
    struct spawn spec = {.ops = &sleeper_ops, .flags = PROC_MONITOR, .scheduler = 1};

    (void)arg;
    g->sleeper = proc_spawn(&spec);
    rt_suspend(g->sleeper, true);
    (void)proc_timer(20000);
}

static void governor_handle(void *state, struct msg *m)
{
    struct governor *g = state;

    if (m->type == MSG_DOWN) {
        CHECK(MSG_OF(struct msg_exit, m)->why.kind == EXIT_NORMAL);
        proc_exit(EXIT_NORMAL, 0, "done");
    }
    if (g->step++ == 0) {
        g->cpu_us = cpu_us();
        (void)proc_timer(300000);
        return;
    }
    CHECK(cpu_us() - g->cpu_us < 150000); /* a spinning scheduler would use 300 ms */
    rt_suspend(g->sleeper, false);
}

static void suspended_owner_keeps_nobody_awake(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct governor),
                                        .init = governor_init,
                                        .handle = governor_handle};

    (void)state;
    run(&ops, 2, 1);
}

/* Closing with the message under way; and a crash with it in hand. */

static void closing_init(void *state, const void *arg)
{
    struct pair *s = state;

    (void)arg;
    pair_open(s);
    io_want(s->io, IO_READ);
    put(s->other, "x");
    (void)proc_timer(30000);
}

static void nap(unsigned ms)
{
    struct timespec ts = {.tv_nsec = ms * 1000000L};

    nanosleep(&ts, NULL);
}

static void closing_handle(void *state, struct msg *m)
{
    struct pair *s = state;

    if (m->type == MSG_IO) {
        CHECK(s->n++ == 0);
        rt_suspend(proc_self(), true); /* until the next MSG_IO has come to the mailbox */
        return;
    }
    CHECK(m->type == MSG_TIMEOUT);
    if (s->step++ == 0) {
        io_close(s->io);
        rt_suspend(proc_self(), false);
        (void)proc_timer(10000);
        return;
    }
    close(s->other);
    proc_exit(EXIT_NORMAL, 0, "no message of a closed descriptor");
}

static void closed_descriptor_sends_nothing_more(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct pair),
                                        .init = closing_init,
                                        .handle = closing_handle};

    (void)state;
    nap(1);
    run(&ops, 2, 1);
}

static void fragile_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == MSG_IO)
        proc_exit(EXIT_SHUTDOWN, 0, "with the message in hand");
}
static const struct proc_ops fragile_ops = {.kind = "fragile",
                                            .state_size = sizeof(struct pair),
                                            .init = closing_init,
                                            .handle = fragile_handle};

static void watcher_init(void *state, const void *arg)
{
    struct spawn spec = {.ops = &fragile_ops, .flags = PROC_MONITOR, .scheduler = SCHED_SAME};

    (void)state;
    (void)arg;
    (void)proc_spawn(&spec); /* its DOWN is all that matters */
}

static void watcher_handle(void *state, struct msg *m)
{
    (void)state;
    CHECK(m->type == MSG_DOWN);
    proc_exit(EXIT_NORMAL, 0, "done");
}

static void exit_closes_what_it_owned(void **state)
{
    static const struct proc_ops ops = {
        .kind = "root", .init = watcher_init, .handle = watcher_handle};
    int before = dup(0), after;

    (void)state;
    close(before);
    run(&ops, 2, 1);
    after = dup(0);
    close(after);
    assert_true(after <= before + 1); /* the other end of the pair is the test's own loss */
    close(before);
}

/* A connection from listen to echo, its descriptor handed to another process in a message. */

struct listener {
    struct io *io;
    uint16_t port;
    int client;
};

static void echo_handle(void *state, struct msg *m)
{
    struct io **io = state;
    struct iovec iov;
    size_t size;
    ssize_t n;

    if (m->type == MSG_FD) {
        CHECK(MSG_OF(struct msg_fd, m)->peer.ss_family == AF_INET);
        *io = io_open(io_take(MSG_OF(struct msg_fd, m)));
        io_want(*io, IO_READ);
        return;
    }
    iov.iov_base = io_scratch(&size);
    iov.iov_len = size;
    n = io_readv(*io, &iov, 1);
    CHECK(n >= 0);
    if (n == 0)
        proc_exit(EXIT_NORMAL, 0, "closed by the client");
    iov.iov_len = (size_t)n;
    CHECK(io_writev(*io, &iov, 1) == n);
}
static const struct proc_ops echo_ops = {
    .kind = "echo", .state_size = sizeof(struct io *), .handle = echo_handle};

/* The client is a blocking process, so that it may wait for the answer. */
static void client_init(void *state, const void *arg)
{
    uint16_t port;
    char got[8] = "";
    int fd;

    (void)state;
    memcpy(&port, arg, sizeof(port));
    fd = connect_to(port);
    put(fd, "hello");
    CHECK(recv(fd, got, 5, MSG_WAITALL) == 5 && !strcmp(got, "hello"));
    close(fd);
    proc_exit(EXIT_NORMAL, 0, "echoed");
}
static const struct proc_ops client_ops = {
    .kind = "client", .flags = PROC_OPS_BLOCKING, .init = client_init};

static void listener_init(void *state, const void *arg)
{
    struct listener *l = state;
    struct spawn spec = {.ops = &client_ops, .flags = PROC_MONITOR};
    int fd = io_listen("127.0.0.1", 0, &l->port);

    (void)arg;
    CHECK(fd >= 0 && l->port != 0);
    CHECK(io_listen("127.0.0.1", l->port, NULL) == -EADDRINUSE);
    CHECK(io_listen("not an address", 0, NULL) == -EINVAL);
    l->io = io_open(fd);
    io_want(l->io, IO_READ);
    spec.arg = blob_copy(&l->port, sizeof(l->port));
    (void)proc_spawn(&spec); /* its DOWN is the end */
}

static void listener_handle(void *state, struct msg *m)
{
    struct listener *l = state;
    struct spawn spec = {.ops = &echo_ops, .scheduler = 1};
    struct sockaddr_storage peer, local;
    struct msg_fd *f;
    int fd;

    if (m->type == MSG_DOWN) {
        CHECK(MSG_OF(struct msg_exit, m)->why.kind == EXIT_NORMAL);
        proc_exit(EXIT_NORMAL, 0, "done");
    }
    CHECK(m->type == MSG_IO);
    fd = io_accept(l->io, &peer, &local);
    CHECK(fd >= 0);
    CHECK(io_accept(l->io, NULL, NULL) == -EAGAIN);
    f = io_give(fd, &peer, &local);
    PROC_SEND(proc_spawn(&spec), f);
    /* One that nobody takes is closed with its message. */
    f = io_give(dup(0), NULL, NULL);
    PROC_SEND((proc_id)1 << 32 | 77, f);
}

static void connection_is_accepted_and_handed_on(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct listener),
                                        .init = listener_init,
                                        .handle = listener_handle};

    (void)state;
    run(&ops, 2, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_is_level_triggered_and_pauses),
        cmocka_unit_test(writing_waits_for_room),
        cmocka_unit_test(endless_reader_takes_turns),
        cmocka_unit_test(reset_behind_data_is_seen),
        cmocka_unit_test(suspended_owner_keeps_nobody_awake),
        cmocka_unit_test(closed_descriptor_sends_nothing_more),
        cmocka_unit_test(exit_closes_what_it_owned),
        cmocka_unit_test(connection_is_accepted_and_handed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
