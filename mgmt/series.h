/*
 * series.h - what counters were over time: rings of samples, fine ones for the last minutes and
 * coarse ones for a day. Pure, but for the allocator.
 *
 * One writer, the sampler; whoever holds the series may read it meanwhile. The oldest sample of a
 * ring is never shown, for the next one is written over it.
 */
#ifndef MGMT_SERIES_H
#define MGMT_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct series;

enum series_reach {
    SERIES_SHORT, /* a minute: of a queue, connection, channel, exchange or vhost */
    SERIES_HOUR,  /* a minute and an hour: of as many of them as there is room for */
    SERIES_LONG,  /* ten minutes, an hour, eight hours, a day: of the node */
};

/* Of so many values; freed by rt_free. tick_ms: between samples. */
struct series *series_new(enum series_reach reach, unsigned n_values, uint64_t tick_ms);
/* Writer only. Times are wall clock and may jump. */
void series_add(struct series *s, int64_t now_ms, const uint64_t *values);
/* Writer only. Whether the newest sample is these values; false while there is none. */
bool series_is_at(const struct series *s, const uint64_t *values);
/* How far back its coarsest ring reaches. */
uint64_t series_reach_s(const struct series *s);
/* How many samples were ever added. */
uint64_t series_count(const struct series *s);

/*
 * Values are named by the bits of a mask, and added up. Change in a second between the two newest
 * samples; 0 for NULL or a single one.
 */
double series_rate(const struct series *s, uint64_t mask);

struct series_range { /* what a client asks for; all zero: nothing */
    uint64_t age_s, incr_s;
};

struct sampled_ranges { /* for each group of statistics */
    struct series_range rates, lengths, data, node;
};

struct series_point {
    int64_t at_ms;
    uint64_t value;
};

/*
 * A point for each step of the range, newest first, from the finest ring that reaches back so far;
 * none where nothing was sampled yet. At most `max`; how many.
 */
size_t series_points(const struct series *s, uint64_t mask, const struct series_range *range,
                     struct series_point *ret, size_t max);

#endif
