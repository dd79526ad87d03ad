/*
 * The sampler.
 *
 * Duties: at each tick reads the counters of all connections, channels, queues and exchanges and of
 * the node in place, and adds them to their series. What does not change for an hour costs its
 * history alone and no series. A round goes on in small turns, so that it stalls nobody.
 * In:  its timer, CONTINUE. Out: nothing.
 * Links and monitors: nobody but its supervisor.
 * Invariants:
 *   1. It alone writes histories. They belong to their objects, and the node's series to a table,
 *      so all of them outlive it; the next one goes on with them.
 *   2. All samples of a round have its begin as their time.
 */
#include "mgmt/sampler.h"

#include <stdio.h>
#include <string.h>

#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/core/stats.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "mgmt/sampled.h"
#include "queues/cell.h"
#include "queues/route.h"
#include "queues/stats.h"

enum {
    KEEP_MS = 15 * 1000, /* a series whose values have not changed goes so long after its reach */
    MINUTE_S = 60,
    HOURS_MOST = 4096, /* series that reach back an hour: 8 kB of a queue or channel, or less */
    NAME_MAX_SIZE = 256,
};

enum phase { CONNECTIONS, CHANNELS, VHOSTS, QUEUES, EXCHANGES, DONE };

struct sampler {
    uint64_t tick_ms, next_us;
    int64_t now_ms; /* when the round began */
    bool is_round;
    enum phase phase;
    unsigned at;              /* the next part of what the phase walks through */
    struct stat_slots *slots; /* foreign; of the lines that are sampled now */
    char (*vhost)[NAME_MAX_SIZE];
    uint32_t n_vhosts, cap_vhosts, vhost_at;
    struct vhost_tables tables;          /* of the vhost that is sampled now */
    uint64_t ready, unacked;             /* of the queues so far */
    uint64_t vhost_ready, vhost_unacked; /* of this vhost's */
    unsigned n_hours;       /* series of an hour, as of the last round and begun since */
    unsigned n_hours_round; /* those that this round came across or began */
    uint64_t rounds;
};

/* 0 for values that are all zero; else most likely another number for other values. */
static uint64_t mark_of(const uint64_t *values, unsigned n)
{
    uint64_t mark = 0;

    for (unsigned i = 0; i < n; i++)
        mark = (mark ^ values[i]) * 0x9E3779B97F4A7C15u;
    return mark;
}

/*
 * A series that begins with the object itself begins with nothing counted, so that what happened
 * before the first round has a rate. Lengths (`gauges`) may be large from the start.
 */
static struct series *begin(struct sampler *s, const uint64_t *values, unsigned n, uint64_t gauges,
                            bool is_new)
{
    enum series_reach reach = s->n_hours < HOURS_MOST ? SERIES_HOUR : SERIES_SHORT;
    struct series *series = series_new(reach, n, s->tick_ms);
    uint64_t before[SAMPLED_MAX];

    s->n_hours += reach == SERIES_HOUR;
    s->n_hours_round += reach == SERIES_HOUR;

    for (unsigned i = 0; i < n; i++)
        before[i] = gauges >> i & 1 ? values[i] : 0;
    if (is_new)
        series_add(series, s->now_ms - (int64_t)s->tick_ms, before);
    return series;
}

/* Whether all of its samples are the same. */
static bool is_over(const struct sampler *s, const struct stat_history *h,
                    const struct series *series)
{
    int64_t same_ms = s->now_ms - (int64_t)stat_get(&h->changed_ms);

    return same_ms > (int64_t)series_reach_s(series) * 1000 + KEEP_MS;
}

static void sample(struct sampler *s, struct stat_history *h, const uint64_t *values, unsigned n,
                   uint64_t gauges)
{
    RUNTIME_REGION();
    struct series *series = atomic_load_explicit(&h->series, memory_order_relaxed);
    uint64_t mark = mark_of(values, n), before = stat_get(&h->mark);

    if (mark != before || stat_get(&h->changed_ms) == 0)
        stat_set(&h->changed_ms, (uint64_t)s->now_ms);
    stat_set(&h->mark, mark);
    if (!series && mark == before)
        return;
    if (series && is_over(s, h, series)) {
        atomic_store_explicit(&h->series, NULL, memory_order_release);
        grace_retire(rt_free, series);
        return;
    }
    if (series) {
        s->n_hours_round += series_reach_s(series) > MINUTE_S;
        series_add(series, s->now_ms, values);
        return;
    }
    series = begin(s, values, n, gauges, before == 0);
    series_add(series, s->now_ms, values);
    atomic_store_explicit(&h->series, series, memory_order_release);
}

static void sample_slot(struct sampler *s, struct stat_slot *slot)
{
    uint64_t values[SAMPLED_MAX];

    if (slot->kind == STAT_CONNECTION) {
        read_connection((const struct connection_stats *)slot, values);
        sample(s, &slot->history, values, CONNECTION_VALUES, 0);
    } else {
        read_channel((const struct channel_stats *)slot, values);
        sample(s, &slot->history, values, MESSAGE_VALUES, 0);
    }
}

static bool sample_slots(struct sampler *s, enum stat_kind kind)
{
    bool more;

    s->slots->line = s->at;
    more = stat_slots_gather(s->slots, kind);
    s->at = s->slots->line;
    for (size_t i = 0; i < s->slots->n; i++)
        sample_slot(s, s->slots->slot[i]);
    {
        RUNTIME_REGION();

        stat_slots_fini(s->slots);
    }
    return more;
}

static void add_vhost(void *ctx, const char *vhost)
{
    struct sampler *s = ctx;

    if (s->n_vhosts == s->cap_vhosts) {
        s->cap_vhosts = s->cap_vhosts ? 2 * s->cap_vhosts : 4;
        s->vhost = proc_realloc(s->vhost, s->cap_vhosts * sizeof(s->vhost[0]));
    }
    strcpy(s->vhost[s->n_vhosts++], vhost); /* a vhost's name is shorter than its place */
}

static int sample_queue(void *ctx, const void *key, size_t len, void *value)
{
    struct sampler *s = ctx;
    struct cell *c = value;
    uint64_t values[QUEUE_VALUES];

    (void)key, (void)len;
    if (cell_at(c)->state == CELL_DELETED)
        return 0;
    read_queue(&c->stats, values);
    s->vhost_ready += values[OF_QUEUE_READY];
    s->vhost_unacked += values[OF_QUEUE_UNACKED];
    sample(s, &c->history, values, QUEUE_VALUES, 1u << OF_QUEUE_READY | 1u << OF_QUEUE_UNACKED);
    return 0;
}

static int sample_exchange(void *ctx, const void *key, size_t len, void *value)
{
    struct cell *c = value;
    uint64_t values[EXCHANGE_VALUES];

    (void)key, (void)len;
    read_exchange(&c->exchange_stats, values);
    sample(ctx, &c->history, values, EXCHANGE_VALUES, 0);
    return 0;
}

static void sample_default(struct sampler *s)
{
    struct default_exchange *d = vhost_default_exchange(&s->tables);
    uint64_t values[EXCHANGE_VALUES];

    if (!d)
        return;
    read_exchange(&d->stats, values);
    sample(s, &d->history, values, EXCHANGE_VALUES, 0);
}

static void sample_vhost(struct sampler *s)
{
    struct default_exchange *d = vhost_default_exchange(&s->tables);
    uint64_t values[VHOST_VALUES];

    s->ready += s->vhost_ready;
    s->unacked += s->vhost_unacked;
    if (d) {
        stat_set(&d->ready, s->vhost_ready);
        stat_set(&d->unacked, s->vhost_unacked);
        read_vhost(d, values);
        sample(s, &d->vhost_history, values, VHOST_VALUES,
               1u << OF_VHOST_READY | 1u << OF_VHOST_UNACKED);
    }
    s->vhost_ready = s->vhost_unacked = 0;
}

static struct series *node_series(struct sampler *s)
{
    struct table *t = sampled_node_table();
    struct series *series = table_get(t, "", 0);

    if (!series) {
        series = series_new(SERIES_LONG, NODE_VALUES, s->tick_ms);
        table_put(t, "", 0, series);
    }
    return series;
}

static void end_round(struct sampler *s)
{
    uint64_t values[NODE_VALUES];

    read_node(values);
    values[OF_NODE_READY] = s->ready;
    values[OF_NODE_UNACKED] = s->unacked;
    series_add(node_series(s), s->now_ms, values);
    s->ready = s->unacked = 0;
    s->n_hours = s->n_hours_round;
    s->n_hours_round = 0;
    s->rounds++;
    s->is_round = false;
}

static void next_phase(struct sampler *s, enum phase phase)
{
    s->phase = phase;
    s->at = 0;
}

static void next_vhost(struct sampler *s)
{
    if (s->vhost_at == s->n_vhosts) {
        next_phase(s, DONE);
        return;
    }
    vhost_tables_open(s->vhost[s->vhost_at++], &s->tables);
    next_phase(s, QUEUES);
}

/* One small step. */
static void step(struct sampler *s)
{
    switch (s->phase) {
    case CONNECTIONS:
        if (!sample_slots(s, STAT_CONNECTION))
            next_phase(s, CHANNELS);
        break;
    case CHANNELS:
        if (!sample_slots(s, STAT_CHANNEL))
            next_phase(s, VHOSTS);
        break;
    case VHOSTS:
        s->n_vhosts = s->vhost_at = 0;
        access_each_vhost(add_vhost, s);
        next_vhost(s);
        break;
    case QUEUES:
        if (!table_each_part(s->tables.queues, &s->at, sample_queue, s))
            next_phase(s, EXCHANGES);
        break;
    case EXCHANGES:
        if (s->at == 0)
            sample_default(s);
        if (table_each_part(s->tables.exchanges, &s->at, sample_exchange, s))
            break;
        sample_vhost(s);
        next_vhost(s);
        break;
    case DONE:
        end_round(s);
        break;
    }
}

static void go_on(struct sampler *s)
{
    while (s->is_round) {
        step(s);
        if (s->is_round && proc_is_over_budget()) {
            proc_continue();
            return;
        }
    }
}

/* Ticks do not drift; those that a long round has missed are left out. */
static void set_timer(struct sampler *s)
{
    uint64_t now = proc_now_us();

    while (s->next_us <= now)
        s->next_us += s->tick_ms * 1000;
    (void)proc_timer(s->next_us - now);
}

static void on_tick(struct sampler *s)
{
    set_timer(s);
    if (s->is_round)
        return;
    s->now_ms = proc_wall_ms();
    s->is_round = true;
    next_phase(s, CONNECTIONS);
    go_on(s);
}

static void free_slots(void *slots)
{
    stat_slots_fini(slots);
    rt_free(slots);
}

static void sampler_init(void *state, const void *arg)
{
    struct sampler *s = state;

    (void)arg;
    {
        RUNTIME_REGION();

        s->slots = rt_zalloc(sizeof(*s->slots));
        proc_at_exit(free_slots, s->slots);
    }
    s->tick_ms = config()->statistics_ms;
    s->next_us = proc_now_us();
    set_timer(s);
    CHECK(proc_register("mgmt_sampler") == 0);
}

static void sampler_handle(void *state, struct msg *m)
{
    switch (m->type) {
    case MSG_TIMEOUT:
        on_tick(state);
        break;
    case MSG_CONTINUE:
        go_on(state);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t sampler_inspect(const void *state, char *out, size_t size)
{
    const struct sampler *s = state;
    int n = snprintf(out, size, "{\"rounds\":%llu,\"interval_ms\":%llu,\"is_at_work\":%s}",
                     (unsigned long long)s->rounds, (unsigned long long)s->tick_ms,
                     s->is_round ? "true" : "false");

    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

const struct proc_ops sampler_ops = {
    .kind = "mgmt_sampler",
    .state_size = sizeof(struct sampler),
    .init = sampler_init,
    .handle = sampler_handle,
    .inspect = sampler_inspect,
};
