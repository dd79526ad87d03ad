/*
 * Counting, purging, deleting, and auto-delete. Purge and deletion go in steps, because a queue may
 * be long and its neighbours wait.
 */
#include <stdio.h>

#include "queues/queue_impl.h"
#include "queues/registry.h"

void on_stat(struct queue *q, struct msg *m)
{
    const struct msg_queue_ask *in = MSG_OF(struct msg_queue_ask, m);

    if (in->epoch == q->epoch)
        proc_reply(m, &queue_reply_new(q, 0)->hdr);
}

void on_purge(struct queue *q, struct msg *m)
{
    const struct msg_queue_ask *in = MSG_OF(struct msg_queue_ask, m);

    if (in->epoch != q->epoch)
        return;
    q->purge = (struct job){.is_on = true, .to = proc_defer(m), .limit_seq = q->next_seq};
}

static void step_purge(struct queue *q)
{
    struct entry *e;

    for (uint32_t n = 0; q->backlog.n_ready > 0; n++) {
        e = backlog_head(&q->backlog);
        if (n == STEP)
            return;
        if (!e) { /* what is next is cold, and nothing becomes that during a purge */
            q->purge.n += q->backlog.cold_n;
            cold_purge(q);
            continue;
        }
        if (entry_seq(e) >= q->purge.limit_seq)
            break;
        settle_done(q, e);
        q->purge.n++;
    }
    q->purge.is_on = false;
    sync_purge(q, q->purge.to, q->purge.n);
}

/* 0, or why a delete is refused. */
static const char *refusal(const struct queue *q, const struct msg_queue_delete *in)
{
    if (in->if_unused && q->consumers.n > 0)
        return "in use";
    if (in->if_empty && q->backlog.n_ready > 0)
        return "not empty";
    return NULL;
}

/* Every consumer is told, and none is left. */
static void dismiss(struct queue *q, proc_id requester)
{
    for (struct peer *p = q->first_peer; p; p = p->next) {
        peer_send_deliveries(p);
        for (struct taker *t = p->takers, *next; t; t = next) {
            struct msg_queue_consumer_gone *gone;

            next = t->next;
            if (t->consumer.is_gone)
                continue;
            if (p->pid != requester) {
                gone = MSG_NEW(QUEUE_CONSUMER_GONE, struct msg_queue_consumer_gone);
                gone->queue_id = q->cell->id;
                gone->epoch = q->epoch;
                gone->cid = t->consumer.cid;
                PROC_SEND(p->pid, gone);
            }
            taker_cancel(q, t);
        }
    }
}

void on_delete(struct queue *q, struct msg *m)
{
    const struct msg_queue_delete *in = MSG_OF(struct msg_queue_delete, m);
    const char *why = refusal(q, in);
    struct msg_queue_reply *reply;
    char title[600];

    if (why) {
        reply = queue_reply_new(q, 406);
        snprintf(reply->text, sizeof(reply->text), "%s %s", queue_title(q, title), why);
        proc_reply(m, &reply->hdr);
        return;
    }
    q->deletion = (struct job){.is_on = true, .n = q->backlog.n_ready};
    q->phase = PHASE_DELETING;
    dismiss(q, in->requester);
    q->deletion.to = proc_defer(m);
}

/* Everything is settled by the deletion; outstanding tags are confirmed on the way. */
static void step_deletion(struct queue *q)
{
    struct msg_queue_reply *reply;
    struct entry *e;

    for (uint32_t n = 0; (e = backlog_from(&q->backlog, 0)); n++) {
        if (n == STEP)
            return;
        settle_done(q, e);
    }
    queue_flush(q);
    /* Said before the end, so that a channel that sees it knows a deletion from a crash. */
    cell_set(q->cell, 0, 0, CELL_DELETED, NULL);
    reply = queue_reply_new(q, 0);
    reply->messages = q->deletion.n;
    proc_reply_to(q->deletion.to, &reply->hdr);
    proc_exit(EXIT_NORMAL, 0, "deleted");
}

void admin_step(struct queue *q)
{
    if (q->returning)
        settle_step_returning(q);
    if (q->purge.is_on && !q->returning)
        step_purge(q);
    if (q->deletion.is_on && !q->returning && !q->txs)
        step_deletion(q);
    if (q->n_postponed > 0 && q->phase == PHASE_SERVING && !q->purge.is_on && !q->returning)
        queue_resume(q);
    if (q->purge.is_on || (q->deletion.is_on && !q->txs) || q->returning)
        proc_continue();
}

void admin_check_unused(struct queue *q)
{
    char name[300];

    if (!(q->cell->flags & CELL_AUTO_DELETE) || !q->had_consumer || q->consumers.n > 0 ||
        q->phase != PHASE_SERVING || q->unused_ref)
        return;
    proc_cancel(q->registry_monitor);
    q->registry_monitor = 0;
    snprintf(name, sizeof(name), "registry:%s", cell_vhost(q->cell));
    q->unused_ref = proc_await(name);
}

void on_registry_named(struct queue *q, struct msg *m)
{
    struct msg_queue_unused *unused;

    q->unused_ref = 0;
    if (q->consumers.n > 0)
        return;
    unused = MSG_NEW(REGISTRY_QUEUE_UNUSED, struct msg_queue_unused);
    unused->queue_id = q->cell->id;
    PROC_SEND(m->from, unused);
    q->registry_monitor = proc_monitor(m->from); /* if it dies over this, it is said again */
}
