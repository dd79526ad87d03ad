/*
 * rt_model.c - what the runtime owes to the processes of the mesh scenario.
 *
 * Invariants, by the names under which they fail:
 * 1. "order": what one process sends to another is seen in the order sent, exit signals and DOWN
 *    included; only an answer whose call has ended otherwise may be missing.
 * 2. "exactly one answer": each call, timer and monitor is answered once, by what is true.
 * 3. "nothing after cancel".
 * 4. "no message to the dead": what was sent to one process is handled by no other, and by none
 *    that has ended.
 * 5. "no timer too soon".
 * 6. "exit signals": each arrives once, by link or by signal; nobody dies for no reason.
 * 7. "all arrives": at rest nothing is owed to the living.
 */
#include "tests/sim/rt_model.h"

#include <stdlib.h>
#include <string.h>

#include "broker/runtime/runtime.h"
#include "broker/runtime/u64map.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum link_past { LINKED = 1, UNLINKED };

static struct {
    struct actor **actor; /* uid - 1 */
    uint32_t n_actors, cap_actors;
    struct u64map linked; /* pairs that were linked once: enum link_past */
    uint32_t n_crashes;   /* ordered by the world and seen to happen */
} mo;

void model_init(void)
{
    memset(&mo, 0, sizeof(mo));
    u64map_init(&mo.linked, realloc, free);
    mo.n_crashes = sim_crash_count();
    ledger_init();
}

void model_fini(void)
{
    for (uint32_t i = 0; i < mo.n_actors; i++) {
        free(mo.actor[i]->await);
        free(mo.actor[i]->due);
        free(mo.actor[i]->link);
        free(mo.actor[i]);
    }
    free(mo.actor);
    u64map_fini(&mo.linked);
    ledger_fini();
    memset(&mo, 0, sizeof(mo));
}

struct actor *model_new_actor(uint32_t parent, unsigned flags)
{
    struct actor *a = calloc(1, sizeof(*a));

    if (!a)
        sim_fail("simulation", "no memory");
    GROW(mo.actor, mo.n_actors, mo.cap_actors);
    mo.actor[mo.n_actors++] = a;
    a->uid = mo.n_actors;
    a->parent = parent;
    a->traps = flags & PROC_TRAP_EXIT;
    a->wants_started = flags & PROC_NOTIFY;
    a->planned = a->kind = -1;
    return a;
}

struct actor *model_actor(uint32_t uid)
{
    if (uid == 0 || uid > mo.n_actors)
        sim_fail("simulation", "no actor %u", uid);
    return mo.actor[uid - 1];
}

struct actor *model_actor_of(proc_id pid)
{
    for (uint32_t i = mo.n_actors; i-- > 0;)
        if (mo.actor[i]->pid == pid)
            return mo.actor[i];
    return NULL;
}

uint32_t model_n_actors(void)
{
    return mo.n_actors;
}

uint32_t model_n_alive(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < mo.n_actors; i++)
        n += !mo.actor[i]->gone;
    return n;
}

void model_await(struct actor *a, const struct await *w)
{
    for (uint32_t i = 0; i < a->n_await; i++)
        if (a->await[i].ref == w->ref && a->await[i].state == AWAITED)
            sim_fail("exactly one answer", "actor %u got the same ref twice", a->uid);
    GROW(a->await, a->n_await, a->cap_await);
    a->await[a->n_await++] = *w;
}

struct await *model_random_await(struct actor *a)
{
    uint32_t first = sim_below(SIM_ACTOR, a->n_await);

    for (uint32_t i = 0; i < a->n_await; i++) {
        struct await *w = &a->await[(first + i) % a->n_await];

        if (w->state == AWAITED)
            return w;
    }
    return NULL;
}

bool model_is_timer(const struct actor *a, proc_ref ref)
{
    for (uint32_t i = 0; i < a->n_await; i++)
        if (a->await[i].ref == ref)
            return a->await[i].kind == AWAIT_TIMER;
    return false;
}

void model_cancelled(struct actor *a, struct await *w)
{
    (void)a;
    w->state = CANCELLED;
    if (w->kind == AWAIT_CALL)
        model_call(w->call)->finished = true;
}

static bool may_be_dead(const struct actor *x)
{
    return x->gone || (!x->has_run && (x->was_killed || x->n_due > 0));
}

/* A DOWN for a call: nobody is left who could answer. */
static void check_call_down(const struct actor *a, const struct call *c)
{
    bool holder_dead = may_be_dead(model_actor(c->holder));

    if (c->replied)
        sim_fail("exactly one answer", "actor %u was answered and got DOWN", a->uid);
    if (c->deferred ? !c->refused && !holder_dead : !c->dropped && !holder_dead)
        sim_fail("exactly one answer", "actor %u got DOWN, but %u can still answer", a->uid,
                 c->holder);
}

/* A DOWN for a monitor: it is dead, of this, and all that it sent was seen. */
static void check_monitor_down(struct actor *a, const struct await *w, const struct msg *m)
{
    enum exit_kind kind = MSG_OF(struct msg_exit, m)->why.kind;
    struct actor *x = model_actor(w->target);

    if (!may_be_dead(x))
        sim_fail("exactly one answer", "actor %u got DOWN of %u, which lives", a->uid, x->uid);
    if (m->from != x->pid)
        sim_fail("exactly one answer", "DOWN of %u comes from another process", x->uid);
    if (!x->gone) { /* it ended before its first turn, where it could not tell the model */
        x->kind = (int)kind;
        model_gone(x);
    }
    if ((int)kind != x->kind && !(w->was_dead && kind == EXIT_NOPROC))
        sim_fail("exactly one answer", "DOWN of %u says %s, it died of %s", x->uid,
                 exit_kind_name(kind), exit_kind_name((enum exit_kind)x->kind));
    ledger_check_through(x->uid, a->uid, UINT32_MAX);
}

static void check_timeout(const struct actor *a, const struct await *w)
{
    if (w->kind == AWAIT_MONITOR || w->due_us == UINT64_MAX)
        sim_fail("exactly one answer", "actor %u got a timeout nobody set", a->uid);
    if (sim_now_us() < w->due_us)
        sim_fail("no timer too soon", "actor %u: %llu us too soon", a->uid,
                 (unsigned long long)(w->due_us - sim_now_us()));
}

static struct await *find_await(struct actor *a, proc_ref ref)
{
    for (uint32_t i = a->n_await; i-- > 0;)
        if (a->await[i].ref == ref)
            return &a->await[i];
    sim_fail("exactly one answer", "actor %u got an answer to nothing it asked", a->uid);
}

void model_answer(struct actor *a, const struct msg *m)
{
    struct await *w = find_await(a, m->ref);

    if (w->state == CANCELLED)
        sim_fail("nothing after cancel", "actor %u got a message of type %u", a->uid, m->type);
    if (w->state == ANSWERED)
        sim_fail("exactly one answer", "actor %u got a second one, of type %u", a->uid, m->type);
    if (m->type == MSG_TIMEOUT)
        check_timeout(a, w);
    else if (m->type == MSG_DOWN && w->kind == AWAIT_MONITOR)
        check_monitor_down(a, w, m);
    else if (w->kind != AWAIT_CALL)
        sim_fail("exactly one answer", "actor %u: message %u answers no call", a->uid, m->type);
    else if (m->type == MSG_DOWN)
        check_call_down(a, model_call(w->call));
    else if (!model_call(w->call)->replied)
        sim_fail("exactly one answer", "actor %u got a reply that nobody sent", a->uid);
    w->state = ANSWERED;
    /* A reply is seen (and its place in the order checked) by the actor; else it may be missing. */
    if (w->kind == AWAIT_CALL)
        model_call(w->call)->finished = m->type == MSG_TIMEOUT || m->type == MSG_DOWN;
}

static void due_add(struct actor *to, const struct due_exit *d)
{
    GROW(to->due, to->n_due, to->cap_due);
    to->due[to->n_due++] = *d;
}

static void due_del(struct actor *a, uint32_t i)
{
    memmove(&a->due[i], &a->due[i + 1], (--a->n_due - i) * sizeof(a->due[0]));
}

static bool link_del(struct actor *a, uint32_t other)
{
    for (uint32_t i = 0; i < a->n_link; i++) {
        if (a->link[i].to != other)
            continue;
        a->link[i] = a->link[--a->n_link];
        return true;
    }
    return false;
}

static void link_put(struct actor *a, uint32_t other, bool is_asked)
{
    uint32_t i = 0;

    while (i < a->n_link && a->link[i].to != other)
        i++;
    if (i == a->n_link) {
        GROW(a->link, a->n_link, a->cap_link);
        a->link[a->n_link++] = (struct link){.to = other};
    }
    if (!is_asked)
        return;
    a->link[i].is_asked = true;
    a->link[i].seq = ledger_count(other, a->uid);
}

static uint64_t pair_key(const struct actor *a, const struct actor *b)
{
    return a->uid < b->uid ? (uint64_t)a->uid << 32 | b->uid : (uint64_t)b->uid << 32 | a->uid;
}

/*
 * A pair that was linked once is linked again only while the link stands (twice is once). After a
 * death two signals may be under way, one from each side's link, and the second would pass for the
 * answer to a new link.
 */
bool model_link(struct actor *a, struct actor *b, bool at_spawn)
{
    const uint64_t *before = u64map_get(&mo.linked, pair_key(a, b));

    if (a == b || (before && (b->gone || *before == UNLINKED)))
        return false;
    u64map_put(&mo.linked, pair_key(a, b), LINKED);
    if (b->gone) {
        due_add(a, &(struct due_exit){.from = b->uid, .kind = EXIT_NOPROC, .by_link = true});
        return true;
    }
    link_put(a, b->uid, false);
    link_put(b, a->uid, !at_spawn);
    return true;
}

static void unlink_from(struct actor *a, struct actor *b)
{
    u64map_put(&mo.linked, pair_key(a, b), UNLINKED);
    (void)link_del(a, b->uid);
    (void)link_del(b, a->uid); /* one that has died has none any more */
    for (uint32_t i = a->n_due; i-- > 0;) {
        if (a->due[i].from != b->uid || !a->due[i].by_link)
            continue;
        if (a->traps)
            a->due[i].optional = true;
        else
            due_del(a, i);
    }
}

struct actor *model_unlink_random(struct actor *a)
{
    uint32_t first = sim_below(SIM_ACTOR, a->n_link);

    for (uint32_t i = 0; i < a->n_link; i++) {
        const struct link *l = &a->link[(first + i) % a->n_link];
        struct actor *b = model_actor(l->to);

        if (l->is_asked && ledger_seen(l->to, a->uid) <= l->seq)
            continue;
        unlink_from(a, b);
        return b;
    }
    return NULL;
}

void model_signal(struct actor *from, struct actor *to, enum exit_kind kind)
{
    struct due_exit d = {.from = from->uid, .kind = kind, .seq = ledger_count(from->uid, to->uid)};

    if (to->gone)
        return;
    if (kind == EXIT_KILL)
        to->was_killed = true;
    else if (kind != EXIT_NORMAL || to->traps)
        due_add(to, &d);
}

static bool due_matches(const struct due_exit *d, enum exit_kind kind)
{
    return d->kind == kind || (d->by_link && kind == EXIT_NOPROC);
}

void model_exit_seen(struct actor *a, const struct msg *m)
{
    enum exit_kind kind = MSG_OF(struct msg_exit, m)->why.kind;
    struct actor *x = model_actor_of(m->from);

    if (!a->traps || !x)
        sim_fail("exit signals", "actor %u got an EXIT it could not get", a->uid);
    for (uint32_t i = 0; i < a->n_due; i++) {
        if (a->due[i].from != x->uid || !due_matches(&a->due[i], kind))
            continue;
        ledger_check_through(x->uid, a->uid, a->due[i].seq);
        due_del(a, i);
        return;
    }
    sim_fail("exit signals", "actor %u got EXIT of %u (%s) that nobody owes", a->uid, x->uid,
             exit_kind_name(kind));
}

void model_handling(const struct actor *a, bool is_high)
{
    if (a->gone)
        sim_fail("no message to the dead", "actor %u handles one after its end", a->uid);
    if (a->suspended && !is_high)
        sim_fail("suspended", "actor %u handles a message while suspended", a->uid);
}

void model_ended(struct actor *a, enum exit_kind kind)
{
    if (a->kind >= 0)
        sim_fail("exit signals", "actor %u ended twice", a->uid);
    a->kind = (int)kind;
}

void model_gone(void *actor)
{
    ((struct actor *)actor)->gone = true;
}

static void judge_reason(const struct actor *a)
{
    enum exit_kind kind = (enum exit_kind)a->kind;

    if (a->planned == a->kind || (kind == EXIT_KILLED && a->was_killed))
        return;
    if (kind == EXIT_CRASH && mo.n_crashes < sim_crash_count()) {
        mo.n_crashes++;
        return;
    }
    for (uint32_t i = 0; !a->traps && i < a->n_due; i++)
        if (due_matches(&a->due[i], kind))
            return;
    sim_fail("exit signals", "actor %u died of %s for no reason", a->uid, exit_kind_name(kind));
}

/* What a death means to those linked to it. */
static void judge(struct actor *a)
{
    a->judged = true;
    if (a->kind < 0)
        a->kind = EXIT_KILLED; /* the one end of which nobody need report */
    judge_reason(a);
    while (a->n_link > 0) {
        struct actor *y = model_actor(a->link[0].to);
        struct due_exit d = {.from = a->uid,
                             .kind = (enum exit_kind)a->kind,
                             .by_link = true,
                             .seq = ledger_count(a->uid, y->uid)};

        (void)link_del(a, y->uid);
        (void)link_del(y, a->uid);
        if (!y->gone && (d.kind != EXIT_NORMAL || y->traps))
            due_add(y, &d);
    }
    sim_note("death", a->uid, (uint64_t)a->kind, 0);
}

void model_check_step(void)
{
    bool again = true;

    /* One death may explain the next, so until no more can be explained. */
    while (again) {
        again = false;
        for (uint32_t i = 0; i < mo.n_actors; i++) {
            if (!mo.actor[i]->gone || mo.actor[i]->judged)
                continue;
            judge(mo.actor[i]);
            again = true;
        }
    }
    if (mo.n_crashes != sim_crash_count())
        sim_fail("exit signals", "a crash was ordered and nobody crashed");
}

static void check_quiet_actor(struct actor *a)
{
    for (uint32_t i = 0; i < a->n_await; i++) {
        const struct await *w = &a->await[i];

        if (w->state == AWAITED && (w->kind != AWAIT_MONITOR || model_actor(w->target)->gone))
            sim_fail("exactly one answer", "actor %u got none to its %s", a->uid,
                     w->kind == AWAIT_CALL    ? "call"
                     : w->kind == AWAIT_TIMER ? "timer"
                                              : "monitor");
    }
    for (uint32_t i = 0; i < a->n_due; i++)
        if (!a->due[i].optional)
            sim_fail("exit signals", "actor %u never got the EXIT (%s) of %u", a->uid,
                     exit_kind_name(a->due[i].kind), a->due[i].from);
    if (a->wants_started && !a->was_started && a->has_run && !model_actor(a->parent)->gone)
        sim_fail("exactly one answer", "the parent of %u was never told that it started", a->uid);
}

void model_check_quiet(void)
{
    for (uint32_t i = 0; i < mo.n_actors; i++) {
        struct actor *a = mo.actor[i];

        /* It ended before its first turn, where it could not tell. */
        if (!a->gone && !a->has_run && may_be_dead(a))
            a->gone = true;
    }
    model_check_step();
    for (uint32_t i = 0; i < mo.n_actors; i++)
        if (!mo.actor[i]->gone)
            check_quiet_actor(mo.actor[i]);
    ledger_check_all();
    if (rt_live_procs() != model_n_alive())
        sim_fail("nothing alive at the end", "%llu processes live, %u should",
                 (unsigned long long)rt_live_procs(), model_n_alive());
}
