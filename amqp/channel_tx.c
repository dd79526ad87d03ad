/*
 * channel_tx.c - transactions: what is gathered until tx.commit, and the commit over all queues.
 *
 * Publishes are checked and routed when they come and gathered for each queue; acks, nacks and
 * rejects only mark their tags. tx.commit gives each queue its part, and the store makes all parts
 * durable together or none. The client hears commit-ok when one queue has said so, for then it is
 * true of all; if none can say it any more, the channel is closed and says why. A queue that is
 * deleted meanwhile takes its own part with it, and the others theirs.
 */
#include <stdio.h>

#include "amqp/channel_internal.h"
#include "amqp/replies.h"
#include "broker/core/config.h"

enum { PIECE_MAX = 256 }; /* items in one message to a queue */

/* A publish that reaches no queue: returned, or a direct reply, when the others are committed. */
struct tx_stray {
    struct msg_channel_reply *kept; /* its record */
    bool mandatory;
};

static void check_is_on(struct channel *ch, const struct amqp_method *m)
{
    if (!ch->tx.is_on)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, m->id, "channel is not transactional");
}

/* The bound keeps one client's transaction from the memory and the disk time of all others. */
static void count(struct channel *ch, uint32_t method, uint64_t bytes)
{
    const struct config *c = config();

    ch->tx.n++;
    ch->tx.bytes += bytes;
    if (ch->tx.n > c->tx_max_operations)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, method,
                     "transaction has more than the %llu operations that are allowed",
                     (unsigned long long)c->tx_max_operations);
    if (ch->tx.bytes > c->tx_max_bytes)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, method,
                     "transaction has more than the %llu bytes that are allowed",
                     (unsigned long long)c->tx_max_bytes);
}

/* Room for one more item of the link's part. */
static struct tx_item *next_item(struct link *l)
{
    struct msg_queue_tx *last = l->tx_last;

    if (!last || last->n == last->cap) {
        struct msg_queue_tx *m = queue_tx_new(0, 0, last ? PIECE_MAX : 16);

        proc_keep(&m->hdr);
        if (last)
            last->next = m;
        else
            l->tx_first = m;
        l->tx_last = last = m;
    }
    last->item[last->n] = (struct tx_item){0};
    return &last->item[last->n++];
}

static void drop_part(struct link *l)
{
    while (l->tx_first) {
        struct msg_queue_tx *m = l->tx_first;

        l->tx_first = m->next;
        msg_drop(&m->hdr);
    }
    l->tx_last = NULL;
}

static void add_stray(struct channel *ch, struct record *r, bool mandatory)
{
    struct channel_tx *tx = &ch->tx;

    if (!mandatory && !reply_is_name(record_key(r))) {
        tx->n_dropped++;
        return;
    }
    if (tx->n_strays == tx->cap_strays) {
        tx->cap_strays = tx->cap_strays ? 2 * tx->cap_strays : 8;
        tx->stray = proc_realloc(tx->stray, tx->cap_strays * sizeof(tx->stray[0]));
    }
    tx->stray[tx->n_strays] = (struct tx_stray){channel_reply_new(r), mandatory};
    proc_keep(&tx->stray[tx->n_strays++].kept->hdr);
}

void tx_publish(struct channel *ch, struct command *cmd, const struct routed *to)
{
    struct record *r = cmd->record;

    count(ch, AMQP_BASIC_PUBLISH, record_window_bytes(r));
    if (to->queues.n == 0)
        add_stray(ch, r, cmd->mandatory);
    for (uint32_t i = 0; i < to->queues.n; i++)
        next_item(link_to(ch, routed_queue(to, i)))->record = record_ref(r);
    cmd->kind = COMMAND_DONE;
    record_unref(r);
}

void tx_settle(struct channel *ch, struct tag_entry *e, enum settle_how how, uint32_t method)
{
    e->tx = (uint8_t)(1 + how);
    ch->tx.n_settled++;
    count(ch, method, 0);
}

/* Nothing is gathered any more. The marks of tags have been seen to. */
static void reset(struct channel *ch)
{
    struct channel_tx *tx = &ch->tx;

    for (uint32_t i = 0; i < tx->n_strays; i++)
        msg_drop(&tx->stray[i].kept->hdr);
    proc_free(tx->stray);
    *tx = (struct channel_tx){.is_on = true};
    for (struct link *l = ch->links, *next; l; l = next) {
        next = l->next;
        drop_part(l);
        link_drop_if_unused(ch, l);
    }
}

enum method_result tx_select(struct channel *ch, const struct amqp_method *m)
{
    if (ch->is_confirming)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, m->id,
                     "cannot switch from confirm to tx mode");
    ch->tx.is_on = true;
    channel_reply_id(ch, AMQP_TX_SELECT_OK);
    return METHOD_DONE;
}

enum method_result tx_rollback(struct channel *ch, const struct amqp_method *m)
{
    check_is_on(ch, m);
    for (struct tag_entry *e = tags_first(&ch->tags); e; e = tags_next(&ch->tags, e))
        e->tx = 0;
    reset(ch);
    channel_reply_id(ch, AMQP_TX_ROLLBACK_OK);
    return METHOD_DONE;
}

/* Whether a queue must be waited for; *ret is what its method then returns. */
static bool must_wait(struct channel *ch, struct link *l, enum method_result *ret)
{
    const struct cell_at *at;

    if (l->state != LINK_UP)
        link_refresh(ch, l);
    if (l->state == LINK_UP || l->state == LINK_GONE)
        return false;
    at = cell_at(l->cell);
    if (at->state == CELL_PARKED)
        channel_fail(ch, AMQP_CODE_INTERNAL_ERROR, AMQP_TX_COMMIT,
                     "transaction is given up: queue '%s' in vhost '%s' is down: %s",
                     cell_name(l->cell), ch->vhost, at->reason);
    *ret = op_await_cell(ch, l->cell, l->pid);
    return true;
}

/* Whether all queues that have part are there. */
static bool are_up(struct channel *ch, enum method_result *ret)
{
    for (struct link *l = ch->links, *next; l; l = next) {
        next = l->next; /* the method may end, but not the link */
        if (l->tx_first && must_wait(ch, l, ret))
            return false;
    }
    for (struct tag_entry *e = tags_first(&ch->tags); e; e = tags_next(&ch->tags, e)) {
        if (e->tx && e->seq != 0 && must_wait(ch, e->link, ret))
            return false;
    }
    return true;
}

/* Adds the settlements to the parts, and counts the parts; a deleted queue has none. */
static uint32_t make_parts(struct channel *ch)
{
    uint32_t n = 0;

    for (struct tag_entry *e = tags_first(&ch->tags); e; e = tags_next(&ch->tags, e)) {
        struct link *l = e->link;
        struct tx_item *item;

        if (!e->tx || e->seq == 0 || l->state != LINK_UP)
            continue;
        item = next_item(l);
        item->seq = e->seq;
        item->how = (enum settle_how)(e->tx - 1);
    }
    for (struct link *l = ch->links; l; l = l->next) {
        if (l->state != LINK_UP)
            drop_part(l);
        n += l->tx_first != NULL;
    }
    return n;
}

static void send_part(struct channel *ch, struct link *l, uint32_t n_parts)
{
    while (l->tx_first) {
        struct msg_queue_tx *m = l->tx_first;

        l->tx_first = m->next;
        m->epoch = l->epoch;
        m->tx = ch->tx.number;
        if (l->tx_first) {
            PROC_SEND(l->pid, m);
            continue;
        }
        m->n_parts = n_parts;
        l->tx_ref = proc_call(l->pid, &m->hdr, PROC_NO_TIMEOUT);
    }
    l->tx_last = NULL;
}

/* The transaction is durable. */
static enum method_result finish(struct channel *ch)
{
    struct channel_tx *tx = &ch->tx;

    for (uint32_t i = 0; i < tx->n_strays; i++) {
        struct record *r = tx->stray[i].kept->record;

        if (channel_reply_to_key(ch, r))
            continue;
        if (tx->stray[i].mandatory)
            channel_return(ch, r);
        else
            tx->n_dropped++;
    }
    channel_count_many(ch->stats, MESSAGES_DROPPED, tx->n_dropped);
    for (struct tag_entry *e = tags_first(&ch->tags), *next; e; e = next) {
        next = tags_next(&ch->tags, e);
        if (!e->tx)
            continue;
        if (e->tx - 1 == SETTLE_ACK)
            channel_count_delivery(ch->stats, ((struct link *)e->link)->queue_type, ACKNOWLEDGED);
        settle_take(ch, e);
    }
    reset(ch);
    channel_reply_id(ch, AMQP_TX_COMMIT_OK);
    return METHOD_DONE;
}

enum method_result tx_commit(struct channel *ch, const struct amqp_method *m)
{
    enum method_result r;
    uint32_t n;

    check_is_on(ch, m);
    if (!are_up(ch, &r))
        return r;
    n = make_parts(ch);
    if (n == 0)
        return finish(ch);
    ch->tx.number = queue_tx_next();
    ch->tx.n_parts = ch->tx.n_waiting = n;
    ch->tx.n_lost = ch->tx.n_gone = ch->tx.n_unsure = 0;
    ch->tx.is_committed = ch->tx.is_given_up = false;
    for (struct link *l = ch->links; l; l = l->next) {
        if (l->tx_first)
            send_part(ch, l, n);
    }
    ch->op_ref = 0;
    ch->op_wait = OP_TX;
    return METHOD_WAITS;
}

/* What one queue has learnt is told to those that have not answered. */
static void tell_others(struct channel *ch, bool committed)
{
    for (struct link *l = ch->links; l; l = l->next) {
        struct msg_queue_tx_end *end;

        if (l->tx_ref == 0 || l->state != LINK_UP)
            continue;
        end = queue_tx_end_new(QUEUE_TX_END, ch->tx.number, committed);
        PROC_SEND(l->pid, end);
    }
}

/*
 * The queue was deleted before it had its part, which goes with it, as what is published a moment
 * earlier does. One that has its part answers before it is deleted.
 */
static void on_deleted(struct channel *ch, const struct link *gone)
{
    ch->tx.n_gone++;
    for (struct link *l = ch->links; l; l = l->next) {
        struct msg_queue_tx_gone *m;

        if (l->tx_ref == 0 || l->state != LINK_UP)
            continue;
        m = queue_tx_gone_new(ch->tx.number, gone->cell->id);
        PROC_SEND(l->pid, m);
    }
}

/* The first to know is passed on; that it was committed also when it had been given up for lost. */
static void on_answer(struct channel *ch, const struct link *l, const struct msg *m)
{
    struct channel_tx *tx = &ch->tx;
    const struct msg_queue_tx_end *done =
        m->type == QUEUE_TX_DONE ? (const struct msg_queue_tx_end *)(const void *)m : NULL;
    bool committed = done && done->committed;

    tx->n_lost += !done;
    tx->n_unsure += done && done->is_unsure;
    if (!done || (tx->n_lost == 0 && !committed))
        snprintf(tx->lost, sizeof(tx->lost), "%s", cell_name(l->cell));
    if (committed) {
        if (!tx->is_committed)
            tell_others(ch, true);
        tx->is_committed = true;
    } else if (!tx->is_committed) {
        if (!tx->is_given_up)
            tell_others(ch, false);
        tx->is_given_up = true;
    }
}

/* Whether one of the queues that have part in it lives and knows that it was not committed. */
static bool tx_is_known(const struct channel *ch)
{
    return ch->tx.n_lost + ch->tx.n_gone + ch->tx.n_unsure < ch->tx.n_parts;
}

bool tx_take(struct channel *ch, struct msg *m)
{
    struct link *l = ch->links;

    while (l && (l->tx_ref != m->ref || m->ref == 0))
        l = l->next;
    if (!l)
        return false;
    l->tx_ref = 0;
    if (m->type == MSG_DOWN && cell_at(l->cell)->state == CELL_DELETED)
        on_deleted(ch, l);
    else
        on_answer(ch, l, m);
    if (--ch->tx.n_waiting > 0)
        return true;
    if (!ch->tx.is_committed && ch->tx.n_gone < ch->tx.n_parts)
        channel_fail(
            ch, AMQP_CODE_INTERNAL_ERROR, AMQP_TX_COMMIT,
            "transaction is %s: queue '%s' in vhost '%s' went down before it was committed",
            tx_is_known(ch) ? "given up" : "given up, or durable", ch->tx.lost, ch->vhost);
    (void)finish(ch);
    op_done(ch);
    return true;
}

void tx_abandon(struct channel *ch)
{
    for (struct link *l = ch->links; l; l = l->next) {
        if (l->tx_ref != 0)
            proc_cancel(l->tx_ref);
        l->tx_ref = 0;
    }
}
