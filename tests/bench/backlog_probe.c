#include "tests/bench/backlog_probe.h"

#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROBE_US      2000
#define LONG_US       50000
#define PIECE         (256 << 10)
#define CONTROL_MAX_S 10
#define KINDS         7
#define BOUNDS        16

struct waits { /* shared by two processes */
    uint64_t worst_us, n, n_long;
};

struct steps { /* of one kind: counts by rising bounds, as /metrics has them */
    double le[BOUNDS];
    uint64_t n[BOUNDS];
    unsigned n_bounds;
};

static const char *const kinds[KINDS] = {"commit",     "log",  "checkpoint", "vacuum",
                                         "compaction", "trim", "backup"};
static struct waits *waits;
static struct steps before[KINDS];
static uint64_t began_us, began_bytes;
static pid_t broker, child[2];

uint64_t probe_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void stop_children(void)
{
    for (int i = 0; i < 2; i++) {
        if (child[i] <= 0)
            continue;
        kill(child[i], SIGKILL);
        waitpid(child[i], NULL, 0);
        child[i] = 0;
    }
}

void probe_fail(const char *what)
{
    fprintf(stderr, "bench_backlog: %s\n", what);
    stop_children();
    if (broker > 0)
        kill(broker, SIGKILL);
    exit(1);
}

void probe_must(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        probe_fail(what);
}

amqp_connection_state_t probe_connect(int port)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);

    if (amqp_socket_open(s, "127.0.0.1", port) != AMQP_STATUS_OK)
        probe_fail("connect");
    probe_must(amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(c, 1);
    probe_must(amqp_get_rpc_reply(c), "channel.open");
    return c;
}

uint32_t probe_declare(amqp_connection_state_t c, const char *name)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c, 1, amqp_cstring_bytes(name), 0, 1, 0, 0, amqp_empty_table);

    probe_must(amqp_get_rpc_reply(c), "queue.declare");
    return ok->message_count;
}

void probe_publish(amqp_connection_state_t c, const char *queue, amqp_bytes_t body)
{
    amqp_basic_properties_t props = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};

    if (amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &props, body) !=
        AMQP_STATUS_OK)
        probe_fail("publish");
}

uint64_t probe_confirmed(amqp_connection_state_t c)
{
    amqp_frame_t frame;

    amqp_maybe_release_buffers(c);
    if (amqp_simple_wait_frame(c, &frame) != AMQP_STATUS_OK ||
        frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        probe_fail("no confirm");
    return ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
}

static int connect_http(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        probe_fail("connect for HTTP");
    return fd;
}

const char *probe_http(const struct probed *to, const char *method, const char *path,
                       const char *body)
{
    static char answer[1 << 20];
    char request[1000];
    size_t have = 0;
    ssize_t n;
    int fd = connect_http(to->http_port);
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.0\r\nHost: localhost\r\nContent-Length: %zu\r\n"
                       "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n%s",
                       method, path, body ? strlen(body) : 0, body ? body : "");

    if (write(fd, request, (size_t)len) != len)
        probe_fail("request");
    while (have < sizeof(answer) - 1 &&
           (n = read(fd, answer + have, sizeof(answer) - 1 - have)) > 0)
        have += (size_t)n;
    close(fd);
    answer[have] = '\0';
    if (strncmp(answer, "HTTP/1.", 7) != 0 || answer[9] != '2')
        probe_fail(path);
    return answer;
}

uint64_t probe_written(const struct probed *to)
{
    char path[64], line[200];
    uint64_t bytes = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/io", (int)to->broker);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f) && sscanf(line, "write_bytes: %lu", &bytes) != 1)
        continue;
    if (f)
        fclose(f);
    return bytes;
}

/* The histogram of one kind, of the text of /metrics. */
static void read_kind(const char *text, const char *kind, struct steps *ret)
{
    bool is_commit = strcmp(kind, "commit") == 0;
    char start[100];

    snprintf(start, sizeof(start),
             is_commit ? "\nwarren_store_commit_seconds_bucket{%s"
                       : "\nwarren_store_step_seconds_bucket{kind=\"%s\",",
             is_commit ? "" : kind);
    ret->n_bounds = 0;
    while ((text = strstr(text, start)) && ret->n_bounds < BOUNDS) {
        char bound[32];

        text += strlen(start);
        if (sscanf(text, "le=\"%31[^\"]\"} %lu", bound, &ret->n[ret->n_bounds]) != 2)
            probe_fail("metrics");
        ret->le[ret->n_bounds++] = strtod(bound, NULL); /* +Inf as well */
    }
    if (ret->n_bounds == 0)
        probe_fail("the broker has no metrics of its store");
}

static void read_steps(const struct probed *to, struct steps ret[KINDS])
{
    const char *text = probe_http(to, "GET", "/metrics", NULL);

    for (int i = 0; i < KINDS; i++)
        read_kind(text, kinds[i], &ret[i]);
}

/* "kind 12 (<= 10 ms)" for each kind that there was since `before`. */
static void print_steps(const struct steps now[KINDS])
{
    for (int i = 0; i < KINDS; i++) {
        unsigned last = now[i].n_bounds - 1, at = last;
        uint64_t n = now[i].n[last] - before[i].n[last];

        while (at > 0 && now[i].n[at - 1] - before[i].n[at - 1] == n)
            at--;
        if (n > 0)
            printf("%s %s %lu (<= %g ms)", i > 0 ? "," : "       steps:", kinds[i], n,
                   now[i].le[at] * 1000);
    }
    printf("\n");
}

static void note_wait(uint64_t took)
{
    waits->n++;
    waits->n_long += took > LONG_US;
    if (took > waits->worst_us)
        waits->worst_us = took;
}

/* The client: one message after the other, each confirmed and thrown away. */
__attribute__((noreturn)) static void run_client(int port)
{
    amqp_connection_state_t c = probe_connect(port);
    uint8_t bytes[100] = "probe";

    (void)probe_declare(c, "probe");
    amqp_confirm_select(c, 1);
    for (uint64_t n = 1;; n++) {
        uint64_t began = probe_now_us();

        probe_publish(c, "probe", (amqp_bytes_t){sizeof(bytes), bytes});
        while (probe_confirmed(c) < n)
            continue;
        note_wait(probe_now_us() - began);
        if (n % 100 == 0)
            amqp_queue_purge(c, 1, amqp_cstring_bytes("probe"));
        usleep(PROBE_US);
    }
}

static int create_beside(const struct probed *to, const char *name)
{
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", to->dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        _exit(1);
    (void)unlink(path); /* gone when its process is, whatever becomes of it */
    return fd;
}

/* The same without a broker. */
__attribute__((noreturn)) static void run_appender(const struct probed *to)
{
    int fd = create_beside(to, "control-probe");
    char bytes[100] = "probe";

    for (;;) {
        uint64_t began = probe_now_us();

        if (write(fd, bytes, sizeof(bytes)) < 0 || fdatasync(fd) < 0)
            _exit(1);
        note_wait(probe_now_us() - began);
        usleep(PROBE_US);
    }
}

/* And the stream beside it, of so many bytes in a second. */
__attribute__((noreturn)) static void run_stream(const struct probed *to, uint64_t bytes_a_s)
{
    int fd = create_beside(to, "control-stream");
    uint64_t began = probe_now_us(), done = 0;
    uint8_t *piece = malloc(PIECE);

    memset(piece, 'x', PIECE);
    for (;;) {
        uint64_t due = began + (done + PIECE) * 1000000 / bytes_a_s, now = probe_now_us();

        if (due > now)
            usleep((useconds_t)(due - now));
        if (write(fd, piece, PIECE) != PIECE || fdatasync(fd) < 0)
            _exit(1);
        done += PIECE;
    }
}

static void control(const struct probed *to, uint64_t bytes, uint64_t took_us)
{
    uint64_t rate = bytes * 1000000 / took_us;

    kill(to->broker, SIGSTOP);
    memset(waits, 0, sizeof(*waits));
    child[0] = fork();
    if (child[0] == 0)
        run_appender(to);
    child[1] = rate > 0 ? fork() : 0;
    if (rate > 0 && child[1] == 0)
        run_stream(to, rate);
    usleep((useconds_t)(took_us < CONTROL_MAX_S * 1000000 ? took_us : CONTROL_MAX_S * 1000000));
    stop_children();
    printf("       a plain program beside %.0f MB/s: longest sync %.1f ms\n", (double)rate / 1e6,
           (double)waits->worst_us / 1000);
    kill(to->broker, SIGCONT);
}

void probe_begin(const struct probed *to)
{
    if (!waits)
        waits =
            mmap(NULL, sizeof(*waits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    broker = to->broker;
    memset(waits, 0, sizeof(*waits));
    read_steps(to, before);
    began_us = probe_now_us();
    began_bytes = probe_written(to);
    child[0] = fork();
    if (child[0] == 0)
        run_client(to->amqp_port);
}

void probe_end(const struct probed *to)
{
    uint64_t took = probe_now_us() - began_us, bytes = probe_written(to) - began_bytes;
    struct steps now[KINDS];

    stop_children();
    read_steps(to, now);
    printf("       longest wait for a confirm %.1f ms; %lu of %lu waits above %d ms\n",
           (double)waits->worst_us / 1000, waits->n_long, waits->n, LONG_US / 1000);
    print_steps(now);
    control(to, bytes, took);
}
