/*
 * queue.c - the queue process: one for each queue, under "queues:<vhost>", restarted from the
 * store.
 *
 * Duties: takes in what channels publish, keeps it in order, hands it to consumers within their
 * permits and prefetch, gives what must last to the store, and confirms.
 * Messages in: QUEUE_* of queue.h from channels and the registry; STORE_ENTRIES, _OPENED, _DURABLE,
 * _BODIES, _RUN, _FOUND, _SYNCED, _TX_DONE from the store. Out: QUEUE_DELIVER, _CONFIRM, _CREDIT,
 * _CONSUMER_GONE, _WANT, _SHARE_BACK and replies to channels; STORE_OPEN_QUEUE, _OPS, _SYNC, _READ,
 * _READ_ON, _FIND, _TX, _TX_END to the store; REGISTRY_CELL_UP and _QUEUE_UNUSED to the registry.
 * Monitors: every channel that publishes, consumes or holds something; the store.
 *
 * Invariants (queue_invariant checks them all)
 *   1. A message is ready, or unacked in the hands of one taker, never both.
 *   2. A tag is confirmed once, when its message is durable, settled, or need not last.
 *   3. Ready messages are handed out in order of seq, and a returned one is back in its place.
 *   4. A delivery without the redelivered flag is the message's first to anybody.
 *   5. A consumer has at most its window sent and at most its prefetch unacked.
 * Rules of the state are in queue_impl.h.
 */
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "queues/queue_impl.h"
#include "queues/registry.h"

const char *queue_title(const struct queue *q, char out[600])
{
    snprintf(out, 600, "queue '%s' in vhost '%s'", cell_name(q->cell), cell_vhost(q->cell));
    return out;
}

struct msg_queue_reply *queue_reply_new(const struct queue *q, uint16_t code)
{
    struct msg_queue_reply *reply = MSG_NEW(QUEUE_REPLY, struct msg_queue_reply);

    reply->code = code;
    reply->epoch = q->epoch;
    reply->messages = q->backlog.n_ready;
    reply->consumers = q->consumers.n;
    return reply;
}

static void drop_records(struct record *record)
{
    record_unref(record);
}

static void give_back_taker(const struct taker *t)
{
    blob_unref(t->consumer.tag);
    blob_unref(t->consumer.args);
}

static void give_back_takers(const struct taker *t)
{
    for (; t && t->magic == TAKER_MAGIC; t = t->next)
        give_back_taker(t);
}

/*
 * However the process ended: the references that lie in its memory. After a crash that memory may
 * be damaged; what does not look sound is leaked.
 */
static void queue_give_back(void *state)
{
    struct queue *q = state;

    (void)backlog_each_record(&q->backlog, drop_records); /* as far as it is sound */
    for (struct peer *p = q->first_peer; p && p->magic == PEER_MAGIC; p = p->next) {
        if (p->deliver)
            msg_drop(&p->deliver->hdr);
        give_back_takers(p->takers);
    }
    give_back_takers(q->returning);
    if (q->ops)
        msg_drop(&q->ops->hdr);
    cell_unref(q->cell);
}

static void queue_init(void *state, const void *arg)
{
    struct queue *q = state;

    backlog_init(&q->backlog, proc_realloc, proc_free);
    pending_init(&q->pending, proc_realloc, proc_free);
    u64map_init(&q->peers, proc_realloc, proc_free);
    q->cell = cell_ref(((const struct queue_arg *)arg)->cell);
    proc_at_exit(queue_give_back, q);
    proc_set_name(cell_name(q->cell));
    q->epoch = epoch_next();
    q->phase = PHASE_OPENING;
    q->began_us = proc_now_us();
    /* A durable exclusive queue goes with its connection, so nothing in it can outlive anything. */
    q->is_durable = q->cell->flags & CELL_DURABLE && !(q->cell->flags & CELL_EXCLUSIVE);
    stats_read(q);
    if (!q->is_durable)
        attach_begin(q);
    /* What an earlier run left in the store, when both died, goes when this one opens it. */
    if (q->is_durable || atomic_load_explicit(&q->cell->stats.has_pages, memory_order_relaxed))
        store_start(q);
}

void queue_postpone(struct queue *q, struct msg *m)
{
    ARRAY_ROOM(q->postponed, q->n_postponed, q->cap_postponed);
    proc_keep(m);
    q->postponed[q->n_postponed++] = m;
}

/* Whether m has to wait for the end of the present phase or of a purge. */
static bool must_wait(const struct queue *q, uint32_t type)
{
    bool takes =
        type == QUEUE_CONSUME || type == QUEUE_GET || type == QUEUE_PURGE || type == QUEUE_TAKE;
    bool asks = takes || type == QUEUE_CANCEL || type == QUEUE_STAT || type == QUEUE_SYNC ||
                type == QUEUE_ATTACH || type == QUEUE_DELETE;
    bool is_tx = type == QUEUE_TX || type == QUEUE_TX_END || type == QUEUE_TX_GONE;

    if (q->phase == PHASE_OPENING || q->finding)
        return asks || is_tx || type == QUEUE_PUBLISH || type == QUEUE_SETTLE ||
               type == QUEUE_PERMIT || type == QUEUE_SHARE || type == QUEUE_DETACH;
    switch (q->phase) {
    case PHASE_OPENING:
        break; /* see above */
    case PHASE_ATTACHING:
        return takes;
    case PHASE_SERVING:
        return (takes || type == QUEUE_DELETE) && (q->purge.is_on || q->returning);
    case PHASE_DELETING:
        return asks; /* its end answers them */
    }
    return false;
}

static void on_detach(struct queue *q, proc_id pid)
{
    struct peer *p = peer_find(q, pid);

    if (!p)
        return;
    peer_forget(q, p);
    admin_check_unused(q);
}

static void on_down(struct queue *q, struct msg *m)
{
    if (store_owns_ref(q, m->ref)) {
        on_store_down(q, m);
    } else if (tx_on_down(q, m->ref)) {
        return;
    } else if (m->ref == q->registry_monitor) {
        q->registry_monitor = 0;
        admin_check_unused(q);
    } else {
        on_detach(q, m->from);
    }
}

static void on_named(struct queue *q, struct msg *m)
{
    if (m->ref == q->unused_ref)
        on_registry_named(q, m);
    else if (m->ref == q->tx_await)
        tx_on_named(q);
    else if (m->ref == q->await_ref)
        on_store_named(q, m);
}

/* What those ask who look into it, or take single messages out. */
static void on_look(struct queue *q, struct msg *m)
{
    switch (m->type) {
    case QUEUE_PEEK:
        on_peek(q, m);
        break;
    case QUEUE_TAKE:
        on_take(q, m);
        break;
    case QUEUE_WHY:
        on_why(q, m);
        break;
    case QUEUE_STAT:
        on_stat(q, m);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static void on_channel_message(struct queue *q, struct msg *m)
{
    switch (m->type) {
    case QUEUE_PUBLISH:
        on_publish(q, m);
        break;
    case QUEUE_PERMIT:
        on_permit(q, m);
        break;
    case QUEUE_SHARE:
        on_share(q, m);
        break;
    case QUEUE_SETTLE:
        on_settle(q, m);
        break;
    case QUEUE_CONSUME:
        on_consume(q, m);
        break;
    case QUEUE_CANCEL:
        on_cancel(q, m);
        break;
    case QUEUE_GET:
        on_get(q, m);
        break;
    case QUEUE_GIVEN_BACK:
        on_given_back(q, m);
        break;
    case QUEUE_PURGE:
        on_purge(q, m);
        break;
    case QUEUE_SYNC:
        on_sync(q, m);
        break;
    case QUEUE_ATTACH:
        on_attach(q, m);
        break;
    case QUEUE_DETACH:
        on_detach(q, m->from);
        break;
    case QUEUE_DELETE:
        on_delete(q, m);
        break;
    case QUEUE_TX:
        on_tx(q, m);
        break;
    case QUEUE_TX_END:
        on_tx_end(q, m);
        break;
    case QUEUE_TX_GONE:
        on_tx_gone(q, m);
        break;
    default:
        on_look(q, m);
    }
}

static void dispatch(struct queue *q, struct msg *m)
{
    switch (m->type) {
    case MSG_DOWN:
        on_down(q, m);
        break;
    case MSG_NAMED:
        on_named(q, m);
        break;
    case MSG_TIMEOUT:
        if (on_page_timer(q, m->ref))
            break;
        q->window_timer = 0;
        attach_end(q);
        break;
    case MSG_CONTINUE:
        break; /* what was left over goes on below */
    case STORE_ENTRIES:
        on_store_entries(q, m);
        break;
    case STORE_OPENED:
        on_store_opened(q, m);
        break;
    case STORE_DURABLE:
        on_store_durable(q, m);
        break;
    case STORE_BODIES:
        on_store_bodies(q, m);
        break;
    case STORE_RUN:
        on_store_run(q, m);
        break;
    case STORE_FOUND:
        on_store_found(q, m);
        break;
    case STORE_SYNCED:
        on_store_synced(q, m);
        break;
    case STORE_TX_DONE:
        on_store_tx_done(q, m);
        break;
    default:
        on_channel_message(q, m);
    }
}

void queue_resume(struct queue *q)
{
    struct msg **list = q->postponed;
    uint32_t n = q->n_postponed;

    q->postponed = NULL;
    q->n_postponed = q->cap_postponed = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (must_wait(q, list[i]->type)) {
            queue_postpone(q, list[i]);
            continue;
        }
        dispatch(q, list[i]);
        if (list[i] != q->finding)
            msg_drop(list[i]);
    }
    if (list)
        proc_free(list);
}

static void queue_handle(void *state, struct msg *m)
{
    struct queue *q = state;

    if (must_wait(q, m->type))
        queue_postpone(q, m);
    else
        dispatch(q, m);
    if (q->n_tx_ending > 0)
        tx_step(q);
    if (q->returning || q->purge.is_on || q->deletion.is_on)
        admin_step(q);
    if (q->n_gets > 0)
        get_serve(q);
    deliver_pump(q);
    if (queue_check_invariants)
        queue_invariant(q);
}

void queue_flush(struct queue *q)
{
    if (q->limited)
        share_flush(q);
    while (q->dirty) {
        struct peer *p = q->dirty;

        q->dirty = p->next_dirty;
        peer_flush(q, p);
    }
    page_out(q);
    store_send(q);
    if (q->n_takens > 0)
        intake_tell_taken(q);
    if (q->n_syncs > 0)
        sync_ask(q);
    stats_write(q);
}

static void flush(void *state)
{
    queue_flush(state);
}

const struct proc_ops queue_ops = {
    .kind = "queue",
    .state_size = sizeof(struct queue),
    .init = queue_init,
    .handle = queue_handle,
    .flush = flush,
    .inspect = queue_inspect,
};
