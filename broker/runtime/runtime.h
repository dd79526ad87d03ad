/*
 * runtime.h - starting, stepping and stopping the whole.
 */
#ifndef BROKER_RUNTIME_RUNTIME_H
#define BROKER_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

struct world;

/* What is known of a process that ended not normally; lent for the call. */
struct crash_report {
    proc_id pid;
    const char *kind, *name;
    struct exit_reason why;
    uint32_t msg_type; /* what it was handling; 0: init, flush or a timer of the runtime */
    uint64_t age_us;
    size_t heap_bytes;
    uint32_t mailbox_len;
    int n_frames;
    void *const *frames; /* raw return addresses; crash_symbols makes them readable */
    bool leaked;         /* its heap was damaged; what could not be walked was left */
};

/* Writes the frames with their names, a line each, to a file descriptor. Any region and thread. */
void crash_symbols(const struct crash_report *r, int fd);

struct rt_config {
    unsigned schedulers;       /* 0: one for each core that machine and cgroup give */
    unsigned pool_threads;     /* for blocking processes, at most; 0: 64 */
    uint64_t watchdog_us;      /* CPU time for one callback; 0: 1 s, 20 s under sanitizers */
    uint64_t pool_watchdog_us; /* the same in the pool, where recoveries run; 0: 60 times that */
    const struct world *world;
    /* Called on the crashed process's thread, region RUNTIME; it may proc_send. NULL: stderr. */
    void (*on_crash)(const struct crash_report *);
};

/* Starts threads (none when the world has `pick`: then rt_step runs all). -errno on failure. */
int rt_start(const struct rt_config *config);
/*
 * Spawns the first process from outside any process (its parent is 0). When it ends, the runtime
 * stops and rt_wait returns. PROC_MONITOR and PROC_NOTIFY have no meaning.
 */
proc_id rt_spawn_root(const struct spawn *spec);
/* Sends from a thread that is no scheduler (main, signal thread). Moves m. */
void rt_send(proc_id to, struct msg *m);
void rt_signal(proc_id to, enum exit_kind kind, const char *text);
/* Waits until the root has ended; its reason. Joins all threads; frees all. */
void rt_wait(struct exit_reason *ret_why);

/*
 * Simulation: runs one turn of one ready process, or moves time to the next timer when none is
 * ready (calls advance). false: nothing is ready and no timer is set.
 */
bool rt_step(void (*advance_to_ns)(uint64_t));
/*
 * Simulation, from inside a blocking callback (a simulated fsync): runs up to n turns of other
 * processes. Nested once.
 */
void rt_step_others(unsigned n);
/* Simulation: the program dies now. Everything is dropped, nothing is told; rt_start may follow. */
void rt_kill_all(void);

/* Those of SCHED_ANY: their numbers begin with 0. */
unsigned rt_schedulers(void);
/* The number of SCHED_ASIDE's: behind all others; in the simulation the only one. */
unsigned rt_scheduler_aside(void);
/* Tells this run of the program from all others: another number after each rt_start, never 0. */
uint64_t rt_run(void);
/* Processes alive, messages alive: for tests that nothing leaks. */
uint64_t rt_live_procs(void);
uint64_t rt_live_msgs(void);

struct rt_sched_info {
    uint64_t
        slept_us;   /* since the start; the rest of the time it was at work, or looked for some */
    uint32_t ready; /* processes that wait for their turn */
};

/* Of one scheduler, as of its last round. Any thread; number <= rt_scheduler_aside(). */
void rt_sched_info(unsigned number, struct rt_sched_info *ret);

/* One row of a listing of processes. Strings are lent by the listing. */
struct proc_info {
    proc_id pid, parent;
    const char *kind, *name;
    const char *state; /* "idle", "ready", "running", "suspended" */
    uint32_t mailbox_len;
    uint32_t restarts;
    uint64_t handled, age_us;
    size_t heap_bytes;
    const char *last_crash; /* NULL: none */
    bool is_supervisor;
};

struct proc_listing { /* an array gathered from all schedulers; freed by dropping the message */
    struct msg hdr;
    size_t n;
    struct proc_info *row;
    struct proc_listing_text *text;
};

/* A call (see proc_call) whose reply, type MSG_USER, is a struct proc_listing. */
proc_ref rt_list_processes(uint64_t timeout_us);
enum { PROC_KINDS = 96 };

struct proc_census { /* sums over the processes of each kind */
    struct msg hdr;
    unsigned n;
    struct proc_kind {
        const char *kind; /* of the last one also those that are too many to be told apart */
        uint64_t processes, heap_bytes;
        uint64_t waiting, longest; /* messages in all mailboxes, and in the fullest */
    } of[PROC_KINDS];
};

/*
 * The same with a struct proc_census. It takes schedulers no memory and little time, so that it may
 * be asked again and again.
 */
proc_ref rt_count_processes(uint64_t timeout_us);
/* A call whose reply (struct msg_inspect) is ops->inspect's text; MSG_DOWN when it is dead. */
struct msg_inspect {
    struct msg hdr;
    size_t len;
    char text[];
};
proc_ref rt_inspect(proc_id pid, uint64_t timeout_us);
/* Suspends (on) or resumes a process: its mailbox fills, only its high lane is served. */
void rt_suspend(proc_id pid, bool on);

/*
 * Fault injection for tests: the process named fails a CHECK, takes a SIGSEGV, loops, overflows
 * its stack, or hangs its scheduler for ever, at its next turn. `init_kind`: every process of this
 * kind crashes in init from now on.
 */
enum rt_fault {
    RT_FAULT_CHECK = 1,
    RT_FAULT_SEGV,
    RT_FAULT_LOOP,
    RT_FAULT_STACK,
    RT_FAULT_HANG, /* in the kernel, where no guard of CPU time sees it */
};
void rt_inject(proc_id pid, enum rt_fault how);
void rt_inject_init(const char *init_kind);

/* A broken program: reports and aborts. Not for what a client or a disk can cause. */
__attribute__((noreturn, format(printf, 3, 4))) void rt_bug(const char *file, int line,
                                                            const char *fmt, ...);
#define BUG_ON(c)                                         \
    do {                                                  \
        if (__builtin_expect(!!(c), 0))                   \
            rt_bug(__FILE__, __LINE__, "BUG_ON(%s)", #c); \
    } while (0)

#endif
