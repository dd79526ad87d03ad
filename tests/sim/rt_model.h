/*
 * rt_model.h - what the runtime owes to the processes of the mesh scenario, kept beside it.
 *
 * The model is plain data without a process. The actors (rt_mesh.c) tell it what they ask of the
 * runtime and what they get from it; it ends the run (sim_fail) when that is not what was owed.
 * Actors have numbers that are never used again (uid), so that a process id given out twice shows.
 */
#ifndef TESTS_SIM_RT_MODEL_H
#define TESTS_SIM_RT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

enum await_kind { AWAIT_CALL, AWAIT_TIMER, AWAIT_MONITOR };
enum await_state { AWAITED, ANSWERED, CANCELLED };

struct await { /* something that the runtime owes one answer with this ref */
    proc_ref ref;
    enum await_kind kind;
    enum await_state state;
    uint64_t due_us; /* MSG_TIMEOUT comes no sooner; UINT64_MAX: never */
    uint32_t target; /* monitors: whom */
    uint32_t call;   /* calls: number of the call */
    bool was_dead;   /* monitors: dead already when it was asked for */
};

struct due_exit { /* an exit signal under way */
    uint32_t from;
    enum exit_kind kind;
    uint32_t seq; /* how many messages of `from` have to be seen before */
    bool by_link;
    bool optional; /* trapped and unlinked meanwhile: both are right */
};

struct link {
    uint32_t to;
    bool is_asked; /* the other side asked for it too, or alone */
    uint32_t seq;  /* if so, this side knows once it has seen a later message than this */
};

struct actor {
    uint32_t uid, parent;
    proc_id pid;
    bool traps, has_run, gone, judged, suspended, was_killed;
    bool wants_started, was_started; /* PROC_NOTIFY */
    int planned;                     /* the exit kind it announced; -1: none */
    int kind;                        /* how it ended, as far as known; -1: not known */
    struct await *await;
    uint32_t n_await, cap_await;
    struct due_exit *due;
    uint32_t n_due, cap_due;
    struct link *link;
    uint32_t n_link, cap_link;
};

struct call {
    uint32_t caller, holder; /* holder: to whom the request went last */
    bool dropped;            /* the request's drop ran */
    bool deferred, refused, replied, finished;
};

void model_init(void);
void model_fini(void);

/* A new actor's record, before it is spawned; valid for the run. pid is set by the spawner. */
struct actor *model_new_actor(uint32_t parent, unsigned flags);
struct actor *model_actor(uint32_t uid);
/* NULL: not an actor's. */
struct actor *model_actor_of(proc_id pid);
uint32_t model_n_actors(void); /* uids are 1 .. n */
uint32_t model_n_alive(void);

/* Numbers a message between a pair; `call` is that of a reply, else 0. */
uint32_t model_sent(uint32_t from, uint32_t to, uint32_t call);
void model_seen(uint32_t from, uint32_t to, uint32_t seq);

uint32_t model_new_call(uint32_t caller, uint32_t callee);
struct call *model_call(uint32_t call);

void model_await(struct actor *a, const struct await *w);
/* NULL when none is awaited. */
struct await *model_random_await(struct actor *a);
/* Whether this ref is a timer that a set. */
bool model_is_timer(const struct actor *a, proc_ref ref);
void model_cancelled(struct actor *a, struct await *w);
/* A message that carries a ref of a's own; ends the run when it is not owed. */
void model_answer(struct actor *a, const struct msg *m);

/* a asks for a link with b (at_spawn: b is born with it). Whether the runtime is to be asked. */
bool model_link(struct actor *a, struct actor *b, bool at_spawn);
/*
 * a ends its link with one of those it surely knows of; NULL: none. An unlink that crosses a link
 * on its way leaves it standing, as in OTP, so actors do not ask for that, and a pair that was
 * unlinked once is not linked again.
 */
struct actor *model_unlink_random(struct actor *a);
void model_signal(struct actor *from, struct actor *to, enum exit_kind kind);
void model_exit_seen(struct actor *a, const struct msg *m);

/* The actor is handling a message of its own mailbox. */
void model_handling(const struct actor *a, bool is_high);
/* What is known of an end: the reason (terminate, crash report), the fact (at_exit). */
void model_ended(struct actor *a, enum exit_kind kind);
void model_gone(void *actor);

/* After each step: what must hold always. */
void model_check_step(void);
/* When nothing is left to do: what must have come by then. */
void model_check_quiet(void);

#endif
