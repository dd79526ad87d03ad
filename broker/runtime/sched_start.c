/*
 * sched_start.c - starting and stopping the whole: workers, threads, what is left at the end.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"
#include "broker/runtime/table_impl.h"

#define MAX_SCHEDS 250U
#define STACK_SIZE ((RT_SANITIZED ? 4U : 1U) << 20)
#define GUARD_SIZE 65536U /* more than a page, so that a large frame cannot step over it */

/* The quota of a cgroup's cpu.max, in whole cores; 0: none. */
static unsigned cgroup_cores(void)
{
    unsigned long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    int n = f ? fscanf(f, "%lu %lu", &quota, &period) : 0;

    if (f)
        fclose(f);
    if (n != 2) {
        long q = 0, p = 0;

        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
        n = f ? fscanf(f, "%ld", &q) : 0;
        if (f)
            fclose(f);
        f = n == 1 && q > 0 ? fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re") : NULL;
        n = f ? fscanf(f, "%ld", &p) : 0;
        if (f)
            fclose(f);
        quota = n == 1 && p > 0 ? (unsigned long)q : 0;
        period = (unsigned long)p;
    }
    return quota && period ? (unsigned)((quota + period - 1) / period) : 0;
}

/* Threads that are no workers (main's, the signal thread's) send only while the runtime stands. */
static pthread_mutex_t outside_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_open;

bool outside_enter(void)
{
    pthread_mutex_lock(&outside_lock);
    if (is_open)
        return true;
    pthread_mutex_unlock(&outside_lock);
    return false;
}

void outside_leave(void)
{
    pthread_mutex_unlock(&outside_lock);
}

static void outside_set(bool open)
{
    pthread_mutex_lock(&outside_lock);
    is_open = open;
    pthread_mutex_unlock(&outside_lock);
}

static unsigned cores(void)
{
    cpu_set_t set;
    unsigned n = 1, limit = cgroup_cores();

    if (!sched_getaffinity(0, sizeof(set), &set))
        n = (unsigned)CPU_COUNT(&set);
    if (limit && limit < n)
        n = limit;
    return n < MAX_SCHEDS ? n : MAX_SCHEDS;
}

static uint64_t measure_ticks(void)
{
    static uint64_t per_us; /* of the machine, so measured once */
    uint64_t from_ns, from;

    if (rt.simulated)
        return 1000;
    if (per_us)
        return per_us;
    from_ns = world_real.now_ns();
    from = rt_tick();
    while (world_real.now_ns() - from_ns < 1000000)
        continue;
    per_us = (rt_tick() - from) / ((world_real.now_ns() - from_ns) / 1000);
    return per_us = per_us ? per_us : 1;
}

void worker_init(struct worker *w, unsigned number, unsigned index)
{
    w->number = number;
    w->index = index;
    w->out = rt_zalloc((rt.n_scheds + 1) * sizeof(*w->out));
    w->waiting_for = rt_zalloc(rt.n_workers * sizeof(*w->waiting_for));
    w->retiring_end = &w->retiring;
    w->next_any = index;
    rt.workers[index] = w;
}

void worker_fini(struct worker *w)
{
    msg_lists_fini(w);
    procs_count(NULL, atomic_exchange(&w->live_procs, 0));
    blob_flush(w);
    rt_free(w->out);
    rt_free(w->waiting_for);
    rt_free(w->scratch);
    rt_free(w->scratch_coded);
    rt_free(w->memo);
    rt_free(w->inspect_text);
}

static int sched_init(struct sched *s, unsigned number)
{
    s->home.number = number;
    slots_init(&s->home.slots);
    timers_init(&s->home.timers);
    worker_init(&s->w, number, number);
    s->w.home = &s->home;
    s->w.sched = s;
    return io_sched_init(s);
}

static void sched_fini(struct sched *s)
{
    io_sched_fini(s);
    timers_fini(&s->home.timers);
    slots_fini(&s->home.slots);
}

static void everything_free(void)
{
    if (rt.simulated)
        guard_thread_fini(&rt.scheds[0].w);
    for (unsigned i = 0; i < rt.n_scheds; i++)
        sched_fini(&rt.scheds[i]);
    for (unsigned i = 0; i < rt.n_workers; i++) {
        if (rt.workers[i])
            worker_fini(rt.workers[i]);
    }
    if (rt.pool)
        pool_fini();
    rt_free(rt.workers);
    free(rt.scheds);
    pthread_mutex_destroy(&rt.lock);
    pthread_cond_destroy(&rt.ended);
    rt = (struct rt){.root_why = rt.root_why};
}

static void config_take(const struct rt_config *config)
{
    rt = (struct rt){.config = *config};
    rt.world = config->world ? *config->world : world_real;
    rt.simulated = rt.world.pick != NULL;
    if (!rt.config.watchdog_us)
        rt.config.watchdog_us = RT_SANITIZED ? 20000000 : 1000000;
    if (!rt.config.pool_watchdog_us)
        rt.config.pool_watchdog_us = 60 * rt.config.watchdog_us;
    rt.n_even = rt.simulated ? 1 : config->schedulers ? config->schedulers : cores();
    if (rt.n_even > MAX_SCHEDS)
        rt.n_even = MAX_SCHEDS;
    rt.n_scheds = rt.n_even + !rt.simulated;
    rt.n_pool = rt.simulated ? 0 : config->pool_threads ? config->pool_threads : 64;
    rt.n_workers = rt.n_scheds + rt.n_pool;
    rt.ticks_per_us = measure_ticks();
}

int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_attr_setguardsize(&attr, GUARD_SIZE);
    r = pthread_create(ret, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    return -r;
}

static int threads_start(void)
{
    int r = guard_install();

    for (unsigned i = 0; r >= 0 && i < rt.n_scheds; i++) {
        r = thread_start(&rt.scheds[i].w.thread, sched_main, &rt.scheds[i]);
        BUG_ON(r < 0 && i > 0); /* some run already: there is no way back */
    }
    return r < 0 ? r : pool_start();
}

int rt_start(const struct rt_config *config)
{
    static uint64_t n_runs; /* random numbers of a test's world may not differ */
    int r = 0;

    BUG_ON(rt.running);
    config_take(config);
    pthread_mutex_init(&rt.lock, NULL);
    pthread_cond_init(&rt.ended, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &rt.mask);
    rt.workers = rt_zalloc(rt.n_workers * sizeof(struct worker *));
    rt.scheds = aligned_alloc(64, rt.n_scheds * sizeof(*rt.scheds));
    BUG_ON(!rt.scheds);
    memset(rt.scheds, 0, rt.n_scheds * sizeof(*rt.scheds));
    for (unsigned i = 0; r >= 0 && i < rt.n_scheds; i++)
        r = sched_init(&rt.scheds[i], i);
    if (r >= 0 && rt.n_pool)
        r = pool_init(rt.n_pool);
    if (r >= 0 && rt.simulated)
        r = guard_install();
    if (r >= 0 && rt.simulated)
        guard_thread_init(&rt.scheds[0].w);
    if (r >= 0 && !rt.simulated)
        r = threads_start();
    if (r < 0) {
        everything_free();
        return r;
    }
    rt.number = (rt.world.random() + ++n_runs) | 1;
    rt.running = true;
    outside_set(true);
    return 0;
}

uint64_t rt_run(void)
{
    return rt.number;
}

void rt_root_ended(const struct exit_reason *why)
{
    pthread_mutex_lock(&rt.lock);
    rt.root_why = *why;
    rt.root_ended = true;
    pthread_cond_broadcast(&rt.ended);
    pthread_mutex_unlock(&rt.lock);
}

static void discard(void *ctx, struct proc *p)
{
    proc_discard(ctx, p);
}

static void drop_chain(struct msg *m)
{
    while (m) {
        struct msg *next = m->next;

        msg_drop_because(m, 0, &why_noproc);
        m = next;
    }
}

/* No thread runs any more: everything goes, and nobody is told. */
static void everything_drop(void)
{
    struct worker *w = &rt.scheds[0].w;
    struct worker *before = rt_me;

    for (unsigned i = 0; i < rt.n_workers; i++)
        rt.workers[i]->muted = true;
    /* No id leads to this worker now, so that every send comes by the slow path and is dropped. */
    w->number = UINT32_MAX;
    rt_me = w;
    for (unsigned i = 0; i < rt.n_workers; i++) {
        for (unsigned k = 0; k <= rt.n_scheds; k++)
            drop_chain(rt.workers[i]->out[k].newest);
    }
    for (unsigned i = 0; i < rt.n_scheds; i++) {
        drop_chain(atomic_exchange(&rt.scheds[i].inbox, NULL));
        drop_chain(rt.scheds[i].home.listings.head);
    }
    for (unsigned i = 0; i < rt.n_scheds; i++)
        slots_each(&rt.scheds[i].home, discard, w);
    if (rt.pool)
        slots_each(pool_home(), discard, w);
    for (unsigned i = 0; i < rt.n_workers; i++)
        grace_finish(rt.workers[i]);
    tables_fini();
    rt_me = before;
}

void rt_wait(struct exit_reason *ret_why)
{
    BUG_ON(!rt.running);
    pthread_mutex_lock(&rt.lock);
    while (!rt.root_ended && !rt.simulated)
        pthread_cond_wait(&rt.ended, &rt.lock);
    pthread_mutex_unlock(&rt.lock);
    if (ret_why)
        *ret_why = rt.root_why;
    rt_kill_all();
}

void rt_kill_all(void)
{
    BUG_ON(!rt.running || (rt.simulated && rt.scheds[0].w.turn));
    outside_set(false);
    atomic_store(&rt.stopping, true);
    if (!rt.simulated) {
        for (unsigned i = 0; i < rt.n_scheds; i++)
            sched_wake(&rt.scheds[i]);
        for (unsigned i = 0; i < rt.n_scheds; i++)
            pthread_join(rt.scheds[i].w.thread, NULL);
        pool_stop();
    }
    everything_drop();
    everything_free();
}
