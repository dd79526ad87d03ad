/*
 * QUEUE_SYNC and purges: answered when every ack that was sent before is durable.
 */
#include <string.h>

#include "queues/queue_impl.h"

void on_sync(struct queue *q, struct msg *m)
{
    const struct msg_queue_ask *in = MSG_OF(struct msg_queue_ask, m);

    if (in->epoch != q->epoch)
        return;
    if (!q->is_durable) {
        proc_reply(m, &queue_reply_new(q, 0)->hdr);
        return;
    }
    ARRAY_ROOM(q->syncs, q->n_syncs, q->cap_syncs);
    q->syncs[q->n_syncs] = (struct waiting_sync){.to = proc_defer(m)};
    q->n_syncs++;
}

static void answer(struct queue *q, const struct waiting_sync *w)
{
    struct msg_queue_reply *reply = queue_reply_new(q, 0);

    if (w->is_purge)
        reply->messages = w->n_purged;
    proc_reply_to(w->to, &reply->hdr);
}

void sync_purge(struct queue *q, struct reply_to to, uint64_t n)
{
    const struct waiting_sync w = {.to = to, .is_purge = true, .n_purged = n};

    if (!q->is_durable || n == 0) {
        answer(q, &w);
        return;
    }
    ARRAY_ROOM(q->syncs, q->n_syncs, q->cap_syncs);
    q->syncs[q->n_syncs++] = w;
}

/* One request for all that were not asked yet, behind all operations so far. */
void sync_ask(struct queue *q)
{
    proc_ref ref = 0;

    if (!q->store_ready)
        return;
    for (uint32_t i = 0; i < q->n_syncs; i++) {
        if (q->syncs[i].ref != 0)
            continue;
        if (ref == 0) {
            store_send(q);
            ref = proc_call(q->store, MSG_NEW(STORE_SYNC, struct msg), PROC_NO_TIMEOUT);
        }
        q->syncs[i].ref = ref;
    }
}

void sync_forget_store(struct queue *q)
{
    for (uint32_t i = 0; i < q->n_syncs; i++)
        q->syncs[i].ref = 0;
}

void on_store_synced(struct queue *q, struct msg *m)
{
    uint32_t n = 0;

    if (on_page_synced(q, m->ref))
        return;
    for (uint32_t i = 0; i < q->n_syncs; i++) {
        if (q->syncs[i].ref == m->ref)
            answer(q, &q->syncs[i]);
        else
            q->syncs[n++] = q->syncs[i];
    }
    q->n_syncs = n;
}
