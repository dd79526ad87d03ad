/*
 * Pairs a second of the store's database: each pair one message in, and one of before settled.
 *
 * usage: bench_store [DIR [SECONDS [SIZE]]]. For batches of 1, 10, 100 and 1000 pairs a commit it
 * prints the rate, the CPU time a pair and the commits' durations; then how long a recovery of what
 * is left takes, and how fast records are read. A DIR that is given must not
 * exist, and is left behind.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "persistence/db.h"

#define QUEUES      100
#define DEPTH       10000
#define WAL_BYTES   (64 << 20)
#define MAX_COMMITS 200000

static uint8_t body[1 << 20];
static uint32_t took_us[MAX_COMMITS];

static double clock_s(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(-r));
    exit(1);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void release(void *ctx, void *token)
{
    (void)ctx;
    (void)token;
}

static void pair(struct db *db, uint64_t i, size_t size)
{
    const struct db_add add = {.queue = 1 + i % QUEUES,
                               .seq = i / QUEUES,
                               .iov = {{body, 64}, {body + 64, size - 64}},
                               .token = body};

    must(db_add(db, &add, 0), "db_add");
    if (i >= DEPTH)
        (void)db_ack(db, 1 + (i - DEPTH) % QUEUES, (i - DEPTH) / QUEUES, 0);
}

static void commit(struct db *db, unsigned *n)
{
    double before = clock_s(CLOCK_MONOTONIC);

    must(db_commit(db), "db_commit");
    if (db_wal_bytes(db) > WAL_BYTES)
        must(db_checkpoint(db), "db_checkpoint");
    if (*n < MAX_COMMITS)
        took_us[(*n)++] = (uint32_t)((clock_s(CLOCK_MONOTONIC) - before) * 1e6);
}

static void run(struct db *db, uint64_t *i, unsigned batch, double seconds, size_t size)
{
    double t = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID), end;
    uint64_t first = *i, before, after, syncs;
    unsigned n = 0;

    db_wal_written(db, &before, &syncs);
    do {
        for (unsigned k = 0; k < batch; k++)
            pair(db, (*i)++, size);
        commit(db, &n);
        end = clock_s(CLOCK_MONOTONIC);
    } while (end - t < seconds);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    db_wal_written(db, &after, &syncs);
    qsort(took_us, n, sizeof(took_us[0]), compare);
    printf(
        "batch %4u: %8.0f pairs/s, %6.2f us CPU a pair, commit ms p50 %.2f p99 %.2f max %.2f, WAL "
        "KiB a commit %.0f\n",
        batch, (double)(*i - first) / (end - t), cpu * 1e6 / (double)(*i - first),
        took_us[n / 2] / 1e3, took_us[n * 99 / 100] / 1e3, took_us[n - 1] / 1e3,
        (double)(after - before) / 1024 / n);
}

static void read_all(struct db *db, uint64_t last)
{
    double t = clock_s(CLOCK_MONOTONIC);
    uint64_t n = 0;

    for (uint64_t i = last < DEPTH ? 0 : last - DEPTH; i < last; i++, n++)
        must((int)db_read(db, 1 + i % QUEUES, i / QUEUES, body), "db_read");
    printf("reads: %8.0f records/s\n", (double)n / (clock_s(CLOCK_MONOTONIC) - t));
}

static void remove_store(const char *dir)
{
    static const char *const names[] = {"store.sqlite", "store.sqlite-wal"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path); /* a closed database may have no log */
    }
    (void)rmdir(dir); /* what is left there is seen */
}

int main(int argc, char **argv)
{
    static const unsigned batches[] = {1, 10, 100, 1000};
    char made[] = "/var/tmp/bench-store-XXXXXX", why[200];
    double seconds = argc > 2 ? atof(argv[2]) : 1.0;
    size_t size = argc > 3 ? (size_t)atoi(argv[3]) : 1024;
    struct db_config config = {.dir = argc > 1 ? argv[1] : mkdtemp(made), .release = release};
    struct db *db = NULL;
    uint64_t i = 0;
    double t;

    if (size < 64 || size > sizeof(body) || !config.dir)
        return 2;
    for (size_t k = 0; k < sizeof(body); k++)
        body[k] = (uint8_t)(k * 7);
    must(db_open(&config, &db, why, sizeof(why)), "db_open");
    for (unsigned k = 0; k < sizeof(batches) / sizeof(batches[0]); k++)
        run(db, &i, batches[k], seconds, size);
    db_abandon(db);
    t = clock_s(CLOCK_MONOTONIC);
    must(db_open(&config, &db, why, sizeof(why)), "db_open");
    printf("recovery of %llu messages and the WAL: %.1f ms\n",
           (unsigned long long)(i < DEPTH ? i : DEPTH), (clock_s(CLOCK_MONOTONIC) - t) * 1e3);
    read_all(db, i);
    must(db_close(db), "db_close");
    if (argc > 1)
        printf("left in %s\n", config.dir);
    else
        remove_store(config.dir);
    return 0;
}
