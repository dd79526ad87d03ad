/*
 * fsm.h - OTP's gen_statem over proc.h: a table of states, state timeouts, postponed messages.
 *
 * The fsm struct is embedded in the process's state. A message that the present state wants later
 * is postponed: kept, and handled again in order of arrival after the next change of state, before
 * anything newer.
 */
#ifndef BROKER_RUNTIME_FSM_H
#define BROKER_RUNTIME_FSM_H

#include <stdint.h>

#include "broker/runtime/proc.h"

struct fsm;
struct fsm_postponed;

struct fsm_state {
    const char *name;
    uint32_t next;              /* bit i: state i may follow */
    void (*enter)(void *state); /* may be NULL */
    void (*handle)(void *state, struct msg *m);
};

struct fsm_spec {
    const struct fsm_state *states;
    unsigned n_states;
    size_t fsm_offset;                    /* of the struct fsm in the process's state */
    void (*invariant)(const void *state); /* after each message and move; may be NULL */
};

struct fsm { /* all private */
    const struct fsm_spec *spec;
    unsigned now;
    proc_ref state_timer;
    struct fsm_postponed *postponed, **postponed_tail; /* in order of arrival */
    struct fsm_postponed *trying; /* the postponed message being handled again */
    unsigned n_postponed;
    int moved;        /* since fsm_handle last looked */
    int trying_again; /* `trying` was postponed once more */
};

/* In init. Runs the first state's enter. */
void fsm_init(struct fsm *f, void *state, const struct fsm_spec *spec, unsigned first);
/* The process's handle calls this, last: m may be gone when it returns. */
void fsm_handle(struct fsm *f, void *state, struct msg *m);
/* Moves to another state; one that `next` does not allow is a CHECK. Cancels the state timeout. */
void fsm_move(struct fsm *f, void *state, unsigned to);
/* Keeps the message being handled until the next change of state. */
void fsm_postpone(struct fsm *f, struct msg *m);
/* MSG_TIMEOUT to the present state unless it is left before. */
void fsm_state_timeout(struct fsm *f, uint64_t delay_us);
/* Whether m is the present state's timeout. */
int fsm_is_state_timeout(const struct fsm *f, const struct msg *m);
const char *fsm_state_name(const struct fsm *f);

#endif
