/*
 * Reading back bodies of entries that have lost them: they were unacked and are ready again, or
 * became durable when there was no room for them.
 */
#include "broker/runtime/blob.h"
#include "queues/queue_impl.h"

struct batch {
    uint32_t n;
    uint64_t bytes;
};

/* Adds e to the next read if its body is missing; false: the batch is full. */
static bool want(struct queue *q, struct batch *b, struct entry *e)
{
    if (e->state != ENTRY_READY || e->record || e->flags & ENTRY_READING)
        return true;
    if (b->n == READ_MESSAGES || (b->n > 0 && b->bytes + e->size > READ_BYTES))
        return false;
    e->flags |= ENTRY_READING;
    q->reading[b->n++] = entry_seq(e);
    b->bytes += e->size;
    return true;
}

/* Those that were given back stand in no order, but their first is among the first. */
static void want_returned(struct queue *q, struct batch *b)
{
    for (uint32_t i = 0; i < q->backlog.heap_n && i < READ_MESSAGES; i++) {
        struct entry *e = backlog_find(&q->backlog, backlog_returned(&q->backlog, i));

        if (e && !want(q, b, e))
            return;
    }
}

static void want_ahead(struct queue *q, struct batch *b)
{
    struct entry *e = backlog_head(&q->backlog);

    for (uint32_t n = 0; e && n < 4 * STEP; n++) {
        if (!want(q, b, e))
            return;
        e = backlog_after(e);
    }
}

static void ask(struct queue *q)
{
    struct msg_store_read *m = store_read_new(q->cell->id, q->n_reading);

    for (uint32_t i = 0; i < q->n_reading; i++)
        m->want[i] = (struct store_read){.seq = q->reading[i]};
    q->read_ref = proc_call(q->store, &m->hdr, PROC_NO_TIMEOUT);
}

void read_ahead(struct queue *q)
{
    struct batch b = {0};

    if (q->n_reading > 0 || !q->was_opened)
        return;
    if (!q->reading)
        q->reading = proc_alloc(READ_MESSAGES * sizeof(*q->reading));
    want_returned(q, &b);
    want_ahead(q, &b);
    q->n_reading = b.n;
    if (b.n > 0 && q->store_ready)
        ask(q);
}

void read_again(struct queue *q)
{
    if (q->n_reading > 0)
        ask(q);
}

/* Of what came from an earlier incarnation, the body is known only now. */
static void put_record(struct queue *q, struct entry *e, const struct blob *bytes)
{
    struct record *record = record_load(blob_bytes(bytes), blob_size(bytes));

    if (!record)
        return;
    backlog_set_record(&q->backlog, e, record);
    backlog_weigh(&q->backlog, e, record_body_len(record),
                  q->is_durable && record_is_persistent(record));
}

void on_store_bodies(struct queue *q, struct msg *m)
{
    const struct msg_store_bodies *in = MSG_OF(struct msg_store_bodies, m);

    q->read_ref = 0;
    q->n_reading = 0;
    for (uint32_t i = 0; i < in->n; i++) {
        const struct store_body *body = &in->body[i];
        struct entry *e = backlog_find(&q->backlog, body->seq);

        if (!e || !(e->flags & ENTRY_READING))
            continue; /* purged meanwhile */
        e->flags &= (uint8_t)~ENTRY_READING;
        if (e->record)
            continue;
        if (body->bytes)
            put_record(q, e, body->bytes);
        if (!e->record || record_stored_size(e->record) != e->size)
            proc_exit(EXIT_CRASH, 0, "message %llu is damaged on disk",
                      (unsigned long long)body->seq);
        q->resident_bytes += e->size;
    }
}
