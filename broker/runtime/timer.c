/*
 * timer.c - a 4-ary heap for precise timers, a hashed wheel of 250 ms for coarse ones.
 *
 * The timer is itself the message it sends, so that firing allocates nothing. A timer belongs to
 * its process until it has fired; then the mailbox owns it, and the process's table of refs decides
 * whether the message is still wanted.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

#define ARITY 4U

void timers_init(struct timers *s)
{
    *s = (struct timers){0};
}

void timers_fini(struct timers *s)
{
    rt_free(s->heap);
    rt_free(s->wheel);
    *s = (struct timers){0};
}

static inline void place(struct timers *s, uint32_t at, struct heap_entry e)
{
    s->heap[at] = e;
    e.t->at = at;
}

static void sift_up(struct timers *s, uint32_t at, struct heap_entry e)
{
    while (at) {
        uint32_t up = (at - 1) / ARITY;

        if (s->heap[up].deadline_ns <= e.deadline_ns)
            break;
        place(s, at, s->heap[up]);
        at = up;
    }
    place(s, at, e);
}

static uint32_t least_child(const struct timers *s, uint32_t at)
{
    uint32_t first = at * ARITY + 1, least = first;

    for (uint32_t i = first + 1; i < first + ARITY && i < s->n; i++) {
        if (s->heap[i].deadline_ns < s->heap[least].deadline_ns)
            least = i;
    }
    return least;
}

static void sift_down(struct timers *s, uint32_t at, struct heap_entry e)
{
    while (at * ARITY + 1 < s->n) {
        uint32_t child = least_child(s, at);

        if (s->heap[child].deadline_ns >= e.deadline_ns)
            break;
        place(s, at, s->heap[child]);
        at = child;
    }
    place(s, at, e);
}

static void heap_add(struct timers *s, struct timer *t)
{
    if (s->n == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 64;
        s->heap = rt_realloc(s->heap, s->capacity * sizeof(*s->heap));
    }
    sift_up(s, s->n++, (struct heap_entry){t->deadline_ns, t});
}

static void heap_del(struct timers *s, uint32_t at)
{
    struct heap_entry last = s->heap[--s->n];

    if (at == s->n)
        return;
    if (at && s->heap[(at - 1) / ARITY].deadline_ns > last.deadline_ns)
        sift_up(s, at, last);
    else
        sift_down(s, at, last);
}

/* Always a tick still to come, also for a deadline that is now. */
static uint64_t wheel_tick_of(uint64_t deadline_ns)
{
    return deadline_ns / WHEEL_GRAIN_NS + 1;
}

static void wheel_add(struct timers *s, struct timer *t)
{
    struct timer **slot;

    if (!s->wheel)
        s->wheel = rt_zalloc(WHEEL_SLOTS * sizeof(struct timer *));
    if (!s->n_wheel)
        s->wheel_tick = rt.world.now_ns() / WHEEL_GRAIN_NS;
    slot = &s->wheel[wheel_tick_of(t->deadline_ns) % WHEEL_SLOTS];
    t->next = *slot;
    t->prev = slot;
    if (t->next)
        t->next->prev = &t->next;
    *slot = t;
    t->at = TIMER_WHEEL;
    s->n_wheel++;
}

static void wheel_del(struct timers *s, struct timer *t)
{
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    s->n_wheel--;
}

void timers_add(struct timers *s, struct timer *t)
{
    if (t->coarse)
        wheel_add(s, t);
    else
        heap_add(s, t);
}

void timers_del(struct timers *s, struct timer *t)
{
    if (t->at == TIMER_WHEEL)
        wheel_del(s, t);
    else
        heap_del(s, t->at);
}

static void fire(struct timer *t)
{
    t->at = TIMER_FIRED;
    mailbox_put(t->owner, &t->msg);
}

static void wheel_fire_slot(struct timers *s, uint64_t slot, uint64_t now_tick)
{
    struct timer *t = s->wheel[slot % WHEEL_SLOTS];

    while (t) {
        struct timer *next = t->next;

        if (wheel_tick_of(t->deadline_ns) <= now_tick) {
            wheel_del(s, t);
            fire(t);
        }
        t = next;
    }
}

static void wheel_fire(struct timers *s, uint64_t now_ns)
{
    uint64_t now_tick = now_ns / WHEEL_GRAIN_NS, from = s->wheel_tick + 1;

    if (!s->n_wheel || now_tick < from)
        return;
    if (now_tick - from >= WHEEL_SLOTS)
        from = now_tick - WHEEL_SLOTS + 1;
    for (uint64_t tick = from; tick <= now_tick; tick++)
        wheel_fire_slot(s, tick, now_tick);
    s->wheel_tick = now_tick;
}

void timers_fire(struct home *h, uint64_t now_ns)
{
    struct timers *s = &h->timers;

    while (s->n && s->heap[0].deadline_ns <= now_ns) {
        struct timer *t = s->heap[0].t;

        heap_del(s, 0);
        fire(t);
    }
    wheel_fire(s, now_ns);
}

static bool slot_is_due(const struct timers *s, uint64_t tick)
{
    for (const struct timer *t = s->wheel[tick % WHEEL_SLOTS]; t; t = t->next) {
        if (wheel_tick_of(t->deadline_ns) <= tick)
            return true;
    }
    return false;
}

uint64_t timers_next(const struct timers *s)
{
    uint64_t next = s->n ? s->heap[0].deadline_ns : UINT64_MAX;
    uint64_t last = s->wheel_tick + WHEEL_SLOTS;

    if (!s->n_wheel)
        return next;
    for (uint64_t tick = s->wheel_tick + 1; tick <= last; tick++) {
        if (tick * WHEEL_GRAIN_NS >= next)
            return next;
        if (slot_is_due(s, tick) || tick == last)
            return tick * WHEEL_GRAIN_NS;
    }
    return next;
}

static void timer_drop(struct msg *m)
{
    rt_free(m); /* the first member of a struct timer */
}

struct timer *timer_start(struct proc *p, proc_ref ref, uint64_t delay_us, bool coarse)
{
    struct timer *t = rt_zalloc(sizeof(*t));
    uint64_t now_ns = rt.world.now_ns();

    t->msg.type = MSG_TIMEOUT;
    t->msg.flags = MSG_F_ANSWERS | MSG_F_HIGH;
    t->msg.drop = timer_drop;
    t->msg.from = p->id;
    t->msg.ref = ref;
    t->owner = p;
    t->coarse = coarse;
    t->deadline_ns =
        delay_us < (UINT64_MAX - now_ns) / 1000 ? now_ns + delay_us * 1000 : UINT64_MAX;
    if (!p->home->is_pool) {
        timers_add(&p->home->timers, t);
        return t;
    }
    pool_lock();
    timers_add(&p->home->timers, t);
    if (timers_next(&p->home->timers) >= t->deadline_ns)
        pool_wake_one();
    pool_unlock();
    return t;
}

void timer_stop(struct proc *p, struct timer *t)
{
    bool fired;

    if (p->home->is_pool)
        pool_lock();
    fired = t->at == TIMER_FIRED;
    if (!fired)
        timers_del(&p->home->timers, t);
    if (p->home->is_pool)
        pool_unlock();
    /* A fired one lies in the mailbox, which drops it when it comes to it. */
    if (!fired)
        rt_free(t);
}

static proc_ref timer_new(uint64_t delay_us, bool coarse)
{
    struct proc *p = self();
    proc_ref ref = ref_new(rt_me, REF_TIMER);

    pairs_put(&p->refs, ref, (uintptr_t)timer_start(p, ref, delay_us, coarse));
    return ref;
}

proc_ref proc_timer(uint64_t delay_us)
{
    RUNTIME_REGION();

    return timer_new(delay_us, false);
}

proc_ref proc_timer_coarse(uint64_t delay_us)
{
    RUNTIME_REGION();

    return timer_new(delay_us, true);
}
