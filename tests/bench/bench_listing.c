/*
 * What listings cost those who send messages meanwhile.
 *
 * usage: bench_listing [BROKER [QUEUES [CONNECTIONS [ROUNDS [PATH...]]]]]. By default build/warren,
 * 100,000 queues, 10,000 connections with a channel each, 3 rounds, and the paths below. A client
 * sends a message each millisecond, by turns through two queues of two connections (of two
 * schedulers, where there are as many), and takes the time until it comes back. For each path, by
 * turns: nothing else goes on for a while, then another client fetches the path again and again.
 *
 * Beside that it tells what memory the broker holds, before and after.
 *
 * The last row has a program instead that makes and moves bytes as the broker would: what a machine
 * of few cores takes from the message's way without any broker at work.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PINGERS     2
#define ALONE_US    2500000
#define BESIDE_US   5000000
#define SETTLE_US   200000 /* in which the broker hardly works; twenty of them at most */
#define PING_US     1000
#define MAX_PINGS   100000
#define MAX_HOLDERS 16
#define PER_BATCH   1000 /* queues that are declared between two answers */
#define CLIENTS     5000 /* connections of one process: it has its limit of descriptors */
#define CHUNK       65536
#define PLAIN_MIB   64      /* what the other program sends at a time */
#define PLAIN_BUSY  1000000 /* us that it computes before */

static const char *const paths[] = {
    "/api/queues",      "/api/queues?page=7&page_size=100&sort=messages",
    "/api/connections", "/api/channels",
    "/api/definitions", "/api/warren/events?every=1",
    "/api/overview",    "/metrics/per-object",
    "/metrics"};

struct pinger {
    amqp_connection_state_t connection;
    char queue[16];
};

struct times {
    uint32_t *us;
    size_t n;
};

static char dir[] = "/tmp/bench-listing-XXXXXX";
static pid_t broker, fetcher, server, holder[MAX_HOLDERS];
static int amqp_port, http_port;
static struct pinger pinger[PINGERS];
static uint64_t *fetched; /* answers, bytes; shared with the fetcher */

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void stop(pid_t *pid, int sig)
{
    if (*pid <= 0)
        return;
    kill(*pid, sig);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}

static void stop_all(void)
{
    stop(&fetcher, SIGKILL);
    stop(&server, SIGKILL);
    for (unsigned i = 0; i < MAX_HOLDERS; i++)
        stop(&holder[i], SIGKILL);
    stop(&broker, SIGKILL);
}

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "bench_listing: %s\n", what);
    stop_all();
    exit(1);
}

static void must(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail(what);
}

static void start_broker(char *binary)
{
    char line[200] = "";
    int out[2];
    FILE *f;

    if (pipe(out) < 0)
        fail("pipe");
    broker = fork();
    if (broker == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        execl(binary, binary, "--data-dir", dir, "--amqp-port", "0", "--mgmt-port", "0", "--bind",
              "127.0.0.1", "--log-level", "error", "--set", "disk_free_limit.absolute=1MB", "--set",
              "prometheus=false", NULL);
        _exit(127);
    }
    close(out[1]);
    f = fdopen(out[0], "r");
    while (fgets(line, sizeof(line), f) &&
           sscanf(line, "warren ready amqp=%d mgmt=%d", &amqp_port, &http_port) != 2)
        continue;
    fclose(f);
    if (!amqp_port || !http_port)
        fail("the broker did not start");
}

static amqp_connection_state_t connect_broker(void)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);

    if (amqp_socket_open(s, "127.0.0.1", amqp_port) != AMQP_STATUS_OK)
        fail("connect");
    must(amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(c, 1);
    must(amqp_get_rpc_reply(c), "channel.open");
    return c;
}

static void declare_queues(unsigned long n)
{
    amqp_connection_state_t c = connect_broker();
    amqp_queue_declare_t declare = {.durable = 1, .nowait = 1};
    char name[32];

    for (unsigned long i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "listed%06lu", i);
        declare.queue = amqp_cstring_bytes(name);
        if (i % PER_BATCH < PER_BATCH - 1 && i + 1 < n) {
            if (amqp_send_method(c, 1, AMQP_QUEUE_DECLARE_METHOD, &declare) != AMQP_STATUS_OK)
                fail("queue.declare");
        } else {
            amqp_queue_declare(c, 1, declare.queue, 0, 1, 0, 0, amqp_empty_table);
            must(amqp_get_rpc_reply(c), "queue.declare");
        }
    }
    amqp_destroy_connection(c);
}

/* Connections that nobody uses, in processes of their own. */
static void hold_connections(unsigned long n)
{
    for (unsigned i = 0; n > 0 && i < MAX_HOLDERS; i++) {
        unsigned long k = n < CLIENTS ? n : CLIENTS;
        char done = 0;
        int out[2];

        n -= k;
        if (pipe(out) < 0)
            fail("pipe");
        holder[i] = fork();
        if (holder[i] == 0) {
            while (k--)
                (void)connect_broker();
            if (write(out[1], &done, 1) == 1)
                pause();
            _exit(1);
        }
        close(out[1]);
        if (read(out[0], &done, 1) != 1)
            fail("connections");
        close(out[0]);
    }
}

static void start_pingers(void)
{
    for (unsigned i = 0; i < PINGERS; i++) {
        struct pinger *p = &pinger[i];

        p->connection = connect_broker();
        snprintf(p->queue, sizeof(p->queue), "ping%u", i);
        amqp_queue_declare(p->connection, 1, amqp_cstring_bytes(p->queue), 0, 0, 0, 0,
                           amqp_empty_table);
        must(amqp_get_rpc_reply(p->connection), "queue.declare");
        amqp_basic_consume(p->connection, 1, amqp_cstring_bytes(p->queue), amqp_empty_bytes, 0, 1,
                           0, amqp_empty_table);
        must(amqp_get_rpc_reply(p->connection), "basic.consume");
    }
}

static uint32_t ping(struct pinger *p)
{
    uint64_t before = now_us();
    amqp_envelope_t e;

    if (amqp_basic_publish(p->connection, 1, amqp_empty_bytes, amqp_cstring_bytes(p->queue), 0, 0,
                           NULL, amqp_cstring_bytes("ping")) != AMQP_STATUS_OK)
        fail("publish");
    amqp_maybe_release_buffers(p->connection);
    must(amqp_consume_message(p->connection, &e, NULL, 0), "delivery");
    amqp_destroy_envelope(&e);
    return (uint32_t)(now_us() - before);
}

static void ping_for(struct times *t, uint64_t us)
{
    uint64_t end = now_us() + us;

    for (unsigned i = 0; now_us() < end && t->n < MAX_PINGS; i++) {
        t->us[t->n++] = ping(&pinger[i % PINGERS]);
        usleep(PING_US);
    }
}

static int connect_to(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        _exit(1);
    return fd;
}

/* The fetcher process: one answer after the other, thrown away. */
__attribute__((noreturn)) static void run_fetcher(int port, const char *path)
{
    static char bytes[CHUNK];
    char request[300];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.0\r\nHost: localhost\r\n"
                       "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n",
                       path);

    for (;;) {
        int fd = connect_to(port);
        ssize_t n = 1;

        if (write(fd, request, (size_t)len) != len)
            _exit(1);
        for (; n > 0; fetched[1] += (uint64_t)n)
            n = read(fd, bytes, sizeof(bytes));
        fetched[0]++;
        close(fd);
    }
}

/* The other program: computes, and sends. */
__attribute__((noreturn)) static void run_server(int fd)
{
    static char bytes[CHUNK];

    for (;;) {
        int to = accept(fd, NULL, NULL);
        uint64_t end = now_us() + PLAIN_BUSY;

        while (now_us() < end)
            continue;
        for (unsigned i = 0; i < PLAIN_MIB * 1048576U / CHUNK; i++) {
            if (send(to, bytes, sizeof(bytes), MSG_NOSIGNAL) <= 0)
                break;
        }
        close(to);
    }
}

static int start_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        fail("listen");
    server = fork();
    if (server == 0)
        run_server(fd);
    close(fd);
    return ntohs(a.sin_port);
}

/* The broker's, user and system. */
static uint64_t cpu_ticks(void)
{
    unsigned long user = 0, system = 0;
    char path[64];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)broker);
    f = fopen(path, "re");
    if (!f || fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                     &system) != 2)
        fail("/proc");
    fclose(f);
    return user + system;
}

/* The broker's, now and at most since it started. */
static void print_resident(const char *when)
{
    unsigned long now = 0, most = 0;
    char path[64], line[128];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)broker);
    f = fopen(path, "re");
    if (!f)
        fail("/proc");
    while (fgets(line, sizeof(line), f)) {
        (void)sscanf(line, "VmRSS: %lu", &now); /* other lines change nothing */
        (void)sscanf(line, "VmHWM: %lu", &most);
    }
    fclose(f);
    printf("resident %-39s %7.1f MiB, at most %.1f\n", when, (double)now / 1024,
           (double)most / 1024);
}

/* What was asked for and not awaited is still worked on. */
static void settle(void)
{
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = cpu_ticks();

        usleep(SETTLE_US);
        if (cpu_ticks() <= before + 1)
            return;
    }
}

static int compare_times(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void print_times(const struct times *t)
{
    qsort(t->us, t->n, sizeof(*t->us), compare_times);
    printf(" %6u %6u %6u %6u", t->us[t->n / 2], t->us[t->n * 99 / 100], t->us[t->n * 999 / 1000],
           t->us[t->n - 1]);
}

/* One row: the same client with and without another who fetches. */
static void measure(const char *what, int port, unsigned rounds)
{
    static struct times without, with;

    if (!without.us) {
        without.us = calloc(MAX_PINGS, sizeof(uint32_t));
        with.us = calloc(MAX_PINGS, sizeof(uint32_t));
    }
    without.n = with.n = 0;
    fetched[0] = fetched[1] = 0;
    for (unsigned i = 0; i < rounds; i++) {
        settle();
        ping_for(&without, ALONE_US);
        fetcher = fork();
        if (fetcher == 0)
            run_fetcher(port, what);
        ping_for(&with, BESIDE_US);
        stop(&fetcher, SIGKILL);
    }
    printf("%-48.48s", what);
    print_times(&without);
    print_times(&with);
    printf(" %6.1f %7.1f\n", (double)fetched[0] / rounds, (double)fetched[1] / 1048576 / rounds);
}

int main(int argc, char **argv)
{
    unsigned long n_queues = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
    unsigned long n_connections = argc > 3 ? strtoul(argv[3], NULL, 10) : 10000;
    unsigned rounds = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 3;
    struct rlimit limit;
    char command[100];

    if (!rounds || !mkdtemp(dir)) {
        fprintf(stderr,
                "usage: bench_listing [BROKER [QUEUES [CONNECTIONS [ROUNDS [PATH...]]]]]\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* with fewer a connection fails, and says so */
    }
    setbuf(stdout, NULL);
    signal(SIGPIPE, SIG_IGN);
    fetched =
        mmap(NULL, 2 * sizeof(*fetched), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    start_broker(argc > 1 ? argv[1] : (char[]){"build/warren"});
    settle();
    print_resident("when it has started");
    declare_queues(n_queues);
    settle();
    print_resident("with the queues");
    hold_connections(n_connections);
    settle();
    print_resident("with the connections");
    start_pingers();
    printf("%-48s %27s %27s %6s %7s\n", "us until a message comes back", "alone: p50 p99 p99.9 max",
           "beside: p50 p99 p99.9 max", "times", "MiB");
    for (int i = 5; i < argc; i++)
        measure(argv[i], http_port, rounds);
    for (unsigned i = 0; argc <= 5 && i < sizeof(paths) / sizeof(*paths); i++)
        measure(paths[i], http_port, rounds);
    measure("(another program)", start_server(), rounds);
    print_resident("after all of it");
    stop_all();
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command) == 0 ? 0 : 1;
}
