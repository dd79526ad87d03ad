/*
 * What a long backlog costs: memory a message, the start after a kill, the drain, and the longest
 * pause that another queue sees meanwhile.
 *
 * usage: bench_backlog [BROKER [N [SIZE]]]. Fills a durable queue with N persistent messages, kills
 * the broker, starts it again and takes them all out, in order; by default build/warren, 1 million
 * of 1024 bytes. A second client publishes one persistent message after the other to a queue of its
 * own, and the slowest of its confirms is the pause. Beside it stands the slowest sync of a few
 * bytes by a third program, because a disk with other work makes everybody wait. In between many
 * short queues are left to the store, which writes them anew in the background: once with nothing
 * else going on, which tells how much it writes, and once with that client.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WINDOW   4000
#define PREFETCH 4000
#define ACK_EACH 500

#define SPREAD_N      50000
#define SPREAD_QUEUES 200
#define SPREAD_WINDOW 100
#define SPREAD_WAIT_S 40
#define SPREAD_REST_S 4  /* in which what was spread leaves the log, before any is written anew */
#define QUIET_S       15 /* nothing was written for so long: all is done */

static char dir[] = "/tmp/bench-backlog-XXXXXX";
static uint64_t *worst_us; /* of the probe's confirms, and of the disk; shared with both */
static pid_t broker, probe, disk_probe;
static int port;

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void stop(pid_t pid, int sig)
{
    if (pid <= 0)
        return;
    kill(pid, sig);
    waitpid(pid, NULL, 0);
}

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "bench_backlog: %s\n", what);
    stop(probe, SIGKILL);
    stop(disk_probe, SIGKILL);
    stop(broker, SIGKILL);
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
    while (fgets(line, sizeof(line), f) && sscanf(line, "warren ready amqp=%d", &port) != 1)
        continue;
    fclose(f);
    if (port == 0)
        fail("the broker did not start");
}

static amqp_connection_state_t connect_broker(void)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);

    if (amqp_socket_open(s, "127.0.0.1", port) != AMQP_STATUS_OK)
        fail("connect");
    must(amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(c, 1);
    must(amqp_get_rpc_reply(c), "channel.open");
    return c;
}

static uint32_t declare(amqp_connection_state_t c, const char *name)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c, 1, amqp_cstring_bytes(name), 0, 1, 0, 0, amqp_empty_table);

    must(amqp_get_rpc_reply(c), "queue.declare");
    return ok->message_count;
}

static void publish(amqp_connection_state_t c, const char *queue, amqp_bytes_t body)
{
    amqp_basic_properties_t props = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};

    if (amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &props, body) !=
        AMQP_STATUS_OK)
        fail("publish");
}

/* Waits for a confirm; the tag up to which it speaks. */
static uint64_t wait_confirm(amqp_connection_state_t c)
{
    amqp_frame_t frame;

    amqp_maybe_release_buffers(c);
    if (amqp_simple_wait_frame(c, &frame) != AMQP_STATUS_OK ||
        frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        fail("no confirm");
    return ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
}

/* The probe process: one message after the other, each confirmed and thrown away. */
static void run_probe(void)
{
    amqp_connection_state_t c = connect_broker();
    uint8_t bytes[100] = "probe";

    (void)declare(c, "probe");
    amqp_confirm_select(c, 1);
    for (uint64_t n = 1;; n++) {
        uint64_t before = now_us(), took;

        publish(c, "probe", (amqp_bytes_t){sizeof(bytes), bytes});
        while (wait_confirm(c) < n)
            continue;
        took = now_us() - before;
        if (took > worst_us[0])
            worst_us[0] = took;
        if (n % 100 == 0)
            amqp_queue_purge(c, 1, amqp_cstring_bytes("probe"));
        usleep(2000);
    }
}

/* The other one: what is written and synced here has its place on the disk already. */
static void run_disk_probe(void)
{
    char path[64], bytes[4096] = "";
    int fd;

    snprintf(path, sizeof(path), "%s/probe", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, bytes, sizeof(bytes), 0) < 0 || fsync(fd) < 0)
        _exit(1);
    for (;;) {
        uint64_t before = now_us(), took;

        if (pwrite(fd, bytes, sizeof(bytes), 0) < 0 || fdatasync(fd) < 0)
            _exit(1);
        took = now_us() - before;
        if (took > worst_us[1])
            worst_us[1] = took;
        usleep(10000);
    }
}

static void start_probe(void)
{
    worst_us[0] = worst_us[1] = 0;
    probe = fork();
    if (probe == 0)
        run_probe();
    disk_probe = fork();
    if (disk_probe == 0)
        run_disk_probe();
}

static void end_probe(void)
{
    stop(probe, SIGKILL);
    stop(disk_probe, SIGKILL);
    probe = disk_probe = 0;
    printf("       longest pause %.1f ms, longest sync of another program %.1f ms\n",
           (double)worst_us[0] / 1000, (double)worst_us[1] / 1000);
}

static uint64_t resident_kib(void)
{
    char path[64], line[200];
    uint64_t kib = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)broker);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmRSS: %lu", &kib) != 1)
        continue;
    if (f)
        fclose(f);
    return kib;
}

static double fill(uint64_t n, size_t size)
{
    amqp_connection_state_t c = connect_broker();
    uint8_t *bytes = calloc(1, size);
    uint64_t before = now_us(), confirmed = 0;

    (void)declare(c, "deep");
    amqp_confirm_select(c, 1);
    for (uint64_t i = 0; i < n; i++) {
        memcpy(bytes, &i, sizeof(i));
        publish(c, "deep", (amqp_bytes_t){size, bytes});
        while (i + 1 - confirmed >= WINDOW)
            confirmed = wait_confirm(c);
    }
    while (confirmed < n)
        confirmed = wait_confirm(c);
    before = now_us() - before;
    free(bytes);
    amqp_destroy_connection(c);
    return (double)n * 1e6 / (double)before;
}

/* Leaves many queues with messages in many small pieces, which the store gathers before long. */
static void spread(const char *prefix, uint64_t n)
{
    amqp_connection_state_t c = connect_broker();
    uint8_t bytes[1024] = "spread";
    uint64_t confirmed = 0;
    char name[32];

    for (unsigned q = 0; q < SPREAD_QUEUES; q++) {
        snprintf(name, sizeof(name), "%s%u", prefix, q);
        (void)declare(c, name);
    }
    amqp_confirm_select(c, 1);
    for (uint64_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%s%u", prefix, (unsigned)(i % SPREAD_QUEUES));
        publish(c, name, (amqp_bytes_t){sizeof(bytes), bytes});
        while (i + 1 - confirmed >= SPREAD_WINDOW)
            confirmed = wait_confirm(c);
    }
    while (confirmed < n)
        confirmed = wait_confirm(c);
    amqp_destroy_connection(c);
}

static uint64_t written_kib(void)
{
    char path[64], line[200];
    uint64_t bytes = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/io", (int)broker);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f) && sscanf(line, "write_bytes: %lu", &bytes) != 1)
        continue;
    if (f)
        fclose(f);
    return bytes / 1024;
}

/* Waits until nothing is written any more; what was written since `before`. */
static double settled_mib(uint64_t before)
{
    uint64_t last = before, now;

    for (unsigned still = 0; still < QUIET_S; still++) {
        sleep(1);
        now = written_kib();
        if (now > last + 64) /* a line of log, a checkpoint of a few pages */
            still = 0;
        last = now;
    }
    return (double)(last - before) / 1024;
}

static void compaction(void)
{
    uint64_t before;
    double mib;

    (void)settled_mib(written_kib());
    spread("quiet", SPREAD_N);
    sleep(SPREAD_REST_S);
    before = written_kib();
    mib = settled_mib(before);
    spread("busy", SPREAD_N);
    start_probe();
    sleep(SPREAD_WAIT_S);
    printf("compaction: %.1f MiB written for %.1f of messages\n", mib, (double)SPREAD_N / 1024);
    end_probe();
}

static double drain(uint64_t n)
{
    amqp_connection_state_t c = connect_broker();
    uint64_t before = now_us();

    amqp_basic_qos(c, 1, 0, PREFETCH, 0);
    amqp_basic_consume(c, 1, amqp_cstring_bytes("deep"), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    must(amqp_get_rpc_reply(c), "basic.consume");
    for (uint64_t i = 0; i < n; i++) {
        amqp_envelope_t e;
        uint64_t seq;

        amqp_maybe_release_buffers(c);
        must(amqp_consume_message(c, &e, NULL, 0), "delivery");
        memcpy(&seq, e.message.body.bytes, sizeof(seq));
        if (seq != i)
            fail("out of order");
        if ((i + 1) % ACK_EACH == 0 || i + 1 == n)
            amqp_basic_ack(c, 1, e.delivery_tag, 1);
        amqp_destroy_envelope(&e);
    }
    before = now_us() - before;
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
    return (double)n * 1e6 / (double)before;
}

static void restart(char *binary, uint64_t n)
{
    uint64_t before, ready;
    amqp_connection_state_t c;

    stop(broker, SIGKILL);
    before = now_us();
    start_broker(binary);
    ready = now_us() - before;
    c = connect_broker();
    if (declare(c, "deep") != n)
        fail("messages are missing after the start");
    amqp_destroy_connection(c);
    printf("start: ready after %.0f ms, queue there after %.0f ms, %.1f MiB resident\n",
           (double)ready / 1000, (double)(now_us() - before) / 1000, (double)resident_kib() / 1024);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000, empty;
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 1024;
    char *binary = argc > 1 ? argv[1] : (char[]){"build/warren"};
    char command[100];
    double rate;

    if (size < sizeof(uint64_t) || !mkdtemp(dir)) {
        fprintf(stderr, "usage: bench_backlog [BROKER [N [SIZE]]]\n");
        return 2;
    }
    setbuf(stdout, NULL);
    worst_us = mmap(NULL, 2 * sizeof(*worst_us), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    start_broker(binary);
    empty = resident_kib();
    start_probe();
    rate = fill(n, size);
    printf("fill:  %.0f messages/s\n", rate);
    end_probe();
    printf("       %.1f MiB resident, %.1f when empty: %.1f bytes a message\n",
           (double)resident_kib() / 1024, (double)empty / 1024,
           ((double)resident_kib() - (double)empty) * 1024 / (double)n);
    compaction();
    restart(binary, n);
    start_probe();
    rate = drain(n);
    printf("drain: %.0f messages/s, %.1f MiB resident\n", rate, (double)resident_kib() / 1024);
    end_probe();
    stop(broker, SIGKILL);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command) == 0 ? 0 : 1;
}
