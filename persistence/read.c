/*
 * Reading: what the index knows, and records by their place.
 */
#include <errno.h>
#include <string.h>

#include "persistence/crc32c.h"
#include "persistence/db_internal.h"

struct db_queue_info db_queue_info(const struct db *db, uint64_t queue)
{
    const struct queue_index *q = index_queue(db, queue);

    if (!q)
        return (struct db_queue_info){0};
    return (struct db_queue_info){.n_live = q->n_live, .bytes = q->bytes, .max_seq = q->max_seq};
}

void db_each_queue(struct db *db, void (*fn)(void *ctx, uint64_t queue), void *ctx)
{
    uint32_t at = 0;
    uint64_t id, value;

    while (u64map_next(&db->queues, &at, &id, &value)) {
        if (((const struct queue_index *)(uintptr_t)value)->n_live > 0)
            fn(ctx, id);
    }
}

/* Where in a segment's entries the reading of attributes stands; entries come in rising slots. */
struct attr_cursor {
    struct seg_reader reader;
    uint64_t segment; /* 0: none is open */
    uint32_t next_slot;
};

static void cursor_end(struct db *db, struct attr_cursor *c)
{
    if (c->segment)
        sql_reset(db->sql, SQL_ENTRIES_OF);
    c->segment = 0;
}

static int cursor_begin(struct db *db, struct attr_cursor *c, uint64_t segment)
{
    const void *p;
    size_t len;
    int r;

    cursor_end(db, c);
    r = sql_bind_int(db->sql, SQL_ENTRIES_OF, 1, segment);
    if (r == 0)
        r = sql_next(db->sql, SQL_ENTRIES_OF);
    if (r < 1)
        return r < 0 ? r : -EUCLEAN;
    c->segment = segment;
    c->next_slot = 0;
    p = sql_column_bytes(db->sql, SQL_ENTRIES_OF, 0, &len);
    return seg_open(&c->reader, p, len) < 0 ? -EUCLEAN : 0;
}

static int read_attr(struct db *db, struct attr_cursor *c, const struct entry *e,
                     struct seg_attr *ret)
{
    struct seg_entry found;

    if (c->segment != e->segment->id || c->next_slot > e->slot) {
        int r = cursor_begin(db, c, e->segment->id);

        if (r < 0)
            return r;
    }
    do {
        if (seg_next(&c->reader, &found) != 1)
            return -EUCLEAN;
    } while (c->next_slot++ < e->slot);
    *ret = found.attr;
    return 0;
}

int db_entries(struct db *db, uint64_t queue, uint64_t *from, struct db_entry *ret, int max)
{
    struct queue_index *q = index_queue(db, queue);
    struct attr_cursor cursor = {.segment = 0};
    struct entry *e = NULL;
    int n = 0, r = 0;

    while (q && n < max && (e = index_next(q, *from))) {
        bool is_committed = e->state == ENTRY_COMMITTED;

        ret[n] = (struct db_entry){.seq = e->seq, .len = e->len};
        if (is_committed) {
            ret[n].segment = e->segment->id;
            ret[n].off = e->off;
            ret[n].crc = e->crc;
        }
        if (e->has_attr && !is_committed)
            ret[n].attr = e->op->attr;
        else if (e->has_attr)
            r = read_attr(db, &cursor, e, &ret[n].attr);
        if (r < 0)
            break;
        *from = e->seq + 1;
        n++;
    }
    cursor_end(db, &cursor);
    return r < 0 ? r : n;
}

int64_t db_record_len(const struct db *db, uint64_t queue, uint64_t seq)
{
    const struct queue_index *q = index_queue(db, queue);
    const struct entry *e = q ? index_find(q, seq) : NULL;

    return e ? (int64_t)e->len : -ENOENT;
}

static void copy_pending(const struct db_op *op, uint8_t *to)
{
    for (int i = 0; i < 2; i++) {
        if (op->iov[i].iov_len == 0)
            continue;
        memcpy(to, op->iov[i].iov_base, op->iov[i].iov_len);
        to += op->iov[i].iov_len;
    }
}

int64_t db_read(struct db *db, uint64_t queue, uint64_t seq, void *buf)
{
    const struct queue_index *q = index_queue(db, queue);
    const struct entry *e = q ? index_find(q, seq) : NULL;
    int r = 0;

    if (!e)
        return -ENOENT;
    if (e->state == ENTRY_PENDING) {
        copy_pending(e->op, buf);
        return e->len;
    }
    if (e->len > 0)
        r = sql_read(db->sql, e->segment->id, e->off, buf, e->len);
    if (r < 0)
        return r;
    return crc32c(0, buf, e->len) == e->crc ? (int64_t)e->len : -EUCLEAN;
}
