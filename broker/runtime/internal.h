/*
 * internal.h - what the files of the runtime's core call of each other. Nobody else includes it,
 * but tests of the core. Words and rules are those of internal_types.h.
 */
#ifndef BROKER_RUNTIME_INTERNAL_H
#define BROKER_RUNTIME_INTERNAL_H

#include "broker/runtime/internal_types.h"

/* pairs.c */
uint64_t *pairs_get(const struct pairs *s, uint64_t key);
void pairs_put(struct pairs *s, uint64_t key, uint64_t value);
bool pairs_del(struct pairs *s, uint64_t key, uint64_t *ret);
/* As u64map_next; start with *at = 0. */
bool pairs_next(const struct pairs *s, uint32_t *at, uint64_t *ret_key, uint64_t *ret_value);
void pairs_fini(struct pairs *s);

/* From a thread that is no worker: whether it may send now; then it must leave. */
bool outside_enter(void);
void outside_leave(void);

/* The process that runs on this thread; NULL: none. */
static inline struct proc *self_or_null(void)
{
    return rt_me && rt_me->turn ? rt_me->turn->p : NULL;
}
/* As above; a call from outside any process is a bug. */
static inline struct proc *self(void)
{
    if (unlikely(!rt_me || !rt_me->turn))
        rt_bug(__FILE__, __LINE__, "called outside any process");
    return rt_me->turn->p;
}

/* A cheap clock for budgets; rt.ticks_per_us of them make a microsecond. */
static inline uint64_t rt_tick(void)
{
#if defined(__x86_64__)
    if (likely(!rt.simulated))
        return __builtin_ia32_rdtsc();
#endif
    return rt.world.now_ns();
}

static inline unsigned id_home(proc_id id)
{
    return (unsigned)(id >> 56);
}
static inline uint32_t id_slot(proc_id id)
{
    return (uint32_t)(id >> 32) & 0xFFFFFFU;
}
static inline proc_id id_of_home(const struct home *h)
{
    return (uint64_t)h->number << 56 | (uint64_t)SLOT_HOME << 32 | 1;
}
static inline proc_id msg_to(const struct msg *m)
{
    return (proc_id)(uintptr_t)m->kept_at; /* rule 4 */
}

/* mailbox.c */
static inline void lane_push(struct lane *l, struct msg *m)
{
    m->next = NULL;
    if (l->tail)
        l->tail->next = m;
    else
        l->head = m;
    l->tail = m;
}
static inline struct msg *lane_pop(struct lane *l)
{
    struct msg *m = l->head;

    if (m) {
        l->head = m->next;
        if (!l->head)
            l->tail = NULL;
    }
    return m;
}
/* Figures that a listing may read while the process runs in the pool. */
static inline void stat_add(uint64_t *at, uint64_t n)
{
    __atomic_store_n(at, *at + n, __ATOMIC_RELAXED);
}

/* Whether a turn would find something to do. */
static inline bool proc_has_work(const struct proc *p)
{
    return p->box.high.head || (p->box.normal.head && !p->suspended);
}
void ready_push(struct home *h, struct proc *p);
/* Puts m into p's mailbox and makes p ready if it was idle. The home's owner only. */
static inline void mailbox_put(struct proc *p, struct msg *m)
{
    lane_push(m->flags & MSG_F_HIGH ? &p->box.high : &p->box.normal, m);
    p->mailbox_len++;
    if (p->run_state == RUN_IDLE && proc_has_work(p))
        ready_push(p->home, p);
}
/* Moves up to n messages in their order of handling into `to`; for the pool. */
void mailbox_take(struct proc *p, struct mailbox *to, uint32_t n);
/* Puts what a turn left back in front. */
void mailbox_return(struct proc *p, struct mailbox *from);
/* NULL: none. In the simulation the world picks. */
struct proc *ready_pop(struct home *h);

/* msg.c */
/* Drops a message addressed to `dead` (0: nobody), answering its asker with `why`. */
void msg_drop_because(struct msg *m, proc_id dead, const struct exit_reason *why);
void msg_lists_fini(struct worker *w);
/* Takes m out of its owner's list. */
static inline void msg_unkeep(struct msg *m)
{
    *m->kept_at = m->next;
    if (m->next)
        m->next->kept_at = m->kept_at;
    m->flags &= ~(uint32_t)MSG_F_KEPT;
}
/* As msg_new, but the caller owns it, no process. */
void *msg_make(uint32_t type, size_t size, void (*drop)(struct msg *));
/* A MSG_EXIT or MSG_DOWN. */
struct msg_exit *msg_exit_new(uint32_t type, const struct exit_reason *why);
extern const struct exit_reason why_noproc, why_noreply;

/* proc_send.c */
/* Sends m as it is (from, ref and flags stay) to a process or a home. Moves m. */
void msg_route(proc_id to, struct msg *m);
/* Hands a chain that came from elsewhere, oldest first, to its receivers in this home. */
void deliver_chain(struct home *h, struct msg *oldest);
void lost_come_back(struct msg *newest);
/* A control message to a home itself. Moves m. */
void home_take(struct home *h, struct msg *m);
/* Pushes all outboxes of this worker to their homes. */
void outbox_flush(struct worker *w);
proc_ref ref_new(struct worker *w, enum ref_kind kind);
void down_send(proc_id to, proc_ref ref, proc_id dead, const struct exit_reason *why);

/* slot.c */
void slots_init(struct slots *s);
void slots_fini(struct slots *s);
/* A new process's id; p is found under it at once. `own`: the caller owns the home. */
proc_id slot_take(struct home *h, struct proc *p, bool own);
/* Owner only. */
void slot_give(struct home *h, proc_id id);
/* NULL: dead. Owner only. */
static inline struct proc *slot_find(const struct home *h, proc_id id)
{
    const uint32_t n = id_slot(id);
    struct slot *chunk =
        atomic_load_explicit(&h->slots.chunk[n / SLOTS_PER_CHUNK], memory_order_acquire);
    struct slot *s;

    if (unlikely(!chunk))
        return NULL;
    s = &chunk[n % SLOTS_PER_CHUNK];
    if (atomic_load_explicit(&s->gen, memory_order_relaxed) != (uint32_t)id)
        return NULL;
    return atomic_load_explicit(&s->p, memory_order_acquire);
}
/*
 * Calls fn for each process in a part of a home's slots, from *at, which begins with 0 and is moved
 * on. false: there were none left. Owner only.
 */
bool slots_part(const struct home *h, uint32_t *at, void (*fn)(void *ctx, struct proc *p),
                void *ctx);
/* For each process of a home. */
void slots_each(const struct home *h, void (*fn)(void *ctx, struct proc *p), void *ctx);

/* proc.c */
/* The program ends if what lies before the state was written over. */
void proc_check(const struct proc *p);
/* NULL: of no worker. */
void procs_count(struct worker *w, int64_t delta);
struct proc *proc_make(const struct spawn *spec, struct home *h, proc_id parent);

/* proc_signal.c */
/* Whether m is for the handler; else the runtime took it. May end the process. */
bool control_take(struct turn *t, struct msg *m);
/* Ends waiting for ref: its timer goes. Whether it was waited for. */
bool ref_end(struct proc *p, proc_ref ref);

/* proc_exit.c */
/*
 * After the jump: gives back all the process owned and tells whoever must know. Frees p, but where
 * it lingers: then the answer is true.
 */
bool proc_teardown(struct worker *w, struct turn *t);
/* EXIT to its links, DOWN to its monitors and to those whose requests it has deferred. */
void proc_tell_others(struct proc *p, const struct exit_reason *why);
/* At the program's end: frees p, tells nobody. */
void proc_discard(struct worker *w, struct proc *p);
/* Ends the running process from inside the runtime's own code, which holds nothing. */
__attribute__((noreturn)) void exit_with(const struct exit_reason *why);
/* Ends the running process because it misused the runtime. */
__attribute__((noreturn, format(printf, 1, 2))) void misuse(const char *fmt, ...);

/* linger.c */
/* All that p owned is gone: its parent is told when its awaited children are gone, too. */
void linger_begin(struct proc *p, const struct exit_reason *why);
/* A turn of one that lingers. Leaves for the teardown when it is over. */
void linger_turn(struct turn *t);
/* Whether no awaited child is left. */
bool linger_is_over(const struct proc *p);
void linger_fini(struct proc *p);

/* heap.c */
/* Frees all blocks; false: its links were damaged, and what could not be walked was left. */
bool heap_fini(struct proc *p);

/* turn.c */
/* One visit. true: p lives on. */
bool turn_run(struct worker *w, struct proc *p, struct mailbox *box);
static inline void turn_enter(struct worker *w)
{
    w->callback++;
    rt_region = REGION_PROC;
}
/* Process code has returned or was left by a jump. */
static inline void turn_leave(struct worker *w)
{
    rt_region = REGION_RUNTIME;
    if (w->callback & 1)
        w->callback++;
    if (unlikely(rt_overdue))
        rt_overdue = 0;
}

/* sched.c */
void worker_init(struct worker *w, unsigned number, unsigned index);
void worker_fini(struct worker *w);
/* What stands between two turns: outboxes, counters, the tables' grace periods. */
void worker_round(struct worker *w);
void sched_wake(struct sched *s);
void rt_root_ended(const struct exit_reason *why);
void *sched_main(void *sched);
/* A thread with a stack of our size and a guard page. */
int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg);

/* timer.c: the home's owner only */
void timers_init(struct timers *s);
void timers_fini(struct timers *s);
void timers_add(struct timers *s, struct timer *t);
void timers_del(struct timers *s, struct timer *t);
/* Sends what is due to its owners' mailboxes. */
void timers_fire(struct home *h, uint64_t now_ns);
/* UINT64_MAX: none. */
uint64_t timers_next(const struct timers *s);
/* For the running process; the home's lock is taken where there is one. */
struct timer *timer_start(struct proc *p, proc_ref ref, uint64_t delay_us, bool coarse);
void timer_stop(struct proc *p, struct timer *t);

/* pool.c */
int pool_init(unsigned n_threads);
void pool_fini(void);
int pool_start(void);
void pool_stop(void);
struct home *pool_home(void);
void pool_lock(void);
void pool_unlock(void);
/* Whether a sleeper must hear of a new earliest timer. Under the lock. */
void pool_wake_one(void);
/* Delivers a chain, newest first, from any thread. */
void pool_push(struct msg *newest);

/* io.c */
int io_sched_init(struct sched *s);
void io_sched_fini(struct sched *s);
/* Offers descriptors to their owners again, and carries out changes of interest. */
void io_apply(struct sched *s);
/* Takes events; waits at most until `until_ns` (0: does not wait, UINT64_MAX: no limit). */
void io_poll(struct sched *s, uint64_t until_ns);
/* Simulation: asks the world what is ready. */
void io_poll_world(struct sched *s);
void io_fini(struct proc *p);
/* A MSG_IO was taken by its owner; false: it is of no interest any more. */
bool io_taken(struct msg *m);

/* registry.c */
void registry_forget(struct proc *p);

/* grace.c */
void grace_round(struct worker *w);
void grace_sleep(struct worker *w);
void grace_wake(struct worker *w);
bool grace_is_waiting(const struct worker *w);
/* The program ends or stands still: nobody reads any more. */
void grace_finish(struct worker *w);

/* blob.c */
void blob_flush(struct worker *w);

/* guard.c, watchdog.c */
#define SIGNO_WATCHDOG (-1) /* turn.signo when no signal but the watchdog ended it */
int guard_install(void);
int watchdog_install(void);
/* From a signal handler in region PROC: leaves for the turn. */
_Noreturn void guard_jump(int signo, uintptr_t addr, const void *context);
/* The program's last words in a signal handler. */
void guard_fatal(const char *what, const void *context);
void guard_thread_init(struct worker *w);
void guard_thread_fini(struct worker *w);
void watchdog_start(struct worker *w);
void watchdog_stop(struct worker *w);
/* Return addresses of the callers of the frame at `fp`, which began in `pc`. */
int frames_take(void **ret, int max, void *pc, void *fp);
#define FRAMES_HERE(t) \
    ((t)->n_frames = frames_take((t)->frames, MAX_FRAMES, NULL, __builtin_frame_address(0)))

/* crash.c */
/* After a fault: makes the reason of what the signal handler noted. */
void crash_complete(struct turn *t);
/* Notes what the teardown will change, then tells on_crash. */
void crash_note(struct turn *t);
void crash_tell(struct turn *t, bool leaked);
/* Writes text straight to stderr; safe in a signal handler. */
void crash_write(const char *text);

/* inspect.c */
void inspect_answer(struct turn *t, struct msg *m);
/*
 * Adds this home's processes to a listing: all at once, or for about 50 us each time that
 * listing_go_on is called, while h->listings has some. Moves m.
 */
void listing_take(struct home *h, struct msg *m);
void listing_go_on(struct home *h);

/* inject.c */
/* Whether processes of this kind are to die in init. */
bool inject_wants_init(const char *kind);
void inject_fault(enum rt_fault how);

#endif
