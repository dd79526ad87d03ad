/*
 * sched.c - the schedulers: rounds of turns, and sleep when there is nothing to do.
 *
 * A round: take the inbox, fire timers, add to a listing, run ready processes (for 100 us or 64
 * turns at most), flush the outboxes, move the epoch on, offer descriptors that are still ready
 * again, poll. A busy scheduler polls every 50 us; an idle one says that it sleeps, looks at its
 * inbox once more, and waits in libevent.
 */
#include <sched.h>
#include <unistd.h>

#include "broker/runtime/internal.h"

struct rt rt;
_Thread_local struct worker *rt_me;

#define ROUND_TURNS 64
#define ROUND_US    100
#define POLL_US     50

#define LISTING_REST_NS 500000 /* between parts of a listing: it may take a tenth of the time */

void worker_round(struct worker *w)
{
    outbox_flush(w);
    blob_flush(w);
    grace_round(w);
}

static bool inbox_take(struct sched *s)
{
    struct msg *m, *oldest = NULL;

    if (!atomic_load_explicit(&s->inbox, memory_order_relaxed))
        return false;
    m = atomic_exchange(&s->inbox, NULL);
    while (m) { /* pushed newest first; handled oldest first */
        struct msg *next = m->next;

        m->next = oldest;
        oldest = m;
        m = next;
    }
    deliver_chain(&s->home, oldest);
    return true;
}

/* One turn of p, which is not in the ready queue any more. */
static void visit(struct sched *s, struct proc *p)
{
    p->run_state = RUN_RUNNING;
    if (!turn_run(&s->w, p, &p->box))
        return;
    if (proc_has_work(p))
        ready_push(&s->home, p);
    else
        p->run_state = RUN_IDLE;
}

static void run_ready(struct sched *s)
{
    struct worker *w = &s->w;
    uint64_t start = w->tick;

    for (unsigned n = 1; n <= ROUND_TURNS && s->home.ready.n; n++) {
        visit(s, ready_pop(&s->home));
        if (w->n_unflushed >= FLUSH_AFTER)
            outbox_flush(w);
        if (n % 8 == 0)
            w->tick = rt_tick();
        if (w->tick - start > ROUND_US * rt.ticks_per_us)
            return;
    }
}

static bool has_timers(const struct sched *s)
{
    return s->home.timers.n || s->home.timers.n_wheel;
}

static bool has_inbox(struct sched *s)
{
    return atomic_load_explicit(&s->inbox, memory_order_relaxed) != NULL;
}

static void sleep_until(struct sched *s, uint64_t until_ns)
{
    uint64_t before = rt_tick(), slept;

    io_poll(s, until_ns);
    slept = atomic_load_explicit(&s->slept_ticks, memory_order_relaxed) + rt_tick() - before;
    atomic_store_explicit(&s->slept_ticks, slept, memory_order_relaxed);
}

void rt_sched_info(unsigned number, struct rt_sched_info *ret)
{
    const struct sched *s = &rt.scheds[number];

    ret->slept_us = atomic_load_explicit(&s->slept_ticks, memory_order_relaxed) / rt.ticks_per_us;
    ret->ready = atomic_load_explicit(&s->n_ready, memory_order_relaxed);
}

static void sleep_or_poll(struct sched *s)
{
    uint64_t until;

    if (s->io_changed)
        io_apply(s);
    if (s->home.ready.n || has_inbox(s)) {
        if ((s->n_ios || s->base_lent) && s->w.tick - s->polled_tick > POLL_US * rt.ticks_per_us)
            io_poll(s, 0);
        return;
    }
    until = timers_next(&s->home.timers);
    if (s->home.listings.head && s->home.listing_ns < until)
        until = s->home.listing_ns;
    if (grace_is_waiting(&s->w)) {
        uint64_t soon = rt.world.now_ns() + GRACE_NS;

        until = until < soon ? until : soon;
    }
    /* The announcement comes before the last look: see inbox_push. */
    atomic_store(&s->sleeping, 1);
    if (!atomic_load(&s->inbox) && !atomic_load(&rt.stopping)) {
        grace_sleep(&s->w);
        sleep_until(s, until);
        grace_wake(&s->w);
    }
    atomic_store(&s->sleeping, 0);
}

static void go_on_listing(struct home *h)
{
    uint64_t now_ns = rt.world.now_ns();

    if (now_ns < h->listing_ns)
        return;
    listing_go_on(h);
    h->listing_ns = now_ns + LISTING_REST_NS;
}

static void round_of(struct sched *s)
{
    s->w.tick = rt_tick();
    inbox_take(s);
    if (has_timers(s))
        timers_fire(&s->home, rt.world.now_ns());
    if (s->home.listings.head)
        go_on_listing(&s->home);
    run_ready(s);
    worker_round(&s->w);
    atomic_store_explicit(&s->n_ready, s->home.ready.n, memory_order_relaxed);
    sleep_or_poll(s);
}

/*
 * A thread that has slept may keep a core for milliseconds once it works, although others of this
 * program wait for that core: with few cores those would be messages (bench_listing, /metrics).
 */
static void let_others_run(const struct sched *s)
{
    if (s == &rt.scheds[rt_scheduler_aside()] && s->home.ready.n)
        (void)sched_yield(); /* it cannot fail */
}

void *sched_main(void *arg)
{
    struct sched *s = arg;

    rt_me = &s->w;
    guard_thread_init(&s->w);
    watchdog_start(&s->w);
    while (!atomic_load_explicit(&rt.stopping, memory_order_acquire)) {
        round_of(s);
        let_others_run(s);
    }
    outbox_flush(&s->w);
    watchdog_stop(&s->w);
    guard_thread_fini(&s->w);
    rt_me = NULL;
    return NULL;
}

void sched_wake(struct sched *s)
{
    uint64_t one = 1;
    ssize_t r = write(s->wake_fd, &one, sizeof(one));

    (void)r; /* EAGAIN: it is awake already */
    atomic_fetch_add_explicit(&s->n_wakes, 1, memory_order_relaxed);
}

/* Simulation. */

static bool step_once(struct sched *s)
{
    inbox_take(s);
    io_poll_world(s);
    if (has_timers(s))
        timers_fire(&s->home, rt.world.now_ns());
    if (!s->home.ready.n)
        return false;
    visit(s, ready_pop(&s->home));
    outbox_flush(&s->w);
    return true;
}

bool rt_step(void (*advance_to_ns)(uint64_t))
{
    struct sched *s = &rt.scheds[0];
    uint64_t next;
    bool ran;

    BUG_ON(!rt.simulated || s->w.turn);
    if (rt.root_ended)
        return false;
    rt_me = &s->w;
    ran = step_once(s);
    worker_round(&s->w);
    next = ran ? UINT64_MAX : timers_next(&s->home.timers);
    rt_me = NULL;
    if (ran)
        return true;
    if (next == UINT64_MAX)
        return false;
    advance_to_ns(next);
    return true;
}

void rt_step_others(unsigned n)
{
    struct sched *s = &rt.scheds[0];
    int before = rt_region;
    uint32_t callback = s->w.callback;

    if (!rt.simulated || !s->w.turn || s->w.turn->outer)
        return;
    rt_region = REGION_RUNTIME;
    s->w.callback = callback + (callback & 1);
    while (n-- && step_once(s))
        continue;
    s->w.callback = callback;
    rt_region = before;
}
