/*
 * The writing of a group: its records packed into segments, its acks into bitmaps.
 *
 * All entries of a record stand in the segment that has its bytes, so that the segment's bitmap
 * alone says when the bytes are needed no longer.
 */
#include <string.h>

#include "persistence/ackmap.h"
#include "persistence/crc32c.h"
#include "persistence/db_internal.h"

/* What a record costs beside its bytes, in bytes that take as long. */
#define RECORD_COST 256

/* The segment under construction. */
struct draft {
    struct db *db;
    struct segment *segment; /* NULL: none is begun */
    struct seg_entry *list;  /* its entries, in db->entries */
    bool is_fleeting;
    const uint8_t *own; /* bytes of a long record that is alone; NULL: they are in db->data */
    uint64_t bytes;
    uint32_t n_entries;
    uint32_t n_queues;
};

static void draft_begin(struct draft *d)
{
    struct db *db = d->db;

    d->segment = segment_new(db, db->next_segment++, 0);
    d->segment->is_fleeting = d->is_fleeting;
    d->own = NULL;
    d->bytes = 0;
    d->n_entries = 0;
    d->n_queues = 0;
}

static int write_head(struct db *db, const struct segment *s, uint32_t n_queues)
{
    struct seg_head h = {.group = db->group + 1,
                         .epoch = db->epoch,
                         .data_bytes = s->data_bytes,
                         .n_entries = s->n_entries,
                         .n_queues = n_queues,
                         .flags = s->is_fleeting ? SEG_FLEETING : 0};
    size_t len;

    db_reserve(db, &db->head, SEG_HEAD_MAX(n_queues));
    len = seg_head_encode(&h, db->queue_list.p, db->head.p);
    return sql_run_id_blob(db->sql, SQL_HEADER_PUT, s->id, db->head.p, len);
}

static int write_entries(struct db *db, const struct segment *s)
{
    struct seg_writer w;

    db_reserve(db, &db->head, SEG_ENTRIES_MAX(s->n_entries));
    seg_begin(&w, db->head.p, s->n_entries);
    for (uint32_t i = 0; i < s->n_entries; i++)
        seg_put(&w, &((const struct seg_entry *)db->entries.p)[i]);
    return sql_run_id_blob(db->sql, SQL_ENTRIES_PUT, s->id, db->head.p, seg_end(&w));
}

int segment_write(struct db *db, struct segment *s, const void *data, uint32_t n_queues)
{
    int r;

    s->n_live = s->n_entries;
    s->live_bytes = 0;
    for (uint32_t i = 0; i < n_queues; i++)
        s->live_bytes += ((const struct seg_queue *)db->queue_list.p)[i].bytes;
    r = sql_run_id_blob(db->sql, SQL_SEGMENT_PUT, s->id, data, s->data_bytes);
    if (r == 0)
        r = write_entries(db, s);
    return r < 0 ? r : write_head(db, s, n_queues);
}

/* The index learns of the segment that was written. */
static int tell_index(struct draft *d)
{
    struct db *db = d->db;

    for (uint32_t i = 0; i < d->n_queues; i++) {
        const struct seg_queue *in = (const struct seg_queue *)db->queue_list.p + i;
        const struct extent e = {.first = in->first_seq,
                                 .last = in->last_seq,
                                 .segment = d->segment,
                                 .bytes = in->bytes,
                                 .n_live = in->count};

        index_add_extent(db, index_queue(db, in->queue), &e);
    }
    return block_make(db, d->segment, db->entries.p);
}

/* Writes the rows of the segment under construction, if there is one. */
static int draft_end(struct draft *d)
{
    struct db *db = d->db;
    int r;

    if (!d->segment)
        return 0;
    d->segment->n_entries = d->n_entries;
    d->segment->data_bytes = d->bytes;
    r = segment_write(db, d->segment, d->own ? d->own : db->data.p, d->n_queues);
    if (r == 0)
        r = tell_index(d);
    d->segment = NULL;
    return r;
}

/* Counts the entry for its queue in the header. */
static void count_queue(struct draft *d, struct queue_index *q, uint64_t seq, uint64_t len)
{
    struct db *db = d->db;
    struct seg_queue *in;

    if (q->in_segment != d->segment->id) {
        db_reserve(db, &db->queue_list, (d->n_queues + 1) * sizeof(*in));
        q->in_segment = d->segment->id;
        q->mark = d->n_queues++;
        in = (struct seg_queue *)db->queue_list.p + q->mark;
        *in = (struct seg_queue){.queue = q->id, .first_seq = seq, .last_seq = seq};
    }
    in = (struct seg_queue *)db->queue_list.p + q->mark;
    if (seq < in->first_seq)
        in->first_seq = seq;
    if (seq > in->last_seq)
        in->last_seq = seq;
    in->count++;
    in->bytes += len;
}

static void put_entry(struct draft *d, struct db_op *op, uint32_t off, uint32_t crc)
{
    struct db *db = d->db;
    struct seg_entry *to;

    db_reserve(db, &db->entries, (d->n_entries + 1) * sizeof(*to));
    to = (struct seg_entry *)db->entries.p + d->n_entries++;
    *to = (struct seg_entry){.queue = op->queue->id,
                             .seq = op->seq,
                             .off = off,
                             .len = (uint32_t)op->record->len,
                             .crc = crc,
                             .attr = op->attr};
    op->is_written = true;
    index_unpend(op->queue, op, op->record->len, false);
    count_queue(d, op->queue, op->seq, op->record->len);
}

/* Copies a record behind those of the segment and returns its checksum. */
static uint32_t copy_record(struct draft *d, const struct record *rec)
{
    struct db *db = d->db;
    uint8_t *to;
    uint32_t crc = 0;

    db_reserve(db, &db->data, d->bytes + rec->len);
    to = (uint8_t *)db->data.p + d->bytes;
    for (int i = 0; i < 2; i++) {
        const struct iovec *v = &rec->ops->iov[i];

        if (v->iov_len == 0)
            continue;
        memcpy(to, v->iov_base, v->iov_len);
        crc = crc32c(crc, to, v->iov_len);
        to += v->iov_len;
    }
    return crc;
}

static int put_record(struct draft *d, struct record *rec)
{
    struct db_op *op = rec->ops;
    bool is_long = rec->len > SEGMENT_BYTES;
    uint32_t off, crc;
    int r = 0;

    if (d->segment && (d->bytes + rec->len > SEGMENT_BYTES || d->n_entries >= SEGMENT_ENTRIES))
        r = draft_end(d);
    if (r < 0)
        return r;
    if (!d->segment)
        draft_begin(d);
    off = (uint32_t)d->bytes;
    if (is_long && op->iov[1].iov_len == 0) {
        d->own = op->iov[0].iov_base;
        crc = crc32c(0, d->own, rec->len);
    } else {
        crc = copy_record(d, rec);
    }
    d->bytes += rec->len;
    do {
        put_entry(d, op, off, crc);
        op = op->next_of_record;
    } while (op != rec->ops);
    return is_long ? draft_end(d) : 0;
}

/* The adds that are fleeting, or those that are not, of about *left bytes, which are taken off. */
static int put_all(struct db *db, bool is_fleeting, uint64_t *left)
{
    struct draft d = {.db = db, .is_fleeting = is_fleeting};
    struct commit_item *item = NULL;
    int r = 0;

    while (r == 0 && *left > 0 && (item = commit_policy_next(&db->policy, item))) {
        struct db_op *op = (struct db_op *)item;
        uint64_t cost = op->record->len + RECORD_COST;

        if (op->is_written || op->is_fleeting != is_fleeting)
            continue;
        r = put_record(&d, op->record);
        *left -= cost < *left ? cost : *left;
    }
    return r < 0 ? r : draft_end(&d);
}

int commit_segments(struct db *db, uint64_t max_bytes)
{
    int r = put_all(db, false, &max_bytes);

    if (r == 0 && db->has_fleeting)
        r = put_all(db, true, &max_bytes);
    /* A long record must not leave its size behind for ever. */
    if (db->data.room > 4 * SEGMENT_BYTES) {
        db_free(db, db->data.p);
        db->data = (struct buffer){0};
    }
    return r;
}

int segment_delete(struct db *db, struct segment *s)
{
    int r = sql_run_id(db->sql, SQL_SEGMENT_DEL, s->id);

    if (r == 0)
        r = sql_run_id(db->sql, SQL_ENTRIES_DEL, s->id);
    if (r == 0)
        r = sql_run_id(db->sql, SQL_HEADER_DEL, s->id);
    if (r == 0 && s->has_ack_row)
        r = sql_run_id(db->sql, SQL_ACKS_DEL, s->id);
    segment_free(db, s);
    return r;
}

static int write_acks(struct db *db, struct segment *s)
{
    size_t len = ackmap_disk_bytes(s->n_entries);

    db_reserve(db, &db->head, len);
    ackmap_encode(s->acks, s->n_entries, db->head.p);
    s->has_ack_row = true;
    return sql_run_id_blob(db->sql, SQL_ACKS_PUT, s->id, db->head.p, len);
}

int commit_acks(struct db *db)
{
    int r = 0;

    while (r == 0 && db->dirty) {
        struct segment *s = db->dirty;

        db->dirty = s->next_dirty;
        s->is_dirty = false;
        r = s->n_live == 0 ? segment_delete(db, s) : write_acks(db, s);
    }
    return r;
}
