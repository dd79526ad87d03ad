/*
 * Recovery: the index is read from headers and bitmaps; never a record, and the entries only of
 * those segments that are settled in part.
 *
 * Rows are read at a border: whatever they say is checked before it is believed.
 */
#include <errno.h>
#include <stdio.h>

#include "persistence/db_internal.h"

static int damaged(struct db *db, uint64_t segment, const char *what)
{
    snprintf(db->why, sizeof(db->why), "%s of segment %llu is damaged", what,
             (unsigned long long)segment);
    return -EUCLEAN;
}

static int take_acks(struct db *db, struct segment *s, const void *p, size_t len)
{
    s->acks = db_realloc(db, NULL, ackmap_bytes(s->n_entries));
    if (ackmap_decode(p, len, s->n_entries, s->acks) < 0)
        return damaged(db, s->id, "the ack bitmap");
    s->n_live -= ackmap_count(s->acks, s->n_entries);
    /* A segment all of whose entries are settled is deleted by the group that settles the last. */
    return s->n_live == 0 ? damaged(db, s->id, "the ack bitmap") : 0;
}

/* What is live of an extent in a segment that is settled in part. */
static int count_live(struct db *db, uint64_t queue, struct extent *e)
{
    const struct block_queue *in;
    struct block *b;
    int r = block_get(db, e->segment, &b);

    if (r < 0)
        return r;
    in = block_queue(b, queue);
    if (!in || in->n != e->n_live)
        return damaged(db, e->segment->id, "the header");
    for (uint32_t i = in->first; i < in->first + in->n; i++) {
        if (!segment_has_ack(e->segment, b->entry[i].slot))
            continue;
        e->n_live--;
        e->bytes -= b->entry[i].len;
    }
    return 0;
}

static int take_queue(struct db *db, struct segment *s, const struct seg_queue *in)
{
    struct queue_index *q = index_queue_make(db, in->queue);
    struct extent e = {.first = in->first_seq,
                       .last = in->last_seq,
                       .segment = s,
                       .bytes = in->bytes,
                       .n_live = in->count};
    int r = s->acks ? count_live(db, in->queue, &e) : 0;

    if (r < 0)
        return r;
    if (e.last > q->max_seq)
        q->max_seq = e.last;
    s->live_bytes += e.bytes;
    if (e.n_live > 0)
        index_recover_extent(db, q, &e);
    return 0;
}

/* The row that the cursor stands on: header and acks of a segment. */
static int take_segment(struct db *db, uint64_t id, const struct seg_head *h)
{
    struct segment *s = segment_new(db, id, h->n_entries); /* stays in the db's list */
    size_t len;
    const void *p = sql_column_bytes(db->sql, SQL_HEADERS, 2, &len);
    int r;

    s->data_bytes = h->data_bytes;
    s->is_fleeting = h->flags & SEG_FLEETING;
    s->has_ack_row = len > 0;
    if (s->is_fleeting && id < db->fleeting_from) {
        trim_add(db, s, NULL, true);
        return 0;
    }
    r = len > 0 ? take_acks(db, s, p, len) : 0;
    for (uint32_t i = 0; r == 0 && i < h->n_queues; i++) {
        const struct seg_queue *in = (const struct seg_queue *)db->queue_list.p + i;

        r = in->queue == 0 || in->count == 0 ? damaged(db, id, "the header")
                                             : take_queue(db, s, in);
    }
    return r;
}

static int take_header(struct db *db)
{
    uint64_t id = sql_column_int(db->sql, SQL_HEADERS, 0);
    struct seg_head h;
    size_t len;
    const void *p = sql_column_bytes(db->sql, SQL_HEADERS, 1, &len);

    if (id >= INT64_MAX || seg_head_decode(p, len, &h, NULL, 0) < 2)
        return damaged(db, id, "the header");
    db->group = h.group;
    db->next_segment = id + 1;
    if (h.n_entries == 0) {
        db->marker = id;
        return 0;
    }
    db_reserve(db, &db->queue_list, h.n_queues * sizeof(struct seg_queue));
    (void)seg_head_decode(p, len, &h, db->queue_list.p, h.n_queues); /* it was right before */
    return take_segment(db, id, &h);
}

/*
 * Each header row makes a segment, in order of id; one without entries is the last group's marker.
 * The newest row is always that of the last group.
 */
int recover(struct db *db)
{
    uint32_t at = 0;
    uint64_t id, value;
    int r;

    while ((r = sql_next(db->sql, SQL_HEADERS)) == 1) {
        r = take_header(db);
        if (r < 0) {
            sql_reset(db->sql, SQL_HEADERS);
            return r;
        }
    }
    while (r == 0 && u64map_next(&db->queues, &at, &id, &value))
        index_sort((struct queue_index *)(uintptr_t)value);
    return r < 0 ? r : trim_recover(db);
}
