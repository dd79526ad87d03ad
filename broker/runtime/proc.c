/*
 * proc.c - making processes, and what a process may ask about itself.
 *
 * A process is complete before its id leaves: struct and slot are there, as an embryo. One that is
 * spawned onto another home becomes ready by a CTL_START that travels in the spawner's order; what
 * arrives from others before that waits in its mailbox.
 */
#include "broker/runtime/proc.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"

#define HEAP_LIMIT_BYTES (4ULL << 30)
#define CANARY           0x0bad5eedca11ab1eULL

static const char *const kind_names[] = {
    [EXIT_NORMAL] = "normal",   [EXIT_SHUTDOWN] = "shutdown", [EXIT_KILL] = "kill",
    [EXIT_KILLED] = "killed",   [EXIT_NOPROC] = "noproc",     [EXIT_NOREPLY] = "noreply",
    [EXIT_CRASH] = "crash",     [EXIT_FAULT] = "fault",       [EXIT_WATCHDOG] = "watchdog",
    [EXIT_HEAP] = "heap limit", [EXIT_MOVED] = "moved",
};

const char *exit_kind_name(enum exit_kind kind)
{
    return (unsigned)kind <= EXIT_MOVED ? kind_names[kind] : "?";
}

void proc_check(const struct proc *p)
{
    BUG_ON(p->canary != CANARY);
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(rt_alloc(size), text, size);
}

/* Of workers that are gone, and of the root, which is made outside. */
static _Atomic int64_t live_outside;

void procs_count(struct worker *w, int64_t delta)
{
    int64_t n;

    if (!w) {
        atomic_fetch_add_explicit(&live_outside, delta, memory_order_relaxed);
        return;
    }
    n = atomic_load_explicit(&w->live_procs, memory_order_relaxed);
    atomic_store_explicit(&w->live_procs, n + delta, memory_order_relaxed);
}

struct proc *proc_make(const struct spawn *spec, struct home *h, proc_id parent)
{
    struct proc *p = rt_zalloc(sizeof(*p) + spec->ops->state_size);

    p->ops = spec->ops;
    p->home = h;
    p->parent = parent;
    p->restarts = spec->restarts;
    p->trap_exit = spec->flags & PROC_TRAP_EXIT;
    p->supervisor = spec->flags & PROC_SUPERVISOR;
    p->notify = spec->flags & PROC_NOTIFY;
    p->heap_limit = spec->heap_limit_bytes ? spec->heap_limit_bytes : HEAP_LIMIT_BYTES;
    p->name = spec->name && spec->name != spec->ops->kind ? copy_text(spec->name) : NULL;
    p->last_crash = spec->last_crash ? copy_text(spec->last_crash) : NULL;
    p->arg = spec->arg;
    p->canary = CANARY;
    procs_count(rt_me, 1);
    return p;
}

static struct home *choose_home(struct worker *w, const struct spawn *spec)
{
    unsigned n;

    if (spec->ops->flags & PROC_OPS_BLOCKING && rt.pool)
        return pool_home();
    if (spec->scheduler == SCHED_SAME && w->home)
        return w->home;
    if (spec->scheduler == SCHED_ASIDE)
        return &rt.scheds[rt_scheduler_aside()].home;
    /* A process of the pool has no scheduler of its own: SAME means any. */
    n = spec->scheduler < 0 ? w->next_any++ : (unsigned)spec->scheduler;
    return &rt.scheds[n % rt.n_even].home;
}

/* What both sides must know of a link or monitor is written down before the child can run. */
static void tie(struct proc *parent, struct proc *p, unsigned flags)
{
    if (flags & PROC_LINK)
        pairs_put(&p->links, parent->id, 1);
    if (flags & PROC_MONITOR)
        pairs_put(&p->monitors, p->id, parent->id);
}

static void tie_parent(struct proc *parent, proc_id child, unsigned flags, uint32_t shutdown_ms)
{
    if (flags & PROC_LINK)
        pairs_put(&parent->links, child, 1);
    if (flags & PROC_MONITOR)
        pairs_put(&parent->refs, child, flags & PROC_AWAITED ? 1 + (uint64_t)shutdown_ms : 0);
}

static void start_from_afar(struct home *h, proc_id id)
{
    struct msg *m = msg_make(CTL_START, sizeof(*m), NULL);

    m->flags |= MSG_F_CONTROL;
    m->ref = id;
    msg_route(id_of_home(h), m);
}

proc_id proc_spawn(const struct spawn *spec)
{
    RUNTIME_REGION();
    struct proc *parent = self();
    struct home *h = choose_home(rt_me, spec);
    struct proc *p;
    proc_id id;

    if (unlikely(spec->flags & PROC_AWAITED && parent->home->is_pool))
        misuse("a blocking process awaits no children");
    p = proc_make(spec, h, parent->id);
    p->born_us = proc_now_us();
    if (h->is_pool)
        pool_lock();
    id = slot_take(h, p, h->is_pool || h == rt_me->home);
    tie(parent, p, spec->flags);
    if (h->is_pool)
        pool_unlock();
    if (h == rt_me->home)
        ready_push(h, p);
    else
        start_from_afar(h, id);
    tie_parent(parent, id, spec->flags, spec->shutdown_ms);
    return id;
}

proc_id rt_spawn_root(const struct spawn *spec)
{
    struct home *h = &rt.scheds[0].home;
    struct worker *before = rt_me;
    struct spawn root = *spec;
    struct proc *p;
    proc_id id;

    BUG_ON(!rt.running || rt.root);
    root.flags &= ~(unsigned)(PROC_MONITOR | PROC_NOTIFY | PROC_LINK);
    if (rt.simulated)
        rt_me = &rt.scheds[0].w;
    p = proc_make(&root, h, 0);
    p->born_us = rt.world.now_ns() / 1000;
    id = slot_take(h, p, false);
    rt.root = id;
    start_from_afar(h, id);
    rt_me = before;
    return id;
}

proc_id proc_self(void)
{
    struct proc *p = self_or_null();

    return p ? p->id : 0;
}

proc_id proc_parent(void)
{
    return self()->parent;
}

const char *proc_name(void)
{
    const struct proc *p = self();

    return p->name ? p->name : p->ops->kind;
}

void proc_set_name(const char *name)
{
    RUNTIME_REGION();
    struct proc *p = self();
    char *old = p->name, *copy = copy_text(name);

    if (p->home->is_pool)
        pool_lock(); /* listings read it */
    p->name = copy;
    if (p->home->is_pool)
        pool_unlock();
    rt_free(old);
}

unsigned proc_scheduler(proc_id id)
{
    return id_home(id);
}

void proc_trap_exit(bool on)
{
    self()->trap_exit = on;
}

void proc_at_exit(void (*fn)(void *), void *arg)
{
    RUNTIME_REGION();
    struct proc *p = self();
    struct exit_hook *hook = rt_alloc(sizeof(*hook));

    *hook = (struct exit_hook){p->hooks, fn, arg};
    p->hooks = hook;
}

void proc_at_exit_cancel(void (*fn)(void *), void *arg)
{
    RUNTIME_REGION();

    for (struct exit_hook **at = &self()->hooks; *at; at = &(*at)->next) {
        struct exit_hook *hook = *at;

        if (hook->fn == fn && hook->arg == arg) {
            *at = hook->next;
            rt_free(hook);
            return;
        }
    }
}

uint64_t proc_now_us(void)
{
    RUNTIME_REGION();
    struct turn *t = rt_me ? rt_me->turn : NULL;

    if (!t)
        return rt.world.now_ns() / 1000;
    if (!t->now_us)
        t->now_us = rt.world.now_ns() / 1000;
    return t->now_us;
}

int64_t proc_wall_ms(void)
{
    RUNTIME_REGION();

    return rt.world.wall_ms();
}

uint64_t proc_random(void)
{
    RUNTIME_REGION();

    return rt.world.random();
}

void proc_secret(void *p, size_t size_bytes)
{
    uint8_t *at = p;

    RUNTIME_REGION();

    if (rt.world.secret) {
        rt.world.secret(p, size_bytes);
        return;
    }
    for (size_t i = 0; i < size_bytes; i++)
        at[i] = (uint8_t)(rt.world.random() >> 32);
}

const struct world *world(void)
{
    return &rt.world;
}

unsigned rt_schedulers(void)
{
    return rt.n_even;
}

unsigned rt_scheduler_aside(void)
{
    return rt.n_scheds - 1;
}

uint64_t rt_live_procs(void)
{
    int64_t n = atomic_load_explicit(&live_outside, memory_order_relaxed);

    for (unsigned i = 0; i < rt.n_workers; i++)
        n += atomic_load_explicit(&rt.workers[i]->live_procs, memory_order_relaxed);
    return n > 0 ? (uint64_t)n : 0;
}
