/*
 * sup_kids.h - children for the tests of the supervisor: they do what a plan says, and leave a
 * trace.
 *
 * Kids are numbered 0.. and named a, b, c ... The trace says "+a" when a's init runs and "-a" when
 * a is gone, however it ended. Needs test_world.h before it.
 */
#ifndef TESTS_UNIT_SUP_KIDS_H
#define TESTS_UNIT_SUP_KIDS_H

#include <limits.h>

#include "broker/runtime/blob.h"

enum { KIDS = 8, FOR_EVER = INT_MAX, KID_EXIT = 0xF101, KID_UNLINK };

struct msg_kid_exit {
    struct msg hdr;
    enum exit_kind kind;
    int code;
};

static struct {
    int init_fails[KIDS];     /* so many more runs crash in init */
    bool is_stubborn[KIDS];   /* does not end when told to shut down */
    bool is_slow[KIDS];       /* ends a second after it was told to */
    bool exits_in_init[KIDS]; /* NORMAL */
    proc_id pid[KIDS];        /* of the last run */
    unsigned n_runs[KIDS];
    char trace[1024];
    struct blob *arg[KIDS];
    uint64_t blob_bytes; /* before */
} kids;

struct kid {
    int id;
};

static void kids_note(char sign, int id)
{
    size_t len = strlen(kids.trace);

    if (len + 4 < sizeof(kids.trace))
        snprintf(kids.trace + len, sizeof(kids.trace) - len, "%s%c%c", len ? " " : "", sign,
                 'a' + id);
}

static void kid_gone(void *arg)
{
    kids_note('-', (int)(intptr_t)arg);
}

static void kid_init(void *state, const void *arg)
{
    struct kid *kid = state;

    kid->id = *(const int *)arg;
    kids.pid[kid->id] = proc_self();
    kids.n_runs[kid->id]++;
    kids_note('+', kid->id);
    proc_at_exit(kid_gone, (void *)(intptr_t)kid->id);
    if (kids.init_fails[kid->id] > 0) {
        kids.init_fails[kid->id] -= kids.init_fails[kid->id] != FOR_EVER;
        proc_exit(EXIT_CRASH, 7, "planned failure of %c's init", 'a' + kid->id);
    }
    if (kids.exits_in_init[kid->id])
        proc_exit(EXIT_NORMAL, 0, "nothing to do");
    proc_trap_exit(kids.is_stubborn[kid->id] || kids.is_slow[kid->id]);
}

static void kid_handle(void *state, struct msg *m)
{
    struct kid *kid = state;

    if (m->type == KID_EXIT)
        proc_exit(MSG_OF(struct msg_kid_exit, m)->kind, MSG_OF(struct msg_kid_exit, m)->code,
                  "told %c to", 'a' + kid->id);
    if (m->type == KID_UNLINK)
        proc_unlink(proc_parent());
    if (m->type == MSG_EXIT && kids.is_slow[kid->id])
        (void)proc_timer(1000000); /* its only one */
    if (m->type == MSG_TIMEOUT)
        proc_exit(EXIT_SHUTDOWN, 0, "at last");
}

static const struct proc_ops kid_ops = {
    .kind = "kid",
    .state_size = sizeof(struct kid),
    .init = kid_init,
    .handle = kid_handle,
};

static void kids_start(void)
{
    memset(&kids, 0, sizeof(kids));
    kids.blob_bytes = blob_total_bytes();
    for (int i = 0; i < KIDS; i++)
        kids.arg[i] = blob_copy(&i, sizeof(i));
}

static void kids_stop(void)
{
    for (int i = 0; i < KIDS; i++)
        blob_unref(kids.arg[i]);
    assert_int_equal(blob_total_bytes(), kids.blob_bytes); /* every reference was given back */
}

/* The spec of kid `i`, named so, permanent, with a second to shut down. */
static struct child_spec kid_spec(int i, enum sup_restart restart)
{
    static const char *const name[KIDS] = {"a", "b", "c", "d", "e", "f", "g", "h"};

    return (struct child_spec){
        .id = name[i],
        .ops = &kid_ops,
        .arg = kids.arg[i],
        .restart = restart,
        .shutdown_ms = 5000,
        .scheduler = SCHED_SAME,
        .tag = 100 + (uint64_t)i,
    };
}

/* Ends a kid so, and lets all that follows of it happen. */
__attribute__((unused)) static void kid_end(int i, enum exit_kind kind, int code)
{
    struct msg_kid_exit *m = MSG_NEW(KID_EXIT, struct msg_kid_exit);

    m->kind = kind;
    m->code = code;
    rt_send(kids.pid[i], &m->hdr);
    tw_run_us(0);
}

__attribute__((unused)) static void kid_unlink(int i)
{
    rt_send(kids.pid[i], MSG_NEW(KID_UNLINK, struct msg));
    tw_run_us(0);
}

/* What the trace says since the last look; valid until the next. */
static const char *kids_trace(void)
{
    static char text[sizeof(kids.trace)];

    memcpy(text, kids.trace, sizeof(text));
    kids.trace[0] = '\0';
    return text;
}

/* A supervisor under test, as a child of the root. */
static struct {
    proc_id pid;
    struct sup_spec spec;
    struct child_spec child[KIDS];
} sup;

static void sup_spawn_in_root(void *arg)
{
    struct spawn spec = {
        .ops = &supervisor_ops,
        .name = "sup",
        .arg = sup_new_arg(&sup.spec, NULL, 0),
        .flags = PROC_LINK | PROC_MONITOR,
        .scheduler = SCHED_SAME,
    };

    (void)arg;
    sup.pid = proc_spawn(&spec);
}

/* Starts the world and a supervisor of n permanent kids; edit sup.child and sup.spec before. */
static void sup_prepare(enum sup_strategy strategy, size_t n)
{
    tw_start(1);
    kids_start();
    memset(&sup, 0, sizeof(sup));
    for (size_t i = 0; i < n; i++)
        sup.child[i] = kid_spec((int)i, PERMANENT);
    sup.spec = (struct sup_spec){.strategy = strategy, .children = sup.child, .n = n};
    sup.spec.watcher = tw.root;
}

static void sup_run(void)
{
    tw_do(sup_spawn_in_root, NULL);
}

static void sup_signal_in_root(void *arg)
{
    proc_signal(sup.pid, *(enum exit_kind *)arg, 0, "by the test");
}

/* The root is its parent: the supervisor obeys. */
static void sup_signal(enum exit_kind kind)
{
    tw_do(sup_signal_in_root, &kind);
}

/* Ends it all; nothing may be left. */
static void sup_over(void)
{
    sup_signal(EXIT_SHUTDOWN);
    tw_run_us(60000000);
    for (int i = 0; i < KIDS; i++)
        kids.is_stubborn[i] = false;
    tw_stop();
    kids_stop();
}

/* How the supervisor ended; NULL: it lives. */
__attribute__((unused)) static const struct exit_reason *sup_end_reason(void)
{
    for (size_t i = 0; i < tw.n_log; i++)
        if (tw.log[i].type == MSG_DOWN && tw.log[i].from == sup.pid)
            return &tw.log[i].why;
    return NULL;
}

/* What the watcher was told of kid i, as letters: Starting, Up, Restarting, Parked, Gone. */
__attribute__((unused)) static const char *kid_states(int i)
{
    static char text[TW_LOG + 1];
    size_t n = 0;

    for (size_t k = 0; k < tw.n_log; k++)
        if (tw.log[k].type == MSG_CHILD_STATE && tw.log[k].tag == 100 + (uint64_t)i)
            text[n++] = "SURPG"[tw.log[k].state];
    text[n] = '\0';
    return text;
}

#endif
