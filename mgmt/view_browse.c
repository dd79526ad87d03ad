/*
 * Looking through the messages of a queue, and taking single ones out of it:
 *
 *   GET    api/queues/V/Q/messages?from=SEQ&count=N&encoding=E&truncate=B
 *   DELETE api/queues/V/Q/messages/SEQ
 *   POST   api/queues/V/Q/messages/SEQ/move       {"queue"} or {"exchange", "routing_key"}
 *   POST   api/queues/V/Q/messages/SEQ/republish  the same; the message stays
 *   POST   api/queues/V/Q/move                    the same with "count": from the head on
 *
 * What is only looked at is not touched. What is moved is given to its new queues first, and leaves
 * the old one when they have confirmed it: should anything end between, it is in both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/record.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/json.h"
#include "mgmt/message_json.h"
#include "mgmt/publish.h"
#include "mgmt/views.h"
#include "persistence/store.h"
#include "queues/queue.h"
#include "queues/route.h"

enum { READ_BYTES = 4 * 1024 * 1024, MOVE_MAX = 10000, MOVE_DEFAULT = 1000 };

struct browse { /* process memory */
    struct cell_at at;
    uint64_t queue_id, seq; /* seq: of the message that is moved, deleted, published anew */
    struct message_shows shows;
    struct msg_queue_peeked *peeked; /* kept */
    uint64_t next;                   /* to look on from; 0: that was all */
    uint32_t n, count;               /* items that are shown, and are wanted */
    bool stays;                      /* republish */
    bool is_many;                    /* `count` from the head on, of which `n` were moved */
    struct publish publish;
    const char *queue, *exchange, *key; /* where to; queue NULL: to the exchange */
};

static void await(struct request *r, proc_id to, struct msg *m)
{
    r->asked = proc_call(to, m, PROC_NO_TIMEOUT);
}

static struct browse *begin(struct request *r)
{
    const struct cell *c = ask_queue(r, 3);
    struct browse *b = proc_zalloc(sizeof(*b));

    ask_right(r, ACCESS_QUEUE, amqp_bytes(cell_name(c), c->name_len), ACCESS_READ);
    b->at = *ask_running(r, c);
    b->queue_id = c->id;
    r->state = b;
    return b;
}

static proc_id store_of(const struct request *r)
{
    char name[300];

    snprintf(name, sizeof(name), "store:%s", r->vhost);
    return proc_whereis(name);
}

/* The reply, or 503. */
static struct msg *reply_of(struct request *r, struct msg *m, uint32_t type)
{
    CHECK(m->ref == r->asked);
    if (m->type != type)
        request_fail(r, 503, "the queue or its store ended");
    return m;
}

/*
 * Looking
 */

static void finish_looking(struct request *r)
{
    const struct browse *b = r->state;
    char text[128];

    snprintf(text, sizeof(text), "],\"next\":%llu,\"messages_ready\":%llu}",
             (unsigned long long)b->next, (unsigned long long)b->peeked->ready);
    text_add_str(&r->foreign->out, text);
    request_finish(r);
}

static void write_message(struct request *r, uint64_t seq, const struct record *record,
                          bool redelivered)
{
    RUNTIME_REGION();
    struct browse *b = r->state;
    json_t *json = message_json(record, redelivered, 0, &b->shows);

    (void)json_object_del(json, "message_count"); /* what is behind it was not counted */
    json_add_count(json, "seq", seq);
    text_add_comma(&r->foreign->out);
    text_add_json(&r->foreign->out, json);
    b->n++;
}

/* NULL: no record's bytes. */
static struct record *load(const struct blob *b, size_t offset, size_t len)
{
    RUNTIME_REGION();

    return b ? record_load(blob_bytes(b) + offset, len) : NULL;
}

static struct record *load_body(const struct store_body *body)
{
    return load(body->bytes, 0, body->bytes ? blob_size(body->bytes) : 0);
}

/* The part that only the store has comes last. */
static void look_deeper(struct request *r)
{
    struct browse *b = r->state;
    struct msg_store_read_on *m;

    if (!b->peeked->is_cold)
        finish_looking(r);
    if (b->n >= b->count) {
        b->next = b->peeked->cold_first;
        finish_looking(r);
    }
    m = MSG_NEW(STORE_READ_ON, struct msg_store_read_on);
    m->queue_id = b->queue_id;
    m->first_seq = b->peeked->cold_first;
    m->last_seq = b->peeked->cold_last;
    m->max = b->count - b->n;
    m->max_bytes = READ_BYTES;
    await(r, store_of(r), &m->hdr);
}

static void on_run(struct request *r, const struct msg_store_run *run)
{
    struct browse *b = r->state;

    for (uint32_t i = 0; i < run->n; i++) {
        const struct store_item *item = &run->item[i];
        struct record *record = item->is_damaged ? NULL : load(run->bytes, item->offset, item->len);

        if (record)
            write_message(r, item->seq, record, false);
        record_unref(record);
    }
    b->next = run->next_seq;
    finish_looking(r);
}

/* Items whose bytes are not here are asked of the store, all at once; false: there are none. */
static bool ask_missing(struct request *r)
{
    const struct browse *b = r->state;
    struct msg_store_read *m;
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->peeked->n; i++)
        n += !b->peeked->item[i].record;
    if (n == 0)
        return false;
    m = store_read_new(b->queue_id, n);
    m->n = 0;
    for (uint32_t i = 0; i < b->peeked->n; i++) {
        if (!b->peeked->item[i].record)
            m->want[m->n++] = (struct store_read){.seq = b->peeked->item[i].seq};
    }
    await(r, store_of(r), &m->hdr);
    return true;
}

static void write_peeked(struct request *r, const struct msg_store_bodies *bodies)
{
    const struct browse *b = r->state;
    uint32_t at = 0;

    for (uint32_t i = 0; i < b->peeked->n; i++) {
        const struct peeked *item = &b->peeked->item[i];
        struct record *read = item->record ? NULL : load_body(&bodies->body[at++]);
        const struct record *record = item->record ? item->record : read;

        if (record)
            write_message(r, item->seq, record, item->redelivered);
        record_unref(read);
    }
    look_deeper(r);
}

static void start_look(struct request *r)
{
    struct browse *b = begin(r);
    const char *encoding = request_param(r, "encoding");
    int64_t from = request_param_int(r, "from", 0), count = request_param_int(r, "count", 50);
    int64_t truncate = request_param_int(r, "truncate", INT64_MAX);
    struct msg_queue_peek *m;

    if (from < 0 || count < 1 || count > QUEUE_PEEK_MAX || truncate < 0)
        request_fail(r, 400, "from and truncate are 0 or more, count is from 1 to 100");
    b->shows = message_shows_read(r, encoding ? encoding : "auto");
    b->shows.truncate = (uint64_t)truncate;
    b->count = (uint32_t)count;
    m = MSG_NEW(QUEUE_PEEK, struct msg_queue_peek);
    m->epoch = b->at.epoch;
    m->from = (uint64_t)from;
    m->n = b->count;
    text_add_str(&r->foreign->out, "{\"items\":[");
    await(r, b->at.pid, &m->hdr);
}

static void handle_look(struct request *r, struct msg *m)
{
    struct browse *b = r->state;

    CHECK(m->ref == r->asked);
    if (m->type == QUEUE_PEEKED) {
        proc_keep(m);
        b->peeked = MSG_OF(struct msg_queue_peeked, m);
        b->next = b->peeked->next;
        if (!ask_missing(r))
            write_peeked(r, NULL);
        return;
    }
    if (m->type == STORE_BODIES)
        write_peeked(r, MSG_OF(struct msg_store_bodies, m));
    else
        on_run(r, MSG_OF(struct msg_store_run, reply_of(r, m, STORE_RUN)));
}

/*
 * Taking, moving, publishing anew: the message is taken (or only looked at), its bytes are read if
 * only the store has them, it is published, and settled once it is confirmed.
 */

static uint64_t read_seq(struct request *r)
{
    const char *text = request_segment(r, 5);
    char *end;
    unsigned long long seq = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end)
        request_fail_not_found(r);
    return seq;
}

static void ask_take(struct request *r)
{
    const struct browse *b = r->state;
    struct msg_queue_take *m = MSG_NEW(QUEUE_TAKE, struct msg_queue_take);

    m->epoch = b->at.epoch;
    m->seq = b->seq;
    await(r, b->at.pid, &m->hdr);
}

static void settle(struct request *r)
{
    const struct browse *b = r->state;
    struct msg_queue_settle *m = queue_settle_new(b->at.epoch, SETTLE_ACK, 1);

    m->seq[0] = b->seq;
    m->n = 1;
    proc_send(b->at.pid, &m->hdr);
}

/* Answers when what was settled is durable. */
static void ask_sync(struct request *r)
{
    const struct browse *b = r->state;

    await(r, b->at.pid, &queue_ask_new(QUEUE_SYNC, b->at.epoch)->hdr);
}

/* Takes the record over; it is given back to the queue by our end, or settled. */
static void take_record(struct request *r, struct msg_queue_got *got)
{
    struct browse *b = r->state;

    b->seq = got->seq;
    record_unref(r->foreign->record);
    r->foreign->record = got->record;
    got->record = NULL;
}

static void start_delete(struct request *r)
{
    begin(r)->seq = read_seq(r);
    ask_take(r);
}

static void handle_delete(struct request *r, struct msg *m)
{
    struct msg_queue_got *got;

    CHECK(m->ref == r->asked);
    if (m->type == QUEUE_REPLY) /* to SYNC */
        request_finish_empty(r);
    got = MSG_OF(struct msg_queue_got, reply_of(r, m, QUEUE_GOT));
    if (got->empty)
        request_fail_not_found(r);
    take_record(r, got);
    settle(r);
    ask_sync(r);
}

static void read_target(struct request *r, struct browse *b)
{
    struct vhost_tables tables;

    b->queue = request_body_text(r, "queue");
    b->exchange = request_body_text(r, "exchange");
    b->key = request_body_text(r, "routing_key");
    if (!b->queue == !b->exchange)
        request_fail(r, 400, "the body names either a queue or an exchange to go to");
    if (b->exchange && !strcmp(b->exchange, "amq.default"))
        b->exchange = "";
    if ((b->exchange && strlen(b->exchange) > 255) || (b->key && strlen(b->key) > 255))
        request_fail(r, 400, "a name or routing key is longer than 255 bytes");
    if (!b->queue)
        return;
    vhost_tables_open(r->vhost, &tables);
    if (!vhost_find_queue(&tables, b->queue, strlen(b->queue)))
        request_fail(r, 400, "there is no such queue to go to");
    ask_right(r, ACCESS_EXCHANGE, amqp_bytes("", 0), ACCESS_WRITE);
}

/* The same message under another exchange and key, in place of r->foreign->record. */
static void readdress(struct request *r, const struct browse *b)
{
    const struct record *old = r->foreign->record;
    struct amqp_bytes body = record_body(old);
    struct record_parts parts = {.exchange = amqp_str(b->exchange),
                                 .key = b->key ? amqp_str(b->key) : record_key(old),
                                 .props = record_props(old)};
    uint8_t *to;
    struct record *made = record_new(&parts, body.len, &to);

    CHECK(made); /* no part is too long: they were read, or a record's */
    if (body.len > 0)
        memcpy(to, body.p, body.len);
    record_unref(r->foreign->record);
    r->foreign->record = made;
}

static void on_published(struct request *r);

static void publish(struct request *r)
{
    struct browse *b = r->state;
    struct vhost_tables tables;
    struct cell *to;

    if (b->queue) {
        vhost_tables_open(r->vhost, &tables);
        to = vhost_find_queue(&tables, b->queue, strlen(b->queue));
        if (!to)
            request_fail(r, 400, "there is no such queue to go to");
        publish_to(r, &b->publish, to, r->foreign->record);
    } else {
        readdress(r, b);
        publish_route(r, &b->publish, r->foreign->record);
    }
    if (b->publish.n == 0 && !b->stays)
        request_fail(r, 400, "the message would reach no queue: it stays where it is");
    if (b->publish.waits == 0)
        on_published(r);
}

static void ask_next(struct request *r)
{
    const struct browse *b = r->state;
    struct msg_queue_get *m = MSG_NEW(QUEUE_GET, struct msg_queue_get);

    m->epoch = b->at.epoch;
    await(r, b->at.pid, &m->hdr);
}

static __attribute__((noreturn)) void finish_move(struct request *r)
{
    const struct browse *b = r->state;
    char text[64];

    if (b->is_many)
        snprintf(text, sizeof(text), "{\"moved\":%u}", b->n);
    else
        snprintf(text, sizeof(text), "{\"routed\":%s}", b->publish.n ? "true" : "false");
    text_add_str(&r->foreign->out, text);
    request_finish(r);
}

static void on_published(struct request *r)
{
    struct browse *b = r->state;

    if (b->stays)
        finish_move(r);
    settle(r);
    b->n++;
    if (b->is_many && b->n < b->count)
        ask_next(r);
    else
        ask_sync(r);
}

static void ask_body(struct request *r)
{
    const struct browse *b = r->state;
    struct msg_store_read *m = store_read_new(b->queue_id, 1);

    m->want[0] = (struct store_read){.seq = b->seq};
    await(r, store_of(r), &m->hdr);
}

static void on_got(struct request *r, struct msg_queue_got *got)
{
    struct browse *b = r->state;

    if (got->code)
        request_fail_amqp(r, got->code, got->text);
    if (got->empty && !b->is_many)
        request_fail_not_found(r);
    if (got->empty) {
        ask_sync(r);
        return;
    }
    take_record(r, got);
    if (r->foreign->record)
        publish(r);
    else
        ask_body(r);
}

static void on_looked(struct request *r, struct msg_queue_peeked *peeked)
{
    struct browse *b = r->state;

    if (peeked->n == 0 || peeked->item[0].seq != b->seq)
        request_fail_not_found(r);
    r->foreign->record = peeked->item[0].record;
    peeked->item[0].record = NULL;
    if (r->foreign->record)
        publish(r);
    else
        ask_body(r);
}

static void on_body(struct request *r, const struct msg_store_bodies *bodies)
{
    r->foreign->record = bodies->n == 1 ? load_body(&bodies->body[0]) : NULL;
    if (!r->foreign->record)
        request_fail(r, 503, "the message could not be read");
    publish(r);
}

static void handle_move(struct request *r, struct msg *m)
{
    struct browse *b = r->state;

    if (publish_handle(r, &b->publish, m)) {
        if (m->type == QUEUE_CONFIRM && b->publish.waits == 0)
            on_published(r);
        return;
    }
    CHECK(m->ref == r->asked);
    switch (m->type) {
    case QUEUE_GOT:
        on_got(r, MSG_OF(struct msg_queue_got, m));
        break;
    case QUEUE_PEEKED:
        on_looked(r, MSG_OF(struct msg_queue_peeked, m));
        break;
    case STORE_BODIES:
        on_body(r, MSG_OF(struct msg_store_bodies, m));
        break;
    default: /* to SYNC */
        (void)reply_of(r, m, QUEUE_REPLY);
        finish_move(r);
    }
}

static void start_move(struct request *r)
{
    struct browse *b = begin(r);

    b->seq = read_seq(r);
    read_target(r, b);
    ask_take(r);
}

static void start_republish(struct request *r)
{
    struct browse *b = begin(r);
    struct msg_queue_peek *m;

    b->seq = read_seq(r);
    b->stays = true;
    read_target(r, b);
    m = MSG_NEW(QUEUE_PEEK, struct msg_queue_peek);
    m->epoch = b->at.epoch;
    m->from = b->seq;
    m->n = 1;
    await(r, b->at.pid, &m->hdr);
}

static void start_move_many(struct request *r)
{
    struct browse *b = begin(r);
    const json_t *count = json_object_get(request_body(r), "count");

    if (count && (!json_is_integer(count) || json_integer_value(count) < 1 ||
                  json_integer_value(count) > MOVE_MAX))
        request_fail(r, 400, "'count' in the body is not a number from 1 to 10000");
    b->is_many = true;
    b->count = count ? (uint32_t)json_integer_value(count) : MOVE_DEFAULT;
    read_target(r, b);
    if (b->queue && !strcmp(b->queue, request_segment(r, 3)))
        request_fail(r, 400, "they are in this queue already");
    ask_next(r);
}

enum { ALL = VIEW_MANAGEMENT, V = VIEW_VHOST };

const struct view views_browse[] = {
    {"api/queues/x/x/messages", HTTP_GET, ALL, V, start_look, handle_look},
    {"api/queues/x/x/messages/x", HTTP_DELETE, ALL, V, start_delete, handle_delete},
    {"api/queues/x/x/messages/x/move", HTTP_POST, ALL, V, start_move, handle_move},
    {"api/queues/x/x/messages/x/republish", HTTP_POST, ALL, V, start_republish, handle_move},
    {"api/queues/x/x/move", HTTP_POST, ALL, V, start_move_many, handle_move},
    {0},
};
