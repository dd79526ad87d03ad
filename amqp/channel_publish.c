/*
 * channel_publish.c - publishes: checks, routes, windows, confirms.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"
#include "amqp/codec/props.h"
#include "amqp/replies.h"
#include "queues/strip.h"

enum {
    GATHER_MAX = 64,   /* publishes in one message to a queue */
    CONFIRMS_MAX = 64, /* frames in one message to the connection */
};

static __attribute__((noreturn)) void refuse(struct channel *ch, uint16_t code, const char *fmt,
                                             struct amqp_bytes name)
{
    struct failure f = {.code = code, .method = AMQP_BASIC_PUBLISH};

    snprintf(f.text, sizeof(f.text), fmt, (int)name.len, (const char *)name.p, ch->vhost);
    channel_fail_with(ch, &f);
}

/* NULL: the default exchange. */
static struct cell *find_exchange(struct channel *ch, const struct record *r)
{
    struct amqp_bytes name = record_exchange(r);
    struct cell *x;

    if (name.len == 0)
        return NULL;
    x = vhost_find_exchange(&ch->tables, name.p, name.len);
    if (!x)
        refuse(ch, AMQP_CODE_NOT_FOUND, "no exchange '%.*s' in vhost '%s'", name);
    if (x->flags & CELL_INTERNAL)
        refuse(ch, AMQP_CODE_ACCESS_REFUSED,
               "cannot publish to internal exchange '%.*s' in "
               "vhost '%s'",
               name);
    return x;
}

static void check_user_id(struct channel *ch, struct amqp_bytes props)
{
    struct amqp_bytes user;

    if (!props_find(props, PROP_USER_ID, &user) || amqp_bytes_is(user, ch->user))
        return;
    if (access_tags(ch->user, strlen(ch->user)) & ACCESS_IMPERSONATOR)
        return;
    channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                 "user_id property set to '%.*s' but authenticated user was '%s'", (int)user.len,
                 (const char *)user.p, ch->user);
}

static void check_expiration(struct channel *ch, const struct record *r)
{
    struct amqp_bytes text = record_expiration(r);
    uint64_t ms;

    if (props_parse_expiration(text, &ms) == 0)
        return;
    channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                 "invalid expiration '%.*s': not a number of milliseconds", (int)text.len,
                 (const char *)text.p);
}

static void check_message(struct channel *ch, const struct command *cmd)
{
    const struct record *r = cmd->record;
    struct amqp_bytes props = record_props(r);
    uint8_t mode;

    if (cmd->immediate)
        channel_fail(ch, AMQP_CODE_NOT_IMPLEMENTED, AMQP_BASIC_PUBLISH, "immediate=true");
    if (props.len >= PROPS_EMPTY_LEN && (get_u16(props.p) & prop_flag(PROP_USER_ID)))
        check_user_id(ch, props);
    if (!record_is_persistent(r) && props_delivery_mode(props, &mode) && mode != PROPS_TRANSIENT)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                     "invalid message: delivery_mode %u is unknown", mode);
    if (record_has_expiration(r))
        check_expiration(ch, r);
}

/* Absolute counts: a message goes when it fits, or when the window left is a whole one. */
bool link_fits(const struct link *l, uint64_t bytes)
{
    uint64_t left;

    if (l->sent_messages >= l->granted_messages || l->sent_bytes >= l->granted_bytes)
        return false;
    left = l->granted_bytes - l->sent_bytes;
    return bytes <= left || left >= CREDIT_INITIAL_BYTES;
}

static bool may_send(const struct link *l, uint64_t bytes)
{
    if (l->state == LINK_GONE || (l->state != LINK_UP && cell_at(l->cell)->state == CELL_PARKED))
        return true; /* it does not reach the queue at all */
    if (l->state != LINK_UP && l->gather && l->gather->n == l->gather->cap)
        return false;
    return link_fits(l, bytes);
}

static void gather(struct channel *ch, struct link *l, struct record *r, uint64_t tag,
                   uint32_t more)
{
    if (l->gather && l->gather->n == l->gather->cap)
        link_flush(ch, l);
    if (!l->gather) {
        uint32_t cap = more < CREDIT_INITIAL_MESSAGES ? CREDIT_INITIAL_MESSAGES : more;

        l->gather = queue_publish_new(l->epoch, cap < GATHER_MAX ? cap : GATHER_MAX);
        proc_keep(&l->gather->hdr);
        if (l->state != LINK_UP)
            ch->n_holding++;
    }
    l->gather->item[l->gather->n].record = r;
    l->gather->item[l->gather->n].tag = tag;
    l->gather->n++;
    l->sent_messages++;
    l->sent_bytes += record_window_bytes(r);
    if (tag)
        inflight_add(&l->inflight, tag, proc_realloc);
    link_touch(ch, l);
}

/* One reference of the record goes to each queue, or is given back where there is none. */
static void give_to(struct channel *ch, struct link *l, struct record *r, uint64_t tag,
                    uint32_t more)
{
    bool reaches = l->state == LINK_UP || l->state == LINK_WAITING || l->state == LINK_DOWN;

    if (l->state != LINK_UP && cell_at(l->cell)->state == CELL_PARKED)
        reaches = false;
    if (!reaches) {
        record_unref(r);
        if (tag) /* a deleted queue counts as one that has taken it */
            confirms_part(&ch->confirms, tag, l->state != LINK_GONE);
        return;
    }
    gather(ch, l, r, tag, more);
    if (l->state != LINK_UP)
        link_refresh(ch, l);
}

/*
 * What can be confirmed is confirmed first: no ack that covers several messages stands around a
 * return, whatever came in one read.
 */
void channel_return(struct channel *ch, struct record *r)
{
    struct msg_conn_deliver *d = conn_deliver_new(1);
    struct conn_delivery item = {.record = record_ref(r), .kind = DELIVERY_RETURN};

    channel_flush_confirms(ch);
    d->number = ch->number;
    conn_deliver_add(d, &item);
    PROC_SEND(ch->connection, d);
    channel_count(ch->stats, MESSAGES_RETURNED);
}

/* Its name is a key of the default exchange. */
bool channel_reply_to_key(struct channel *ch, struct record *r)
{
    struct amqp_bytes key = record_key(r);

    return record_exchange(r).len == 0 && reply_is_name(key) && reply_send(ch->vhost, key, r);
}

static void take_in(struct channel *ch, struct command *cmd, const struct routed *to, uint32_t more)
{
    struct record *r = cmd->record;
    uint32_t n = to->queues.n;
    uint64_t tag;

    if (!channel_reply_to_key(ch, r) && n == 0) {
        if (cmd->mandatory)
            channel_return(ch, r);
        else
            channel_count(ch->stats, MESSAGES_DROPPED);
    }
    tag = ch->is_confirming ? confirms_add(&ch->confirms, n) : 0;
    cmd->kind = COMMAND_DONE;
    if (n == 0)
        record_unref(r);
    else if (n > 1)
        record_ref_many(r, n - 1);
    for (uint32_t i = 0; i < n; i++)
        give_to(ch, link_to(ch, routed_queue(to, i)), r, tag, more);
}

/* The keys that the headers add (CC and BCC), of which BCC is not delivered. */
static void add_keys(struct channel *ch, struct command *cmd, struct route_query *q)
{
    const char *wrong;
    bool has_bcc;

    q->headers = record_headers(cmd->record);
    wrong = route_more_keys(q->headers, q->more_keys, &has_bcc);
    if (wrong)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                     "invalid message: header '%s' is no array", wrong);
}

/* A record that cannot be written anew stays as it is. */
static void replace_record(struct command *cmd, struct record *made)
{
    if (!made)
        return;
    record_unref(cmd->record);
    cmd->record = made;
}

bool channel_publish(struct channel *ch, struct command *cmd, uint32_t more)
{
    const struct record *r = cmd->record;
    struct route_query q = {.key = record_key(r)};
    uint64_t bytes = record_window_bytes(r);
    struct cell *exchange;
    struct routed to;
    bool fits = true, asks;

    channel_check_publish(ch, record_exchange(r));
    check_message(ch, cmd);
    asks = reply_check_request(ch, r);
    q.exchange = exchange = find_exchange(ch, r);
    if (record_has_headers(r))
        add_keys(ch, cmd, &q);
    if (q.exchange && q.exchange->type == EXCHANGE_TOPIC)
        channel_check_keys(ch, record_exchange(r), &q);
    route(&ch->tables, &q, &to, proc_realloc, proc_free);
    for (uint32_t i = 0; i < to.queues.n && fits && !ch->tx.is_on; i++)
        fits = may_send(link_to(ch, routed_queue(&to, i)), bytes);
    if (fits) {
        if (q.more_keys[1].p)
            replace_record(cmd, record_strip(cmd->record, "BCC"));
        if (asks)
            replace_record(cmd, reply_name_request(ch, cmd->record));
        channel_count_routed(ch, cmd->record, exchange, to.queues.n);
        if (ch->tx.is_on)
            tx_publish(ch, cmd, &to);
        else
            take_in(ch, cmd, &to, more);
    }
    routed_fini(&to);
    return fits;
}

void channel_on_credit(struct channel *ch, const struct msg *m)
{
    const struct msg_queue_credit *in = (const struct msg_queue_credit *)(const void *)m;
    struct link *l = link_find(ch, in->queue_id);

    if (!l)
        return;
    if (in->epoch > l->credit_epoch) {
        l->credit_epoch = in->epoch;
        l->credit_messages = l->credit_bytes = 0;
    }
    if (in->epoch < l->credit_epoch)
        return;
    if (in->messages > l->credit_messages)
        l->credit_messages = in->messages;
    if (in->bytes > l->credit_bytes)
        l->credit_bytes = in->bytes;
    if (l->state != LINK_UP || in->epoch != l->epoch)
        return;
    if (in->messages > l->granted_messages)
        l->granted_messages = in->messages;
    if (in->bytes > l->granted_bytes)
        l->granted_bytes = in->bytes;
    if (ch->in)
        channel_run(ch);
}

void channel_on_confirm(struct channel *ch, const struct msg *m)
{
    const struct msg_queue_confirm *in = (const struct msg_queue_confirm *)(const void *)m;
    struct link *l = link_find(ch, in->queue_id);

    if (!l || in->epoch != l->epoch || l->state != LINK_UP)
        return;
    for (uint32_t i = 0; i < in->n; i++) {
        uint64_t tag;

        while ((tag = inflight_take(&l->inflight, in->range[i].first, in->range[i].last)) != 0)
            confirms_part(&ch->confirms, tag, in->nack);
    }
}

void channel_flush_confirms(struct channel *ch)
{
    struct msg_conn_confirm *out = NULL;
    struct confirm c;

    while (confirms_next(&ch->confirms, &c)) {
        if (!c.nack)
            channel_count_many(ch->stats, MESSAGES_CONFIRMED, c.n);
        if (!out) {
            out = conn_confirm_new(CONFIRMS_MAX);
            out->number = ch->number;
        }
        out->item[out->n++] = (struct conn_confirm){c.tag, c.multiple, c.nack};
        if (out->n == out->cap)
            PROC_SEND(ch->connection, out);
    }
    if (out)
        PROC_SEND(ch->connection, out);
}
