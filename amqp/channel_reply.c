/*
 * channel_reply.c - direct reply-to: a channel's consumer of replies, requests that name it, and
 * replies that go straight to the channel that asked.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"
#include "amqp/codec/props.h"
#include "amqp/replies.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

struct reply_consumer {
    struct reply_target *target;
    struct blob *tag; /* a reference, given back by the runtime too */
    uint64_t sent_bytes, written_bytes;
    uint64_t mark_at, mark_bytes; /* once mark_at deliveries are written, mark_bytes of ours are */
    bool is_marked;
};

static void unref_blob(void *blob)
{
    blob_unref(blob);
}

enum method_result reply_consume(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_consume *c = &m->u.basic_consume;
    struct amqp_method ok = {.id = AMQP_BASIC_CONSUME_OK};
    char made[64];

    if (!c->no_ack)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, m->id, "reply consumer cannot acknowledge");
    if (ch->reply)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, m->id, "reply consumer already set");
    ok.u.basic_consume_ok.consumer_tag =
        c->consumer_tag.len ? c->consumer_tag : consumer_make_tag(made);
    ch->reply = proc_zalloc(sizeof(*ch->reply));
    ch->reply->tag =
        blob_copy(ok.u.basic_consume_ok.consumer_tag.p, ok.u.basic_consume_ok.consumer_tag.len);
    proc_at_exit(unref_blob, ch->reply->tag);
    ch->reply->target = reply_target_new(ch->vhost);
    if (!c->nowait)
        channel_reply(ch, &ok);
    return METHOD_DONE;
}

bool reply_has_tag(const struct channel *ch, struct amqp_bytes tag)
{
    const struct blob *b = ch->reply ? ch->reply->tag : NULL;

    return b && amqp_bytes_equal(amqp_bytes(blob_bytes(b), blob_size(b)), tag);
}

void reply_cancel(struct channel *ch)
{
    struct reply_consumer *rc = ch->reply;

    ch->reply = NULL;
    reply_target_free(rc->target);
    proc_at_exit_cancel(unref_blob, rc->tag);
    blob_unref(rc->tag);
    proc_free(rc);
}

static bool names_us(const struct record *r)
{
    struct amqp_bytes props = record_props(r), to;

    if (props.len < PROPS_EMPTY_LEN || !(get_u16(props.p) & prop_flag(PROP_REPLY_TO)))
        return false;
    return props_find(props, PROP_REPLY_TO, &to) && amqp_bytes_is(to, REPLY_QUEUE);
}

bool reply_check_request(struct channel *ch, const struct record *r)
{
    if (!names_us(r))
        return false;
    if (!ch->reply)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                     "fast reply consumer does not exist");
    return true;
}

/* The properties with that reply-to in buf, which has room; < 0: they cannot be written anew. */
static ssize_t put_props(const struct record *r, const char *reply_to, uint8_t *buf, size_t size)
{
    struct amqp_props props;
    int n = props_decode(record_props(r), &props);

    if (n < 0)
        return n;
    props.reply_to = amqp_str(reply_to);
    return props_encode(&props, buf, size);
}

struct record *reply_name_request(const struct channel *ch, const struct record *r)
{
    RUNTIME_REGION();
    struct amqp_bytes body = record_body(r);
    struct record_parts parts = {.exchange = record_exchange(r), .key = record_key(r)};
    size_t size = (size_t)record_props(r).len + REPLY_NAME_MAX;
    uint8_t *buf = rt_alloc(size), *to;
    ssize_t n = put_props(r, reply_target_name(ch->reply->target), buf, size);
    struct record *made = NULL;

    parts.props = amqp_bytes(buf, n < 0 ? 0 : (size_t)n);
    if (n >= 0)
        made = record_new(&parts, body.len, &to);
    if (made && body.len > 0)
        (void)put_bytes(to, body);
    rt_free(buf);
    return made;
}

static void set_mark(struct channel *ch)
{
    struct reply_consumer *rc = ch->reply;

    if (rc->is_marked || rc->sent_bytes == rc->written_bytes)
        return;
    rc->is_marked = true;
    rc->mark_at = ch->out_n;
    rc->mark_bytes = rc->sent_bytes;
}

void channel_on_reply(struct channel *ch, struct msg *m)
{
    struct msg_channel_reply *in = MSG_OF(struct msg_channel_reply, m);
    struct conn_delivery item = {.record = in->record, .kind = DELIVERY_DELIVER};
    struct msg_conn_deliver *out;

    if (!ch->reply || in->key != reply_target_key(ch->reply->target) || ch->is_closing)
        return;
    in->record = NULL;
    item.ctag = ch->reply->tag;
    item.tag = tags_skip(&ch->tags);
    ch->reply->sent_bytes += record_window_bytes(item.record);
    ch->out_n++;
    out = conn_deliver_new(1);
    out->number = ch->number;
    out->tell = true;
    conn_deliver_add(out, &item);
    PROC_SEND(ch->connection, out);
    set_mark(ch);
}

void reply_on_written(struct channel *ch, uint64_t n)
{
    struct reply_consumer *rc = ch->reply;
    uint64_t bytes;

    if (!rc || !rc->is_marked || rc->mark_at > n)
        return;
    bytes = n >= ch->out_n ? rc->sent_bytes : rc->mark_bytes;
    reply_target_written(rc->target, bytes - rc->written_bytes);
    rc->written_bytes = bytes;
    rc->is_marked = false;
    set_mark(ch);
}
