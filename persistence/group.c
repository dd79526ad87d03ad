/*
 * The pending group: adds and acks before their commit.
 *
 * Invariants:
 *  1. Each pending add is one db_op, in the policy's lists, in its record's ring, and in the index
 *     of its queue; what settles it takes it out of all of them at once.
 *  2. A record has at least one op. Each op has the bytes, by its token or as a copy, so that any
 *     of them may be settled first.
 */
#include <errno.h>
#include <string.h>

#include "persistence/db_internal.h"

/* How many dead segments go with each group: where groups follow each other there is no other time.
 */
#define TRIM_ALONG 2

void group_init(struct db *db)
{
    commit_policy_init(&db->policy);
    u64map_init(&db->keys, db->config.realloc, db->config.free);
}

static void release(struct db *db, void *token)
{
    if (token)
        db->config.release(db->config.ctx, token);
}

int group_begin(struct db *db)
{
    sql_read_end(db->sql); /* an open blob would pin the WAL */
    if (sql_in_transaction(db->sql))
        return 0;
    return sql_run(db->sql, SQL_BEGIN);
}

/* Takes the bytes of an add: lent by its token, or copied. */
static void op_take_bytes(struct db *db, struct db_op *op, const struct db_add *add, size_t len)
{
    size_t first = add->iov[0].iov_len;
    uint8_t *to;

    op->token = add->token;
    op->copy = NULL;
    op->iov[0] = add->iov[0];
    op->iov[1] = add->iov[1];
    if (add->token || len == 0)
        return;
    op->copy = to = db_realloc(db, NULL, len);
    if (first > 0)
        memcpy(to, add->iov[0].iov_base, first);
    if (len > first)
        memcpy(to + first, add->iov[1].iov_base, len - first);
    op->iov[0] = (struct iovec){to, len};
    op->iov[1] = (struct iovec){NULL, 0};
}

/* The record of an add: the one with its key, or a new one. */
static struct record *record_of(struct db *db, const struct db_add *add, size_t len)
{
    /* Keys are places of objects, so their lowest bit is free: what is fleeting has segments of its
     * own. */
    uintptr_t key = add->key ? (uintptr_t)add->key | add->is_fleeting : 0;
    uint64_t *at = key ? u64map_get(&db->keys, key) : NULL;
    struct record *rec;

    if (at)
        return (struct record *)(uintptr_t)*at;
    rec = db_realloc(db, NULL, sizeof(*rec));
    rec->key = key;
    rec->len = len;
    rec->ops = NULL;
    if (key)
        u64map_put(&db->keys, key, (uintptr_t)rec);
    return rec;
}

static void record_link(struct record *rec, struct db_op *op)
{
    op->record = rec;
    if (!rec->ops) {
        op->prev_of_record = op->next_of_record = op;
        rec->ops = op;
        return;
    }
    op->next_of_record = rec->ops;
    op->prev_of_record = rec->ops->prev_of_record;
    op->prev_of_record->next_of_record = op;
    rec->ops->prev_of_record = op;
}

static void record_unlink(struct db *db, struct db_op *op)
{
    struct record *rec = op->record;

    if (op->next_of_record != op) {
        op->prev_of_record->next_of_record = op->next_of_record;
        op->next_of_record->prev_of_record = op->prev_of_record;
        if (rec->ops == op)
            rec->ops = op->next_of_record;
        return;
    }
    if (rec->key)
        u64map_del(&db->keys, rec->key, NULL);
    db_free(db, rec);
}

static struct db_op *op_new(struct db *db)
{
    struct db_op *op = db->free_ops;

    if (op)
        db->free_ops = op->next_of_record;
    else
        op = db_realloc(db, NULL, sizeof(*op));
    return op;
}

/* Takes an op out of everything but the index, and gives back its token. */
static void op_end(struct db *db, struct db_op *op)
{
    void *token = op->token;

    commit_policy_remove(&db->policy, &op->item);
    record_unlink(db, op);
    db_free(db, op->copy);
    op->next_of_record = db->free_ops;
    db->free_ops = op;
    release(db, token);
}

/* Whether the message is live. 1, 0 or -errno. */
static int is_live(struct db *db, struct queue_index *q, uint64_t seq)
{
    struct found f;

    if (index_pending(q, seq))
        return 1;
    /* Most come in order, and nothing is asked of the disk. */
    return q->n_ext == 0 || seq > q->max_last ? 0 : index_find(db, q, seq, &f);
}

int db_add(struct db *db, const struct db_add *add, uint64_t now_us)
{
    struct queue_index *q = index_queue_make(db, add->queue);
    size_t len = add->iov[0].iov_len + add->iov[1].iov_len;
    int r = len > DB_RECORD_MAX ? -EMSGSIZE : is_live(db, q, add->seq);
    struct db_op *op;

    if (r == 0)
        r = trim_make_room(db, add->queue, add->seq);
    if (r != 0) {
        release(db, add->token);
        return r < 0 && r != -EMSGSIZE ? db_fail(db, r) : r;
    }
    op = op_new(db);
    op->queue = q;
    op_take_bytes(db, op, add, len);
    op->seq = add->seq;
    op->attr = add->attr;
    op->is_written = false;
    op->is_fleeting = add->is_fleeting;
    db->has_fleeting = db->has_fleeting || add->is_fleeting;
    record_link(record_of(db, add, len), op);
    commit_policy_add(&db->policy, &op->item, (uint32_t)len, now_us, add->hold_us);
    index_add(db, q, op, len);
    return 0;
}

static void withdraw(struct db *db, struct queue_index *q, struct db_op *op)
{
    index_unpend(q, op, op->record->len, true);
    op_end(db, op);
}

int db_ack(struct db *db, uint64_t queue, uint64_t seq, uint64_t now_us)
{
    struct queue_index *q = index_queue(db, queue);
    struct db_op *op = q ? index_pending(q, seq) : NULL;
    struct found f;
    int r;

    if (op) {
        withdraw(db, q, op);
        return DB_WITHDRAWN;
    }
    r = q ? index_find(db, q, seq, &f) : 0;
    if (r < 0)
        return db_fail(db, r);
    if (r == 0)
        return DB_UNKNOWN;
    index_settle(db, q, &f);
    commit_policy_add_ack(&db->policy, now_us);
    return DB_SETTLED;
}

/* Settles what is committed; how many, or -errno. */
static int64_t settle_committed(struct db *db, struct queue_index *q, const struct range *in,
                                uint64_t now_us)
{
    uint64_t n = 0;
    int r = q && q->n_ext > 0 ? index_settle_range(db, q, in, &n) : 0;

    if (r < 0)
        return db_fail(db, r);
    if (n > 0)
        commit_policy_add_ack(&db->policy, now_us);
    return (int64_t)n;
}

int64_t db_ack_range(struct db *db, uint64_t queue, uint64_t first, uint64_t last, uint64_t now_us)
{
    const struct range in = {.queue = queue, .first = first, .last = last};
    struct queue_index *q = index_queue(db, queue);
    int64_t n = 0, r;
    struct db_op *op;

    while (q && (op = index_pending_next(q, first)) && op->seq <= last) {
        withdraw(db, q, op);
        n++;
    }
    r = settle_committed(db, q, &in, now_us);
    return r < 0 ? r : n + r;
}

int64_t db_ack_fleeting(struct db *db, uint64_t queue, uint64_t now_us)
{
    struct queue_index *q = index_queue(db, queue);
    const struct range in = {.queue = queue, .last = q ? q->max_seq : 0, .is_fleeting = true};

    return settle_committed(db, q, &in, now_us);
}

struct db_pending db_pending(const struct db *db)
{
    const struct commit_policy *p = &db->policy;

    return (struct db_pending){
        .due_us = commit_policy_due(p), .bytes = p->bytes, .adds = p->n_items, .acks = p->n_acks};
}

/* Ends the operations that are written, or all. */
static void forget_ops(struct db *db, bool all)
{
    struct commit_item *item = commit_policy_next(&db->policy, NULL), *next;

    for (; item; item = next) {
        struct db_op *op = (struct db_op *)item;

        next = commit_policy_next(&db->policy, item);
        if (all || op->is_written)
            op_end(db, op);
    }
    commit_policy_written(&db->policy);
}

/* Writes the number of a group that has no segment, and takes back that of the one before. */
static int write_marker(struct db *db, uint64_t group, bool has_segment)
{
    struct seg_head h = {.group = group, .epoch = db->epoch};
    uint8_t head[SEG_HEAD_MAX(0)];
    int r = 0;

    if (db->marker)
        r = sql_run_id(db->sql, SQL_HEADER_DEL, db->marker);
    db->marker = 0;
    if (r < 0 || has_segment)
        return r;
    db->marker = db->next_segment++;
    return sql_run_id_blob(db->sql, SQL_HEADER_PUT, db->marker, head,
                           seg_head_encode(&h, NULL, head));
}

int db_commit_some(struct db *db, uint64_t max_bytes)
{
    bool has_adds = (db->policy.n_items > 0 && max_bytes > 0) || db->has_segment;
    int r;

    if (!has_adds && !db->dirty && !db->has_rows) {
        commit_policy_written(&db->policy);
        return 0;
    }
    r = group_begin(db);
    if (r == 0)
        r = trim_some(db, TRIM_ALONG);
    if (r == 0)
        r = commit_segments(db, max_bytes);
    if (r == 0)
        r = commit_acks(db);
    if (r == 0)
        r = write_marker(db, db->group + 1, has_adds);
    if (r == 0)
        r = sql_run(db->sql, SQL_COMMIT);
    if (r < 0)
        return db_fail(db, r);
    db->group++;
    forget_ops(db, false);
    db->has_rows = db->has_segment = false;
    db->has_fleeting = db->has_fleeting && db->policy.n_items > 0;
    return 0;
}

int db_commit(struct db *db)
{
    return db_commit_some(db, UINT64_MAX);
}

uint64_t db_first_pending(const struct db *db, uint64_t queue)
{
    const struct queue_index *q = index_queue(db, queue);
    const struct db_op *op = q ? index_pending_next(q, 0) : NULL;

    while (op && op->is_fleeting)
        op = index_pending_next(q, op->seq + 1);
    return op ? op->seq : UINT64_MAX;
}

void group_fini(struct db *db)
{
    forget_ops(db, true);
    while (db->free_ops) {
        struct db_op *op = db->free_ops;

        db->free_ops = op->next_of_record;
        db_free(db, op);
    }
    u64map_fini(&db->keys);
}
