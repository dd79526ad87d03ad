/*
 * proc.h - processes: private state, a private heap, a mailbox, links, monitors, exit reasons.
 *
 * A process sees one message at a time and never waits inside a handler. Nobody else holds a
 * pointer into its memory; it is named by a proc_id, which is never used again, so that a stale id
 * means a dead process and not a bug. Sending moves the message.
 *
 * All functions here are called from process code (init, handle, flush, terminate) unless they say
 * otherwise; each marks its own region as RUNTIME, so that a fault inside it ends the program and
 * not just the process.
 */
#ifndef BROKER_RUNTIME_PROC_H
#define BROKER_RUNTIME_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/msg.h"

struct blob;

/* KILL is only ever a signal; its victim dies of KILLED, which its links may trap. */
enum exit_kind {
    EXIT_NORMAL,
    EXIT_SHUTDOWN,
    EXIT_KILL,
    EXIT_KILLED,
    EXIT_NOPROC,  /* DOWN of a process that was dead before */
    EXIT_NOREPLY, /* DOWN of a call whose request was dropped unanswered */
    EXIT_CRASH,   /* CHECK or proc_exit */
    EXIT_FAULT,   /* SIGSEGV, SIGBUS, SIGFPE, SIGILL, stack overflow */
    EXIT_WATCHDOG,
    EXIT_HEAP,  /* over its heap quota */
    EXIT_MOVED, /* planned move to another scheduler; not counted as a restart */
};

struct exit_reason { /* travels by value; owns nothing */
    enum exit_kind kind;
    int code; /* the module's own: -errno, a signal number, or a protocol's reply code */
    int line; /* 0 when there is no place */
    const char *file;
    char text[104];
};

/* Whether a transient child that ended so is left alone. */
static inline bool exit_is_normal(const struct exit_reason *why)
{
    return why->kind == EXIT_NORMAL || why->kind == EXIT_SHUTDOWN;
}
const char *exit_kind_name(enum exit_kind kind);

struct msg_exit { /* MSG_EXIT and MSG_DOWN; hdr.from is who ended */
    struct msg hdr;
    struct exit_reason why;
};

/* The behaviour contract: what a module gives, and when it is called. */
struct proc_ops {
    const char *kind; /* "queue", "connection"; for reports and fault injection */
    size_t state_size;
    unsigned flags; /* PROC_OPS_BLOCKING */

    /*
     * The process's first turn, on its own scheduler. `state` is zeroed; `arg` is the bytes of the
     * blob given at spawn (NULL: none), lent for the call. Short: heavy work is a message to self.
     * It ends the process with proc_exit.
     */
    void (*init)(void *state, const void *arg);
    /*
     * One message. m is lent for the call; the runtime drops it on return and on crash unless it
     * was sent on (PROC_SEND) or kept (proc_keep).
     */
    void (*handle)(void *state, struct msg *m);
    /* After the last message of each turn of this process; may be NULL. Sends what was gathered. */
    void (*flush)(void *state);
    /* Only on NORMAL and SHUTDOWN; may be NULL. After a crash the state is not trusted. */
    void (*terminate)(void *state, const struct exit_reason *why);
    /*
     * Writes at most `size` bytes of a JSON object that describes the state, returns its length;
     * may be NULL. Must not change anything; runs as a high-lane message.
     */
    size_t (*inspect)(const void *state, char *out, size_t size);
};

enum { PROC_OPS_BLOCKING = 1 << 0 }; /* callbacks run on the pool and may block */

/* proc_spawn flags */
enum {
    PROC_LINK = 1 << 0,      /* linked to the spawner from the start */
    PROC_TRAP_EXIT = 1 << 1, /* exit signals arrive as MSG_EXIT (KILL excepted) */
    PROC_NOTIFY = 1 << 2,    /* MSG_STARTED to the spawner once init has returned */
    PROC_MONITOR = 1 << 3,   /* MSG_DOWN to the spawner, ref = the new process's id */
    PROC_SUPERVISOR = 1 << 4,
    /*
     * With LINK and MONITOR: should the spawner end first, its own parent is told of that only when
     * this process has ended, too, which is killed after spawn.shutdown_ms. Everybody else is told
     * at once. Not from a blocking process, and the root's end waits for nobody.
     */
    PROC_AWAITED = 1 << 5,
};

#define PROC_WAIT UINT32_MAX

/*
 * Where a process is placed; or a scheduler's number. ASIDE: on a scheduler beside those for all
 * others, for long work that can wait: it takes the machine's time, and no neighbour's.
 */
enum { SCHED_SAME = -1, SCHED_ANY = -2, SCHED_ASIDE = -3 };

struct spawn {
    const struct proc_ops *ops;
    const char *name;        /* for reports and listings, copied; NULL: ops->kind */
    struct blob *arg;        /* moved; NULL: none */
    unsigned flags;          /* PROC_* */
    int scheduler;           /* SCHED_* or a number; ignored for blocking processes */
    uint32_t restarts;       /* for listings: how often the supervisor started it again */
    size_t heap_limit_bytes; /* 0: the default fuse (4 GiB) */
    uint32_t shutdown_ms;    /* with PROC_AWAITED; PROC_WAIT: as long as it takes */
    const char *last_crash;  /* for listings, copied; NULL: none */
};

/* A new process's id, at once; never fails. Messages sent before init has run wait. */
proc_id proc_spawn(const struct spawn *spec);
proc_id proc_self(void);
proc_id proc_parent(void); /* who spawned it */
const char *proc_name(void);
/* Changes the name that reports and listings show (copied). */
void proc_set_name(const char *name);
unsigned proc_scheduler(proc_id id); /* the scheduler's number in an id; pure */

/* Moves m; when `to` is dead m is dropped. Never fails or blocks. In order for each receiver. */
void proc_send(proc_id to, struct msg *m);
/* In the receiver's high lane: for publish credit, whose order does not matter. */
void proc_send_high(proc_id to, struct msg *m);
#define PROC_SEND(to, p)                            \
    do {                                            \
        proc_send((to), (struct msg *)(void *)(p)); \
        (p) = NULL;                                 \
    } while (0)

/* proc_call without a limit: for calls that carry goods; the reply's drop gives the goods back. */
#define PROC_NO_TIMEOUT UINT64_MAX

/*
 * Sends a request; exactly one message that carries the returned ref comes back: the reply,
 * MSG_DOWN or MSG_TIMEOUT. What comes later is dropped unseen. A request that its receiver drops
 * unanswered, or dies over, answers MSG_DOWN by itself.
 */
proc_ref proc_call(proc_id to, struct msg *m, uint64_t timeout_us);
/* Answers the request that is being handled or was kept. Moves reply. Once for each request. */
void proc_reply(struct msg *request, struct msg *reply);

struct reply_to { /* a request to be answered later; a value */
    proc_id pid;
    proc_ref ref;
};
/* Takes over the duty to answer; the request itself may then be dropped. */
struct reply_to proc_defer(struct msg *request);
/* Answers a deferred request; to.pid 0 drops the reply. */
void proc_reply_to(struct reply_to to, struct msg *reply);
/* The caller's answer is MSG_DOWN with NOREPLY. */
void proc_refuse(struct reply_to to);

/* MSG_TIMEOUT to self, in the high lane, no sooner than `delay_us`. */
proc_ref proc_timer(uint64_t delay_us);
/* The same on the scheduler's coarse wheel (grain 250 ms): for heartbeats and idle limits. */
proc_ref proc_timer_coarse(uint64_t delay_us);
/* MSG_DOWN once; at once if the target is dead (NOPROC). */
proc_ref proc_monitor(proc_id target);
/* Ends a timer, monitor or call. Nothing with this ref arrives any more, also if it was queued. */
void proc_cancel(proc_ref ref);

void proc_link(proc_id other);
void proc_unlink(proc_id other);
void proc_trap_exit(bool on);
/* An exit signal. KILL cannot be trapped. NORMAL is ignored by those that do not trap. */
void proc_signal(proc_id to, enum exit_kind kind, int code, const char *text);

/* MSG_CONTINUE to self, behind what waits: for loops over unbounded data. At most one queued. */
void proc_continue(void);

__attribute__((noreturn, format(printf, 5, 6))) void
proc_exit_at(const char *file, int line, enum exit_kind kind, int code, const char *fmt, ...);
#define proc_exit(kind, code, ...) proc_exit_at(__FILE__, __LINE__, kind, code, __VA_ARGS__)
/* States what must hold in process code; a failure ends this process alone. */
#define CHECK(c)                                       \
    do {                                               \
        if (__builtin_expect(!(c), 0))                 \
            proc_exit(EXIT_CRASH, 0, "CHECK(%s)", #c); \
    } while (0)

/* Process memory: never NULL (over the quota the process ends); freed at exit. */
__attribute__((malloc, returns_nonnull)) void *proc_alloc(size_t size_bytes);
__attribute__((malloc, returns_nonnull)) void *proc_zalloc(size_t size_bytes);
__attribute__((returns_nonnull)) void *proc_realloc(void *p, size_t size_bytes);
void proc_free(void *p);
size_t proc_heap_bytes(void);

/*
 * Process memory (zeroed) that holds references: fini(m) gives them back, when it is freed by
 * proc_free_owned or when the process ends, however it ends. fini runs in region RUNTIME, may look
 * at its own block only, and must bear with fields that are still zero. Not for proc_free or
 * proc_realloc.
 */
__attribute__((malloc, returns_nonnull)) void *proc_alloc_owned(size_t size_bytes,
                                                                void (*fini)(void *m));
void proc_free_owned(void *m);

/* Owns the message that is being handled until it is sent on, dropped with msg_drop, or exit. */
void proc_keep(struct msg *m);
/*
 * Runs fn(arg) when the process ends, however it ends, newest first, in region RUNTIME: for foreign
 * objects (descriptors, statements, references). Must not send, alloc from the heap, or exit.
 */
void proc_at_exit(void (*fn)(void *), void *arg);
/* Takes back the newest registration of this pair. */
void proc_at_exit_cancel(void (*fn)(void *), void *arg);

int proc_register(const char *name); /* self, under a name; -EEXIST; gone at exit */
/* 0: nobody. Any thread. */
proc_id proc_whereis(const char *name);
/*
 * One MSG_NAMED with this ref, hdr.from the process that has the name: at once, or when somebody
 * registers it. How partners find each other again after a restart. proc_cancel ends it.
 */
proc_ref proc_await(const char *name);

/*
 * Sends what waits in this scheduler's outboxes now. Before a request to a third process whose
 * consequences must not overtake what was sent before to others.
 */
void proc_flush(void);

/* Monotonic time of the world, as of the start of the turn's present message. */
uint64_t proc_now_us(void);
/* Wall clock of the world, ms since 1970: for what is shown or stored. */
int64_t proc_wall_ms(void);
/* Random bits of the world (seeded in the simulation). */
uint64_t proc_random(void);
/* At most 256 bytes that nobody can guess, for keys and secret names. */
void proc_secret(void *p, size_t size_bytes);
/* Whether this turn's budget is spent: a handler that loops should proc_continue() and return. */
bool proc_is_over_budget(void);
/* The same of a smaller budget, for long work behind others': whether this turn took so long. */
bool proc_is_over_us(uint32_t us);

#endif
