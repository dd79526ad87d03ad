/*
 * basic.get, and taking one message out of its order: one message as the reply of a call. A reply
 * that is dropped gives its message back; so it is in the asker's hands until he settles it, also
 * where its client need not.
 */
#include <stdio.h>
#include <string.h>

#include "queues/queue_impl.h"

struct got_box { /* what really is allocated for a QUEUE_GOT */
    struct msg_queue_got got;
    proc_id asker;
};

/* Nobody took the message out of the reply: it goes home. */
static void drop_got(struct msg *m)
{
    struct got_box *box = MSG_OF(struct got_box, m);
    struct msg_queue_given_back *back;

    if (box->got.record) {
        record_unref(box->got.record);
        back = MSG_NEW(QUEUE_GIVEN_BACK, struct msg_queue_given_back);
        back->epoch = box->got.epoch;
        back->seq = box->got.seq;
        back->asker = box->asker;
        proc_send(box->got.queue, &back->hdr);
    }
    msg_free(m);
}

static struct msg_queue_got *got_new(const struct queue *q, proc_id asker, bool no_ack)
{
    struct got_box *box = msg_new(QUEUE_GOT, sizeof(*box), drop_got);

    box->asker = asker;
    box->got.no_ack = no_ack;
    box->got.queue_id = q->cell->id;
    box->got.epoch = q->epoch;
    box->got.queue = proc_self();
    return &box->got;
}

/* Answers with e, whose record is here if it is to be had, or with nothing. */
static void answer_with(struct queue *q, struct reply_to to, bool no_ack, struct entry *e)
{
    struct msg_queue_got *got = got_new(q, to.pid, no_ack);

    got->empty = !e;
    if (e) {
        got->seq = entry_seq(e);
        got->redelivered = e->flags & ENTRY_REDELIVERED;
        q->redelivered += got->redelivered;
        q->got += !no_ack;
        q->got_no_ack += no_ack;
        hand_out(q, e);
        backlog_take(&q->backlog, e, &taker_got(q, peer_get(q, to.pid))->consumer.holder);
        got->record = e->record ? record_ref(e->record) : NULL;
    }
    q->got_nothing += !e;
    got->ready = q->backlog.n_ready;
    proc_reply_to(to, &got->hdr);
}

/* With the head. */
static void answer(struct queue *q, struct reply_to to, bool no_ack)
{
    answer_with(q, to, no_ack, backlog_head(&q->backlog));
}

/* Only what is ready can be taken. */
static void answer_take(struct queue *q, struct reply_to to, struct entry *e)
{
    answer_with(q, to, false, e && e->state == ENTRY_READY ? e : NULL);
}

void on_take(struct queue *q, struct msg *m)
{
    const struct msg_queue_take *in = MSG_OF(struct msg_queue_take, m);
    struct entry *e;

    if (in->epoch != q->epoch)
        return;
    (void)peer_get(q, m->from); /* its end must be known, to give back what it gets */
    e = backlog_find(&q->backlog, in->seq);
    if (e || !cold_may_have(q, in->seq)) {
        answer_take(q, proc_defer(m), e);
        return;
    }
    ARRAY_ROOM(q->takes, q->n_takes, q->cap_takes);
    q->takes[q->n_takes++] = (struct waiting_take){.to = proc_defer(m), .seq = in->seq};
    take_ask_store(q);
}

void take_ask_store(struct queue *q)
{
    if (!q->store_ready)
        return;
    for (uint32_t i = 0; i < q->n_takes; i++) {
        if (!q->takes[i].ref)
            q->takes[i].ref = cold_ask(q, q->takes[i].seq);
    }
}

bool take_owns_ref(const struct queue *q, proc_ref ref)
{
    for (uint32_t i = 0; i < q->n_takes; i++) {
        if (q->takes[i].ref == ref)
            return true;
    }
    return false;
}

void take_forget_store(struct queue *q)
{
    for (uint32_t i = 0; i < q->n_takes; i++)
        q->takes[i].ref = 0;
}

void take_found(struct queue *q, const struct msg *m)
{
    const struct msg_store_entries *in = MSG_OF(const struct msg_store_entries, m);
    struct waiting_take take;
    uint32_t i = 0;

    while (i < q->n_takes && q->takes[i].ref != m->ref)
        i++;
    if (i == q->n_takes)
        return; /* its asker has gone */
    take = q->takes[i];
    q->takes[i] = q->takes[--q->n_takes];
    /* Where the store does not have it, it is not anywhere: a run would have brought it. */
    answer_take(q, take.to,
                in->n > 0 ? cold_take_out(q, &in->entry[0]) : backlog_find(&q->backlog, take.seq));
}

/* Whether the head's bytes must be read back first. */
static bool must_read(struct queue *q)
{
    const struct entry *e = backlog_head(&q->backlog);

    return e ? !e->record : q->backlog.n_ready > 0;
}

static void read_head(struct queue *q)
{
    if (backlog_head(&q->backlog))
        read_ahead(q);
    else
        cold_read_ahead(q);
}

void on_get(struct queue *q, struct msg *m)
{
    const struct msg_queue_get *in = MSG_OF(struct msg_queue_get, m);

    if (in->epoch != q->epoch)
        return;
    (void)peer_get(q, m->from); /* its end must be known, to give back what it gets */
    if (q->n_gets == 0 && !must_read(q)) {
        bool no_ack = in->no_ack;

        answer(q, proc_defer(m), no_ack);
        return;
    }
    ARRAY_ROOM(q->gets, q->n_gets, q->cap_gets);
    q->gets[q->n_gets] = (struct waiting_get){.to = proc_defer(m), .no_ack = in->no_ack};
    q->n_gets++;
    read_head(q);
}

void get_serve(struct queue *q)
{
    uint32_t n = 0;

    if (q->phase != PHASE_SERVING || q->returning)
        return;
    while (n < q->n_gets && !must_read(q)) {
        answer(q, q->gets[n].to, q->gets[n].no_ack);
        n++;
    }
    memmove(q->gets, q->gets + n, (q->n_gets - n) * sizeof(*q->gets));
    q->n_gets -= n;
    if (q->n_gets > 0)
        read_head(q);
}

void get_forget(struct queue *q, proc_id asker)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < q->n_gets; i++) {
        if (q->gets[i].to.pid == asker)
            proc_refuse(q->gets[i].to);
        else
            q->gets[n++] = q->gets[i];
    }
    q->n_gets = n;
    n = 0;
    for (uint32_t i = 0; i < q->n_takes; i++) {
        if (q->takes[i].to.pid == asker)
            proc_refuse(q->takes[i].to);
        else
            q->takes[n++] = q->takes[i];
    }
    q->n_takes = n;
}

/* No client saw it; but if later ones were handed out since, it comes out of its order. */
void on_given_back(struct queue *q, struct msg *m)
{
    struct msg_queue_given_back *in = MSG_OF(struct msg_queue_given_back, m);
    struct peer *p = peer_find(q, in->asker);
    struct entry *e;

    if (in->epoch != q->epoch || q->phase == PHASE_DELETING)
        return;
    e = backlog_find(&q->backlog, in->seq);
    /* If the asker's end was heard of before, the message is back already. */
    if (!e || e->state != ENTRY_UNACKED || !p || !p->got || e->holder != &p->got->consumer.holder)
        return;
    if (in->seq < q->highest_out)
        e->flags |= ENTRY_REDELIVERED;
    backlog_return(&q->backlog, e);
    taker_free_if_done(q, p->got);
}
