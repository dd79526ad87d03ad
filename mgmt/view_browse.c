/*
 * Looking through the messages of a queue, which are not touched by it:
 *
 *   GET    api/queues/V/Q/messages?from=SEQ&count=N&encoding=E&truncate=B
 *
 * What only the store has is asked of that.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/codec/record.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/browse.h"
#include "mgmt/json.h"
#include "mgmt/message_json.h"
#include "mgmt/views.h"
#include "persistence/store.h"
#include "queues/queue.h"

enum { READ_BYTES = 4 * 1024 * 1024 };

struct look { /* process memory */
    struct cell_at at;
    uint64_t queue_id;
    struct message_shows shows;
    struct msg_queue_peeked *peeked; /* kept */
    uint64_t next;                   /* to look on from; 0: that was all */
    uint32_t n, count;               /* items that are shown, and are wanted */
};

struct cell *browse_queue(struct request *r)
{
    struct cell *c = ask_queue(r, 3);

    ask_right(r, ACCESS_QUEUE, amqp_bytes(cell_name(c), c->name_len), ACCESS_READ);
    return c;
}

struct record *browse_load(const struct blob *b, size_t offset, size_t len)
{
    RUNTIME_REGION();

    return b ? record_load(blob_bytes(b) + offset, len) : NULL;
}

struct record *browse_load_body(const struct store_body *body)
{
    return browse_load(body->bytes, 0, body->bytes ? blob_size(body->bytes) : 0);
}

static void await(struct request *r, proc_id to, struct msg *m)
{
    r->asked = proc_call(to, m, PROC_NO_TIMEOUT);
}

static struct look *begin(struct request *r)
{
    struct cell *c = browse_queue(r);
    struct look *b = proc_zalloc(sizeof(*b));

    b->at = *ask_running(r, c);
    b->queue_id = c->id;
    r->state = b;
    return b;
}

static void finish_looking(struct request *r)
{
    const struct look *b = r->state;
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
    struct look *b = r->state;
    json_t *json = message_json(record, redelivered, 0, &b->shows);

    (void)json_object_del(json, "message_count"); /* what is behind it was not counted */
    json_add_count(json, "seq", seq);
    text_add_comma(&r->foreign->out);
    text_add_json(&r->foreign->out, json);
    b->n++;
}

/* The part that only the store has comes last. */
static void look_deeper(struct request *r)
{
    struct look *b = r->state;
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
    await(r, ask_store(r), &m->hdr);
}

static void on_run(struct request *r, const struct msg_store_run *run)
{
    struct look *b = r->state;

    for (uint32_t i = 0; i < run->n; i++) {
        const struct store_item *item = &run->item[i];
        struct record *record =
            item->is_damaged ? NULL : browse_load(run->bytes, item->offset, item->len);

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
    const struct look *b = r->state;
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
    await(r, ask_store(r), &m->hdr);
    return true;
}

static void write_peeked(struct request *r, const struct msg_store_bodies *bodies)
{
    const struct look *b = r->state;
    uint32_t at = 0;

    for (uint32_t i = 0; i < b->peeked->n; i++) {
        const struct peeked *item = &b->peeked->item[i];
        struct record *read = item->record ? NULL : browse_load_body(&bodies->body[at++]);
        const struct record *record = item->record ? item->record : read;

        if (record)
            write_message(r, item->seq, record, item->redelivered);
        record_unref(read);
    }
    look_deeper(r);
}

static void start_look(struct request *r)
{
    struct look *b = begin(r);
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
    struct look *b = r->state;

    CHECK(m->ref == r->asked);
    if (!b->peeked) {
        proc_keep(ask_queue_reply(r, m, QUEUE_PEEKED));
        b->peeked = MSG_OF(struct msg_queue_peeked, m);
        b->next = b->peeked->next;
        if (!ask_missing(r))
            write_peeked(r, NULL);
        return;
    }
    if (m->type == STORE_BODIES)
        write_peeked(r, MSG_OF(struct msg_store_bodies, m));
    else
        on_run(r, MSG_OF(struct msg_store_run, ask_store_reply(r, m, STORE_RUN)));
}

const struct view views_browse[] = {
    {"api/queues/x/x/messages", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_look, handle_look},
    {0},
};
