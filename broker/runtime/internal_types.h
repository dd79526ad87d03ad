/*
 * internal_types.h - the structs that the files of the runtime's core share.
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
#ifndef BROKER_RUNTIME_INTERNAL_TYPES_H
#define BROKER_RUNTIME_INTERNAL_TYPES_H

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
    CTL_MONITOR, /* from: the watcher, ref: its own */
    CTL_DEMONITOR,
    CTL_SUSPEND,
    CTL_RESUME,
    CTL_INSPECT, /* a call */
    CTL_INJECT,  /* ref: enum rt_fault */
    CTL_START,   /* to a home: ref is the new process's id */
    CTL_LIST,    /* to a home: struct list_job */
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
#define FLUSH_AFTER 32         /* messages in a worker's outboxes */

/* A map that owns no memory while it holds one pair. Keys are nonzero. See pairs.c. */
struct pairs {
    uint64_t key, value;
    struct u64map *more;
};

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
    char *name, *last_crash;  /* NULL: none */
    uint32_t n_names;         /* registered */
    bool has_awaited;         /* a name: it may wait still */
    struct lingering *linger; /* it has ended, but awaited children have not; else NULL */
    struct blob *arg;         /* until init has returned */
    uint64_t born_us, handled;
    uint64_t canary; /* what lies before the state: a wild write downwards shows here */
    alignas(max_align_t) unsigned char state[];
};

/* Where a ref's value leads: REF_CALL a struct timer or NULL_TIMER, REF_TIMER a struct timer,
 * REF_MONITOR the id watched, REF_NAME nowhere (NULL_TIMER). A child's id is the ref of the monitor
 * that it was spawned with, and leads to 0, or for an awaited one to 1 + its shutdown_ms. */
enum ref_kind { REF_CALL, REF_TIMER, REF_MONITOR, REF_NAME };
#define REF_TAG    0xFEU /* no scheduler has this number, so no id looks like a ref */
#define NULL_TIMER 1U
static inline bool ref_is_child(proc_ref ref)
{
    return ref >> 56 != REF_TAG;
}
static inline bool ref_is_awaited(proc_ref ref, uint64_t value)
{
    return ref_is_child(ref) && value;
}
/* Of a REF_MONITOR. */
static inline proc_id ref_watched(proc_ref ref, uint64_t value)
{
    return ref_is_child(ref) ? ref : value;
}
static inline enum ref_kind ref_kind(proc_ref ref)
{
    return ref >> 56 == REF_TAG ? (enum ref_kind)(ref >> 54 & 3) : REF_MONITOR;
}

struct lingering { /* see linger.c */
    struct exit_reason why;
    struct timer *timer; /* NULL: it has fired */
    uint64_t waited_ms;  /* since the end, when the timer fires */
    bool is_last;        /* then nobody is waited for any more */
};

struct slot {
    struct proc *_Atomic p;
    _Atomic uint32_t gen;
    uint32_t next_free;
};
#define SLOTS_PER_CHUNK 1024U
#define SLOTS_PER_PART  32U /* those of a chunk are a number of parts */
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
#define WHEEL_SLOTS    512U
#define WHEEL_GRAIN_NS 250000000ULL

struct timers {
    struct heap_entry {
        uint64_t deadline_ns;
        struct timer *t;
    } * heap;
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
    struct lane listings; /* CTL_LIST, under way here; see inspect.c */
    uint64_t listing_ns;  /* when they go on */
};

struct outbox {
    struct msg *newest, *oldest; /* linked from the newest to the oldest */
};

#define MSG_CLASSES   9   /* of 64 bytes each; 0: none */
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
    bool muted; /* the program ends: what is sent is dropped, nothing is answered */
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
    uint64_t *waiting_for;      /* epochs of all workers when `waiting` was closed */
    _Atomic uint64_t epoch;     /* odd: between turns and asleep */
    volatile uint32_t callback; /* odd while process code runs; the watchdog compares */
    uint32_t watch_seen, watch_ticks;
    timer_t watchdog;
    bool has_watchdog;
    uint8_t *scratch, *scratch_coded;
    struct memo *memo;
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
    _Atomic uint64_t slept_ticks;
    _Atomic uint32_t n_ready; /* home.ready.n, for others to read */
    alignas(64) struct msg *_Atomic inbox;
    _Atomic int sleeping;
};

/* The runtime's only global state; sched.c. */
struct rt {
    bool running, simulated;
    struct rt_config config;
    struct world world;
    uint64_t number; /* rt_run */
    unsigned n_scheds, n_workers, n_pool;
    unsigned n_even; /* schedulers but the one aside, over which SCHED_ANY goes round */
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

#endif
