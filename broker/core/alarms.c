/*
 * The alarms process: measures memory and disk, and says which alarms stand. Keeps the ballast
 * file, and gives it up when the disk is full.
 *
 * Messages in: ALARMS_AWAIT from connections; its timer. Out: ALARMS_CLEAR.
 * Monitors nobody: an answer to a connection that has gone is dropped.
 *
 * Invariants
 * 1. The fact that alarms_now reads is what was measured last; it outlives a restart.
 * 2. Nobody waits while no alarm stands.
 */
#include "broker/core/alarms.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/alarms_measure.h"
#include "broker/core/ballast.h"
#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"

enum {
    MEMORY_US = 250 * 1000,
    DISK_TURNS = 4, /* the disk is asked every so many times, unless it runs low */
};

/* Read at every publish, by thousands of connections: a fact of the program. */
static atomic_uint standing;
static atomic_uint_least64_t measured[6];

struct alarms {
    struct reply_to *waiting;
    uint32_t n_waiting, room;
    unsigned turn;
    uint64_t memory_total; /* what machine and cgroup gave at the start */
    uint64_t disk_free, descriptors;
    struct alarms_memory memory;
    int ballast_error; /* of the last step, told once */
};

unsigned alarms_now(void)
{
    return atomic_load_explicit(&standing, memory_order_relaxed);
}

const char *alarms_reason(unsigned alarms)
{
    if (alarms == (ALARM_MEMORY | ALARM_DISK))
        return "low on memory & disk";
    return alarms & ALARM_MEMORY ? "low on memory" : "low on disk";
}

proc_ref alarms_await(void)
{
    return proc_call(proc_whereis("alarms"), msg_new(ALARMS_AWAIT, sizeof(struct msg), NULL),
                     PROC_NO_TIMEOUT);
}

void alarms_measured(struct alarms_measured *ret)
{
    ret->memory_used = atomic_load_explicit(&measured[0], memory_order_relaxed);
    ret->memory_limit = atomic_load_explicit(&measured[1], memory_order_relaxed);
    ret->disk_free = atomic_load_explicit(&measured[2], memory_order_relaxed);
    ret->disk_limit = atomic_load_explicit(&measured[3], memory_order_relaxed);
}

void alarms_process(struct alarms_process *ret)
{
    ret->resident = atomic_load_explicit(&measured[4], memory_order_relaxed);
    ret->descriptors = atomic_load_explicit(&measured[5], memory_order_relaxed);
}

bool alarms_is_tight(const struct alarms_measured *m)
{
    return m->memory_limit > 0 && m->memory_used > m->memory_limit / 4 * 3;
}

bool alarms_is_memory_tight(void)
{
    struct alarms_measured m;

    alarms_measured(&m);
    return alarms_is_tight(&m);
}

bool alarms_must_page(uint64_t blob_bytes)
{
    double ratio = config()->memory_paging_ratio;
    struct alarms_measured m;

    alarms_measured(&m);
    return m.memory_limit > 0 && ratio <= 1 &&
           (alarms_is_tight(&m) || (double)blob_bytes > (double)m.memory_limit * ratio);
}

unsigned alarms_decide(const struct alarms_measured *m)
{
    unsigned alarms = 0;

    if (m->memory_limit > 0 && m->memory_used > m->memory_limit)
        alarms |= ALARM_MEMORY;
    if (m->disk_free < m->disk_limit)
        alarms |= ALARM_DISK;
    return alarms;
}

uint64_t alarms_memory_used(struct alarms_memory *m, uint64_t resident, uint64_t blobs)
{
    uint64_t other = resident > blobs ? resident - blobs : 0;

    if (resident < m->peak / 4 * 3)
        m->peak = resident; /* much was given back: what is left is in use */
    if (resident > m->peak) {
        m->other += resident - m->peak; /* what was freed could not be used for this */
        m->peak = resident;
    }
    if (other < m->other)
        m->other = other;
    if (blobs > resident)
        return blobs;
    return blobs + m->other < resident ? blobs + m->other : resident;
}

static uint64_t memory_total(const struct alarms *a)
{
    return config()->memory_total > 0 ? config()->memory_total : a->memory_total;
}

static uint64_t memory_limit(const struct alarms *a)
{
    if (config()->memory_absolute > 0)
        return config()->memory_absolute;
    return (uint64_t)((double)memory_total(a) * config()->memory_relative);
}

static uint64_t disk_limit(const struct alarms *a)
{
    if (config()->disk_free_relative > 0)
        return (uint64_t)((double)memory_total(a) * config()->disk_free_relative);
    return config()->disk_free_limit;
}

static void say(const struct alarms_measured *m, unsigned before, unsigned after)
{
    enum { MIB = 1 << 20 };

    if ((after ^ before) & ALARM_MEMORY)
        log_warn("memory alarm %s: %llu MiB used, limit %llu MiB",
                 after & ALARM_MEMORY ? "set, publishers are blocked" : "cleared",
                 (unsigned long long)(m->memory_used / MIB),
                 (unsigned long long)(m->memory_limit / MIB));
    if ((after ^ before) & ALARM_DISK)
        log_warn("disk alarm %s: %llu MiB free, limit %llu MiB",
                 after & ALARM_DISK ? "set, publishers are blocked" : "cleared",
                 (unsigned long long)(m->disk_free / MIB),
                 (unsigned long long)(m->disk_limit / MIB));
}

/* Once the alarm stands, so that nobody fills what is given up. */
static void keep_ballast(struct alarms *a)
{
    const char *dir = config()->data_dir;
    uint64_t size = config()->disk_ballast;
    enum ballast_step step;
    int r;

    {
        RUNTIME_REGION();
        step = ballast_decide(ballast_is_there(dir), a->disk_free, size, disk_limit(a));
        r = ballast_do(step, dir, size);
    }
    if (step == BALLAST_LEAVE)
        return;
    if (r < 0 && r != a->ballast_error)
        log_error("the ballast could not be %s: %s", step == BALLAST_MAKE ? "made" : "given up",
                  strerror(-r));
    if (r == 0 && step == BALLAST_GIVE_UP)
        log_warn("the disk is full: the ballast of %llu bytes was given up",
                 (unsigned long long)size);
    if (r == 0 && step == BALLAST_MAKE)
        log_info("a ballast of %llu bytes was made", (unsigned long long)size);
    a->ballast_error = r;
}

static void measure_disk(struct alarms *a)
{
    RUNTIME_REGION();

    if (a->turn++ % DISK_TURNS == 0 || a->disk_free < disk_limit(a))
        a->disk_free = measure_disk_free(config()->data_dir);
}

static void answer_all(struct alarms *a)
{
    for (uint32_t i = 0; i < a->n_waiting; i++)
        proc_reply_to(a->waiting[i], msg_new(ALARMS_CLEAR, sizeof(struct msg), NULL));
    proc_free(a->waiting);
    a->waiting = NULL;
    a->n_waiting = a->room = 0;
}

static void measure(struct alarms *a)
{
    struct alarms_measured m = {.memory_limit = memory_limit(a), .disk_limit = disk_limit(a)};
    unsigned before = alarms_now(), after;
    uint64_t resident;

    {
        RUNTIME_REGION();

        resident = measure_resident();
        m.memory_used = alarms_memory_used(&a->memory, resident, blob_total_bytes());
        if (a->turn % DISK_TURNS == 0)
            a->descriptors = measure_descriptors();
    }
    measure_disk(a);
    m.disk_free = a->disk_free;
    atomic_store_explicit(&measured[0], m.memory_used, memory_order_relaxed);
    atomic_store_explicit(&measured[1], m.memory_limit, memory_order_relaxed);
    atomic_store_explicit(&measured[2], m.disk_free, memory_order_relaxed);
    atomic_store_explicit(&measured[3], m.disk_limit, memory_order_relaxed);
    atomic_store_explicit(&measured[4], resident, memory_order_relaxed);
    atomic_store_explicit(&measured[5], a->descriptors, memory_order_relaxed);
    after = alarms_decide(&m);
    atomic_store_explicit(&standing, after, memory_order_relaxed);
    say(&m, before, after);
    keep_ballast(a);
    if (!after)
        answer_all(a);
    (void)proc_timer(MEMORY_US); /* the one that is under way has come */
}

static void alarms_init(void *state, const void *arg)
{
    struct alarms *a = state;

    (void)arg;
    {
        RUNTIME_REGION();
        a->memory_total = measure_memory_total();
    }
    CHECK(proc_register("alarms") == 0);
    measure(a);
}

static void on_await(struct alarms *a, struct msg *m)
{
    if (!alarms_now()) {
        proc_reply(m, msg_new(ALARMS_CLEAR, sizeof(struct msg), NULL));
        return;
    }
    if (a->n_waiting == a->room) {
        a->room = a->room ? 2 * a->room : 16;
        a->waiting = proc_realloc(a->waiting, a->room * sizeof(a->waiting[0]));
    }
    a->waiting[a->n_waiting++] = proc_defer(m);
}

static void alarms_handle(void *state, struct msg *m)
{
    struct alarms *a = state;

    switch (m->type) {
    case ALARMS_AWAIT:
        on_await(a, m);
        break;
    case MSG_TIMEOUT:
        measure(a);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t alarms_inspect(const void *state, char *out, size_t size)
{
    const struct alarms *a = state;
    struct alarms_measured m;
    int n;

    alarms_measured(&m);
    n = snprintf(out, size,
                 "{\"memory\":%s,\"disk\":%s,\"memory_used\":%llu,\"memory_limit\":%llu,"
                 "\"disk_free\":%llu,\"disk_limit\":%llu,\"waiting\":%u}",
                 alarms_now() & ALARM_MEMORY ? "true" : "false",
                 alarms_now() & ALARM_DISK ? "true" : "false", (unsigned long long)m.memory_used,
                 (unsigned long long)m.memory_limit, (unsigned long long)m.disk_free,
                 (unsigned long long)m.disk_limit, a->n_waiting);
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

const struct proc_ops alarms_ops = {
    .kind = "alarms",
    .state_size = sizeof(struct alarms),
    .flags = PROC_OPS_BLOCKING,
    .init = alarms_init,
    .handle = alarms_handle,
    .inspect = alarms_inspect,
};
