/*
 * What the store does for each message of a queue or of the registry.
 */
#include <errno.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "persistence/commit_policy.h"
#include "persistence/store_internal.h"

#define ENTRIES_MAX 4096 /* in one STORE_ENTRIES */

struct store_queue *store_find_queue(const struct store *st, uint64_t id)
{
    uint64_t *at = u64map_get(&st->queues, id);

    return at ? (struct store_queue *)(uintptr_t)*at : NULL;
}

static struct store_queue *make_queue(struct store *st, uint64_t id)
{
    struct store_queue *q = store_find_queue(st, id);

    if (!q) {
        q = proc_zalloc(sizeof(*q));
        q->id = id;
        u64map_put(&st->queues, id, (uintptr_t)q);
    }
    return q;
}

static void touch(struct store *st, struct store_queue *q, uint64_t seq)
{
    if (seq > q->up_to)
        q->up_to = seq;
    if (seq <= q->told)
        q->told = seq - 1; /* it came again, and is told again */
    if (q->is_touched)
        return;
    if (!st->touched)
        st->touched_due_us = proc_now_us() + COMMIT_ACK_HOLD_US;
    q->is_touched = true;
    q->next_touched = st->touched;
    st->touched = q;
}

/* Sends the next piece of a queue's entries up to `last`; false: there was none. */
static bool send_entries(struct store *st, const struct store_queue *q, uint64_t *from,
                         uint64_t last, struct db_entry *entries)
{
    struct msg_store_entries *m;
    int n = *from > last ? 0 : db_entries(st->db, q->id, from, entries, ENTRIES_MAX);

    if (n < 0)
        store_fail(st, n, "list of entries");
    while (n > 0 && entries[n - 1].seq > last)
        n--;
    if (n == 0)
        return false;
    m = msg_new(STORE_ENTRIES, sizeof(*m) + (size_t)n * sizeof(m->entry[0]), NULL);
    m->queue_id = q->id;
    m->epoch = q->epoch;
    m->n = (uint32_t)n;
    for (int i = 0; i < n; i++)
        store_tell_entry(&entries[i], &m->entry[i]);
    PROC_SEND(q->pid, m);
    return true;
}

/* Tells one by one what is below and above what the queue knows. */
static void send_unknown(struct store *st, const struct store_queue *q,
                         const struct msg_store_open *in)
{
    bool knows_none = in->known_first > in->known_last;
    struct db_entry *entries = proc_alloc(ENTRIES_MAX * sizeof(*entries));
    uint64_t from = 0;

    if (knows_none || in->known_first > 0) {
        while (send_entries(st, q, &from, knows_none ? UINT64_MAX : in->known_first - 1, entries))
            continue;
    }
    from = in->known_last + 1;
    if (!knows_none && in->known_last < UINT64_MAX) {
        while (send_entries(st, q, &from, UINT64_MAX, entries))
            continue;
    }
    proc_free(entries);
}

static void send_asked(struct store *st, const struct store_queue *q,
                       const struct msg_store_open *in)
{
    struct msg_store_entries *m;

    if (in->n_ask == 0)
        return;
    m = store_find(st, STORE_ENTRIES, q->id, in->ask, in->n_ask);
    m->epoch = q->epoch;
    PROC_SEND(q->pid, m);
}

static void ack_range(struct store *st, uint64_t queue, uint64_t first, uint64_t last)
{
    int64_t n = db_ack_range(st->db, queue, first, last, proc_now_us());

    if (n < 0)
        store_fail(st, (int)n, "acks");
    st->n_acks += (uint64_t)n;
}

/* An earlier run paged that, and nobody knows it any more. It is gone before this one is told what
 * there is. */
static void drop_fleeting(struct store *st, uint64_t queue)
{
    int64_t n = db_ack_fleeting(st->db, queue, proc_now_us());

    if (n < 0)
        store_fail(st, (int)n, "acks");
    st->n_acks += (uint64_t)n;
    if (n > 0)
        store_commit(st);
}

/* What it will have left goes when it ends. */
static void watch_queue(struct store_queue *q)
{
    if (q->monitor)
        proc_cancel(q->monitor);
    q->monitor = proc_monitor(q->pid);
}

void store_on_open(struct store *st, struct msg *m)
{
    const struct msg_store_open *in = MSG_OF(struct msg_store_open, m);
    struct store_queue *q = make_queue(st, in->queue_id);
    struct msg_store_opened *reply;
    struct db_queue_info info;

    if (in->epoch < q->epoch) {
        st->n_stale++;
        return; /* of an incarnation that is gone; it is answered DOWN */
    }
    store_commit(st); /* the fence: what older epochs sent is written before it is told of */
    store_tx_fence(st, q->id, in->epoch);
    q->epoch = in->epoch;
    q->pid = m->from;
    q->up_to = q->told = 0;
    if (in->is_first)
        drop_fleeting(st, q->id);
    if (in->is_fleeting)
        watch_queue(q);
    send_unknown(st, q, in);
    send_asked(st, q, in);
    info = db_queue_info(st->db, q->id);
    reply = MSG_NEW(STORE_OPENED, struct msg_store_opened);
    reply->queue_id = q->id;
    reply->epoch = q->epoch;
    reply->next_seq = info.max_seq + 1;
    reply->n_entries = info.n_live;
    reply->bytes = info.bytes;
    proc_reply(m, &reply->hdr);
}

void store_release(void *ctx, void *token)
{
    struct msg_store_ops *ops = token;

    (void)ctx;
    if (--ops->cap == 0)
        msg_drop(&ops->hdr);
}

static void on_publish(struct store *st, struct store_queue *q, struct msg_store_ops *m,
                       const struct store_op *op)
{
    const struct db_add add = {
        .queue = q->id,
        .seq = op->seq,
        .attr = {.flags = op->flags},
        .iov = {{(void *)(uintptr_t)op->part[0], op->part_len[0]},
                {(void *)(uintptr_t)op->part[1], op->part_len[1]}},
        .key = op->owner,
        .token = op->owner ? m : NULL,
        .is_fleeting = op->is_fleeting,
        .hold_us = commit_hold_us((uint32_t)(m->ack_time_us < UINT32_MAX ? m->ack_time_us : 0),
                                  m->ack_time_us > 0),
    };
    int r;

    if (op->owner)
        m->cap++;
    if (m->tx == 0 && !op->is_fleeting)
        touch(st, q, op->seq);
    r = db_add(st->db, &add, proc_now_us());
    CHECK(r != -EMSGSIZE); /* longer than any message that a queue lets in */
    if (r < 0)
        store_fail(st, r, "publish");
    st->n_adds++;
    if (r == 1 && !op->is_fleeting)
        st->is_due = true; /* sent again: it is durable, and only that is to be told */
}

static void on_ack(struct store *st, const struct store_queue *q, const struct store_op *op)
{
    int r;

    if (op->kind == STORE_OP_ACK_RANGE) {
        ack_range(st, q->id, op->seq, op->last_seq);
        return;
    }
    r = db_ack(st->db, q->id, op->seq, proc_now_us());
    if (r < 0)
        store_fail(st, r, "ack");
    /* What is unknown was sent again after it was settled. */
    st->n_withdrawn += r == DB_WITHDRAWN;
    st->n_acks += r == DB_SETTLED;
}

void store_take_ops(struct store *st, struct store_queue *q, struct msg_store_ops *ops)
{
    ops->cap = 1; /* the caller's */
    for (uint32_t i = 0; i < ops->n; i++) {
        if (ops->op[i].kind == STORE_OP_PUBLISH)
            on_publish(st, q, ops, &ops->op[i]);
        else
            on_ack(st, q, &ops->op[i]);
    }
    store_release(st, ops);
}

void store_on_ops(struct store *st, struct msg *m)
{
    struct msg_store_ops *in = MSG_OF(struct msg_store_ops, m);
    struct store_queue *q = store_find_queue(st, in->queue_id);

    if (!q || in->epoch != q->epoch) {
        st->n_stale++;
        return;
    }
    proc_keep(m);
    if (in->tx != 0)
        store_tx_keep(st, in);
    else
        store_take_ops(st, q, in);
}

static struct db_bytes bytes_of(const struct blob *b)
{
    if (!b)
        return (struct db_bytes){NULL, 0};
    return (struct db_bytes){blob_bytes(b), blob_size(b)};
}

static struct db_def def_of(const struct store_row *row)
{
    struct db_def def = {.flags = row->flags, .args = bytes_of(row->args)};

    switch (row->kind) {
    case STORE_ROW_QUEUE:
    case STORE_ROW_EXCHANGE:
        def.kind = row->kind == STORE_ROW_QUEUE ? DB_QUEUE : DB_EXCHANGE;
        def.id = row->id;
        def.name = bytes_of(row->name);
        def.type = bytes_of(row->type);
        break;
    case STORE_ROW_BINDING:
        def.kind = DB_BINDING;
        def.source = row->id;
        def.dest = row->dest_id;
        def.dest_type = row->dest_kind;
        def.key = bytes_of(row->name);
        break;
    case STORE_ROW_SETTING:
        def.kind = DB_SETTING;
        def.type = bytes_of(row->type);
        def.name = bytes_of(row->name);
        break;
    }
    return def;
}

/* The queue's entries are settled, and what is still sent for it is ignored. */
static void forget_queue(struct store *st, uint64_t id)
{
    struct store_queue *q = store_find_queue(st, id);

    ack_range(st, id, 0, db_queue_info(st->db, id).max_seq);
    if (!q)
        return;
    u64map_del(&st->queues, id, NULL);
    q->is_gone = true;
    if (!q->is_touched)
        proc_free(q);
}

void store_on_write(struct store *st, struct msg *m)
{
    const struct msg_store_rows *in = MSG_OF(struct msg_store_rows, m);

    for (uint32_t i = 0; i < in->n; i++) {
        const struct store_row *row = &in->row[i];
        const struct db_def def = def_of(row);
        int r;

        if (row->remove && row->kind == STORE_ROW_QUEUE) {
            store_tx_forget(st, row->id);
            forget_queue(st, row->id);
        }
        r = row->remove ? db_del(st->db, &def) : db_put(st->db, &def);
        if (r < 0)
            store_fail(st, r, "definition");
    }
    store_wait(st, m);
}

/* One that is started again opens it once more before it gives anything. */
void store_on_down(struct store *st, const struct msg *m)
{
    uint64_t id, value;
    uint32_t at = 0;

    while (u64map_next(&st->queues, &at, &id, &value)) {
        if (((const struct store_queue *)(uintptr_t)value)->monitor != m->ref)
            continue;
        forget_queue(st, id);
        return;
    }
}

static struct blob *blob_of(const struct db_bytes *b)
{
    return b->len > 0 ? blob_copy(b->p, b->len) : NULL;
}

static int count_def(void *ctx, const struct db_def *def)
{
    (void)def;
    ++*(uint32_t *)ctx;
    return 0;
}

static enum store_row_kind row_kind(enum db_def_kind kind)
{
    switch (kind) {
    case DB_QUEUE:
        return STORE_ROW_QUEUE;
    case DB_EXCHANGE:
        return STORE_ROW_EXCHANGE;
    case DB_BINDING:
        return STORE_ROW_BINDING;
    default:
        return STORE_ROW_SETTING;
    }
}

static int take_def(void *ctx, const struct db_def *def)
{
    struct msg_store_rows *rows = ctx;
    struct store_row *row = &rows->row[rows->n];
    bool is_binding = def->kind == DB_BINDING;

    *row = (struct store_row){.kind = row_kind(def->kind),
                              .id = is_binding ? def->source : def->id,
                              .dest_id = def->dest,
                              .dest_kind = def->dest_type,
                              .flags = def->flags,
                              .name = blob_of(is_binding ? &def->key : &def->name),
                              .type = blob_of(&def->type),
                              .args = blob_of(&def->args)};
    rows->n++;
    return 0;
}

void store_on_load(struct store *st, struct msg *m)
{
    struct msg_store_rows *reply;
    uint32_t n = 0;
    int r;

    store_commit(st); /* rows that a failure can take back are told to nobody */
    r = db_each_def(st->db, count_def, &n);
    if (r < 0)
        store_fail(st, r, "definitions");
    reply = store_rows_new(STORE_ROWS, n);
    r = db_each_def(st->db, take_def, reply);
    if (r < 0) {
        msg_drop(&reply->hdr);
        store_fail(st, r, "definitions");
    }
    proc_reply(m, &reply->hdr);
}

/* The request keeps its own answer until the commit. */
void store_on_reserve(struct store *st, struct msg *m)
{
    struct msg_store_reserve *in = MSG_OF(struct msg_store_reserve, m);
    int r = db_reserve_ids(st->db, in->n, &in->first);

    if (r < 0)
        store_fail(st, r, "ids");
    store_wait(st, m);
}
