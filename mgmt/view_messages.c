/*
 * Views of messages: publishing one, getting some.
 *
 * What is got is held by this process until its answer is complete, and settled then in the way
 * that was asked for; should it end before, the queue takes all of them back.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/record.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/json.h"
#include "mgmt/message_json.h"
#include "mgmt/props_json.h"
#include "mgmt/publish.h"
#include "mgmt/views.h"
#include "queues/queue.h"

enum { ANSWER_MAX = 64 * 1024 * 1024 }; /* of gotten messages: more are left in the queue */

static const char *need_text(struct request *r, const char *key)
{
    const char *value = request_body_text(r, key);
    char text[96];

    if (value)
        return value;
    snprintf(text, sizeof(text), "[{key_missing,%s}]", key);
    request_fail(r, 400, text);
}

/* The length of what base64 text stands for, or -1. `out` has room for 3/4 of it and 3 bytes. */
static long decode_base64(const char *text, size_t len, uint8_t *out)
{
    RUNTIME_REGION();
    size_t pads = 0;
    int n;

    if (len == 0)
        return 0;
    while (pads < 2 && text[len - 1 - pads] == '=')
        pads++;
    if (len % 4 || strcspn(text, "= \t\r\n") != len - pads)
        return -1;
    n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
    return n < 0 ? -1 : n - (long)pads;
}

/* The payload that the body says, as it is published; process memory, or the body's. */
static struct amqp_bytes read_payload(struct request *r)
{
    const char *encoding = need_text(r, "payload_encoding");
    const char *payload = need_text(r, "payload");
    size_t len = json_string_length(json_object_get(request_body(r), "payload"));
    uint8_t *bytes;
    long n;

    if (!strcmp(encoding, "string"))
        return amqp_bytes(payload, len);
    if (strcmp(encoding, "base64"))
        request_fail(r, 400, "the payload_encoding is neither string nor base64");
    bytes = proc_alloc(len / 4 * 3 + 4);
    n = decode_base64(payload, len, bytes);
    if (n < 0)
        request_fail(r, 400, "the payload is not base64");
    return amqp_bytes(bytes, (size_t)n);
}

static int encode_props(const json_t *object, struct record_parts *parts, struct props_bytes *props,
                        char text[256])
{
    RUNTIME_REGION();
    int n = props_of_json(object, props, text, 256);

    if (n == 0)
        parts->props = amqp_bytes(props->p, props->len);
    return n;
}

/* The record that the body describes, which goes with the process. */
static void make_record(struct request *r)
{
    const char *key = need_text(r, "routing_key");
    const json_t *props = json_object_get(request_body(r), "properties");
    struct amqp_bytes payload = read_payload(r);
    struct record_parts parts = {.exchange = ask_exchange_name(r, 3), .key = amqp_str(key)};
    struct props_bytes bytes = {0};
    char text[256];
    uint8_t *body;

    if (!props)
        request_fail(r, 400, "[{key_missing,properties}]");
    if (parts.key.len > 255 || parts.exchange.len > 255)
        request_fail(r, 400, "the routing key is longer than 255 bytes");
    if (encode_props(props, &parts, &bytes, text) < 0)
        request_fail(r, 400, text);
    r->foreign->record = record_new(&parts, payload.len, &body);
    rt_free(bytes.p);
    CHECK(r->foreign->record); /* no part is too long: a body of HTTP is shorter than one of AMQP */
    if (payload.len > 0)
        memcpy(body, payload.p, payload.len);
}

static void finish_publish(struct request *r)
{
    const struct publish *p = r->state;

    text_add_str(&r->foreign->out, p->n ? "{\"routed\":true}" : "{\"routed\":false}");
    request_finish(r);
}

static void start_publish(struct request *r)
{
    struct publish *p = proc_zalloc(sizeof(*p));

    r->state = p;
    make_record(r);
    publish_route(r, p);
    if (p->waits == 0)
        finish_publish(r);
}

static void handle_publish(struct request *r, struct msg *m)
{
    struct publish *p = r->state;

    CHECK(publish_handle(r, p, m));
    if (p->waits == 0)
        finish_publish(r);
}

struct get {           /* process memory */
    struct cell_at at; /* of the queue */
    enum settle_how how;
    struct message_shows shows;
    uint64_t left; /* to be got */
    uint32_t n, cap;
    uint64_t *seq; /* of those got */
    bool is_settled;
};

static enum settle_how read_ackmode(struct request *r)
{
    static const struct {
        const char *name;
        enum settle_how how;
    } modes[] = {
        {"ack_requeue_true", SETTLE_REQUEUE},
        {"ack_requeue_false", SETTLE_ACK},
        {"reject_requeue_true", SETTLE_REQUEUE},
        {"reject_requeue_false", SETTLE_REJECT},
    };
    const char *mode = need_text(r, "ackmode");

    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        if (!strcmp(mode, modes[i].name))
            return modes[i].how;
    }
    request_fail(r, 400,
                 "the ackmode is none of ack_requeue_true, ack_requeue_false, "
                 "reject_requeue_true, reject_requeue_false");
}

/* A whole number, also as text. */
static uint64_t read_number(struct request *r, const char *key, uint64_t otherwise)
{
    const json_t *v = json_object_get(request_body(r), key);
    const char *text = json_string_value(v);
    char why[96], *end = NULL;
    long long n = json_is_integer(v) ? (long long)json_integer_value(v) : -1;

    if (!v || json_is_null(v))
        return otherwise;
    if (text && *text >= '0' && *text <= '9')
        n = strtoll(text, &end, 10);
    if (n >= 0 && (!end || !*end))
        return (uint64_t)n;
    snprintf(why, sizeof(why), "'%s' in the body is not a whole number", key);
    request_fail(r, 400, why);
}

static void ask_next(struct request *r)
{
    const struct get *g = r->state;
    struct msg_queue_get *m = MSG_NEW(QUEUE_GET, struct msg_queue_get);

    m->epoch = g->at.epoch;
    r->asked = proc_call(g->at.pid, &m->hdr, PROC_NO_TIMEOUT);
}

static void settle(struct get *g)
{
    struct msg_queue_settle *m = queue_settle_new(g->at.epoch, g->how, g->n);

    g->is_settled = true;
    memcpy(m->seq, g->seq, g->n * sizeof(*g->seq));
    m->n = g->n;
    proc_send(g->at.pid, &m->hdr);
}

/* What was got is settled, durably, before the answer says so. */
static void end_get(struct request *r)
{
    struct get *g = r->state;

    text_add_str(&r->foreign->out, "]");
    if (g->n == 0)
        request_finish(r);
    settle(g);
    r->asked = proc_call(g->at.pid, &queue_ask_new(QUEUE_SYNC, g->at.epoch)->hdr, PROC_NO_TIMEOUT);
}

static void start_get(struct request *r)
{
    struct cell *c = ask_queue(r, 3);
    struct get *g = proc_zalloc(sizeof(*g));

    ask_right(r, ACCESS_QUEUE, amqp_bytes(cell_name(c), c->name_len), ACCESS_READ);
    g->at = *ask_running(r, c);
    g->how = read_ackmode(r);
    g->shows = message_shows_read(r, need_text(r, "encoding"));
    g->left = read_number(r, "count", 1);
    g->shows.truncate = read_number(r, "truncate", UINT64_MAX);
    r->state = g;
    text_add_str(&r->foreign->out, "[");
    if (g->left == 0)
        end_get(r);
    ask_next(r);
}

/* The record goes out of the reply, whose drop would give the message back. */
static void take(struct request *r, struct get *g, struct msg_queue_got *got)
{
    struct record *record = got->record;

    if (g->n == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 16;
        g->seq = proc_realloc(g->seq, g->cap * sizeof(*g->seq));
    }
    g->seq[g->n++] = got->seq;
    text_add_comma(&r->foreign->out);
    text_add_json(&r->foreign->out, message_json(record, got->redelivered, got->ready, &g->shows));
    got->record = NULL;
    record_unref(record);
}

static void on_got(struct request *r, struct msg_queue_got *got)
{
    struct get *g = r->state;

    if (got->code)
        request_fail_amqp(r, got->code, got->text);
    if (!got->empty)
        take(r, g, got);
    if (got->empty || --g->left == 0 || text_len(&r->foreign->out) > ANSWER_MAX)
        end_get(r);
    else
        ask_next(r);
}

/*
 * The queue's run has ended. What it had given stands in its place again, unless it was settled:
 * that is in the answer, and as with AMQP's acks what was not durable yet comes once more.
 */
static __attribute__((noreturn)) void on_end(struct request *r, struct msg *m)
{
    const struct get *g = r->state;

    if (g->is_settled)
        request_finish(r);
    again_by_queue(r, ask_queue(r, 3), m->from);
    request_fail(r, 503, "the queue ended");
}

static void handle_get(struct request *r, struct msg *m)
{
    if (m->type == QUEUE_SETTLED)
        return; /* SYNC says more */
    CHECK(m->ref == r->asked);
    switch (m->type) {
    case QUEUE_GOT:
        on_got(r, MSG_OF(struct msg_queue_got, m));
        break;
    case QUEUE_REPLY: /* to SYNC */
        request_finish(r);
    default:
        on_end(r, m);
    }
}

const struct view views_messages[] = {
    {"api/exchanges/x/x/publish", HTTP_POST, VIEW_MANAGEMENT, VIEW_VHOST, start_publish,
     handle_publish},
    {"api/queues/x/x/get", HTTP_POST, VIEW_MANAGEMENT, VIEW_VHOST, start_get, handle_get},
    {0},
};
