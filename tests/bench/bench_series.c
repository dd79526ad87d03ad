/*
 * What the history of objects that change costs in memory.
 *
 * usage: bench_series [OBJECTS]. By default 4096, as many as the sampler keeps an hour of: series
 * of a queue's values with a sample each five seconds for two hours, so that all of their rings are
 * full. Then as many again that reach back a minute.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mgmt/sampled.h"
#include "mgmt/series.h"

enum { TICK_MS = 5000, TICKS = 2 * 3600 * 1000 / TICK_MS };

static double resident_mib(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f || fscanf(f, "%*u %lu", &pages) != 1)
        abort();
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static void fill(const char *what, enum series_reach reach, unsigned long n)
{
    double before = resident_mib(), mib;
    struct series **s = calloc(n, sizeof(*s));

    if (!s)
        abort();
    for (unsigned long i = 0; i < n; i++)
        s[i] = series_new(reach, QUEUE_VALUES, TICK_MS);
    for (uint64_t tick = 0; tick < TICKS; tick++) {
        uint64_t values[QUEUE_VALUES] = {tick, tick};

        for (unsigned long i = 0; i < n; i++)
            series_add(s[i], (int64_t)tick * TICK_MS, values);
    }
    mib = resident_mib() - before;
    printf("%-14s %lu queues: %6.1f MiB, %5.0f bytes each\n", what, n, mib,
           mib * 1048576 / (double)n);
}

int main(int argc, char **argv)
{
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 4096;

    if (!n) {
        fprintf(stderr, "usage: bench_series [OBJECTS]\n");
        return 2;
    }
    fill("an hour", SERIES_HOUR, n);
    fill("a minute", SERIES_SHORT, n);
    return 0;
}
