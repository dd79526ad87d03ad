/*
 * A queue's part in a transaction over several queues.
 *
 * What the channel's client published and settled comes in pieces. Messages get their seq at once,
 * so that the store can be given them, but lie in nobody's hands together with what is to be
 * settled, until the store has all parts on disk; or until it is known that it never will. Queues
 * without a store take part as well, with nothing to write, so that they hear of it too.
 *
 * Rules
 *   1. A part whose STORE_TX was sent ends by the store's answer; or, when the store has died, by
 *      what its next run has of it: as much as one message of the part, or that one which it
 *      settles is gone, says that all of the transaction was committed.
 *   2. A part of which the next store knows nothing is given to it again. If the transaction was
 *      committed after all, another queue knows it, and the channel tells (QUEUE_TX_END). Where
 *      nothing of the part would show it, what this queue says of the end is not sure.
 *   3. A part that nobody waits for any more (its channel has ended, or said that another queue is
 *      gone) is given up, unless the store has it already.
 *   4. A queue that is deleted before it has its part takes that part with it. The others are told
 *      (QUEUE_TX_GONE), and each tells the store that it asks, so that it is not waited for.
 *   5. A part that settles what is no longer in its channel's hands is given up.
 */
#include <stdio.h>

#include "queues/queue_impl.h"

enum { OP_PUBLISH = 16 }; /* beside enum settle_how */

static int nobody; /* the owner of what lies in parts */

static struct tx_part *part_find(struct queue *q, uint64_t tx)
{
    struct tx_part *t = q->txs;

    while (t && t->tx != tx)
        t = t->next;
    return t;
}

static struct tx_part *part_get(struct queue *q, uint64_t tx, proc_id channel)
{
    struct tx_part *t = part_find(q, tx);

    if (t)
        return t;
    t = proc_zalloc(sizeof(*t));
    t->tx = tx;
    t->channel = channel;
    t->hands.owner = &nobody;
    t->next = q->txs;
    q->txs = t;
    return t;
}

static void add_op(struct tx_part *t, uint64_t seq, int what)
{
    ARRAY_ROOM(t->op, t->n_ops, t->cap_ops);
    t->op[t->n_ops++] = (struct tx_op){.seq = seq, .what = (uint8_t)what};
}

static void take_publish(struct queue *q, struct tx_part *t, struct tx_item *item)
{
    struct record *record = item->record;
    struct entry *e;

    item->record = NULL;
    e = backlog_add(&q->backlog, q->next_seq++, record, (uint32_t)record_stored_size(record));
    backlog_weigh(&q->backlog, e, record_body_len(record),
                  q->is_durable && record_is_persistent(record));
    backlog_take(&q->backlog, e, &t->hands.holder);
    add_op(t, entry_seq(e), OP_PUBLISH);
    q->published++;
    /* At once, because a later incarnation takes its first seq from it (attach_begin). */
    atomic_store_explicit(&q->cell->stats.published, q->published, memory_order_relaxed);
}

/*
 * Out of the consumer's hands, so that nothing that befalls it gives the message to others. If it
 * has gone to others already, since the queue was restarted, then what was made of it is not to be
 * published either: rule 5.
 */
static void take_settle(struct queue *q, struct tx_part *t, const struct peer *p,
                        const struct tx_item *item)
{
    struct entry *e = backlog_find(&q->backlog, item->seq);
    struct consumer *c;

    if (!e || e->state != ENTRY_UNACKED || consumer_of(e->holder)->owner != p) {
        t->is_void = true;
        return;
    }
    c = consumer_of(e->holder);
    backlog_return(&q->backlog, e);
    backlog_take(&q->backlog, e, &t->hands.holder);
    consumers_settled(&q->consumers, c);
    taker_free_if_done(q, taker_of(c));
    add_op(t, item->seq, (int)item->how);
}

/* What the store must hear of an operation; false: nothing. */
static bool is_written(struct queue *q, const struct tx_op *op)
{
    const struct entry *e = backlog_find(&q->backlog, op->seq);

    if (!q->is_durable || op->what == SETTLE_REQUEUE)
        return false;
    return op->what == OP_PUBLISH ? record_is_persistent(e->record) : e->flags & ENTRY_STORED;
}

static struct msg_store_tx *store_tx_new(const struct queue *q, const struct tx_part *t,
                                         uint32_t type)
{
    struct msg_store_tx *m = MSG_NEW(type, struct msg_store_tx);

    m->queue_id = q->cell->id;
    m->epoch = q->epoch;
    m->tx = t->tx;
    m->n_parts = t->n_parts;
    return m;
}

static void await_store(struct queue *q)
{
    char name[300];

    snprintf(name, sizeof(name), "store:%s", cell_vhost(q->cell));
    if (q->tx_await == 0)
        q->tx_await = proc_await(name);
}

/* The store need not wait for it any longer. */
static void end_at_store(const struct queue *q, const struct tx_part *t, proc_id store)
{
    struct msg_store_tx *m = store_tx_new(q, t, STORE_TX_END);

    m->committed = t->fate == TX_COMMITTED;
    PROC_SEND(store, m);
}

/* Gives the store what it has not yet been given of the part. */
static void give_ops(struct queue *q, struct tx_part *t)
{
    struct msg_store_ops *ops = store_tx_ops(q, t->tx, t->n_ops - t->n_given);

    for (; t->n_given < t->n_ops; t->n_given++) {
        const struct tx_op *op = &t->op[t->n_given];

        if (is_written(q, op))
            store_tx_put(ops, backlog_find(&q->backlog, op->seq), op->what == OP_PUBLISH);
    }
    t->n_written += ops->n;
    store_tx_send(q, ops);
}

static void end_part(struct queue *q, struct tx_part *t, enum tx_fate fate)
{
    if (t->fate != TX_OPEN)
        return;
    t->fate = fate;
    q->n_tx_ending++;
}

static void say_gone(const struct queue *q, const struct tx_part *t, uint64_t queue_id)
{
    struct msg_store_tx *m = store_tx_new(q, t, STORE_TX_GONE);

    m->queue_id = queue_id;
    PROC_SEND(t->store, m);
}

/* The part is complete: the store is asked to make it last. */
static void ask(struct queue *q, struct tx_part *t)
{
    char name[300];

    if (queue_plant == PLANT_TX_UNASKED || (t->n_parts == 1 && t->n_written == 0)) {
        end_part(q, t, TX_COMMITTED); /* nobody else has part in it, and nothing of it lasts */
        return;
    }
    snprintf(name, sizeof(name), "store:%s", cell_vhost(q->cell));
    t->store = q->is_durable ? q->store : proc_whereis(name);
    if (t->store == 0) {
        await_store(q);
        return;
    }
    t->was_asked = true;
    t->ref = proc_call(t->store, &store_tx_new(q, t, STORE_TX)->hdr, PROC_NO_TIMEOUT);
    for (uint32_t i = 0; i < t->n_gone; i++)
        say_gone(q, t, t->gone[i]);
}

static void give(struct queue *q, struct tx_part *t)
{
    if (q->is_durable && !q->store_ready)
        return; /* the next opening gives all */
    if (q->is_durable)
        give_ops(q, t);
    if (t->n_parts > 0 && t->ref == 0)
        ask(q, t);
}

/* Nobody waits for it: rule 3. */
static void give_up(struct queue *q, struct tx_part *t)
{
    t->is_orphan = true;
    if (!t->was_asked)
        end_part(q, t, TX_GIVEN_UP);
    if (t->ref != 0)
        end_at_store(q, t, t->store);
    else if (!t->was_asked && t->n_written > 0 && q->store_ready)
        end_at_store(q, t, q->store);
    else if (t->was_asked && !q->is_durable)
        end_part(q, t, TX_GIVEN_UP); /* the store and the channel have died, and nobody knows */
}

void on_tx(struct queue *q, struct msg *m)
{
    struct msg_queue_tx *in = MSG_OF(struct msg_queue_tx, m);
    struct peer *p;
    struct tx_part *t;

    if (in->epoch != q->epoch)
        return;
    p = peer_get(q, m->from);
    t = part_get(q, in->tx, m->from);
    for (uint32_t i = 0; i < in->n && q->phase != PHASE_DELETING; i++) {
        if (in->item[i].record)
            take_publish(q, t, &in->item[i]);
        else
            take_settle(q, t, p, &in->item[i]);
    }
    t->n_parts = in->n_parts;
    if (t->n_parts > 0)
        t->to = proc_defer(m);
    if (t->n_parts > 0 && t->is_void)
        give_up(q, t);
    else
        give(q, t);
}

void on_tx_end(struct queue *q, struct msg *m)
{
    const struct msg_queue_tx_end *in = MSG_OF(struct msg_queue_tx_end, m);
    struct tx_part *t = part_find(q, in->tx);

    if (!t || t->fate != TX_OPEN)
        return;
    if (!in->committed) {
        give_up(q, t);
        return;
    }
    end_part(q, t, TX_COMMITTED);
    if (t->ref == 0)
        return;
    /* Should the store not have said so by now, it waits for parts that do not come again. */
    proc_cancel(t->ref);
    t->ref = 0;
    end_at_store(q, t, t->store);
}

void on_tx_gone(struct queue *q, struct msg *m)
{
    const struct msg_queue_tx_gone *in = MSG_OF(struct msg_queue_tx_gone, m);
    struct tx_part *t = part_find(q, in->tx);

    if (!t || t->fate != TX_OPEN || queue_plant == PLANT_TX_GONE_UNSAID)
        return;
    ARRAY_ROOM(t->gone, t->n_gone, t->cap_gone);
    t->gone[t->n_gone++] = in->queue_id;
    if (t->ref != 0)
        say_gone(q, t, in->queue_id);
}

void on_store_tx_done(struct queue *q, struct msg *m)
{
    for (struct tx_part *t = q->txs; t; t = t->next) {
        if (t->ref != m->ref)
            continue;
        t->ref = 0;
        t->store_knows = true;
        end_part(q, t, MSG_OF(struct msg_store_tx_done, m)->committed ? TX_COMMITTED : TX_GIVEN_UP);
        return;
    }
}

void tx_forget(struct queue *q, proc_id channel)
{
    for (struct tx_part *t = q->txs; t; t = t->next) {
        if (t->channel == channel && t->fate == TX_OPEN && !t->is_orphan)
            give_up(q, t);
    }
}

/* Whether the store's next run must have something of it that it committed. */
static bool leaves_traces(struct queue *q, const struct tx_part *t)
{
    for (uint32_t i = t->n_done; i < t->n_given; i++) {
        if (t->op[i].what == OP_PUBLISH && is_written(q, &t->op[i]))
            return true;
    }
    return t->n_settled_durable > 0;
}

/* Counts what the store's next run must have if it does not have the transaction. */
static void expect(struct queue *q, struct tx_part *t)
{
    t->n_written = 0;
    t->n_settled_durable = t->n_found_published = t->n_found_settled = 0;
    for (uint32_t i = t->n_done; i < t->n_ops; i++) {
        const struct entry *e = backlog_find(&q->backlog, t->op[i].seq);

        t->n_settled_durable += (t->op[i].what == SETTLE_ACK || t->op[i].what == SETTLE_REJECT) &&
                                e->flags & ENTRY_DURABLE;
    }
    t->is_unsure |= t->was_asked && !leaves_traces(q, t);
    t->n_given = 0;
}

void tx_store_down(struct queue *q)
{
    for (struct tx_part *t = q->txs; t; t = t->next) {
        if (t->ref != 0)
            proc_cancel(t->ref);
        t->ref = 0;
        t->store_knows = false;
        if (t->fate == TX_OPEN)
            expect(q, t);
    }
}

bool tx_found(struct entry *e)
{
    struct consumer *c = e->state == ENTRY_UNACKED ? consumer_of(e->holder) : NULL;
    struct tx_part *t;

    if (!c || c->owner != &nobody)
        return false;
    t = (struct tx_part *)((char *)c - offsetof(struct tx_part, hands));
    if (e->flags & ENTRY_STORED) {
        t->n_found_settled++;
        return false;
    }
    t->n_found_published++;
    return true;
}

uint32_t tx_ask_cold(const struct queue *q, uint64_t *ret)
{
    uint32_t n = 0;

    for (const struct tx_part *t = q->txs; t; t = t->next) {
        for (uint32_t i = t->n_done; i < t->n_ops; i++) {
            if (!backlog_is_in_cold(&q->backlog, t->op[i].seq))
                continue;
            if (ret)
                ret[n] = t->op[i].seq;
            n++;
        }
    }
    return n;
}

/* Rules 1 and 2. */
void tx_store_opened(struct queue *q)
{
    for (struct tx_part *t = q->txs; t; t = t->next) {
        if (t->fate != TX_OPEN)
            continue;
        if (t->n_found_published > 0 || (t->n_settled_durable > 0 && t->n_found_settled == 0))
            end_part(q, t, TX_COMMITTED);
        else if (t->is_orphan)
            end_part(q, t, TX_GIVEN_UP);
        else
            give(q, t);
    }
}

bool tx_on_down(struct queue *q, proc_ref ref)
{
    for (struct tx_part *t = q->txs; t; t = t->next) {
        if (t->ref != ref)
            continue;
        if (q->is_durable)
            return true; /* the monitor of the store tells, and tx_store_down does the rest */
        t->ref = 0;
        t->is_unsure = true;
        if (t->is_orphan)
            end_part(q, t, TX_GIVEN_UP);
        else
            await_store(q);
        return true;
    }
    return false;
}

void tx_on_named(struct queue *q)
{
    q->tx_await = 0;
    for (struct tx_part *t = q->txs; t; t = t->next) {
        if (t->fate == TX_OPEN && t->ref == 0 && t->n_parts > 0 && !q->is_durable)
            ask(q, t);
    }
}

/* By what another queue was told: a run that is under way may not have it. */
static void durable_by_hearsay(struct queue *q, struct entry *e)
{
    e->flags |= ENTRY_STORED | ENTRY_DURABLE;
    q->resident_bytes += e->size;
}

static void carry_out_publish(struct queue *q, const struct tx_part *t, struct entry *e)
{
    bool lasts = q->is_durable && record_is_persistent(e->record);

    backlog_return(&q->backlog, e);
    if (t->fate == TX_GIVEN_UP && queue_plant != PLANT_TX_KEEP_ABORTED)
        settle_done(q, e);
    else if (lasts && t->store_knows)
        store_made_durable(q, e);
    else if (lasts)
        durable_by_hearsay(q, e);
    else
        page_fleeting(q, e);
}

static void carry_out(struct queue *q, const struct tx_part *t, const struct tx_op *op)
{
    struct entry *e = backlog_find(&q->backlog, op->seq);

    if (op->what == OP_PUBLISH) {
        carry_out_publish(q, t, e);
        return;
    }
    backlog_return(&q->backlog, e);
    if (t->fate == TX_GIVEN_UP || op->what == SETTLE_REQUEUE) {
        e->flags |= ENTRY_REDELIVERED;
        return;
    }
    q->acked += op->what == SETTLE_ACK;
    if (t->store_knows)
        settle_known(q, e);
    else
        settle_done(q, e);
}

static void part_free(struct queue *q, struct tx_part *t)
{
    struct tx_part **at = &q->txs;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    q->n_tx_ending--;
    proc_free(t->op);
    proc_free(t->gone);
    proc_free(t);
}

bool tx_has(const struct entry *e)
{
    return consumer_of(e->holder)->owner == &nobody;
}

uint64_t tx_held(const struct queue *q)
{
    uint64_t n = 0;

    for (const struct tx_part *t = q->txs; t; t = t->next)
        n += t->hands.holder.n;
    return n;
}

static void answer(const struct tx_part *t)
{
    struct msg_queue_tx_end *done;

    if (t->to.pid == 0)
        return;
    done = queue_tx_end_new(QUEUE_TX_DONE, t->tx, t->fate == TX_COMMITTED);
    done->is_unsure = t->is_unsure;
    proc_reply_to(t->to, &done->hdr);
}

void tx_step(struct queue *q)
{
    uint32_t n = 0;

    for (struct tx_part *t = q->txs, *next; t; t = next) {
        next = t->next;
        if (t->fate == TX_OPEN)
            continue;
        for (; t->n_done < t->n_ops; t->n_done++, n++) {
            if (n == STEP) {
                proc_continue();
                return;
            }
            carry_out(q, t, &t->op[t->n_done]);
        }
        answer(t);
        part_free(q, t);
    }
}
