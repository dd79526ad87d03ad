/*
 * stats.c - the node's counters, and the lists of slots: by kind and owner, in lines that have a
 * lock each, so that whoever reads them all never holds up who comes and goes.
 */
#include "broker/core/stats.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"

enum { SCHEDULERS = 256 /* what a proc_id can name */, LINES = 1024, LINES_AT_ONCE = 16 };

struct line {
    pthread_mutex_t lock;
    struct stat_slot *first;
};

const uint64_t message_size_bounds[MESSAGE_SIZES - 1] = {
    100, 1000, 10000, 100000, 1000000, 10000000, 50000000, 100000000,
};

/* Facts of the program like the tables: they outlive every process that is counted. */
static struct node_stats nodes[SCHEDULERS];
static struct line lines[STAT_KINDS][LINES];
static _Atomic uint64_t listed[STAT_KINDS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct node_stats *node_stats(void)
{
    return &nodes[proc_scheduler(proc_self())];
}

static void add_all(uint64_t *to, const _Atomic uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += stat_get(&from[i]);
}

void message_counts_add(struct message_sums *to, const struct message_counts *from)
{
    add_all(to->n, from->n, MESSAGE_STATS);
    for (size_t type = 0; type < QUEUE_TYPES; type++)
        add_all(to->deliveries[type], from->deliveries[type], DELIVERY_STATS);
}

void node_stats_sum(struct node_sums *ret)
{
    *ret = (struct node_sums){0};
    for (size_t i = 0; i < SCHEDULERS; i++) {
        message_counts_add(&ret->messages, &nodes[i].messages);
        add_all(ret->churn, nodes[i].churn, CHURN_STATS);
        add_all(ret->sizes, nodes[i].sizes, MESSAGE_SIZES);
        ret->size_sum += stat_get(&nodes[i].size_sum);
    }
}

struct vhost_stats {
    _Atomic uint32_t refs;
    unsigned n;
    struct vhost_counts part[]; /* by scheduler */
};

struct vhost_stats *vhost_stats_new(void)
{
    RUNTIME_REGION();
    unsigned n = rt_scheduler_aside() + 1;
    size_t size = sizeof(struct vhost_stats) + n * sizeof(struct vhost_counts);
    struct vhost_stats *v = rt_zalloc(size);

    atomic_init(&v->refs, 1);
    v->n = n;
    return v;
}

struct vhost_stats *vhost_stats_ref(struct vhost_stats *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void vhost_stats_unref(struct vhost_stats *v)
{
    RUNTIME_REGION();

    if (v && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
        rt_free(v);
}

struct vhost_counts *vhost_stats_counts(struct vhost_stats *v)
{
    unsigned i = proc_scheduler(proc_self());

    CHECK(i < v->n);
    return &v->part[i];
}

void vhost_stats_sum(const struct vhost_stats *v, struct vhost_sums *ret)
{
    *ret = (struct vhost_sums){0};
    for (unsigned i = 0; i < v->n; i++) {
        message_counts_add(&ret->messages, &v->part[i].messages);
        ret->received += stat_get(&v->part[i].received);
        ret->sent += stat_get(&v->part[i].sent);
    }
}

void node_stats_size(struct node_stats *s, uint64_t size_bytes)
{
    size_t i = 0;

    while (i < MESSAGE_SIZES - 1 && size_bytes > message_size_bounds[i])
        i++;
    stat_add(&s->sizes[i], 1);
    stat_add(&s->size_sum, size_bytes);
}

/* Written by the threads of all stores, once for each group. */
static struct {
    _Atomic uint64_t groups, operations, bytes, syncs, times[COMMIT_TIMES], time_sum_us, reads,
        read_bytes, read_us;
} stores;

const uint64_t commit_time_bounds[COMMIT_TIMES - 1] = {
    500, 1000, 2500, 5000, 10000, 20000, 50000, 100000, 250000, 1000000,
};

static void add_shared(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static size_t time_bucket(uint64_t took_us)
{
    size_t i = 0;

    while (i < COMMIT_TIMES - 1 && took_us > commit_time_bounds[i])
        i++;
    return i;
}

void store_stats_group(uint64_t operations, uint64_t bytes, uint64_t syncs, uint64_t took_us)
{
    add_shared(&stores.groups, 1);
    add_shared(&stores.operations, operations);
    add_shared(&stores.bytes, bytes);
    add_shared(&stores.syncs, syncs);
    add_shared(&stores.times[time_bucket(took_us)], 1);
    add_shared(&stores.time_sum_us, took_us);
}

void store_stats_read(uint64_t messages, uint64_t bytes, uint64_t took_us)
{
    add_shared(&stores.reads, messages);
    add_shared(&stores.read_bytes, bytes);
    add_shared(&stores.read_us, took_us);
}

void store_stats_sum(struct store_sums *ret)
{
    *ret = (struct store_sums){.groups = stat_get(&stores.groups),
                               .operations = stat_get(&stores.operations),
                               .bytes = stat_get(&stores.bytes),
                               .syncs = stat_get(&stores.syncs),
                               .time_sum_us = stat_get(&stores.time_sum_us),
                               .reads = stat_get(&stores.reads),
                               .read_bytes = stat_get(&stores.read_bytes),
                               .read_us = stat_get(&stores.read_us)};
    add_all(ret->times, stores.times, COMMIT_TIMES);
}

static struct {
    _Atomic uint64_t times[COMMIT_TIMES], time_sum_us;
} steps[STORE_STEPS];

void store_stats_step(enum store_step kind, uint64_t took_us)
{
    add_shared(&steps[kind].times[time_bucket(took_us)], 1);
    add_shared(&steps[kind].time_sum_us, took_us);
}

void store_stats_steps(struct store_step_sums ret[STORE_STEPS])
{
    for (unsigned i = 0; i < STORE_STEPS; i++) {
        ret[i] = (struct store_step_sums){.time_sum_us = stat_get(&steps[i].time_sum_us)};
        add_all(ret[i].times, steps[i].times, COMMIT_TIMES);
    }
}

const char *store_step_name(enum store_step kind)
{
    static const char *const names[STORE_STEPS] = {
        [STORE_STEP_LOG] = "log",       [STORE_STEP_CHECKPOINT] = "checkpoint",
        [STORE_STEP_VACUUM] = "vacuum", [STORE_STEP_COMPACTION] = "compaction",
        [STORE_STEP_TRIM] = "trim",     [STORE_STEP_BACKUP] = "backup",
    };

    return names[kind];
}

static struct crash_count {
    char kind[CRASH_KIND_SIZE];
    uint64_t n[CRASH_REASONS];
} crashes[CRASH_KINDS];
static pthread_mutex_t crashes_lock = PTHREAD_MUTEX_INITIALIZER;

/* The kind's row, made when missing; what is too much for the table is counted in its last row. */
static struct crash_count *crashes_of(const char *kind)
{
    struct crash_count *c = crashes;

    while (c < &crashes[CRASH_KINDS - 1] && *c->kind && strcmp(c->kind, kind))
        c++;
    if (!*c->kind)
        snprintf(c->kind, sizeof(c->kind), "%s", kind);
    return c;
}

void crash_stats_add(const char *kind, unsigned reason)
{
    RUNTIME_REGION();

    pthread_mutex_lock(&crashes_lock);
    crashes_of(kind)->n[reason < CRASH_REASONS ? reason : CRASH_REASONS - 1]++;
    pthread_mutex_unlock(&crashes_lock);
}

void crash_stats_each(void (*fn)(void *ctx, const char *kind, unsigned reason, uint64_t n),
                      void *ctx)
{
    RUNTIME_REGION();

    pthread_mutex_lock(&crashes_lock);
    for (size_t i = 0; i < CRASH_KINDS && *crashes[i].kind; i++) {
        for (unsigned reason = 0; reason < CRASH_REASONS; reason++) {
            if (crashes[i].n[reason])
                fn(ctx, crashes[i].kind, reason, crashes[i].n[reason]);
        }
    }
    pthread_mutex_unlock(&crashes_lock);
}

static void init_lines(void)
{
    for (size_t kind = 0; kind < STAT_KINDS; kind++) {
        for (size_t i = 0; i < LINES; i++)
            pthread_mutex_init(&lines[kind][i].lock, NULL);
    }
}

static struct line *line_of(enum stat_kind kind, proc_id owner)
{
    pthread_once(&once, init_lines);
    return &lines[kind][(owner * 0x9E3779B97F4A7C15u >> 32) % LINES];
}

void stat_history_fini(struct stat_history *h)
{
    rt_free(atomic_load_explicit(&h->series, memory_order_relaxed));
}

void *stat_slot_new(size_t size, enum stat_kind kind, uint64_t number,
                    void (*free_fn)(struct stat_slot *))
{
    RUNTIME_REGION();
    struct stat_slot *s = rt_zalloc(size);

    atomic_init(&s->refs, 1);
    s->kind = kind;
    s->owner = proc_self();
    s->number = number;
    s->node = node_stats();
    s->free = free_fn;
    return s;
}

struct stat_slot *stat_slot_ref(struct stat_slot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void stat_slot_unref(struct stat_slot *s)
{
    RUNTIME_REGION();

    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    stat_history_fini(&s->history);
    s->free(s);
}

static void hide(void *slot)
{
    struct stat_slot *s = slot;
    struct line *line = line_of(s->kind, s->owner);

    pthread_mutex_lock(&line->lock);
    *s->at = s->next;
    if (s->next)
        s->next->at = s->at;
    s->at = NULL;
    pthread_mutex_unlock(&line->lock);
    atomic_fetch_sub_explicit(&listed[s->kind], 1, memory_order_relaxed);
    if (s->closed)
        s->closed(s);
    stat_slot_unref(s);
}

static void list(struct stat_slot *s)
{
    RUNTIME_REGION();
    struct line *line = line_of(s->kind, s->owner);

    pthread_mutex_lock(&line->lock);
    s->next = line->first;
    s->at = &line->first;
    if (s->next)
        s->next->at = &s->next;
    line->first = s;
    pthread_mutex_unlock(&line->lock);
    atomic_fetch_add_explicit(&listed[s->kind], 1, memory_order_relaxed);
}

void stat_slot_show(struct stat_slot *s)
{
    list(s);
    proc_at_exit(hide, s);
}

void stat_slot_hide(struct stat_slot *s)
{
    RUNTIME_REGION();

    if (!s)
        return;
    proc_at_exit_cancel(hide, s);
    hide(s);
}

void stat_slots_add(struct stat_slots *to, struct stat_slot *s)
{
    RUNTIME_REGION();

    if (to->n == to->size) {
        to->size = to->size ? 2 * to->size : 64;
        to->slot = rt_realloc(to->slot, to->size * sizeof(to->slot[0]));
    }
    to->slot[to->n++] = stat_slot_ref(s);
}

static void gather_line(struct stat_slots *to, struct line *line)
{
    pthread_mutex_lock(&line->lock);
    for (struct stat_slot *s = line->first; s; s = s->next)
        stat_slots_add(to, s);
    pthread_mutex_unlock(&line->lock);
}

bool stat_slots_gather(struct stat_slots *to, enum stat_kind kind)
{
    RUNTIME_REGION();

    pthread_once(&once, init_lines);
    for (unsigned i = 0; i < LINES_AT_ONCE && to->line < LINES; i++)
        gather_line(to, &lines[kind][to->line++]);
    return to->line < LINES;
}

void stat_slots_fini(struct stat_slots *s)
{
    for (size_t i = 0; i < s->n; i++)
        stat_slot_unref(s->slot[i]);
    rt_free(s->slot);
    *s = (struct stat_slots){0};
}

static struct stat_slot *find(const struct line *line, proc_id owner, uint64_t number)
{
    struct stat_slot *s = line->first;

    while (s && (s->owner != owner || s->number != number))
        s = s->next;
    return s ? stat_slot_ref(s) : NULL;
}

struct stat_slot *stat_slot_find(enum stat_kind kind, proc_id owner, uint64_t number)
{
    RUNTIME_REGION();
    struct line *line = line_of(kind, owner);
    struct stat_slot *s;

    pthread_mutex_lock(&line->lock);
    s = find(line, owner, number);
    pthread_mutex_unlock(&line->lock);
    return s;
}

uint64_t stat_slots_count(enum stat_kind kind)
{
    return atomic_load_explicit(&listed[kind], memory_order_relaxed);
}
