/*
 * Taking single messages out of a queue, and publishing them anew:
 *
 *   DELETE api/queues/V/Q/messages/SEQ
 *   POST   api/queues/V/Q/messages/SEQ/move       {"queue"} or {"exchange", "routing_key"}
 *   POST   api/queues/V/Q/messages/SEQ/republish  the same; the message stays
 *   POST   api/queues/V/Q/move                    the same with "count": from the head on
 *
 * A message is taken (or only looked at), its bytes are read if only the store has them, it is
 * published, and settled once its new queues have confirmed it: should anything end between, it is
 * in both. A run of the queue that ends before it knows of the settlement is told again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/record.h"
#include "mgmt/ask.h"
#include "mgmt/browse.h"
#include "mgmt/publish.h"
#include "mgmt/views.h"
#include "persistence/store.h"
#include "queues/queue.h"
#include "queues/route.h"

enum { MOVE_MAX = 10000, MOVE_DEFAULT = 1000 };

struct move { /* process memory */
    struct cell_at at;
    uint64_t queue_id, seq; /* seq: of the message that is moved, deleted, published anew */
    uint32_t n, count;      /* messages that are moved, and are to be */
    bool stays;             /* republish */
    bool is_many;           /* `count` from the head on */
    bool is_settled;        /* that message, at the run `at` or one before it */
    bool takes_again;       /* a settled one */
    bool reads;             /* the store is asked for its bytes */
    bool is_publishing;
    struct await_queue wait; /* for the next run, which may not have heard of a settlement */
    proc_ref timer;          /* of that wait; 0: it does not wait */
    struct publish publish;
    const char *queue, *exchange, *key; /* where to; queue NULL: to the exchange */
};

static void await(struct request *r, proc_id to, struct msg *m)
{
    r->asked = proc_call(to, m, PROC_NO_TIMEOUT);
}

static struct move *begin(struct request *r)
{
    struct cell *c = browse_queue(r);
    struct move *b = proc_zalloc(sizeof(*b));

    b->at = *ask_running(r, c);
    b->queue_id = c->id;
    r->foreign->queue = cell_ref(c);
    r->state = b;
    return b;
}

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
    const struct move *b = r->state;
    struct msg_queue_take *m = MSG_NEW(QUEUE_TAKE, struct msg_queue_take);

    m->epoch = b->at.epoch;
    m->seq = b->seq;
    await(r, b->at.pid, &m->hdr);
}

static void settle(struct request *r)
{
    struct move *b = r->state;
    struct msg_queue_settle *m = queue_settle_new(b->at.epoch, SETTLE_ACK, 1);

    b->is_settled = true;
    m->seq[0] = b->seq;
    m->n = 1;
    proc_send(b->at.pid, &m->hdr);
}

/* Answers when what was settled is durable. */
static void ask_sync(struct request *r)
{
    const struct move *b = r->state;

    await(r, b->at.pid, &queue_ask_new(QUEUE_SYNC, b->at.epoch)->hdr);
}

/* Takes the record over; it is given back to the queue by our end, or settled. */
static void take_record(struct request *r, struct msg_queue_got *got)
{
    struct move *b = r->state;

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
    struct move *b = r->state;
    struct msg_queue_got *got;

    if (b->is_settled) {
        if (m->type == MSG_DOWN)
            again_note(r, m); /* what the queue had heard of is gone, and counts as deleted */
        (void)ask_queue_reply(r, m, QUEUE_REPLY); /* to SYNC */
        request_finish_empty(r);
    }
    got = MSG_OF(struct msg_queue_got, ask_queue_reply(r, m, QUEUE_GOT));
    if (got->empty)
        request_fail_not_found(r);
    take_record(r, got);
    settle(r);
    ask_sync(r);
}

static void read_target(struct request *r, struct move *b)
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
static void readdress(struct request *r, const struct move *b)
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
static void go_on(struct request *r);

static void publish(struct request *r)
{
    struct move *b = r->state;
    struct vhost_tables tables;
    struct cell *to;

    if (b->queue) {
        vhost_tables_open(r->vhost, &tables);
        to = vhost_find_queue(&tables, b->queue, strlen(b->queue));
        if (!to)
            request_fail(r, 400, "there is no such queue to go to");
        publish_to(r, &b->publish, to);
    } else {
        readdress(r, b);
        publish_route(r, &b->publish);
    }
    b->is_publishing = b->publish.waits > 0;
    if (b->publish.n == 0 && !b->stays)
        request_fail(r, 400, "the message would reach no queue: it stays where it is");
    if (b->publish.waits == 0)
        on_published(r);
}

static void ask_next(struct request *r)
{
    const struct move *b = r->state;
    struct msg_queue_get *m = MSG_NEW(QUEUE_GET, struct msg_queue_get);

    m->epoch = b->at.epoch;
    await(r, b->at.pid, &m->hdr);
}

static __attribute__((noreturn)) void finish_move(struct request *r)
{
    const struct move *b = r->state;
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
    struct move *b = r->state;

    if (b->stays)
        finish_move(r);
    b->n++;
    b->is_publishing = false;
    go_on(r);
}

/* The message is settled: the next one, or the end. */
static void go_on(struct request *r)
{
    struct move *b = r->state;

    settle(r);
    if (b->is_many && b->n < b->count)
        ask_next(r);
    else
        ask_sync(r);
}

static void ask_body(struct request *r)
{
    struct move *b = r->state;
    struct msg_store_read *m = store_read_new(b->queue_id, 1);

    m->want[0] = (struct store_read){.seq = b->seq};
    b->reads = true;
    await(r, ask_store(r), &m->hdr);
}

/*
 * The queue's run has ended. If a message was settled there that has gone elsewhere, and the next
 * run still has it, it is settled by that.
 */
static void on_run_ended(struct request *r, proc_id dead)
{
    struct move *b = r->state;

    if (!b->is_settled) {
        again_by_queue(r, ask_queue(r, 3), dead);
        request_fail(r, 503, "the queue is being restarted");
    }
    if (!b->timer)
        b->timer = proc_timer(AGAIN_US);
    await_queue_begin(&b->wait, r->foreign->queue, dead);
}

static void on_next_run(struct request *r)
{
    struct move *b = r->state;
    const struct cell_at *at = cell_at(r->foreign->queue);

    switch (at->state) {
    case CELL_UP:
        proc_cancel(b->timer);
        b->timer = 0;
        b->at = *at;
        b->takes_again = true;
        ask_take(r);
        break;
    case CELL_RESTARTING:
        await_queue_begin(&b->wait, r->foreign->queue, 0);
        break;
    case CELL_PARKED:
        request_fail(r, 503, at->reason);
    case CELL_DELETED:
        finish_move(r);
    }
}

static bool handle_wait(struct request *r, struct msg *m)
{
    struct move *b = r->state;
    bool is_over;

    if (b->timer && m->ref == b->timer)
        request_fail(r, 503, "the queue was away for too long: it may have the message still");
    if (!await_queue_handle(&b->wait, m, &is_over))
        return false;
    if (is_over)
        on_next_run(r);
    return true;
}

/* The answer to the second taking of a message that is settled already. */
static void on_got_again(struct request *r, struct msg_queue_got *got)
{
    struct move *b = r->state;

    b->takes_again = false;
    if (!got->empty)
        take_record(r, got);
    go_on(r);
}

static void on_got(struct request *r, struct msg_queue_got *got)
{
    struct move *b = r->state;

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
    struct move *b = r->state;

    if (peeked->n == 0 && peeked->is_cold && peeked->cold_first == b->seq) {
        ask_body(r);
        return;
    }
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
    struct move *b = r->state;

    b->reads = false;
    r->foreign->record = bodies->n == 1 ? browse_load_body(&bodies->body[0]) : NULL;
    if (!r->foreign->record && b->stays)
        request_fail_not_found(r); /* what is cold was asked for without knowing that it is there */
    if (!r->foreign->record)
        request_fail(r, 503, "the message could not be read");
    publish(r);
}

static void on_queue_answer(struct request *r, struct msg *m)
{
    struct move *b = r->state;

    switch (m->type) {
    case QUEUE_GOT:
        if (b->takes_again)
            on_got_again(r, MSG_OF(struct msg_queue_got, m));
        else
            on_got(r, MSG_OF(struct msg_queue_got, m));
        break;
    case QUEUE_PEEKED:
        on_looked(r, MSG_OF(struct msg_queue_peeked, m));
        break;
    case QUEUE_REPLY: /* to SYNC */
        finish_move(r);
    default:
        on_run_ended(r, m->from);
    }
}

/* The store has ended; so many were moved as were, and the last one goes back to its place. */
static void stop_moving(struct request *r)
{
    struct move *b = r->state;

    b->reads = false;
    ask_sync(r);
}

static void handle_move(struct request *r, struct msg *m)
{
    struct move *b = r->state;

    if (publish_handle(r, &b->publish, m)) {
        if (m->type != QUEUE_CREDIT && b->publish.waits == 0 && b->is_publishing)
            on_published(r);
        return;
    }
    if (m->type == QUEUE_SETTLED || handle_wait(r, m))
        return; /* SYNC says more than SETTLED */
    CHECK(m->ref == r->asked);
    if (b->reads && m->type == MSG_DOWN && b->n > 0)
        stop_moving(r);
    else if (b->reads)
        on_body(r, MSG_OF(struct msg_store_bodies, ask_store_reply(r, m, STORE_BODIES)));
    else
        on_queue_answer(r, m);
}

static void start_move(struct request *r)
{
    struct move *b = begin(r);

    b->seq = read_seq(r);
    read_target(r, b);
    ask_take(r);
}

static void start_republish(struct request *r)
{
    struct move *b = begin(r);
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
    struct move *b = begin(r);
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

const struct view views_move[] = {
    {"api/queues/x/x/messages/x", HTTP_DELETE, ALL, V, start_delete, handle_delete},
    {"api/queues/x/x/messages/x/move", HTTP_POST, ALL, V, start_move, handle_move},
    {"api/queues/x/x/messages/x/republish", HTTP_POST, ALL, V, start_republish, handle_move},
    {"api/queues/x/x/move", HTTP_POST, ALL, V, start_move_many, handle_move},
    {0},
};
