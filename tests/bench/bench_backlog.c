/*
 * What a long backlog costs: memory a message, the start after a kill, the drain, and how long
 * another queue waits meanwhile.
 *
 * usage: bench_backlog [BROKER [N [SIZE [PHASE...]]]]. Fills a durable queue with N persistent
 * messages (build/warren, 1 million, 1024 bytes). Then come these phases, or those that are named:
 *   compaction  many short queues are left to the store, which writes them anew in the background:
 *               once with nothing else going on, which tells how much it writes, and once more
 *   restart     after a kill
 *   backup
 *   drain       all come out, in order, and are put in again
 *   purge
 * In each (but for the restart) a client waits for confirms of another queue: see backlog_probe.h.
 * The data lie in $TMPDIR (/tmp): on a RAM disk it shows what the broker does, without the disk.
 */
#include <amqp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/backlog_probe.h"

#define WINDOW   4000
#define PREFETCH 4000
#define ACK_EACH 500

#define SPREAD_N      50000
#define SPREAD_QUEUES 200
#define SPREAD_WINDOW 100
#define SPREAD_WAIT_S 40
#define SPREAD_REST_S 4 /* in which what was spread leaves the log, before any is written anew */
#define PURGE_WAIT_S  60
#define QUIET_S       15 /* nothing was written for so long: all is done */

static char dir[200];
static struct probed probed = {.dir = dir};

static bool make_dir(void)
{
    const char *parent = getenv("TMPDIR");

    snprintf(dir, sizeof(dir), "%s/bench-backlog-XXXXXX", parent && *parent ? parent : "/tmp");
    return mkdtemp(dir);
}

static void stop_broker(void)
{
    kill(probed.broker, SIGKILL);
    waitpid(probed.broker, NULL, 0);
}

static void start_broker(char *binary)
{
    char line[200] = "";
    int out[2];
    FILE *f;

    if (pipe(out) < 0)
        probe_fail("pipe");
    probed.broker = fork();
    if (probed.broker == 0) {
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
           sscanf(line, "warren ready amqp=%d mgmt=%d", &probed.amqp_port, &probed.http_port) != 2)
        continue;
    fclose(f);
    if (probed.http_port == 0)
        probe_fail("the broker did not start");
}

static uint64_t resident_kib(void)
{
    char path[64], line[200];
    uint64_t kib = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)probed.broker);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmRSS: %lu", &kib) != 1)
        continue;
    if (f)
        fclose(f);
    return kib;
}

static double fill(uint64_t n, size_t size)
{
    amqp_connection_state_t c = probe_connect(probed.amqp_port);
    uint8_t *bytes = calloc(1, size);
    uint64_t before = probe_now_us(), confirmed = 0;

    (void)probe_declare(c, "deep");
    amqp_confirm_select(c, 1);
    for (uint64_t i = 0; i < n; i++) {
        memcpy(bytes, &i, sizeof(i));
        probe_publish(c, "deep", (amqp_bytes_t){size, bytes});
        while (i + 1 - confirmed >= WINDOW)
            confirmed = probe_confirmed(c);
    }
    while (confirmed < n)
        confirmed = probe_confirmed(c);
    before = probe_now_us() - before;
    free(bytes);
    amqp_destroy_connection(c);
    return (double)n * 1e6 / (double)before;
}

/* Leaves many queues with messages in many small pieces, which the store gathers before long. */
static void spread(const char *prefix, uint64_t n)
{
    amqp_connection_state_t c = probe_connect(probed.amqp_port);
    uint8_t bytes[1024] = "spread";
    uint64_t confirmed = 0;
    char name[32];

    for (unsigned q = 0; q < SPREAD_QUEUES; q++) {
        snprintf(name, sizeof(name), "%s%u", prefix, q);
        (void)probe_declare(c, name);
    }
    amqp_confirm_select(c, 1);
    for (uint64_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%s%u", prefix, (unsigned)(i % SPREAD_QUEUES));
        probe_publish(c, name, (amqp_bytes_t){sizeof(bytes), bytes});
        while (i + 1 - confirmed >= SPREAD_WINDOW)
            confirmed = probe_confirmed(c);
    }
    while (confirmed < n)
        confirmed = probe_confirmed(c);
    amqp_destroy_connection(c);
}

/* Waits until nothing is written any more; what was written since `before`. */
static double settled_mib(uint64_t before)
{
    uint64_t last = before, now;

    for (unsigned still = 0; still < QUIET_S; still++) {
        sleep(1);
        now = probe_written(&probed) / 1024;
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

    (void)settled_mib(probe_written(&probed) / 1024);
    spread("quiet", SPREAD_N);
    sleep(SPREAD_REST_S);
    before = probe_written(&probed) / 1024;
    mib = settled_mib(before);
    spread("busy", SPREAD_N);
    probe_begin(&probed);
    sleep(SPREAD_WAIT_S);
    printf("compaction: %.1f MiB written for %.1f of messages\n", mib, (double)SPREAD_N / 1024);
    probe_end(&probed);
}

static double drain(uint64_t n)
{
    amqp_connection_state_t c = probe_connect(probed.amqp_port);
    uint64_t before = probe_now_us();

    amqp_basic_qos(c, 1, 0, PREFETCH, 0);
    amqp_basic_consume(c, 1, amqp_cstring_bytes("deep"), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    probe_must(amqp_get_rpc_reply(c), "basic.consume");
    for (uint64_t i = 0; i < n; i++) {
        amqp_envelope_t e;
        uint64_t seq;

        amqp_maybe_release_buffers(c);
        probe_must(amqp_consume_message(c, &e, NULL, 0), "delivery");
        memcpy(&seq, e.message.body.bytes, sizeof(seq));
        if (seq != i)
            probe_fail("out of order");
        if ((i + 1) % ACK_EACH == 0 || i + 1 == n)
            amqp_basic_ack(c, 1, e.delivery_tag, 1);
        amqp_destroy_envelope(&e);
    }
    before = probe_now_us() - before;
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
    return (double)n * 1e6 / (double)before;
}

static void restart(char *binary, uint64_t n)
{
    uint64_t before, ready;
    amqp_connection_state_t c;

    stop_broker();
    before = probe_now_us();
    start_broker(binary);
    ready = probe_now_us() - before;
    c = probe_connect(probed.amqp_port);
    if (probe_declare(c, "deep") != n)
        probe_fail("messages are missing after the start");
    amqp_destroy_connection(c);
    printf("start: ready after %.0f ms, queue there after %.0f ms, %.1f MiB resident\n",
           (double)ready / 1000, (double)(probe_now_us() - before) / 1000,
           (double)resident_kib() / 1024);
}

static void backup(void)
{
    char body[300], command[300];
    uint64_t began;

    snprintf(body, sizeof(body), "{\"directory\": \"%s/backup\"}", dir);
    snprintf(command, sizeof(command), "rm -r '%s/backup'", dir);
    began = probe_now_us();
    probe_begin(&probed);
    (void)probe_http(&probed, "POST", "/api/warren/backup", body);
    while (strstr(probe_http(&probed, "GET", "/api/warren/backup", NULL), "\"running\""))
        usleep(100000);
    began = probe_now_us() - began;
    if (!strstr(probe_http(&probed, "GET", "/api/warren/backup", NULL), "\"done\""))
        probe_fail("the backup failed");
    printf("backup: %.1f s\n", (double)began / 1e6);
    probe_end(&probed);
    if (system(command) != 0)
        probe_fail("rm");
}

static uint64_t data_kib(void)
{
    char command[300];
    uint64_t kib = 0;
    FILE *f;

    snprintf(command, sizeof(command), "du -sk '%s'", dir);
    f = popen(command, "re");
    if (!f || fscanf(f, "%lu", &kib) != 1)
        probe_fail("du");
    pclose(f);
    return kib;
}

/* Until what was purged has left the disk. */
static void purge(void)
{
    amqp_connection_state_t c = probe_connect(probed.amqp_port);
    uint64_t before = data_kib(), began = probe_now_us();

    probe_begin(&probed);
    amqp_queue_purge(c, 1, amqp_cstring_bytes("deep"));
    probe_must(amqp_get_rpc_reply(c), "queue.purge");
    while (data_kib() > before / 8 && probe_now_us() - began < PURGE_WAIT_S * 1000000ULL)
        usleep(200000);
    printf("purge: from %.0f to %.0f MiB on disk in %.1f s\n", (double)before / 1024,
           (double)data_kib() / 1024, (double)(probe_now_us() - began) / 1e6);
    probe_end(&probed);
    amqp_destroy_connection(c);
}

static void measure_fill(uint64_t n, size_t size, uint64_t empty_kib)
{
    double rate;

    probe_begin(&probed);
    rate = fill(n, size);
    printf("fill: %.0f messages/s\n", rate);
    probe_end(&probed);
    printf("       %.1f MiB resident, %.1f when empty: %.1f bytes a message\n",
           (double)resident_kib() / 1024, (double)empty_kib / 1024,
           ((double)resident_kib() - (double)empty_kib) * 1024 / (double)n);
}

static void measure_drain(uint64_t n)
{
    double rate;

    probe_begin(&probed);
    rate = drain(n);
    printf("drain: %.0f messages/s, %.1f MiB resident\n", rate, (double)resident_kib() / 1024);
    probe_end(&probed);
}

static bool is_wanted(char **phases, int n, const char *phase)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(phases[i], phase) == 0)
            return true;
    }
    return n == 0;
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 1024;
    char *binary = argc > 1 ? argv[1] : (char[]){"build/warren"}, **phases = argv + 4;
    int n_phases = argc > 4 ? argc - 4 : 0;
    char command[300];

    if (size < sizeof(uint64_t) || !make_dir()) {
        fprintf(stderr, "usage: bench_backlog [BROKER [N [SIZE [PHASE...]]]]\n");
        return 2;
    }
    setbuf(stdout, NULL);
    start_broker(binary);
    measure_fill(n, size, resident_kib());
    if (is_wanted(phases, n_phases, "compaction"))
        compaction();
    if (is_wanted(phases, n_phases, "restart"))
        restart(binary, n);
    if (is_wanted(phases, n_phases, "backup"))
        backup();
    if (is_wanted(phases, n_phases, "drain")) {
        measure_drain(n);
        (void)fill(n, size);
    }
    if (is_wanted(phases, n_phases, "purge"))
        purge();
    stop_broker();
    snprintf(command, sizeof(command), "rm -r '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
