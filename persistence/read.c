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

static void tell_pending(const struct db_op *op, struct db_entry *ret)
{
    *ret = (struct db_entry){.seq = op->seq, .len = (uint32_t)op->record->len, .attr = op->attr};
}

static void tell_found(const struct found *f, struct db_entry *ret)
{
    const struct entry *e = &f->entry;

    *ret = (struct db_entry){.seq = e->seq,
                             .segment = f->extent->segment->id,
                             .off = e->off,
                             .len = e->len,
                             .crc = e->crc,
                             .attr = f->attr};
}

int db_entries(struct db *db, uint64_t queue, uint64_t *from, struct db_entry *ret, int max)
{
    struct queue_index *q = index_queue(db, queue);
    int n = 0;

    while (q && n < max) {
        const struct db_op *op = index_pending_next(q, *from);
        struct found f;
        int r = index_next(db, q, *from, &f);

        if (r < 0)
            return r;
        if (r == 0 && !op)
            break;
        if (r == 0 || (op && op->seq < f.entry.seq))
            tell_pending(op, &ret[n]);
        else
            tell_found(&f, &ret[n]);
        *from = ret[n++].seq + 1;
    }
    return n;
}

int64_t db_record_len(struct db *db, uint64_t queue, uint64_t seq)
{
    struct queue_index *q = index_queue(db, queue);
    const struct db_op *op = q ? index_pending(q, seq) : NULL;
    struct found f;
    int r;

    if (op)
        return (int64_t)op->record->len;
    r = q ? index_find(db, q, seq, &f) : 0;
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    return f.entry.len;
}

static int64_t copy_pending(const struct db_op *op, uint8_t *to)
{
    for (int i = 0; i < 2; i++) {
        if (op->iov[i].iov_len == 0)
            continue;
        memcpy(to, op->iov[i].iov_base, op->iov[i].iov_len);
        to += op->iov[i].iov_len;
    }
    return (int64_t)op->record->len;
}

static int read_place(struct db *db, uint64_t segment, uint32_t off, uint32_t len, uint32_t crc,
                      void *buf)
{
    int r = len > 0 ? sql_read(db->sql, segment, off, buf, len) : 0;

    if (r < 0)
        return r;
    return crc32c(0, buf, len) == crc ? 0 : -EUCLEAN;
}

int db_read_entry(struct db *db, uint64_t queue, const struct db_entry *e, void *buf)
{
    if (e->segment == 0) {
        (void)copy_pending(index_pending(index_queue(db, queue), e->seq), buf); /* its length */
        return 0;
    }
    return read_place(db, e->segment, e->off, e->len, e->crc, buf);
}

int64_t db_read(struct db *db, uint64_t queue, uint64_t seq, void *buf)
{
    struct queue_index *q = index_queue(db, queue);
    const struct db_op *op = q ? index_pending(q, seq) : NULL;
    struct found f;
    int r;

    if (op)
        return copy_pending(op, buf);
    r = q ? index_find(db, q, seq, &f) : 0;
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    r = read_place(db, f.extent->segment->id, f.entry.off, f.entry.len, f.entry.crc, buf);
    return r < 0 ? r : (int64_t)f.entry.len;
}
