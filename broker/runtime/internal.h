/*
 * internal.h - what the files of the runtime's core share. Nobody else includes it.
 *
 * Words: a *worker* is a thread that runs processes. A *home* is where a process lives: a scheduler
 * (one worker, no lock) or the pool of blocking processes (many workers, one lock). A *turn* is one
 * visit of a worker to a process, under one sigsetjmp.
 *
 * Who may touch what (rule numbers are cited in the code):
 *  1. A struct proc belongs to its home: to the scheduler's thread, or to whoever holds the pool's
 *     lock. While it is RUNNING in the pool, all but `box`, `mailbox_len` and `run_state` belong to
 *     the thread that runs it.
 *  2. A slot's generation changes only when its owner frees it; so an id whose generation matches
 *     names a living process.
 *  3. What a thread sends to one home stays in order: it goes through one outbox, and everything
 *     travels there: messages, replies, exit signals, starts.
 *  4. A message in transit keeps its receiver's id in kept_at, which only kept messages use else.
 */
#ifndef BROKER_RUNTIME_INTERNAL_H
#define BROKER_RUNTIME_INTERNAL_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "broker/runtime/proc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/u64map.h"
#include "broker/runtime/world.h"

#if defined(__has_feature)
#define RT_HAS(feature) __has_feature(feature)
#else
#define RT_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || RT_HAS(address_sanitizer)
#define RT_ASAN 1
#else
#define RT_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || RT_HAS(thread_sanitizer)
#define RT_TSAN 1
#else
#define RT_TSAN 0
#endif
#define RT_SANITIZED (RT_ASAN || RT_TSAN)

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Control messages: part of the same order as all others, but taken by the runtime itself. */
enum {
    CTL_FIRST = 16,
    CTL_LINK = CTL_FIRST, /* from: who links */
    CTL_UNLINK,
    CTL_MONITOR,   /* from: the watcher, ref: its own */
    CTL_DEMONITOR,
    CTL_SUSPEND,
    CTL_RESUME,
    CTL_INSPECT,   /* a call */
    CTL_INJECT,    /* ref: enum rt_fault */
    CTL_START,     /* to a home: ref is the new process's id */
    CTL_LIST,      /* to a home: struct list_job */
    CTL_LAST = CTL_LIST,
};

/* More bits of msg.flags. The size class of a message's memory stands in the topmost bits. */
enum {
    MSG_F_CONTROL = 1 << 5, /* CTL_*: a drop may have to be answered */
    MSG_F_LINK = 1 << 6,    /* a MSG_EXIT that came over a link */
    MSG_F_SIGNAL = 1 << 7,  /* a MSG_EXIT made by the runtime */
    MSG_CLASS_SHIFT = 24,
};

enum run_state { RUN_EMBRYO, RUN_IDLE, RUN_READY, RUN_RUNNING };

#define POOL_NUMBER 255U
#define SLOT_HOME   0xFFFFFFU /* in an id: the home itself */
#define TURN_MSGS   64
#define TURN_US     200
#define MAX_FRAMES  24
#define GRACE_NS    5000000ULL /* how long a sleeper leaves retired nodes lying at most */
#define FLUSH_AFTER 32 /* messages in a worker's outboxes */

/* A map that owns no memory while it holds one pair. Keys are nonzero. See pairs.c. */
struct pairs {
    uint64_t key, value;
    struct u64map *more;
};
uint64_t *pairs_get(const struct pairs *s, uint64_t key);
void pairs_put(struct pairs *s, uint64_t key, uint64_t value);
bool pairs_del(struct pairs *s, uint64_t key, uint64_t *ret);
/* As u64map_next; start with *at = 0. */
bool pairs_next(const struct pairs *s, uint32_t *at, uint64_t *ret_key, uint64_t *ret_value);
void pairs_fini(struct pairs *s);

struct lane {
    struct msg *head, *tail;
};

struct mailbox {
    struct lane high, normal;
};

struct io;
struct block;
struct exit_hook {
    struct exit_hook *next;
    void (*fn)(void *);
    void *arg;
};

struct proc {
    proc_id id;
    const struct proc_ops *ops;
    struct home *home;
    struct proc *next_ready;
    struct mailbox box;
    uint32_t mailbox_len;
    uint32_t restarts;
    uint8_t run_state; /* enum run_state */
    bool started, trap_exit, suspended, supervisor, notify, has_continue;
    proc_id parent;
    struct pairs refs;     /* what it waits for: ref -> see ref_kind() */
    struct pairs links;    /* id -> 1 */
    struct pairs monitors; /* the watcher's ref -> the watcher */
    struct pairs deferred; /* the asker's ref -> the asker */
    struct msg *kept;
    struct block *heap;
    size_t heap_bytes, heap_limit;
    struct io *ios;
    struct exit_hook *hooks;
    char *name, *last_crash; /* NULL: none */
    uint32_t n_names;        /* registered */
    struct blob *arg;                     /* until init has returned */
    uint64_t born_us, handled;
    uint64_t canary; /* what lies before the state: a wild write downwards shows here */
    alignas(max_align_t) unsigned char state[];
};

/* Where a ref's value leads: REF_CALL a struct timer or NULL_TIMER, REF_TIMER a struct timer,
 * REF_MONITOR the id watched, REF_NAME nowhere (NULL_TIMER). */
enum ref_kind { REF_CALL, REF_TIMER, REF_MONITOR, REF_NAME };
#define REF_TAG    0xFEU /* no scheduler has this number, so no id looks like a ref */
#define NULL_TIMER 1U
static inline enum ref_kind ref_kind(proc_ref ref)
{
    return ref >> 56 == REF_TAG ? (enum ref_kind)(ref >> 54 & 3) : REF_MONITOR;
}

struct slot {
    struct proc *_Atomic p;
    _Atomic uint32_t gen;
    uint32_t next_free;
};
#define SLOTS_PER_CHUNK 1024U
#define SLOT_CHUNKS     16384U
#define NO_SLOT         UINT32_MAX

struct slots {
    struct slot *_Atomic *chunk; /* SLOT_CHUNKS of them; chunks never move */
    pthread_mutex_t lock;        /* n_used and shared_free */
    uint32_t n_used, shared_free;
    uint32_t own_free, n_own_free; /* the owner's, without the lock */
};

struct timer {
    struct msg msg; /* MSG_TIMEOUT, sent when it fires */
    uint64_t deadline_ns;
    struct proc *owner;
    uint32_t at; /* index in the heap, or TIMER_* */
    bool coarse;
    struct timer *next, **prev; /* in the wheel */
};
enum { TIMER_FIRED = UINT32_MAX, TIMER_WHEEL = UINT32_MAX - 1 };
#define WHEEL_SLOTS   512U
#define WHEEL_GRAIN_NS 250000000ULL

struct timers {
    struct heap_entry {
        uint64_t deadline_ns;
        struct timer *t;
    } *heap;
    uint32_t n, capacity;
    uint32_t n_wheel;
    uint64_t wheel_tick; /* all before it has fired */
    struct timer **wheel;
};

struct ready {
    struct proc *head, *tail;
    uint32_t n;
};

struct home {
    unsigned number; /* in ids */
    bool is_pool;
    struct slots slots;
    struct ready ready;
    struct timers timers;
};

struct outbox {
    struct msg *newest, *oldest; /* linked from the newest to the oldest */
};

#define MSG_CLASSES   9 /* of 64 bytes each; 0: none */
#define MSG_CLASS_MAX 256 /* messages kept for the next use */
struct free_list {
    struct msg *head;
    uint32_t n;
};

struct grace_item {
    struct grace_item *next;
    void (*fn)(void *);
    void *p;
};

struct worker {
    struct turn *turn; /* NULL: between turns */
    unsigned number;   /* of its scheduler; above 255 in the pool */
    unsigned index;    /* among all workers */
    struct home *home; /* NULL in the pool */
    struct sched *sched;
    bool muted;        /* the program ends: what is sent is dropped, nothing is answered */
    bool flush_soon;
    uint32_t n_unflushed;
    struct outbox *out; /* one for each scheduler, then the pool's */
    uint64_t next_ref;
    uint32_t next_any; /* SCHED_ANY goes round */
    uint64_t tick;     /* rt_tick() some turns ago */
    struct free_list msgs[MSG_CLASSES];
    _Atomic int64_t live_msgs, live_procs; /* written by this worker alone; summed up */
    int64_t blob_delta;
    struct grace_item *retiring, **retiring_end, *waiting;
    uint64_t *waiting_for; /* epochs of all workers when `waiting` was closed */
    _Atomic uint64_t epoch; /* odd: between turns and asleep */
    volatile uint32_t callback; /* odd while process code runs; the watchdog compares */
    uint32_t watch_seen, watch_ticks;
    timer_t watchdog;
    bool has_watchdog;
    uint8_t *scratch;
    char *inspect_text;
    pthread_t thread;
    void *signal_stack;
    stack_t old_signal_stack;
    uintptr_t stack_low, stack_high;
};

struct turn {
    sigjmp_buf jump;
    struct proc *p;
    struct msg *msg;     /* lent to the handler; NULL once it was sent on, kept or dropped */
    struct turn *outer;  /* of a turn inside a blocking callback (simulation only) */
    struct mailbox *box; /* where this turn takes messages from */
    uint32_t n, msg_type;
    uint64_t start_tick; /* 0: not read yet */
    uint64_t now_us;     /* 0: not read yet for this message */
    struct exit_reason why;
    bool ending; /* in teardown: nothing may exit any more */
    int signo;   /* of a fault; 0: none */
    uintptr_t fault_addr;
    size_t heap_bytes; /* crash_note */
    uint32_t mailbox_len;
    int n_frames;
    void *frames[MAX_FRAMES];
};

struct sched {
    struct home home;
    struct worker w;
    struct event_base *base;
    struct event *wake, *alarm;
    int wake_fd, timer_fd;
    uint64_t alarm_ns; /* what timer_fd is set to */
    bool base_lent;    /* others have events on it, too */
    uint32_t n_ios;
    struct io *io_changed, *io_list; /* io_list: simulation only */
    uint64_t polled_tick;
    _Atomic uint64_t n_wakes; /* eventfd writes; for tests */
    alignas(64) struct msg *_Atomic inbox;
    _Atomic int sleeping;
};

/* The runtime's only global state; sched.c. */
struct rt {
    bool running, simulated;
    struct rt_config config;
    struct world world;
    unsigned n_scheds, n_workers, n_pool;
    struct sched *scheds;
    struct pool *pool;
    struct worker **workers;
    uint64_t ticks_per_us;
    _Atomic bool stopping;
    proc_id root;
    pthread_mutex_t lock; /* the root's end */
    pthread_cond_t ended;
    bool root_ended;
    struct exit_reason root_why;
    sigset_t mask; /* of signals, as all threads have it */
};
extern struct rt rt;
extern _Thread_local struct worker *rt_me;

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
    struct slot *chunk = atomic_load_explicit(&h->slots.chunk[n / SLOTS_PER_CHUNK],
                                              memory_order_acquire);
    struct slot *s;

    if (unlikely(!chunk))
        return NULL;
    s = &chunk[n % SLOTS_PER_CHUNK];
    if (atomic_load_explicit(&s->gen, memory_order_relaxed) != (uint32_t)id)
        return NULL;
    return atomic_load_explicit(&s->p, memory_order_acquire);
}
/* Calls fn for each process of a home. Owner only. */
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
/* After the jump: gives back all the process owned and tells whoever must know. Frees p. */
void proc_teardown(struct worker *w, struct turn *t);
/* At the program's end: frees p, tells nobody. */
void proc_discard(struct worker *w, struct proc *p);
/* Ends the running process from inside the runtime's own code, which holds nothing. */
__attribute__((noreturn)) void exit_with(const struct exit_reason *why);
/* Ends the running process because it misused the runtime. */
__attribute__((noreturn, format(printf, 1, 2))) void misuse(const char *fmt, ...);

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
/* Adds this home's processes to a listing and drops m. */
void list_take(struct home *h, struct msg *m);

/* inject.c */
/* Whether processes of this kind are to die in init. */
bool inject_wants_init(const char *kind);
void inject_fault(enum rt_fault how);

#endif
