#include "amqp/wire.h"

#include "amqp/codec/record.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"

static void drop_input(struct msg *m)
{
    struct msg_channel_input *in = MSG_OF(struct msg_channel_input, m);

    for (uint16_t i = 0; i < in->n; i++) {
        struct command *c = &in->command[i];

        if (c->kind == COMMAND_PUBLISH)
            record_unref(c->record);
        else if (c->kind == COMMAND_METHOD || c->kind == COMMAND_FAIL)
            rt_free(c->payload);
    }
    msg_free(m);
}

struct msg_channel_input *channel_input_new(uint16_t cap)
{
    struct msg_channel_input *in =
        msg_new(CHANNEL_INPUT, sizeof(*in) + cap * sizeof(in->command[0]), drop_input);

    in->cap = cap;
    return in;
}

static void drop_deliver(struct msg *m)
{
    struct msg_conn_deliver *d = MSG_OF(struct msg_conn_deliver, m);

    for (uint32_t i = 0; i < d->n; i++) {
        record_unref(d->item[i].record);
        if (d->item[i].owns_ctag)
            blob_unref(d->item[i].ctag);
    }
    msg_free(m);
}

struct msg_conn_deliver *conn_deliver_new(uint32_t cap)
{
    struct msg_conn_deliver *d =
        msg_new(CONN_DELIVER, sizeof(*d) + cap * sizeof(d->item[0]), drop_deliver);

    d->cap = cap;
    return d;
}

void conn_deliver_add(struct msg_conn_deliver *d, const struct conn_delivery *item)
{
    struct conn_delivery *at = &d->item[d->n];

    *at = *item;
    at->owns_ctag = item->ctag && (d->n == 0 || at[-1].ctag != item->ctag);
    if (at->owns_ctag)
        (void)blob_ref(item->ctag);
    d->n++;
}

struct msg_conn_confirm *conn_confirm_new(uint32_t cap)
{
    struct msg_conn_confirm *c = msg_new(CONN_CONFIRM, sizeof(*c) + cap * sizeof(c->item[0]), NULL);

    c->n = 0;
    c->cap = cap;
    return c;
}

struct msg_conn_method *conn_method_new(uint32_t len)
{
    struct msg_conn_method *m = msg_new(CONN_METHOD, sizeof(*m) + len, NULL);

    m->len = len;
    return m;
}

static void drop_reply(struct msg *m)
{
    record_unref(MSG_OF(struct msg_channel_reply, m)->record);
    msg_free(m);
}

struct msg_channel_reply *channel_reply_new(struct record *r)
{
    struct msg_channel_reply *m = msg_new(CHANNEL_REPLY, sizeof(*m), drop_reply);

    m->record = record_ref(r);
    return m;
}

uint64_t record_window_bytes(const struct record *r)
{
    return record_stored_size(r);
}

uint64_t command_window_bytes(const struct command *c)
{
    switch (c->kind) {
    case COMMAND_PUBLISH:
        return record_window_bytes(c->record);
    case COMMAND_METHOD:
    case COMMAND_FAIL:
        return c->len;
    default:
        return 0;
    }
}
