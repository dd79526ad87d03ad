/*
 * channel_deliver.c - what queues give: deliveries, answers of basic.get, cancelled consumers; and
 * the permits that consumers get for what the socket took.
 */
#include <string.h>

#include "amqp/channel_internal.h"

enum {
    OUTPUT_MESSAGES = 1024, /* of a channel's output, shared by its consumers */
    OUTPUT_BYTES = 1024 * 1024,
    LEAST_MESSAGES = 16,
    LEAST_BYTES = 16 * 1024,
};

static struct consumer_mark window_of(const struct channel *ch)
{
    uint32_t n = ch->consumers.n ? ch->consumers.n : 1;
    struct consumer_mark w = {.messages = OUTPUT_MESSAGES / n, .bytes = OUTPUT_BYTES / n};

    if (w.messages < LEAST_MESSAGES)
        w.messages = LEAST_MESSAGES;
    if (w.bytes < LEAST_BYTES)
        w.bytes = LEAST_BYTES;
    return w;
}

struct consumer_spec consumer_describe(struct channel *ch, struct channel_consumer *cc)
{
    struct consumer_mark w = window_of(ch);

    return (struct consumer_spec){
        .cid = cc->cid,
        .no_ack = cc->no_ack,
        .exclusive = cc->exclusive,
        .is_shared = ch->share.limit > 0,
        .prefetch = cc->prefetch,
        .priority = cc->priority,
        .window_messages = cc->renewed_messages + w.messages,
        .window_bytes = cc->renewed_bytes + w.bytes,
        .tag = cc->tag,
        .args = cc->args,
    };
}

static struct channel_consumer *find_consumer(struct channel *ch, uint32_t cid)
{
    uint64_t *found;

    if (ch->last_consumer && ch->last_consumer->cid == cid)
        return ch->last_consumer;
    found = u64map_get(&ch->consumers, cid);
    if (!found)
        return NULL;
    ch->last_consumer = (struct channel_consumer *)(uintptr_t)*found;
    return ch->last_consumer;
}

/* Whether the consumer has used so much of its window that its writing is to be told of. */
static bool mark(struct channel *ch, struct channel_consumer *cc)
{
    struct consumer_mark w;

    if (cc->is_marked)
        return false;
    w = window_of(ch);
    if (cc->sent_messages - cc->renewed_messages < w.messages / 4 &&
        cc->sent_bytes - cc->renewed_bytes < w.bytes / 4)
        return false;
    cc->mark = (struct consumer_mark){ch->out_n, cc->sent_messages, cc->sent_bytes};
    cc->is_marked = true;
    cc->next_marked = ch->marked;
    ch->marked = cc;
    return true;
}

static void renew(struct channel *ch, struct channel_consumer *cc)
{
    struct consumer_mark w = window_of(ch);
    struct msg_queue_permit *p;

    cc->renewed_messages = cc->mark.messages;
    cc->renewed_bytes = cc->mark.bytes;
    if (cc->link->state != LINK_UP)
        return;
    p = MSG_NEW(QUEUE_PERMIT, struct msg_queue_permit);
    p->epoch = cc->link->epoch;
    p->cid = cc->cid;
    p->messages = cc->renewed_messages + w.messages;
    p->bytes = cc->renewed_bytes + w.bytes;
    PROC_SEND(cc->link->pid, p);
}

/*
 * A mark may lie far behind what was sent since: the last message of a window may be larger than
 * the whole of it. So all is renewed where all is written, and else the next mark is set at once;
 * it cannot wait for a delivery, which may need the permit.
 */
void channel_on_written(struct channel *ch, const struct msg *m)
{
    uint64_t n = ((const struct msg_channel_count *)(const void *)m)->n;
    struct channel_consumer **at = &ch->marked;

    reply_on_written(ch, n);
    while (*at) {
        struct channel_consumer *cc = *at;

        if (cc->mark.at > n) {
            at = &cc->next_marked;
            continue;
        }
        *at = cc->next_marked;
        cc->is_marked = false;
        if (n >= ch->out_n)
            cc->mark = (struct consumer_mark){n, cc->sent_messages, cc->sent_bytes};
        renew(ch, cc);
        (void)mark(ch, cc); /* what is not written was given with `tell`, so it is told of */
    }
}

static bool is_lasting(const struct link *l, const struct record *r)
{
    return (l->cell->flags & CELL_DURABLE) && record_is_persistent(r);
}

/* One delivery for the client; moves the record. */
static void pass_on(struct channel *ch, struct link *l, struct msg_conn_deliver *out,
                    struct delivery *d)
{
    struct channel_consumer *cc = find_consumer(ch, d->cid);
    struct conn_delivery item = {
        .record = d->record, .kind = DELIVERY_DELIVER, .redelivered = d->redelivered};

    if (d->drew)
        share_drew(&ch->share, &l->share);
    if (!cc) { /* its cancel was answered before: the queue has it back when it sees so */
        record_unref(d->record);
        return;
    }
    item.ctag = cc->tag;
    channel_count_delivery(ch->stats, l->queue_type,
                           cc->no_ack ? DELIVERED_AUTO_ACK : DELIVERED_MANUAL_ACK);
    if (d->redelivered)
        channel_count_delivery(ch->stats, l->queue_type, REDELIVERED);
    if (cc->no_ack) {
        l->has_acked |= is_lasting(l, d->record);
        item.tag = tags_skip(&ch->tags);
    } else {
        struct tag_entry *e = tags_add(&ch->tags);

        e->link = l;
        e->seq = d->seq;
        e->cid = d->cid;
        e->lasts = is_lasting(l, d->record);
        item.tag = e->tag;
        l->n_held++;
        share_use(&ch->share);
    }
    cc->sent_messages++;
    cc->sent_bytes += record_window_bytes(d->record);
    ch->out_n++;
    out->tell |= mark(ch, cc);
    conn_deliver_add(out, &item);
}

void channel_on_deliver(struct channel *ch, struct msg *m)
{
    struct msg_queue_deliver *in = MSG_OF(struct msg_queue_deliver, m);
    struct link *l = link_find(ch, in->queue_id);
    struct msg_conn_deliver *out;
    uint32_t n = in->n;

    if (!l || l->state != LINK_UP || in->epoch != l->epoch)
        return;
    out = conn_deliver_new(n);
    out->number = ch->number;
    in->n = 0; /* the records move */
    for (uint32_t i = 0; i < n; i++)
        pass_on(ch, l, out, &in->item[i]);
    out->tell |= ch->marked != NULL;
    PROC_SEND(ch->connection, out);
}

void channel_on_consumer_gone(struct channel *ch, const struct msg *m)
{
    const struct msg_queue_consumer_gone *in =
        (const struct msg_queue_consumer_gone *)(const void *)m;
    struct channel_consumer *cc = find_consumer(ch, in->cid);

    if (cc && cc->is_active && cc->link->cell->id == in->queue_id)
        consumer_gone(ch, cc);
}

enum method_result get_start(struct channel *ch, const struct amqp_method *m)
{
    struct msg_queue_get *ask;
    enum method_result r;
    struct cell *cell = topology_queue(ch, m->u.basic_get.queue, m->id, &r);
    struct link *l;

    if (!cell)
        return r;
    if (!share_has_room(&ch->share) && !m->u.basic_get.no_ack)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, m->id,
                     "reached maximum (%u) of unacknowledged messages per channel", ch->share.most);
    l = link_to(ch, cell);
    if (l->state != LINK_UP)
        return op_await_cell(ch, cell, l->pid);
    ask = MSG_NEW(QUEUE_GET, struct msg_queue_get);
    ask->epoch = l->epoch;
    ask->no_ack = m->u.basic_get.no_ack;
    return op_call(ch, l->pid, &ask->hdr);
}

/* What the client need not ack is settled before it is on its way: it is in our hands now. */
static void get_ok(struct channel *ch, struct link *l, struct msg_queue_got *got)
{
    struct msg_conn_deliver *out = conn_deliver_new(1);
    struct conn_delivery item = {
        .record = got->record, .kind = DELIVERY_GET_OK, .redelivered = got->redelivered};
    struct tag_entry *e = tags_add(&ch->tags);

    got->record = NULL;
    channel_count_delivery(ch->stats, l->queue_type, got->no_ack ? GOT_AUTO_ACK : GOT_MANUAL_ACK);
    if (got->redelivered)
        channel_count_delivery(ch->stats, l->queue_type, REDELIVERED);
    item.ready = got->ready > UINT32_MAX ? UINT32_MAX : (uint32_t)got->ready;
    e->link = l;
    e->seq = got->seq;
    e->cid = 0;
    e->lasts = is_lasting(l, item.record);
    item.tag = e->tag;
    l->n_held++;
    share_use_other(&ch->share);
    if (got->no_ack) {
        settle_entry(ch, e, SETTLE_TAKEN);
        channel_flush_links(ch);
    }
    out->number = ch->number;
    conn_deliver_add(out, &item);
    PROC_SEND(ch->connection, out);
}

enum method_result get_reply(struct channel *ch, const struct amqp_method *m, struct msg *reply)
{
    struct msg_queue_got *got = MSG_OF(struct msg_queue_got, reply);
    struct link *l = link_find(ch, got->queue_id);
    struct amqp_method empty = {.id = AMQP_BASIC_GET_EMPTY};

    if (got->code != 0)
        channel_fail(ch, got->code, m->id, "%s", got->text);
    if (got->empty || !got->record) {
        channel_count_delivery(ch->stats, l ? l->queue_type : QUEUE_CLASSIC, GOT_NOTHING);
        channel_reply(ch, &empty);
    } else if (l && l->state == LINK_UP && got->epoch == l->epoch) {
        get_ok(ch, l, got);
    } else {
        return get_start(ch, m); /* its queue has died since */
    }
    return METHOD_DONE;
}
