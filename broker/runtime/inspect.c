/*
 * inspect.c - listings of processes, and one process's own account of itself.
 *
 * A listing is a job that visits every home as a control message; the home that finishes last sends
 * the answer. Strings are gathered into one block; rows hold offsets into it until then.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

#define INSPECT_SIZE 65536U

struct list_job {
    _Atomic uint32_t refs, left; /* left: homes that have not added theirs */
    proc_id asker;
    proc_ref ref;
    pthread_mutex_t lock;
    struct proc_info *row;
    size_t n, capacity;
    char *strings;
    size_t size, space;
    uint64_t now_us;
};

struct msg_list {
    struct msg hdr;
    struct list_job *job;
};

static void job_unref(struct list_job *j)
{
    if (atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&j->lock);
    rt_free(j->row);
    rt_free(j->strings);
    rt_free(j);
}

static void list_drop(struct msg *m)
{
    job_unref(MSG_OF(struct msg_list, m)->job);
    msg_free(m);
}

static void listing_drop(struct msg *m)
{
    struct proc_listing *l = MSG_OF(struct proc_listing, m);

    rt_free(l->row);
    rt_free(l->strings);
    msg_free(m);
}

/* An offset by 1, as a pointer, so that NULL stays NULL. */
static const char *add_string(struct list_job *j, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0, at = j->size;

    if (!text)
        return NULL;
    if (j->size + size > j->space) {
        j->space = (j->space + size) * 2;
        j->strings = rt_realloc(j->strings, j->space);
    }
    memcpy(j->strings + at, text, size);
    j->size += size;
    return (const char *)(uintptr_t)(at + 1);
}

static const char *state_name(const struct proc *p)
{
    if (p->linger)
        return "ending";
    if (p->run_state == RUN_RUNNING)
        return "running";
    if (p->suspended)
        return "suspended";
    return p->run_state == RUN_IDLE ? "idle" : "ready";
}

static void add_row(void *ctx, struct proc *p)
{
    struct list_job *j = ctx;

    if (j->n == j->capacity) {
        j->capacity = j->capacity ? j->capacity * 2 : 64;
        j->row = rt_realloc(j->row, j->capacity * sizeof(*j->row));
    }
    j->row[j->n++] = (struct proc_info){
        .pid = p->id,
        .parent = p->parent,
        .kind = p->ops->kind,
        .name = add_string(j, p->name ? p->name : p->ops->kind),
        .state = state_name(p),
        .mailbox_len = p->mailbox_len,
        .restarts = p->restarts,
        .handled = __atomic_load_n(&p->handled, __ATOMIC_RELAXED),
        .age_us = j->now_us > p->born_us ? j->now_us - p->born_us : 0,
        .heap_bytes = __atomic_load_n(&p->heap_bytes, __ATOMIC_RELAXED),
        .last_crash = add_string(j, p->last_crash),
        .is_supervisor = p->supervisor,
    };
}

static const char *place_string(const struct list_job *j, const char *offset)
{
    return offset ? j->strings + ((uintptr_t)offset - 1) : NULL;
}

static void answer(struct list_job *j)
{
    struct proc_listing *l = msg_make(MSG_USER, sizeof(*l), listing_drop);

    for (size_t i = 0; i < j->n; i++) {
        j->row[i].name = place_string(j, j->row[i].name);
        j->row[i].last_crash = place_string(j, j->row[i].last_crash);
    }
    l->n = j->n;
    l->row = j->row;
    l->strings = j->strings;
    j->row = NULL;
    j->strings = NULL;
    l->hdr.flags |= MSG_F_ANSWERS;
    l->hdr.ref = j->ref;
    msg_route(j->asker, &l->hdr);
}

void list_take(struct home *h, struct msg *m)
{
    struct list_job *j = MSG_OF(struct msg_list, m)->job;

    pthread_mutex_lock(&j->lock);
    slots_each(h, add_row, j);
    pthread_mutex_unlock(&j->lock);
    if (atomic_fetch_sub(&j->left, 1) == 1)
        answer(j);
    m->drop(m);
}

proc_ref rt_list_processes(uint64_t timeout_us)
{
    RUNTIME_REGION();
    struct proc *p = self();
    proc_ref ref = ref_new(rt_me, REF_CALL);
    unsigned n_homes = rt.n_scheds + (rt.pool != NULL);
    struct list_job *j = rt_zalloc(sizeof(*j));

    j->asker = p->id;
    j->ref = ref;
    j->now_us = proc_now_us();
    atomic_init(&j->refs, n_homes);
    atomic_init(&j->left, n_homes);
    pthread_mutex_init(&j->lock, NULL);
    pairs_put(&p->refs, ref,
              timeout_us == PROC_NO_TIMEOUT ? NULL_TIMER
                                            : (uintptr_t)timer_start(p, ref, timeout_us, false));
    for (unsigned i = 0; i < n_homes; i++) {
        struct msg_list *m = msg_make(CTL_LIST, sizeof(*m), list_drop);

        m->hdr.flags |= MSG_F_CONTROL;
        m->job = j;
        msg_route(id_of_home(i < rt.n_scheds ? &rt.scheds[i].home : pool_home()), &m->hdr);
    }
    return ref;
}

proc_ref rt_inspect(proc_id pid, uint64_t timeout_us)
{
    RUNTIME_REGION();
    struct proc *p = self();
    struct msg *m = msg_make(CTL_INSPECT, sizeof(*m), NULL);
    proc_ref ref = ref_new(rt_me, REF_CALL);
    uintptr_t timer = NULL_TIMER;

    m->from = p->id;
    m->ref = ref;
    m->flags |= MSG_F_CONTROL | MSG_F_ASKS | MSG_F_HIGH;
    if (timeout_us != PROC_NO_TIMEOUT)
        timer = (uintptr_t)timer_start(p, ref, timeout_us, false);
    pairs_put(&p->refs, ref, timer);
    msg_route(pid, m);
    return ref;
}

void inspect_answer(struct turn *t, struct msg *m)
{
    struct worker *w = rt_me;
    struct proc *p = t->p;
    struct msg_inspect *reply;
    size_t len = 2;

    if (!w->inspect_text)
        w->inspect_text = rt_alloc(INSPECT_SIZE);
    memcpy(w->inspect_text, "{}", 2);
    if (p->ops->inspect) {
        turn_enter(w);
        len = p->ops->inspect(p->state, w->inspect_text, INSPECT_SIZE);
        turn_leave(w);
    }
    if (len > INSPECT_SIZE)
        len = INSPECT_SIZE;
    reply = msg_make(MSG_USER, sizeof(*reply) + len + 1, NULL);
    reply->len = len;
    memcpy(reply->text, w->inspect_text, len);
    reply->text[len] = '\0';
    proc_reply(m, &reply->hdr);
}
