/*
 * Rings of samples in one piece of memory. A coarse ring takes every so many samples of the fine
 * one, the newest included, so that all begin at the same end.
 */
#include "mgmt/series.h"

#include <stdatomic.h>

#include "broker/core/stats.h"
#include "broker/runtime/alloc.h"

enum { MAX_RINGS = 4, SECOND_MS = 1000, TIMES_MOST = 5 };

struct ring {
    uint32_t size;      /* samples */
    uint32_t every;     /* so many ticks */
    uint32_t reach_s;   /* with ticks that are as far apart as the plan has it */
    size_t place;       /* in data */
    _Atomic uint64_t n; /* ever added */
};

struct series {
    uint32_t n_values, n_rings;
    uint64_t tick_ms;
    struct ring ring[MAX_RINGS];
    _Atomic uint64_t data[]; /* each sample: its time, then the values */
};

struct reach {
    uint32_t n;
    struct {
        uint32_t reach_s, step_s;
    } ring[MAX_RINGS];
};

/* Those of RabbitMQ's default, but a minute where it has ten for what there is very much of. */
static const struct reach reaches[] = {
    [SERIES_SHORT] = {1, {{60, 5}}},
    [SERIES_HOUR] = {2, {{60, 5}, {3600, 60}}},
    [SERIES_LONG] = {4, {{605, 5}, {3660, 60}, {29400, 600}, {86400, 1800}}},
};

/*
 * Both ends, and the one that is written next. A ring that is finer than the ticks has as many
 * samples all the same; where ticks are closer than the finest one's steps, it has more.
 */
static uint32_t size_of(const struct reach *r, uint32_t i, uint64_t tick_ms)
{
    uint32_t n = r->ring[i].reach_s / r->ring[i].step_s, most = n * TIMES_MOST;
    uint64_t ticks = r->ring[i].reach_s * (uint64_t)SECOND_MS / tick_ms;

    if (i == 0 && ticks > n)
        n = ticks < most ? (uint32_t)ticks : most;
    return n + 2;
}

static void plan(struct series *s, const struct reach *reach)
{
    size_t place = 0;

    for (uint32_t i = 0; i < reach->n; i++) {
        uint64_t every = reach->ring[i].step_s * (uint64_t)SECOND_MS / s->tick_ms;

        s->ring[i].size = size_of(reach, i, s->tick_ms);
        s->ring[i].reach_s = reach->ring[i].reach_s;
        s->ring[i].every = i == 0 || every == 0 ? 1 : (uint32_t)every;
        s->ring[i].place = place;
        place += (size_t)s->ring[i].size * (s->n_values + 1);
    }
}

struct series *series_new(enum series_reach reach, unsigned n_values, uint64_t tick_ms)
{
    const struct reach *r = &reaches[reach];
    struct series *s;
    size_t n = 0;

    for (uint32_t i = 0; i < r->n; i++)
        n += size_of(r, i, tick_ms) * (size_t)(n_values + 1);
    s = rt_zalloc(sizeof(*s) + n * sizeof(s->data[0]));
    s->n_values = n_values;
    s->n_rings = r->n;
    s->tick_ms = tick_ms;
    plan(s, r);
    return s;
}

static const _Atomic uint64_t *sample(const struct series *s, const struct ring *r, uint64_t number)
{
    return &s->data[r->place + number % r->size * (s->n_values + 1)];
}

static void ring_add(struct series *s, struct ring *r, int64_t now_ms, const uint64_t *values)
{
    uint64_t n = stat_get(&r->n);
    _Atomic uint64_t *to = &s->data[r->place + n % r->size * (s->n_values + 1)];

    stat_set(to, (uint64_t)now_ms);
    for (uint32_t i = 0; i < s->n_values; i++)
        stat_set(&to[i + 1], values[i]);
    atomic_store_explicit(&r->n, n + 1, memory_order_release);
}

void series_add(struct series *s, int64_t now_ms, const uint64_t *values)
{
    uint64_t tick = series_count(s);

    for (uint32_t i = 0; i < s->n_rings; i++) {
        if (tick % s->ring[i].every == 0)
            ring_add(s, &s->ring[i], now_ms, values);
    }
}

uint64_t series_reach_s(const struct series *s)
{
    return s->ring[s->n_rings - 1].reach_s;
}

uint64_t series_count(const struct series *s)
{
    return atomic_load_explicit(&s->ring[0].n, memory_order_acquire);
}

bool series_is_at(const struct series *s, const uint64_t *values)
{
    uint64_t n = series_count(s);
    const _Atomic uint64_t *newest = n ? sample(s, &s->ring[0], n - 1) : NULL;

    for (uint32_t i = 0; newest && i < s->n_values; i++) {
        if (stat_get(&newest[i + 1]) != values[i])
            return false;
    }
    return newest != NULL;
}

static uint64_t sum_of(const struct series *s, const _Atomic uint64_t *sample, uint64_t mask)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->n_values; i++)
        sum += mask >> i & 1 ? stat_get(&sample[i + 1]) : 0;
    return sum;
}

double series_rate(const struct series *s, uint64_t mask)
{
    uint64_t n = s ? series_count(s) : 0;
    const _Atomic uint64_t *now, *before;
    int64_t ms;

    if (n < 2)
        return 0;
    now = sample(s, &s->ring[0], n - 1);
    before = sample(s, &s->ring[0], n - 2);
    ms = (int64_t)(stat_get(now) - stat_get(before));
    if (ms <= 0)
        return 0; /* the clock was set back */
    return (double)(int64_t)(sum_of(s, now, mask) - sum_of(s, before, mask)) * SECOND_MS /
           (double)ms;
}

/* The finest one that reaches back so far, or the coarsest. */
static const struct ring *ring_for(const struct series *s, uint64_t age_s)
{
    uint32_t i = 0;

    while (i + 1 < s->n_rings && s->ring[i].reach_s < age_s)
        i++;
    return &s->ring[i];
}

size_t series_points(const struct series *s, uint64_t mask, const struct series_range *range,
                     struct series_point *ret, size_t max)
{
    const struct ring *r = ring_for(s, range->age_s);
    uint64_t n = atomic_load_explicit(&r->n, memory_order_acquire);
    uint64_t oldest = n > r->size - 1 ? n - (r->size - 1) : 0;
    int64_t step = (int64_t)range->incr_s * SECOND_MS, at = 0, end = 0;
    size_t count = 0;

    while (n > oldest && count < max) {
        const _Atomic uint64_t *from = sample(s, r, --n);
        int64_t ms = (int64_t)stat_get(from);

        if (count == 0)
            end = ms - (int64_t)range->age_s * SECOND_MS;
        else if (ms > at)
            continue;
        if (ms < end)
            break;
        ret[count++] = (struct series_point){ms, sum_of(s, from, mask)};
        at = ms - step + (int64_t)s->tick_ms / 2; /* ticks come a little early or late */
    }
    return count;
}
