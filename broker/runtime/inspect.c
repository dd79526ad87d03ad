/*
 * inspect.c - listings of processes, and one process's own account of itself.
 *
 * A listing is a job that visits one home after the other as a control message. A scheduler adds a
 * part of its processes to it now and then, so that those who are many are not held up by being
 * listed. Strings and rows are gathered in pieces that never move; the home that comes last, the
 * scheduler aside, puts the rows together and answers. A census is the same without rows.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

#define INSPECT_SIZE 65536U
#define TEXT_SIZE    16384U
#define PARTS_US     50

struct proc_listing_text { /* strings, one after the other */
    struct proc_listing_text *next;
    size_t size, space;
    char bytes[];
};

struct rows {
    struct rows *next;
    size_t n;
    struct proc_info row[SLOTS_PER_PART];
};

struct msg_list { /* CTL_LIST: the job */
    struct msg hdr;
    proc_id asker;
    proc_ref asked;
    uint64_t now_us;
    unsigned home; /* that is visited: see home_at */
    uint32_t at;   /* in its slots */
    size_t n;
    struct rows *rows, **rows_end;
    struct proc_listing_text *text; /* the newest first */
    struct proc_census *census;     /* not NULL: they are only counted */
};

static void free_text(struct proc_listing_text *t)
{
    while (t) {
        struct proc_listing_text *next = t->next;

        rt_free(t);
        t = next;
    }
}

static void list_drop(struct msg *m)
{
    struct msg_list *j = MSG_OF(struct msg_list, m);

    while (j->rows) {
        struct rows *next = j->rows->next;

        rt_free(j->rows);
        j->rows = next;
    }
    free_text(j->text);
    if (j->census)
        msg_free(&j->census->hdr);
    msg_free(m);
}

static void listing_drop(struct msg *m)
{
    struct proc_listing *l = MSG_OF(struct proc_listing, m);

    rt_free(l->row);
    free_text(l->text);
    msg_free(m);
}

static const char *add_string(struct msg_list *j, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    struct proc_listing_text *t = j->text;
    char *ret;

    if (!text)
        return NULL;
    if (!t || t->space - t->size < size) {
        size_t space = size > TEXT_SIZE ? size : TEXT_SIZE;

        t = rt_alloc(sizeof(*t) + space);
        *t = (struct proc_listing_text){.next = j->text, .space = space};
        j->text = t;
    }
    ret = memcpy(t->bytes + t->size, text, size);
    t->size += size;
    return ret;
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

struct part {
    struct msg_list *job;
    struct rows *rows;
};

static void add_row(void *ctx, struct proc *p)
{
    struct part *part = ctx;

    part->rows->row[part->rows->n++] = (struct proc_info){
        .pid = p->id,
        .parent = p->parent,
        .kind = p->ops->kind,
        .name = add_string(part->job, p->name ? p->name : p->ops->kind),
        .state = state_name(p),
        .mailbox_len = p->mailbox_len,
        .restarts = p->restarts,
        .handled = __atomic_load_n(&p->handled, __ATOMIC_RELAXED),
        .age_us = part->job->now_us > p->born_us ? part->job->now_us - p->born_us : 0,
        .heap_bytes = __atomic_load_n(&p->heap_bytes, __ATOMIC_RELAXED),
        .last_crash = add_string(part->job, p->last_crash),
        .is_supervisor = p->supervisor,
    };
}

/* Kinds that are called the same may be several: ops of several files. */
static struct proc_kind *kind_of(struct proc_census *c, const char *kind)
{
    unsigned i = 0;

    while (i < c->n && c->of[i].kind != kind)
        i++;
    if (i < c->n)
        return &c->of[i];
    for (i = 0; i < c->n; i++) {
        if (i == PROC_KINDS - 1 || !strcmp(c->of[i].kind, kind))
            return &c->of[i];
    }
    c->of[c->n].kind = kind;
    return &c->of[c->n++];
}

static void count_proc(void *ctx, struct proc *p)
{
    struct proc_kind *k = kind_of(ctx, p->ops->kind);

    k->processes++;
    k->heap_bytes += __atomic_load_n(&p->heap_bytes, __ATOMIC_RELAXED);
    k->waiting += p->mailbox_len;
    if (p->mailbox_len > k->longest)
        k->longest = p->mailbox_len;
}

/* false: this home has no more. */
static bool add_rows(const struct home *h, struct msg_list *j)
{
    struct part part = {j, rt_alloc(sizeof(*part.rows))};

    part.rows->next = NULL;
    part.rows->n = 0;
    *j->rows_end = part.rows;
    j->rows_end = &part.rows->next;
    if (!slots_part(h, &j->at, add_row, &part))
        return false;
    j->n += part.rows->n;
    return true;
}

static bool add_part(const struct home *h, struct msg_list *j)
{
    return j->census ? slots_part(h, &j->at, count_proc, j->census) : add_rows(h, j);
}

static void reply(struct msg_list *j, struct msg *m)
{
    m->flags |= MSG_F_ANSWERS;
    m->ref = j->asked;
    msg_route(j->asker, m);
    list_drop(&j->hdr);
}

static void answer_rows(struct msg_list *j)
{
    struct proc_listing *l = msg_make(MSG_USER, sizeof(*l), listing_drop);

    l->n = 0;
    l->row = rt_alloc((j->n ? j->n : 1) * sizeof(*l->row));
    for (const struct rows *r = j->rows; r; r = r->next) {
        memcpy(l->row + l->n, r->row, r->n * sizeof(*l->row));
        l->n += r->n;
    }
    l->text = j->text;
    j->text = NULL;
    reply(j, &l->hdr);
}

static void answer_census(struct msg_list *j)
{
    struct proc_census *c = j->census;

    j->census = NULL;
    reply(j, &c->hdr);
}

/* In the order in which they are visited; NULL: there are no more. */
static struct home *home_at(unsigned i)
{
    if (i < rt.n_even)
        return &rt.scheds[i].home;
    i -= rt.n_even;
    if (rt.pool && i-- == 0)
        return pool_home();
    return i + rt.n_even < rt.n_scheds ? &rt.scheds[i + rt.n_even].home : NULL;
}

static void next_home(struct msg_list *j)
{
    const struct home *h = home_at(j->home);

    j->home++;
    j->at = 0;
    if (h)
        msg_route(id_of_home(h), &j->hdr);
    else if (j->census)
        answer_census(j);
    else
        answer_rows(j);
}

void listing_go_on(struct home *h)
{
    struct msg_list *j = MSG_OF(struct msg_list, h->listings.head);
    uint64_t start = rt_tick();

    while (add_part(h, j)) {
        if (rt_tick() - start > PARTS_US * rt.ticks_per_us)
            return;
    }
    (void)lane_pop(&h->listings);
    next_home(j);
}

void listing_take(struct home *h, struct msg *m)
{
    struct msg_list *j = MSG_OF(struct msg_list, m);

    if (!h->is_pool && !rt.simulated) {
        lane_push(&h->listings, m);
        return;
    }
    while (add_part(h, j))
        continue;
    next_home(j);
}

/* census: moved; NULL: rows are wanted. */
static proc_ref begin(uint64_t timeout_us, struct proc_census *census)
{
    struct proc *p = self();
    proc_ref ref = ref_new(rt_me, REF_CALL);
    struct msg_list *j = msg_make(CTL_LIST, sizeof(*j), list_drop);

    pairs_put(&p->refs, ref,
              timeout_us == PROC_NO_TIMEOUT ? NULL_TIMER
                                            : (uintptr_t)timer_start(p, ref, timeout_us, false));
    j->hdr.flags |= MSG_F_CONTROL;
    j->asker = p->id;
    j->asked = ref;
    j->now_us = proc_now_us();
    j->rows_end = &j->rows;
    j->census = census;
    next_home(j);
    return ref;
}

proc_ref rt_list_processes(uint64_t timeout_us)
{
    RUNTIME_REGION();

    return begin(timeout_us, NULL);
}

proc_ref rt_count_processes(uint64_t timeout_us)
{
    RUNTIME_REGION();
    struct proc_census *c = msg_make(MSG_USER, sizeof(*c), NULL);

    c->n = 0;
    memset(c->of, 0, sizeof(c->of));
    return begin(timeout_us, c);
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
