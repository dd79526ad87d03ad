/*
 * Coming back: a queue that is recovered says so in its cell, and when its last incarnation had
 * consumers, gives them a moment to attach again before it hands anything out.
 */
#include <string.h>

#include "broker/core/log.h"
#include "queues/queue_impl.h"
#include "queues/registry.h"

static void report_losses(struct queue *q)
{
    uint64_t had =
        atomic_load_explicit(&q->cell->stats.ready, memory_order_relaxed) + q->expect_unacked;
    char title[600], quoted[600];

    if (had <= q->backlog.n_ready)
        return;
    q->lost = had - q->backlog.n_ready;
    queue_title(q, title);
    log_warn("%s: its restart lost %llu messages that need not last",
             log_quote(quoted, sizeof(quoted), title, strlen(title)), (unsigned long long)q->lost);
}

/*
 * Channels may still name seqs of dead incarnations, so none is given twice while the program
 * lives. The store knows only those it was told of, but an incarnation never gave more than it
 * counted as published, and each began above what the store and the count said then. A store that
 * was restarted knows less than the one before it where all has gone from the disk, hence the
 * highest that any has told of.
 */
static void choose_seq(struct queue *q)
{
    _Atomic uint64_t *seen = &q->cell->stats.seen_seq;
    uint64_t most = atomic_load_explicit(seen, memory_order_relaxed);

    if (q->next_seq > most)
        atomic_store_explicit(seen, q->next_seq, memory_order_relaxed);
    else
        q->next_seq = most;
    q->next_seq += q->published + 1;
}

void attach_begin(struct queue *q)
{
    choose_seq(q);
    report_losses(q);
    q->phase = PHASE_SERVING;
    if (q->expect_consumers > 0 || q->expect_unacked > 0) {
        q->phase = PHASE_ATTACHING;
        q->had_consumer = q->expect_consumers > 0;
        q->window_timer = proc_timer(ATTACH_WINDOW_US);
    }
    registry_cell_up(q->cell, q->epoch);
    queue_resume(q);
}

void attach_end(struct queue *q)
{
    if (q->phase != PHASE_ATTACHING)
        return;
    if (q->window_timer)
        proc_cancel(q->window_timer);
    q->window_timer = 0;
    q->phase = PHASE_SERVING;
    queue_resume(q);
    admin_check_unused(q);
}

/* All consumers are back; or, when there were none, all that channels held by basic.get. */
static bool is_complete(const struct queue *q)
{
    if (q->expect_consumers > 0)
        return q->n_attached >= q->expect_consumers;
    return q->n_reattached >= q->expect_unacked;
}

static void attach_consumer(struct queue *q, struct peer *p, const struct consumer_spec *spec)
{
    struct msg_queue_consumer_gone *gone;

    if (taker_find(p, spec->cid))
        return;
    if (!consumers_admit(&q->consumers, spec->exclusive)) {
        /* It came after the window, and another has the queue now. */
        gone = MSG_NEW(QUEUE_CONSUMER_GONE, struct msg_queue_consumer_gone);
        gone->queue_id = q->cell->id;
        gone->epoch = q->epoch;
        gone->cid = spec->cid;
        PROC_SEND(p->pid, gone);
        return;
    }
    (void)taker_new(q, p, spec);
    q->had_consumer = true;
}

/* What is still here and in nobody else's hands is unacked again in this channel's. */
static void attach_held(struct queue *q, struct peer *p, const struct held *held)
{
    struct entry *e = backlog_find(&q->backlog, held->seq);
    struct taker *t;

    if (!e || e->state != ENTRY_READY)
        return;
    t = taker_find(p, held->cid);
    if (!t || t->consumer.no_ack)
        t = taker_got(q, p);
    hand_out(q, e);
    backlog_take(&q->backlog, e, &t->consumer.holder);
}

/* Prefetch counts what was held, so a consumer may not be able any more. */
static void reconsider(struct queue *q, struct peer *p)
{
    for (struct taker *t = p->takers; t; t = t->next) {
        if (!t->consumer.is_gone)
            consumers_permit(&q->consumers, &t->consumer, 0, 0);
    }
}

void on_attach(struct queue *q, struct msg *m)
{
    if (MSG_OF(struct msg_queue_attach, m)->epoch == q->epoch && !cold_find(q, m))
        attach_now(q, m);
}

void attach_now(struct queue *q, struct msg *m)
{
    const struct msg_queue_attach *in = MSG_OF(struct msg_queue_attach, m);
    struct peer *p;

    p = peer_get(q, m->from);
    for (uint32_t i = 0; i < in->n_consumers; i++)
        attach_consumer(q, p, &in->consumers[i]);
    for (uint32_t i = 0; i < in->n_held; i++)
        attach_held(q, p, &in->held[i]);
    reconsider(q, p);
    q->n_attached += in->n_consumers;
    q->n_reattached += in->n_held;
    proc_reply(m, &queue_reply_new(q, 0)->hdr);
    if (q->phase == PHASE_ATTACHING && is_complete(q))
        attach_end(q);
}
