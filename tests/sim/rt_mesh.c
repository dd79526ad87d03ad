/*
 * rt_mesh.c - actors that use all that processes can do to each other, told by a driver.
 *
 * Duties: do what ACT orders ask, answer requests in every way there is (at once, later, by
 * deferring, forwarding, refusing, dropping, dying), and tell the model all of it.
 * Messages in: ACT from the driver; NUM_* from each other; the runtime's own.
 * Messages out: NUM_* to each other.
 * Links, monitors: at random.
 * Planted bugs stand where an actor meets the runtime, so that they look like the runtime's.
 */
#include "tests/sim/rt_mesh.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum { NUM_CAST = MSG_USER, NUM_REQUEST, NUM_REPLY, NUM_HIGH, ACT };
enum { MAX_KEPT = 8, MAX_MEM = 6 };

struct msg_act {
    struct msg hdr;
    uint32_t to, target;
    enum act what;
};

struct msg_num {
    struct msg hdr;
    uint32_t from, to, seq, call;
    unsigned hops;
    struct blob *goods;
};

struct kept { /* a request to be answered later: kept whole, or deferred */
    struct msg_num *request;
    struct reply_to to;
    uint32_t call;
};

struct mesh { /* an actor's state */
    struct actor *me;
    struct kept kept[MAX_KEPT];
    unsigned n_kept;
    void *mem[MAX_MEM];
    bool is_blocking, has_name;
};

struct mesh_start {
    uint32_t uid;
    bool crashes_in_init;
};

static struct {
    int64_t n_messages;
    bool is_nested;            /* a blocking actor runs the others */
    uint32_t name[MESH_NAMES]; /* who registered it last */
    struct msg_num *held;      /* planted: a message that is overtaken */
    proc_id held_for;
} mesh;

void mesh_init(void)
{
    memset(&mesh, 0, sizeof(mesh));
}

int64_t mesh_live_messages(void)
{
    return mesh.n_messages;
}

static void drop_num(struct msg *m)
{
    struct msg_num *n = MSG_OF(struct msg_num, m);

    if (m->type == NUM_REQUEST)
        model_call(n->call)->dropped = true;
    blob_unref(n->goods);
    mesh.n_messages--;
    msg_free(m);
}

static struct msg_num *num_new(uint32_t type, const struct actor *from, const struct actor *to,
                               uint32_t call)
{
    struct msg_num *n = msg_new(type, sizeof(*n), drop_num);
    uint8_t *bytes;

    n->from = from->uid;
    n->to = to->uid;
    n->call = call;
    if (sim_chance(SIM_ACTOR, 300000)) {
        n->goods = blob_new(1 + sim_below(SIM_ACTOR, 3000), &bytes);
        bytes[0] = (uint8_t)type;
    }
    mesh.n_messages++;
    if (type != NUM_HIGH)
        n->seq = model_sent(from->uid, to->uid, type == NUM_REPLY ? call : 0);
    return n;
}

struct blob *mesh_arg(uint32_t uid, bool crashes_in_init)
{
    struct mesh_start start = {uid, crashes_in_init};

    return blob_copy(&start, sizeof(start));
}

static proc_id pid_for_send(const struct actor *to)
{
    if (!sim_is_planted("slot-used-again") || !to->gone)
        return to->pid;
    for (uint32_t uid = 1; uid <= model_n_actors(); uid++)
        if (!model_actor(uid)->gone)
            return model_actor(uid)->pid;
    return to->pid;
}

/* Sends a cast; the planted bugs lose one or let the next one overtake it. */
static void send_cast(struct mesh *s, struct actor *to)
{
    struct msg_num *n = num_new(NUM_CAST, s->me, to, 0);

    if (sim_is_planted("lose-message") && sim_chance(SIM_ACTOR, 10000)) {
        msg_drop(&n->hdr);
        return;
    }
    if (sim_is_planted("overtake") && !mesh.held) {
        mesh.held = n;
        mesh.held_for = to->pid;
        return;
    }
    proc_send(pid_for_send(to), &n->hdr);
    if (mesh.held && mesh.held_for == to->pid)
        PROC_SEND(mesh.held_for, mesh.held);
}

static void act_cast(struct mesh *s, struct actor *to)
{
    for (uint32_t n = 1 + sim_below(SIM_ACTOR, 5); n > 0; n--) {
        if (sim_chance(SIM_ACTOR, 100000))
            proc_send_high(pid_for_send(to), &num_new(NUM_HIGH, s->me, to, 0)->hdr);
        else
            send_cast(s, to);
    }
}

static void act_call(struct mesh *s, struct actor *to)
{
    uint64_t timeout =
        sim_chance(SIM_ACTOR, 500000) ? PROC_NO_TIMEOUT : sim_below(SIM_ACTOR, 20000);
    uint32_t call = model_new_call(s->me->uid, to->uid);
    struct msg_num *n = num_new(NUM_REQUEST, s->me, to, call);
    struct await w = {.kind = AWAIT_CALL, .call = call, .target = to->uid};

    w.due_us = timeout == PROC_NO_TIMEOUT ? UINT64_MAX : proc_now_us() + timeout;
    w.ref = proc_call(pid_for_send(to), &n->hdr, timeout);
    model_await(s->me, &w);
}

static void act_cancel(struct mesh *s, struct actor *unused)
{
    struct await *w = model_random_await(s->me);

    (void)unused;
    if (!w)
        return;
    if (!sim_is_planted("forget-cancel"))
        proc_cancel(w->ref);
    model_cancelled(s->me, w);
}

static void act_timer(struct mesh *s, struct actor *unused)
{
    uint64_t delay = sim_below(SIM_ACTOR, sim_chance(SIM_ACTOR, 200000) ? 5000000 : 5000);
    struct await w = {.kind = AWAIT_TIMER, .due_us = proc_now_us() + delay};

    (void)unused;
    if (sim_is_planted("early-timer"))
        delay /= 2;
    w.ref = sim_chance(SIM_ACTOR, 300000) ? proc_timer_coarse(delay) : proc_timer(delay);
    model_await(s->me, &w);
}

static void act_monitor(struct mesh *s, struct actor *to)
{
    struct await w = {.kind = AWAIT_MONITOR, .target = to->uid, .was_dead = to->gone};

    w.due_us = UINT64_MAX;
    w.ref = proc_monitor(to->pid);
    model_await(s->me, &w);
}

static void act_link(struct mesh *s, struct actor *to)
{
    if (model_link(s->me, to, false))
        proc_link(to->pid);
}

static void act_unlink(struct mesh *s, struct actor *unused)
{
    struct actor *to = model_unlink_random(s->me);

    (void)unused;
    if (to && !sim_is_planted("forget-unlink"))
        proc_unlink(to->pid);
}

static void act_signal(struct mesh *s, struct actor *to)
{
    static const enum exit_kind kinds[] = {EXIT_NORMAL, EXIT_SHUTDOWN, EXIT_CRASH, EXIT_KILL};
    enum exit_kind kind = kinds[sim_below(SIM_ACTOR, 4)];

    if (to == s->me || (to->uid == 1 && kind == EXIT_KILL))
        return;
    model_signal(s->me, to, kind);
    proc_signal(to->pid, kind, 0, "by order");
}

__attribute__((noreturn)) static void leave(struct mesh *s, enum exit_kind kind)
{
    s->me->planned = (int)kind;
    proc_exit(kind, 0, "as announced");
}

static void act_exit(struct mesh *s, struct actor *unused)
{
    static const enum exit_kind kinds[] = {EXIT_NORMAL, EXIT_SHUTDOWN, EXIT_CRASH};

    (void)unused;
    if (s->me->uid != 1)
        leave(s, kinds[sim_below(SIM_ACTOR, 3)]);
}

static void act_spawn(struct mesh *s, struct actor *unused)
{
    unsigned flags =
        (unsigned)sim_random(SIM_ACTOR) & (PROC_LINK | PROC_TRAP_EXIT | PROC_NOTIFY | PROC_MONITOR);
    struct actor *a = model_new_actor(s->me->uid, flags);
    bool crashes = sim_chance(SIM_ACTOR, 30000), blocks = sim_chance(SIM_ACTOR, 200000);
    struct spawn spec = {
        .ops = blocks ? &mesh_blocking_ops : &mesh_actor_ops,
        .arg = mesh_arg(a->uid, crashes),
        .flags = flags,
        .scheduler = sim_chance(SIM_ACTOR, 500000) ? SCHED_SAME : SCHED_ANY,
    };
    struct await w = {.kind = AWAIT_MONITOR, .target = a->uid, .due_us = UINT64_MAX};

    (void)unused;
    if (sim_is_planted("leak-blob") && sim_chance(SIM_ACTOR, 100000))
        (void)blob_ref(spec.arg);
    a->pid = w.ref = proc_spawn(&spec);
    if (flags & PROC_MONITOR)
        model_await(s->me, &w);
    if (flags & PROC_LINK)
        (void)model_link(s->me, a, true); /* a new pair, so always true */
}

static void act_suspend(struct mesh *s, struct actor *to)
{
    if (to == s->me || to->uid == 1 || to->gone)
        return;
    to->suspended = true;
    if (!sim_is_planted("forget-suspend"))
        rt_suspend(to->pid, true);
}

static void act_resume(struct mesh *s, struct actor *to)
{
    (void)s;
    if (to->gone || !to->suspended)
        return;
    to->suspended = false;
    rt_suspend(to->pid, false);
}

static struct msg_num *reply_new(struct mesh *s, uint32_t call)
{
    struct call *c = model_call(call);

    c->replied = true;
    return num_new(NUM_REPLY, s->me, model_actor(c->caller), call);
}

static void act_answer(struct mesh *s, struct actor *unused)
{
    struct kept *k;

    (void)unused;
    if (s->n_kept == 0)
        return;
    k = &s->kept[--s->n_kept];
    if (k->request && sim_chance(SIM_ACTOR, 800000))
        proc_reply(&k->request->hdr, &reply_new(s, k->call)->hdr);
    if (k->request) {
        msg_drop(&k->request->hdr);
    } else if (sim_chance(SIM_ACTOR, 800000)) {
        proc_reply_to(k->to, &reply_new(s, k->call)->hdr);
    } else {
        model_call(k->call)->refused = true;
        proc_refuse(k->to);
    }
}

static void act_memory(struct mesh *s, struct actor *unused)
{
    void **p = &s->mem[sim_below(SIM_ACTOR, MAX_MEM)];
    size_t size = 1 + sim_below(SIM_ACTOR, 5000);

    (void)unused;
    if (sim_chance(SIM_ACTOR, 300000)) {
        proc_free(*p);
        *p = NULL;
    } else {
        *p = *p ? proc_realloc(*p, size) : proc_alloc(size);
        memset(*p, 0x5a, size);
    }
}

static void act_continue(struct mesh *s, struct actor *unused)
{
    (void)s;
    (void)unused;
    proc_continue();
}

static const char *name_of(unsigned i)
{
    static const char *const names[MESH_NAMES] = {"able", "baker", "charlie", "dog"};

    return names[i];
}

static void act_register(struct mesh *s, struct actor *unused)
{
    unsigned i = sim_below(SIM_ACTOR, MESH_NAMES);
    bool is_free = mesh.name[i] == 0 || model_actor(mesh.name[i])->gone;
    int r;

    (void)unused;
    if (s->has_name)
        return;
    r = proc_register(name_of(i));
    if (r != (is_free ? 0 : -EEXIST))
        sim_fail("names", "registering \"%s\" gives %d", name_of(i), r);
    if (r < 0)
        return;
    s->has_name = true;
    mesh.name[i] = s->me->uid;
}

void mesh_check_names(void)
{
    for (unsigned i = 0; i < MESH_NAMES; i++) {
        const struct actor *a = mesh.name[i] ? model_actor(mesh.name[i]) : NULL;
        proc_id want = a && !a->gone ? a->pid : 0, got = proc_whereis(name_of(i));

        if (sim_is_planted("stale-name") && a)
            got = a->pid;
        if (got != want)
            sim_fail("names", "\"%s\" does not lead to the one that registered it", name_of(i));
    }
}

static void (*const acts[N_ACTS])(struct mesh *, struct actor *) = {
    [ACT_CAST] = act_cast,         [ACT_CALL] = act_call,       [ACT_CANCEL] = act_cancel,
    [ACT_TIMER] = act_timer,       [ACT_MONITOR] = act_monitor, [ACT_LINK] = act_link,
    [ACT_UNLINK] = act_unlink,     [ACT_SIGNAL] = act_signal,   [ACT_EXIT] = act_exit,
    [ACT_SPAWN] = act_spawn,       [ACT_SUSPEND] = act_suspend, [ACT_RESUME] = act_resume,
    [ACT_ANSWER] = act_answer,     [ACT_MEMORY] = act_memory,   [ACT_CONTINUE] = act_continue,
    [ACT_REGISTER] = act_register,
};

static void check_addressee(const struct mesh *s, uint32_t to)
{
    if (to != s->me->uid)
        sim_fail("no message to the dead", "what was sent to %u is handled by %u", to, s->me->uid);
}

static void on_act(struct mesh *s, const struct msg_act *m)
{
    check_addressee(s, m->to);
    if (m->what < N_ACTS) {
        acts[m->what](s, model_actor(m->target));
        return;
    }
    while (s->n_kept > 0)
        act_answer(s, NULL);
    if (m->what == ACT_STOP && !(sim_is_planted("leak-process") && s->me->uid % 7 == 0))
        leave(s, s->me->uid == 1 || sim_chance(SIM_ACTOR, 500000) ? EXIT_NORMAL : EXIT_SHUTDOWN);
}

static void forward(struct mesh *s, struct msg_num *n)
{
    struct actor *to = model_actor(1 + sim_below(SIM_ACTOR, model_n_actors()));

    n->hops++;
    n->from = s->me->uid;
    n->to = to->uid;
    n->seq = model_sent(s->me->uid, to->uid, 0);
    model_call(n->call)->holder = to->uid;
    proc_send(to->pid, &n->hdr);
}

static void on_request(struct mesh *s, struct msg_num *n)
{
    uint32_t how = sim_below(SIM_ACTOR, 100);
    struct kept *k = &s->kept[s->n_kept];

    if (how < 15 && s->n_kept < MAX_KEPT) {
        *k = (struct kept){.request = n, .call = n->call};
        s->n_kept++;
        proc_keep(&n->hdr);
    } else if (how < 30 && s->n_kept < MAX_KEPT) {
        *k = (struct kept){.to = proc_defer(&n->hdr), .call = n->call};
        s->n_kept++;
        model_call(n->call)->deferred = true;
    } else if (how < 40 && n->hops < 4) {
        forward(s, n);
    } else if (how < 43 && s->me->uid != 1) {
        leave(s, EXIT_CRASH);
    } else if (how > 50) {
        proc_reply(&n->hdr, &reply_new(s, n->call)->hdr);
    } /* else it is dropped unanswered, which the caller is told */
}

static void on_num(struct mesh *s, struct msg_num *n)
{
    check_addressee(s, n->to);
    if (n->hdr.type == NUM_HIGH)
        return;
    if (n->hdr.type == NUM_REPLY) {
        if (model_call(n->call)->caller != s->me->uid)
            sim_fail("exactly one answer", "%u got the answer to another's call", s->me->uid);
        model_answer(s->me, &n->hdr);
        if (sim_is_planted("answer-twice"))
            model_answer(s->me, &n->hdr);
    }
    model_seen(n->from, n->to, n->seq);
    if (n->hdr.type == NUM_REQUEST)
        on_request(s, n);
    else if (n->hdr.type == NUM_CAST && sim_chance(SIM_ACTOR, 200000))
        send_cast(s, model_actor(n->from));
}

static void on_started(struct mesh *s, const struct msg *m)
{
    struct actor *child = model_actor_of(m->from);

    if (!child || child->parent != s->me->uid || !child->wants_started || child->was_started)
        sim_fail("exactly one answer", "actor %u got a wrong STARTED", s->me->uid);
    child->was_started = true;
}

/* The planted bugs that swallow one of the runtime's messages, or make up one. */
static bool is_swallowed(const struct mesh *s, struct msg *m)
{
    if (m->type == MSG_DOWN && sim_is_planted("lose-down"))
        return sim_chance(SIM_ACTOR, 100000);
    if (m->type == MSG_EXIT && sim_is_planted("lose-exit"))
        return sim_chance(SIM_ACTOR, 100000);
    if (m->type == MSG_TIMEOUT && sim_is_planted("lose-timer"))
        return model_is_timer(s->me, m->ref) && sim_chance(SIM_ACTOR, 100000);
    if (m->type == MSG_STARTED && sim_is_planted("down-of-living")) {
        struct actor *child = model_actor_of(m->from);
        struct msg_exit e = {.hdr = *m, .why.kind = EXIT_CRASH};

        e.hdr.type = MSG_DOWN;
        e.hdr.ref = child->pid;
        for (uint32_t i = 0; i < s->me->n_await; i++)
            if (s->me->await[i].ref == child->pid && !child->gone)
                model_answer(s->me, &e.hdr);
    }
    return false;
}

static void mesh_dispatch(struct mesh *s, struct msg *m)
{
    switch (m->type) {
    case ACT:
        on_act(s, MSG_OF(struct msg_act, m));
        break;
    case NUM_CAST:
    case NUM_REQUEST:
    case NUM_REPLY:
    case NUM_HIGH:
        on_num(s, MSG_OF(struct msg_num, m));
        break;
    case MSG_DOWN:
    case MSG_TIMEOUT:
        model_answer(s->me, m);
        break;
    case MSG_EXIT:
        model_exit_seen(s->me, m);
        break;
    case MSG_STARTED:
        on_started(s, m);
        break;
    case MSG_CONTINUE:
        break;
    default:
        sim_fail("no message to the dead", "actor %u got type %u", s->me->uid, m->type);
    }
}

static void mesh_handle(void *state, struct msg *m)
{
    struct mesh *s = state;

    sim_note("handle", s->me->uid, m->type, m->from ? 1 : 0);
    model_handling(s->me, m->flags & MSG_F_HIGH);
    if (is_swallowed(s, m))
        return;
    mesh_dispatch(s, m);
    if (!s->is_blocking || mesh.is_nested || !sim_chance(SIM_ACTOR, 300000))
        return;
    mesh.is_nested = true; /* what an fsync is in the simulation */
    for (uint32_t n = 1 + sim_below(SIM_ACTOR, 5); n > 0; n--) {
        rt_step_others(1);
        model_check_step();
    }
    mesh.is_nested = false;
}

static void mesh_start(void *state, const void *arg)
{
    const struct mesh_start *start = arg;
    struct mesh *s = state;

    s->me = model_actor(start->uid);
    if (s->me->pid != proc_self() || s->me->has_run)
        sim_fail("no message to the dead", "actor %u starts as another process", start->uid);
    s->me->has_run = true;
    proc_at_exit(model_gone, s->me);
    sim_note("start", start->uid, 0, 0);
    if (start->crashes_in_init)
        leave(s, EXIT_CRASH);
}

static void blocking_start(void *state, const void *arg)
{
    ((struct mesh *)state)->is_blocking = true;
    mesh_start(state, arg);
}

static void mesh_terminate(void *state, const struct exit_reason *why)
{
    model_ended(((struct mesh *)state)->me, why->kind);
}

void mesh_act(struct actor *who, enum act what, uint32_t target)
{
    struct msg_act *m = MSG_NEW(ACT, struct msg_act);

    m->to = who->uid;
    m->target = target;
    m->what = what;
    sim_note("act", who->uid, what, target);
    if (sim_is_planted("leak-message") && sim_chance(SIM_DRIVER, 10000))
        (void)MSG_NEW(ACT, struct msg_act); /* never sent, and of no process that ends */
    rt_send(who->pid, &m->hdr);
}

const struct proc_ops mesh_root_ops = {
    .kind = "mesh-root",
    .state_size = sizeof(struct mesh),
    .init = mesh_start,
    .handle = mesh_handle,
    .terminate = mesh_terminate,
};
const struct proc_ops mesh_actor_ops = {
    .kind = "mesh-actor",
    .state_size = sizeof(struct mesh),
    .init = mesh_start,
    .handle = mesh_handle,
    .terminate = mesh_terminate,
};
const struct proc_ops mesh_blocking_ops = {
    .kind = "mesh-blocking",
    .state_size = sizeof(struct mesh),
    .flags = PROC_OPS_BLOCKING,
    .init = blocking_start,
    .handle = mesh_handle,
    .terminate = mesh_terminate,
};
