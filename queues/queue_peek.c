/*
 * Looking at what is ready without touching it: nobody gets it, and it is not redelivered for it.
 */
#include "queues/queue_impl.h"

static void add(struct msg_queue_peeked *to, const struct entry *e)
{
    struct peeked *item = &to->item[to->n++];

    item->seq = entry_seq(e);
    item->record = e->record ? record_ref(e->record) : NULL;
    item->redelivered = e->flags & ENTRY_REDELIVERED;
}

/* Whether cold ones stand between what was looked at and e (NULL: the end). */
static bool is_cold_before(const struct backlog *b, uint64_t from, const struct entry *e)
{
    return b->cold_n > 0 && from <= b->cold_last && (!e || entry_seq(e) > b->cold_first);
}

void on_peek(struct queue *q, struct msg *m)
{
    const struct msg_queue_peek *in = MSG_OF(struct msg_queue_peek, m);
    struct msg_queue_peeked *reply;
    struct entry *e;
    uint64_t from = in->from;

    if (in->epoch != q->epoch)
        return;
    reply = queue_peeked_new(q->cell->id);
    reply->ready = q->backlog.n_ready;
    e = backlog_from(&q->backlog, from);
    for (uint32_t i = 0; e && i < STEP && reply->n < in->n && reply->n < QUEUE_PEEK_MAX; i++) {
        if (is_cold_before(&q->backlog, from, e))
            break;
        if (e->state == ENTRY_READY)
            add(reply, e);
        from = entry_seq(e) + 1;
        e = backlog_after(e);
    }
    reply->is_cold = is_cold_before(&q->backlog, from, e);
    if (reply->is_cold) {
        reply->cold_first = from > q->backlog.cold_first ? from : q->backlog.cold_first;
        reply->cold_last = q->backlog.cold_last;
    }
    reply->next = e ? from : 0;
    proc_reply(m, &reply->hdr);
}
