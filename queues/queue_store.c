/*
 * The queue's side of the store: opening, what is sent to it, how far it is durable, and what to
 * send again to a new incarnation.
 *
 * The queue awaits the store's name, opens with its own epoch, and is told what is there. From the
 * request on acks may be sent, for they come behind it; publishes only once it is answered, because
 * STORE_DURABLE speaks of all seqs up to one, so that what the last store did not confirm goes
 * first. Acks that the last store may have lost are found by comparing: what a store has and the
 * queue has not was settled, but for what is cold, of which none was.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/alarms.h"
#include "queues/queue_impl.h"

static void unref_record(void *owner)
{
    record_unref(owner);
}

/* Room for one more operation in this turn's message. */
static struct store_op *next_op(struct queue *q)
{
    struct msg_store_ops *ops = q->ops;

    if (!ops || ops->n == ops->cap) {
        uint32_t cap = ops ? 2 * ops->cap : 32;
        struct msg_store_ops *grown = store_ops_new(q->cell->id, q->epoch, cap, unref_record);

        if (ops) {
            q->ops = NULL;
            memcpy(grown->op, ops->op, ops->n * sizeof(ops->op[0]));
            grown->n = ops->n;
            ops->n = 0; /* the references moved */
            msg_drop(&ops->hdr);
        }
        q->ops = ops = grown;
    }
    memset(&ops->op[ops->n], 0, sizeof(ops->op[0]));
    return &ops->op[ops->n];
}

static void fill_publish(struct store_op *op, const struct entry *e)
{
    struct amqp_bytes part[2];

    record_stored_parts(e->record, part);
    op->kind = STORE_OP_PUBLISH;
    op->seq = op->last_seq = entry_seq(e);
    for (int i = 0; i < 2; i++) {
        op->part[i] = part[i].p;
        op->part_len[i] = part[i].len;
    }
    op->owner = record_ref(e->record);
}

static void put_publish(struct queue *q, const struct entry *e)
{
    struct store_op *op = next_op(q);

    fill_publish(op, e);
    q->ops->n++;
    q->given.seq = op->seq;
    q->given.messages++;
    q->given.bytes += e->size;
}

void store_publish(struct queue *q, struct entry *e, uint64_t tag, struct peer *p)
{
    e->flags |= ENTRY_STORED;
    e->pending = pending_push(&q->pending, entry_seq(e), tag, p, e->size);
    p->n_pending++;
    if (q->store_ready)
        put_publish(q, e);
}

void store_page(struct queue *q, struct entry *e)
{
    struct store_op *op = next_op(q);

    e->flags |= ENTRY_STORED;
    fill_publish(op, e);
    op->is_fleeting = true;
    q->ops->n++;
}

void store_ack(struct queue *q, uint64_t seq)
{
    store_ack_range(q, seq, seq);
}

void store_ack_range(struct queue *q, uint64_t first, uint64_t end)
{
    struct store_op *op, *last = q->ops && q->ops->n > 0 ? &q->ops->op[q->ops->n - 1] : NULL;

    if (!q->store || q->phase == PHASE_DELETING)
        return; /* the comparison at the next opening finds it; a deleted queue's go with its row */
    if (last && last->kind != STORE_OP_PUBLISH && last->last_seq + 1 == first) {
        last->kind = STORE_OP_ACK_RANGE;
        last->last_seq = end;
        return;
    }
    op = next_op(q);
    op->kind = first == end ? STORE_OP_ACK : STORE_OP_ACK_RANGE;
    op->seq = first;
    op->last_seq = end;
    q->ops->n++;
}

/* Remembers how much was given so far. */
static void mark_given(struct queue *q)
{
    struct store_mark *old = q->marks;
    uint32_t cap = q->cap_marks;

    if (q->n_marks == cap) {
        q->cap_marks = cap ? 2 * cap : 64;
        q->marks = proc_alloc(q->cap_marks * sizeof(*old));
        for (uint32_t i = 0; i < q->n_marks; i++)
            q->marks[i] = old[(q->first_mark + i) & (cap - 1)];
        q->first_mark = 0;
        proc_free(old);
    }
    q->marks[(q->first_mark + q->n_marks++) & (q->cap_marks - 1)] = q->given;
}

static void forget_given(struct queue *q)
{
    proc_free(q->marks);
    q->marks = NULL;
    q->n_marks = q->cap_marks = 0;
    q->given = q->spoken = (struct store_mark){0};
}

/* The store has come so far. */
static void note_spoken(struct queue *q, uint64_t up_to)
{
    for (; q->n_marks > 0 && q->marks[q->first_mark].seq <= up_to; q->n_marks--) {
        q->spoken = q->marks[q->first_mark];
        q->first_mark = (q->first_mark + 1) & (q->cap_marks - 1);
    }
}

void store_backlog(const struct queue *q, uint64_t *ret_messages, uint64_t *ret_bytes)
{
    uint64_t messages = q->given.messages - q->spoken.messages;
    uint64_t bytes = q->given.bytes - q->spoken.bytes;

    *ret_messages = messages > q->pending.n ? messages : q->pending.n;
    *ret_bytes = bytes > q->pending.bytes ? bytes : q->pending.bytes;
    *ret_bytes += page_waiting(q);
}

void store_send(struct queue *q)
{
    struct msg_store_ops *ops = q->ops;
    uint64_t marked = q->n_marks > 0
                          ? q->marks[(q->first_mark + q->n_marks - 1) & (q->cap_marks - 1)].seq
                          : q->spoken.seq;

    q->ops = NULL;
    if (!ops)
        return;
    if (q->given.seq > marked)
        mark_given(q);
    ops->ack_time_us = q->consumers.n == 0 ? 0 : q->ack_time_us ? q->ack_time_us : 1;
    proc_send(q->store, &ops->hdr);
}

struct msg_store_ops *store_tx_ops(const struct queue *q, uint64_t tx, uint32_t cap)
{
    struct msg_store_ops *ops = store_ops_new(q->cell->id, q->epoch, cap, unref_record);

    ops->tx = queue_plant == PLANT_TX_SPLIT ? 0 : tx;
    return ops;
}

void store_tx_put(struct msg_store_ops *ops, const struct entry *e, bool is_publish)
{
    struct store_op *op = &ops->op[ops->n];

    memset(op, 0, sizeof(*op));
    if (is_publish) {
        fill_publish(op, e);
    } else {
        op->kind = STORE_OP_ACK;
        op->seq = op->last_seq = entry_seq(e);
    }
    ops->n++;
}

void store_tx_send(struct queue *q, struct msg_store_ops *ops)
{
    store_send(q);
    if (ops->n == 0)
        msg_drop(&ops->hdr);
    else
        proc_send(q->store, &ops->hdr);
}

void store_start(struct queue *q)
{
    char name[300];

    snprintf(name, sizeof(name), "store:%s", cell_vhost(q->cell));
    q->await_ref = proc_await(name);
}

void on_store_named(struct queue *q, struct msg *m)
{
    const struct backlog *b = &q->backlog;
    struct msg_store_open *open = store_open_new(q->cell->id, q->epoch, tx_ask_cold(q, NULL));

    q->await_ref = 0;
    atomic_store_explicit(&q->cell->stats.has_pages, true, memory_order_relaxed);
    q->store = m->from;
    q->store_monitor = proc_monitor(q->store);
    /* At first all is taken as it is, in numbers. Later what it knows of is compared. */
    open->known_first = !q->was_opened ? 0 : b->cold_n > 0 ? b->cold_first : 1;
    open->is_first = !q->was_opened;
    open->is_fleeting = !q->is_durable;
    open->known_last = !q->was_opened ? UINT64_MAX : b->cold_n > 0 ? b->cold_last : 0;
    (void)tx_ask_cold(q, open->ask); /* as many as before */
    q->open_ref = proc_call(q->store, &open->hdr, PROC_NO_TIMEOUT);
}

void store_make_cold(struct queue *q, struct entry *e)
{
    struct record *record = settle_take_record(q, e);

    if (!(e->flags & ENTRY_REDELIVERED) && !q->purge.is_on)
        (void)backlog_cool(&q->backlog, e); /* e stays where that can't be */
    record_unref(record);
}

/* Of durable messages: where memory runs low, a queue keeps little more than it hands out next. */
static uint64_t resident_limit(void)
{
    return alarms_is_memory_tight() ? queue_limits.resident_bytes / 16
                                    : queue_limits.resident_bytes;
}

void store_made_durable(struct queue *q, struct entry *e)
{
    e->flags |= ENTRY_STORED | ENTRY_DURABLE;
    if (e->record)
        q->resident_bytes += e->size;
    if (q->resident_bytes > resident_limit())
        store_make_cold(q, e);
}

/* A publish became durable: confirmed, and it may leave the memory. */
static void made_durable(struct queue *q, const struct pending_item *item)
{
    struct entry *e = backlog_find(&q->backlog, item->seq);
    struct peer *p = item->owner;

    CHECK(e && !(e->flags & ENTRY_DURABLE)); /* settled ones left the ring (rule 3) */
    store_made_durable(q, e);
    if (queue_plant != PLANT_CONFIRM_EARLY)
        peer_confirm(q, p, item->tag);
    peer_unpend(q, p);
}

/* What the new incarnation of the store has of a queue that was open before. */
static void compare_entry(struct queue *q, const struct store_entry *s)
{
    struct entry *e = backlog_find(&q->backlog, s->seq);

    if (e && tx_found(e))
        return; /* what becomes of it is known when all is told */
    if (!e && backlog_is_in_cold(&q->backlog, s->seq))
        return; /* of a transaction that was decided since the question */
    if (!e || !(e->flags & ENTRY_STORED))
        store_ack(q, s->seq); /* settled, and the last store died before it wrote that */
    else if (e->flags & ENTRY_FLEETING)
        page_done(q, e);
    else if (!(e->flags & ENTRY_DURABLE))
        made_durable(q, pending_settle(&q->pending, e->pending));
}

void on_store_entries(struct queue *q, struct msg *m)
{
    const struct msg_store_entries *in = MSG_OF(struct msg_store_entries, m);

    if (m->from != q->store || in->epoch != q->epoch)
        return;
    for (uint32_t i = 0; i < in->n; i++)
        compare_entry(q, &in->entry[i]);
}

/* What turned out to be durable, and what was settled meanwhile, is announced by nobody else. */
static void touch_peers(struct queue *q)
{
    for (struct peer *p = q->first_peer; p; p = p->next)
        peer_touch(q, p);
}

void on_store_opened(struct queue *q, struct msg *m)
{
    const struct msg_store_opened *in = MSG_OF(struct msg_store_opened, m);
    struct pending_item *item;
    uint64_t at = 0;

    q->open_ref = 0;
    q->store_ready = true;
    if (!q->was_opened && q->is_durable) {
        q->was_opened = true;
        q->next_seq = q->recovered_to = in->next_seq;
        if (in->n_entries > 0)
            backlog_set_cold(&q->backlog, 0, in->next_seq - 1, in->n_entries, in->bytes);
        attach_begin(q);
        return;
    }
    q->was_opened = true;
    while ((item = pending_next(&q->pending, &at)))
        put_publish(q, backlog_find(&q->backlog, item->seq));
    page_store_opened(q);
    if (q->is_durable)
        tx_store_opened(q);
    cold_ack_again(q);
    read_again(q);
    cold_ask_again(q);
    sync_ask(q);
    touch_peers(q);
}

void on_store_durable(struct queue *q, struct msg *m)
{
    const struct msg_store_durable *in = MSG_OF(struct msg_store_durable, m);
    struct pending_item *item;

    /* Until all was sent again, a new store cannot speak of it. */
    if (m->from != q->store || in->epoch != q->epoch || !q->store_ready)
        return;
    while ((item = pending_pop(&q->pending, in->up_to_seq)))
        made_durable(q, item);
    note_spoken(q, in->up_to_seq);
    intake_raise_all(q);
}

bool store_owns_ref(const struct queue *q, proc_ref ref)
{
    if (ref == q->store_monitor || ref == q->open_ref || ref == q->read_ref || ref == q->run_ref ||
        ref == q->find_ref || (ref == q->pager.ref && ref != 0))
        return true;
    for (uint32_t i = 0; i < q->n_syncs; i++) {
        if (q->syncs[i].ref == ref)
            return true;
    }
    return take_owns_ref(q, ref);
}

void on_store_down(struct queue *q, struct msg *m)
{
    const struct msg_exit *down = MSG_OF(struct msg_exit, m);
    struct msg_store_ops *ops = q->ops;

    if (m->ref != q->store_monitor) {
        /* Calls of a store that died are asked again when its monitor has told and it is back. */
        if (down->why.kind == EXIT_NOREPLY)
            proc_exit(EXIT_CRASH, 0, "the store refused: %s", down->why.text);
        return;
    }
    q->ops = NULL;
    if (ops)
        msg_drop(&ops->hdr);
    forget_given(q);
    q->store = 0;
    q->store_ready = false;
    q->store_monitor = q->open_ref = q->read_ref = q->run_ref = q->find_ref = 0;
    q->pager.ref = 0;
    sync_forget_store(q);
    take_forget_store(q);
    if (q->is_durable)
        tx_store_down(q); /* others hear of it by their calls */
    store_start(q);
}
