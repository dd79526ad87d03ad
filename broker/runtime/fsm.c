/*
 * fsm.c - states as a table, with state timeouts and postponed messages.
 *
 * Invariants:
 *   1. Postponed messages are kept by the process and stand in the list in order of arrival.
 *   2. Outside fsm_handle none of them has been refused by another state than the present one:
 *      after a move all are tried again, from the first on, before anything newer.
 */
#include "broker/runtime/fsm.h"

#include <stddef.h>

#include "broker/runtime/internal.h"

/* A list beside the messages, because their own links are the runtime's while they are kept. */
struct fsm_postponed {
    struct fsm_postponed *next;
    struct msg *m;
};

static void check_invariant(const struct fsm *f, const void *state)
{
    if (f->spec->invariant)
        f->spec->invariant(state);
}

static void enter(struct fsm *f, void *state, unsigned to)
{
    f->now = to;
    f->moved = 1;
    check_invariant(f, state);
    if (f->spec->states[to].enter)
        f->spec->states[to].enter(state);
}

void fsm_init(struct fsm *f, void *state, const struct fsm_spec *spec, unsigned first)
{
    CHECK((char *)state + spec->fsm_offset == (char *)f && first < spec->n_states);
    *f = (struct fsm){.spec = spec};
    f->postponed_tail = &f->postponed;
    enter(f, state, first);
    f->moved = 0;
}

void fsm_move(struct fsm *f, void *state, unsigned to)
{
    const struct fsm_state *now = &f->spec->states[f->now];

    if (to >= f->spec->n_states || !(now->next >> to & 1))
        proc_exit(EXIT_CRASH, 0, "state %s may not be followed by %s", now->name,
                  to < f->spec->n_states ? f->spec->states[to].name : "one that there is not");
    if (f->state_timer)
        proc_cancel(f->state_timer);
    f->state_timer = 0;
    enter(f, state, to);
}

void fsm_postpone(struct fsm *f, struct msg *m)
{
    struct fsm_postponed *p = f->trying;

    if (p) {
        /* It keeps its place in the list: fsm_handle steps over what is still postponed. */
        CHECK(p->m == m);
        f->trying_again = 1;
    } else {
        p = proc_alloc(sizeof(*p));
        *p = (struct fsm_postponed){.m = m};
        *f->postponed_tail = p;
        f->postponed_tail = &p->next;
        f->n_postponed++;
    }
    proc_keep(m);
}

/* Ends the handling of the present message as its handler's return would, and makes the kept
 * message m the present one: the lent-message rule then holds for m as it did the first time. */
static void take_up(struct msg *m)
{
    RUNTIME_REGION();
    struct turn *t = rt_me->turn;

    if (t->msg)
        msg_drop(t->msg);
    msg_unkeep(m);
    t->msg = m;
    t->msg_type = m->type;
}

/* Takes *at out of the list and forgets it; the message has been handled. */
static void remove_at(struct fsm *f, struct fsm_postponed **at)
{
    struct fsm_postponed *p = *at;

    *at = p->next;
    if (f->postponed_tail == &p->next)
        f->postponed_tail = at;
    f->n_postponed--;
    proc_free(p);
}

/* Tries postponed messages from the first on; a move on the way begins again at the first. */
static void try_again(struct fsm *f, void *state)
{
    struct fsm_postponed **at = &f->postponed;

    f->moved = 0;
    while (*at) {
        f->trying = *at;
        f->trying_again = 0;
        take_up((*at)->m);
        f->spec->states[f->now].handle(state, (*at)->m);
        f->trying = NULL;
        if (f->trying_again)
            at = &(*at)->next;
        else
            remove_at(f, at);
        check_invariant(f, state);
        if (f->moved)
            at = &f->postponed;
        f->moved = 0;
    }
}

void fsm_handle(struct fsm *f, void *state, struct msg *m)
{
    f->spec->states[f->now].handle(state, m);
    check_invariant(f, state);
    if (f->moved)
        try_again(f, state);
}

void fsm_state_timeout(struct fsm *f, uint64_t delay_us)
{
    if (f->state_timer)
        proc_cancel(f->state_timer);
    f->state_timer = proc_timer(delay_us);
}

int fsm_is_state_timeout(const struct fsm *f, const struct msg *m)
{
    return m->type == MSG_TIMEOUT && f->state_timer != 0 && m->ref == f->state_timer;
}

const char *fsm_state_name(const struct fsm *f)
{
    return f->spec->states[f->now].name;
}
