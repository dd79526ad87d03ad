/*
 * pool.c - the home of blocking processes: threads that may wait for a disk.
 *
 * One lock guards the slots, mailboxes, ready queue and timers of all blocking processes; whichever
 * thread is free does what a scheduler does. A turn runs outside the lock, on messages taken out
 * beforehand, with outboxes of its own. A process runs on one thread at a time.
 *
 * Nobody waits for another one's disk: a thread begins a turn only when another one is free, and
 * starts one where none is, as long as there are fewer than the bound. Beyond it processes take
 * turns in the order in which they became ready. Threads that were started stay.
 */
#include <time.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

struct pool {
    struct home home;
    pthread_mutex_t lock;
    pthread_cond_t work;
    unsigned n;          /* threads that there may be */
    unsigned n_started;  /* workers[0..n_started) have a thread */
    unsigned n_sleeping; /* of them, for want of work */
    unsigned n_starting; /* of them, not yet come to look for work */
    bool stop;
    struct worker *workers;
};

struct home *pool_home(void)
{
    return rt.pool ? &rt.pool->home : NULL;
}

void pool_lock(void)
{
    pthread_mutex_lock(&rt.pool->lock);
}

void pool_unlock(void)
{
    pthread_mutex_unlock(&rt.pool->lock);
}

void pool_wake_one(void)
{
    if (rt.pool->n_sleeping)
        pthread_cond_signal(&rt.pool->work);
}

/* Under the lock. What finds nobody is linked into *lost. */
static void pool_deliver(struct home *h, struct msg *m, struct msg **lost)
{
    struct proc *p = slot_find(h, msg_to(m));

    if (p) {
        mailbox_put(p, m);
    } else if (id_slot(msg_to(m)) == SLOT_HOME) {
        home_take(h, m);
    } else {
        m->next = *lost;
        *lost = m;
    }
}

static struct msg *reversed(struct msg *m)
{
    struct msg *before = NULL;

    while (m) {
        struct msg *next = m->next;

        m->next = before;
        before = m;
        m = next;
    }
    return before;
}

void pool_push(struct msg *newest)
{
    struct pool *q = rt.pool;
    struct msg *m = reversed(newest), *lost = NULL;
    uint32_t ready;

    pool_lock();
    ready = q->home.ready.n;
    while (m) {
        struct msg *next = m->next;

        pool_deliver(&q->home, m, &lost);
        m = next;
    }
    ready = q->home.ready.n - ready;
    for (unsigned i = 0; i < ready && i < q->n_sleeping; i++)
        pthread_cond_signal(&q->work);
    pool_unlock();
    if (lost && rt_me && rt_me->number < rt.n_scheds) {
        lost_come_back(lost);
        return;
    }
    /* Outside the lock, because a drop may send. */
    for (m = reversed(lost); m;) {
        struct msg *next = m->next;

        msg_drop_because(m, msg_to(m), &why_noproc);
        m = next;
    }
}

/* Under the lock. */
static void pool_sleep(struct pool *q, struct worker *w)
{
    uint64_t until = timers_next(&q->home.timers);
    struct timespec ts;

    if (grace_is_waiting(w)) {
        uint64_t soon = rt.world.now_ns() + GRACE_NS;

        until = until < soon ? until : soon;
    }
    ts = (struct timespec){.tv_sec = (time_t)(until / 1000000000),
                           .tv_nsec = (long)(until % 1000000000)};
    q->n_sleeping++;
    grace_sleep(w);
    if (until == UINT64_MAX)
        pthread_cond_wait(&q->work, &q->lock);
    else
        pthread_cond_timedwait(&q->work, &q->lock, &ts);
    grace_wake(w);
    q->n_sleeping--;
}

static void *pool_main(void *arg);

/* Under the lock; false where the system gives no thread, which is tried again with the next turn.
 */
static bool start_one(struct pool *q)
{
    struct worker *w = &q->workers[q->n_started];

    if (thread_start(&w->thread, pool_main, w) < 0)
        return false;
    q->n_started++;
    q->n_starting++;
    return true;
}

/* Under the lock, before a turn that may take long. */
static void keep_one_free(struct pool *q)
{
    if (q->n_sleeping + q->n_starting == 0 && q->n_started < q->n && !q->stop)
        (void)start_one(q); /* without it the next process waits for a turn's end */
}

/* Called and left with the lock held. */
static void visit(struct pool *q, struct worker *w, struct proc *p)
{
    struct mailbox box = {0};
    bool lives;

    p->run_state = RUN_RUNNING;
    mailbox_take(p, &box, TURN_MSGS);
    keep_one_free(q);
    if (q->home.ready.n)
        pool_wake_one();
    pool_unlock();
    lives = turn_run(w, p, &box);
    worker_round(w);
    pool_lock();
    if (!lives)
        return;
    mailbox_return(p, &box);
    if (proc_has_work(p))
        ready_push(&q->home, p);
    else
        p->run_state = RUN_IDLE;
}

/* A lone process in a tight loop must not keep the epoch of a thread with nothing retired. */
static void *pool_main(void *arg)
{
    struct worker *w = arg;
    struct pool *q = rt.pool;
    struct proc *p;

    rt_me = w;
    guard_thread_init(w);
    watchdog_start(w);
    pool_lock();
    q->n_starting--;
    grace_wake(w);
    while (!q->stop) {
        if (q->home.timers.n || q->home.timers.n_wheel)
            timers_fire(&q->home, rt.world.now_ns());
        p = ready_pop(&q->home);
        if (p) {
            visit(q, w, p);
            continue;
        }
        pool_sleep(q, w);
        if (grace_is_waiting(w)) {
            pool_unlock();
            worker_round(w);
            pool_lock();
        }
    }
    pool_unlock();
    watchdog_stop(w);
    guard_thread_fini(w);
    rt_me = NULL;
    return NULL;
}

/* A worker without a thread is, to those who free memory, one that sleeps. */
int pool_init(unsigned n_threads)
{
    struct pool *q = rt_zalloc(sizeof(*q));
    pthread_condattr_t attr;

    rt.pool = q;
    q->home.number = POOL_NUMBER;
    q->home.is_pool = true;
    q->n = n_threads;
    slots_init(&q->home.slots);
    timers_init(&q->home.timers);
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->work, &attr);
    pthread_condattr_destroy(&attr);
    q->workers = rt_zalloc(n_threads * sizeof(*q->workers));
    for (unsigned i = 0; i < n_threads; i++) {
        worker_init(&q->workers[i], POOL_NUMBER + 1 + i, rt.n_scheds + i);
        grace_sleep(&q->workers[i]);
    }
    return 0;
}

int pool_start(void)
{
    pool_lock();
    BUG_ON(!start_one(rt.pool)); /* the schedulers run already: there is no way back */
    pool_unlock();
    return 0;
}

void pool_stop(void)
{
    pool_lock();
    rt.pool->stop = true;
    pthread_cond_broadcast(&rt.pool->work);
    pool_unlock();
    for (unsigned i = 0; i < rt.pool->n_started; i++)
        pthread_join(rt.pool->workers[i].thread, NULL);
}

void pool_fini(void)
{
    struct pool *q = rt.pool;

    timers_fini(&q->home.timers);
    slots_fini(&q->home.slots);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->work);
    rt_free(q->workers);
    rt_free(q);
    rt.pool = NULL;
}
