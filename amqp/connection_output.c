/*
 * connection_output.c - what channels give their connection, as frames, and out.
 *
 * Small bodies are copied beside their frames, large ones are written from where they lie; the
 * message that holds their records is kept until then.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "amqp/connection_internal.h"
#include "broker/core/log.h"

enum {
    COPY_MAX = 4096,             /* larger bodies are referred to */
    HARD_MAX = 1024 * 1024,      /* output that cannot be refused */
    MAX_PLACES = 64,             /* in one writev */
    WRITE_MAX = 4 * 1024 * 1024, /* in one turn */
};

static void put_method_bytes(struct connection *c, uint16_t number, const struct amqp_method *m)
{
    ssize_t size = amqp_method_encoded_size(m);

    CHECK(size > 0); /* our own methods */
    size = amqp_method_encode(m, number, output_reserve(&c->out, (size_t)size), (size_t)size);
    CHECK(size > 0);
    output_commit(&c->out, (size_t)size);
}

void connection_put_method(struct connection *c, uint16_t number, const struct amqp_method *m)
{
    if (c->eof)
        return;
    put_method_bytes(c, number, m);
}

/* "NAME - explanation" as a short string; what clients named may be no UTF-8, or be cut within a
 * character. */
static struct amqp_bytes reply_text(char text[256], const struct failure *f)
{
    int n = snprintf(text, 256, "%s - %s", amqp_code_name(f->code), f->text);
    size_t len = n < 256 ? (size_t)n : 255;

    if (!amqp_is_utf8(amqp_bytes(text, len)))
        for (size_t i = 0; i < len; i++)
            if ((uint8_t)text[i] >= 0x80)
                text[i] = '?';
    return amqp_bytes(text, len);
}

void connection_put_close(struct connection *c, uint16_t number, const struct failure *f)
{
    char text[256];
    struct amqp_connection_close close = {
        .reply_code = f->code,
        .reply_text = reply_text(text, f),
        .class_id = amqp_class_of(f->method),
        .method_id = amqp_number_of(f->method),
    };
    struct amqp_method m = {.id = number ? AMQP_CHANNEL_CLOSE : AMQP_CONNECTION_CLOSE};

    if (number)
        m.u.channel_close = (struct amqp_channel_close){close.reply_code, close.reply_text,
                                                        close.class_id, close.method_id};
    else
        m.u.connection_close = close;
    connection_put_method(c, number, &m);
}

/* Whether what this channel says still goes to the client. */
static struct chan *heard(struct connection *c, const struct msg *m)
{
    struct chan *ch = connection_sender(c, m);

    if (!ch || c->eof || ch->state == CHAN_CLOSED)
        return NULL;
    /* While the client's connection.close is carried out, nothing but close-ok may follow. */
    return conn_state(c) == CONN_RUNNING ? ch : NULL;
}

static void count_hard(struct connection *c, uint64_t bytes)
{
    if (c->out.pending == 0)
        c->hard_bytes = 0;
    c->hard_bytes += bytes;
}

bool connection_is_choked(const struct connection *c)
{
    uint64_t hard = c->hard_bytes < c->out.pending ? c->hard_bytes : c->out.pending;

    return hard > HARD_MAX || connection_front_is_choked(c);
}

void connection_on_frames(struct connection *c, struct msg *m)
{
    const struct msg_conn_method *f = MSG_OF(struct msg_conn_method, m);

    if (!heard(c, m))
        return;
    count_hard(c, f->len);
    output_put(&c->out, f->frames, f->len);
}

/* 7 octets of head, id, tag, bits, end: the same for ack and nack. */
static uint8_t *put_confirm(uint8_t *p, uint16_t number, const struct conn_confirm *f)
{
    p = frame_put_head(p, AMQP_FRAME_METHOD, number, 13);
    p = put_u32(p, f->nack ? AMQP_BASIC_NACK : AMQP_BASIC_ACK);
    p = put_u64(p, f->tag);
    p = put_u8(p, f->multiple ? 1 : 0);
    return frame_put_end(p);
}

void connection_on_confirm(struct connection *c, struct msg *m)
{
    const struct msg_conn_confirm *f = MSG_OF(struct msg_conn_confirm, m);
    struct chan *ch = heard(c, m);
    uint8_t *p;

    if (!ch)
        return;
    count_hard(c, f->n * 21ull);
    for (uint32_t i = 0; i < f->n; i++) {
        p = output_reserve(&c->out, 21);
        output_commit(&c->out, (size_t)(put_confirm(p, ch->number, &f->item[i]) - p));
    }
}

static uint8_t *put_names(uint8_t *p, const struct record *r)
{
    return put_shortstr(put_shortstr(p, record_exchange(r)), record_key(r));
}

/* The method frame before a content, without its head's size, which is filled in at the end. */
static uint8_t *put_content_method(uint8_t *out, uint16_t number, const struct conn_delivery *d)
{
    const struct record *r = d->record;
    uint8_t *p = out + AMQP_FRAME_HEAD_LEN;

    switch (d->kind) {
    case DELIVERY_DELIVER:
        p = put_u32(p, AMQP_BASIC_DELIVER);
        p = put_shortstr(p, amqp_bytes(blob_bytes(d->ctag), blob_size(d->ctag)));
        p = put_u8(put_u64(p, d->tag), d->redelivered);
        p = put_names(p, r);
        break;
    case DELIVERY_GET_OK:
        p = put_u32(p, AMQP_BASIC_GET_OK);
        p = put_u8(put_u64(p, d->tag), d->redelivered);
        p = put_u32(put_names(p, r), d->ready);
        break;
    default:
        p = put_u32(p, AMQP_BASIC_RETURN);
        p = put_u16(p, AMQP_CODE_NO_ROUTE);
        p = put_names(put_shortstr(p, amqp_str("NO_ROUTE")), r);
        break;
    }
    (void)frame_put_head(out, AMQP_FRAME_METHOD, number, (uint32_t)(p - out - AMQP_FRAME_HEAD_LEN));
    return frame_put_end(p);
}

/* Bytes that a delivery's frames take before its body, at most. */
static size_t front_room(const struct conn_delivery *d)
{
    return 4 * 256 + 64 + CONTENT_PREFIX_LEN + record_props(d->record).len;
}

static uint8_t *put_front(uint8_t *p, uint16_t number, const struct conn_delivery *d)
{
    struct amqp_content_header h = {.class_id = AMQP_CLASS_BASIC,
                                    .body_size = record_body_len(d->record),
                                    .props = record_props(d->record)};

    p = put_content_method(p, number, d);
    return content_put_header_frame(p, number, &h);
}

/* A body in frames no larger than was agreed; it is referred to, in the hands of owner at last. */
static void put_large_body(struct connection *c, uint16_t number, struct amqp_bytes body,
                           void *owner)
{
    uint32_t most = c->frame_max - AMQP_FRAME_OVERHEAD;

    while (body.len > 0) {
        uint32_t n = body.len < most ? body.len : most;
        uint8_t *p = output_reserve(&c->out, AMQP_FRAME_HEAD_LEN);

        (void)frame_put_head(p, AMQP_FRAME_BODY, number, n);
        output_commit(&c->out, AMQP_FRAME_HEAD_LEN);
        output_refer(&c->out, body.p, n, n == body.len ? owner : NULL);
        (void)frame_put_end(output_reserve(&c->out, 1));
        output_commit(&c->out, 1);
        body.p += n;
        body.len -= n;
    }
}

/* owner: of the records, if this is the last of them that is referred to; else NULL. */
static void put_delivery(struct connection *c, uint16_t number, const struct conn_delivery *d,
                         void *owner)
{
    struct amqp_bytes body = record_body(d->record);
    bool small = body.len <= COPY_MAX - AMQP_FRAME_OVERHEAD; /* fits any frame */
    size_t room = front_room(d) + (small ? body.len + AMQP_FRAME_OVERHEAD : 0);
    uint8_t *start = output_reserve(&c->out, room);
    uint8_t *p = put_front(start, number, d);

    if (small && body.len > 0) {
        p = frame_put_head(p, AMQP_FRAME_BODY, number, body.len);
        p = frame_put_end(put_bytes(p, body));
    }
    output_commit(&c->out, (size_t)(p - start));
    if (!small)
        put_large_body(c, number, body, owner);
}

static void owe(struct connection *c, struct chan *ch)
{
    if (ch->is_owed)
        return;
    ch->is_owed = true;
    ch->next_owed = c->owed;
    c->owed = ch;
    ch->mark_at = c->out.appended;
    ch->mark_n = ch->out_n;
}

void connection_on_deliver(struct connection *c, struct msg *m)
{
    struct msg_conn_deliver *d = MSG_OF(struct msg_conn_deliver, m);
    struct chan *ch = heard(c, m);
    uint64_t before = c->out.appended;
    bool hard = false;
    uint32_t last_large = UINT32_MAX;

    if (!ch)
        return;
    for (uint32_t i = 0; i < d->n; i++)
        if (record_body_len(d->item[i].record) > COPY_MAX - AMQP_FRAME_OVERHEAD)
            last_large = i;
    if (last_large != UINT32_MAX)
        proc_keep(m);
    if (c->out.pending == 0)
        c->hard_bytes = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        put_delivery(c, ch->number, &d->item[i], i == last_large ? m : NULL);
        hard |= d->item[i].kind != DELIVERY_DELIVER;
        ch->out_n += d->item[i].kind == DELIVERY_DELIVER;
    }
    if (hard)
        c->hard_bytes += c->out.appended - before;
    if (d->tell)
        owe(c, ch);
}

/* Tells a channel how far its deliveries have come; whether it may leave the list. */
static bool tell_written(struct connection *c, struct chan *ch)
{
    struct msg_channel_count *w;

    if (output_position(&c->out) < ch->mark_at)
        return false;
    if (ch->pid != 0) {
        w = MSG_NEW(CHANNEL_WRITTEN, struct msg_channel_count);
        w->number = ch->number;
        w->n = c->out.pending == 0 ? ch->out_n : ch->mark_n;
        w->bytes = 0;
        PROC_SEND(ch->pid, w);
    }
    ch->mark_at = c->out.appended;
    ch->mark_n = ch->out_n;
    return c->out.pending == 0;
}

static void tell_channels(struct connection *c)
{
    struct chan **at = &c->owed;

    while (*at) {
        struct chan *ch = *at;

        if (tell_written(c, ch)) {
            *at = ch->next_owed;
            ch->is_owed = false;
        } else {
            at = &ch->next_owed;
        }
    }
}

static void on_broken(struct connection *c, int error)
{
    log_debug("%s: write: %s", c->name, strerror(error));
    output_written(&c->out, c->out.pending);
    connection_cut_front(c);
    c->eof = true;
    connection_end(c, false);
}

/* 0; or what the socket failed of. */
static int write_plain(struct connection *c)
{
    struct iovec places[MAX_PLACES];
    uint64_t written = 0;

    while (c->out.pending > 0 && written < WRITE_MAX) {
        int n_places = output_places(&c->out, places, MAX_PLACES);
        ssize_t n = io_writev(c->io, places, n_places);

        if (n < 0)
            return (int)n;
        output_written(&c->out, (size_t)n);
        c->n_writes++;
        written += (uint64_t)n;
    }
    return 0;
}

void connection_write(struct connection *c)
{
    uint64_t before = output_position(&c->out);
    int r = connection_has_tls(c) ? connection_write_tls(c) : write_plain(c);

    if (r < 0 && r != -EAGAIN && r != -EINTR)
        on_broken(c, -r);
    else if (output_position(&c->out) > before)
        tell_channels(c);
}
