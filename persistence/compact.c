/*
 * Compaction: what a queue has in many small pieces, or in segments that are mostly settled, is
 * written again into segments that are its own.
 *
 * A move takes extents of one queue that follow each other, writes what is live of them as a new
 * segment, and settles it where it was. A step makes some moves in one transaction: queues that
 * were written to together leave the same segments, and what is noted of these is written once. So
 * a segment goes when the last queue has left it, and a message is always in exactly one place.
 *
 * A record that several queues share is written for each of those that leave: hence only segments
 * are left for their settled bytes that have more of these than of live ones, and for their small
 * pieces only those in which little is shared.
 */
#include <errno.h>
#include <string.h>

#include "persistence/db_internal.h"

/* An extent of at least so many entries or bytes is no small piece. */
#define SMALL_ENTRIES 64
#define SMALL_BYTES   (SEGMENT_BYTES / 2)

struct move { /* extents that follow each other */
    struct queue_index *queue;
    uint32_t at, n;     /* the place of the first; how many have live entries */
    uint32_t n_places;  /* dead ones between included */
    uint32_t n_entries; /* live ones */
    uint64_t bytes;
    bool is_wasteful; /* one of them at least is in a segment that is mostly settled */
    bool is_fleeting; /* all of them are */
};

static bool is_wasteful(const struct segment *s)
{
    return s->live_bytes * 2 < s->data_bytes;
}

static bool is_small(const struct extent *e)
{
    const struct segment *s = e->segment;

    return e->n_live < SMALL_ENTRIES && e->bytes < SMALL_BYTES &&
           s->live_bytes <= s->data_bytes + s->data_bytes / 4;
}

/* Whether the extent is worth moving, and fits. */
static bool may_join(const struct move *m, const struct extent *e, const struct db_compact *how)
{
    return e->segment->id < how->below && (is_wasteful(e->segment) || is_small(e)) &&
           (m->n == 0 || m->is_fleeting == e->segment->is_fleeting) &&
           m->bytes + e->bytes <= SEGMENT_BYTES && m->n_entries + e->n_live <= SEGMENT_ENTRIES;
}

/* What follows from place `at` on; n 0: nothing there is to be moved. */
static void gather(struct queue_index *q, uint32_t at, const struct db_compact *how,
                   struct move *ret)
{
    *ret = (struct move){.queue = q, .at = at};
    for (; at < q->ext_tail; at++) {
        const struct extent *e = &q->ext[at];

        if (e->n_live > 0) {
            if (!may_join(ret, e, how))
                break;
            ret->n++;
            ret->n_entries += e->n_live;
            ret->bytes += e->bytes;
            ret->is_wasteful = ret->is_wasteful || is_wasteful(e->segment);
            ret->is_fleeting = e->segment->is_fleeting;
        }
        ret->n_places++;
    }
}

/* A single small piece would be one again, for ever. */
static bool is_worth_it(const struct move *m, const struct db_compact *how)
{
    return m->n > 0 && (m->is_wasteful || (m->n > 1 && m->n >= how->min_extents));
}

/* Looks at the next queue; false: there is none. A queue that comes meanwhile may be left out. */
static bool next_queue(struct db *db)
{
    uint64_t value;

    db->compact_seq = 0;
    if (u64map_next(&db->queues, &db->compact_at, &db->compact_queue, &value))
        return true;
    db->compact_at = 0;
    db->compact_queue = 0;
    return false;
}

/* Finds a move in the present queue, from where the last step left off. *left: what may be looked
 * at. */
static bool find_in_queue(struct db *db, const struct db_compact *how, uint32_t *left,
                          struct move *ret)
{
    struct queue_index *q = db->compact_queue ? index_queue(db, db->compact_queue) : NULL;
    uint32_t at = q ? index_extent_at(q, db->compact_seq) : 0;

    while (q && at<q->ext_tail && * left> 0) {
        gather(q, at, how, ret);
        if (is_worth_it(ret, how))
            return true;
        at += ret->n_places > 0 ? ret->n_places : 1;
        *left -= *left > ret->n_places ? ret->n_places + 1 : *left;
        db->compact_seq = q->ext[at - 1].first + 1;
    }
    return false;
}

/* 1: found; 0: there was none up to the last queue, and the next step begins anew; -EAGAIN: enough
 * was looked at for now. */
static int find_move(struct db *db, const struct db_compact *how, struct move *ret)
{
    uint32_t left = how->max_scan;

    do {
        if (find_in_queue(db, how, &left, ret))
            return 1;
        if (left == 0)
            return -EAGAIN;
        left--;
    } while (next_queue(db));
    return 0;
}

/* Adds what is live of an extent to the segment under construction. */
static int copy_extent(struct db *db, const struct move *m, const struct extent *e,
                       struct segment *to)
{
    const struct block_queue *in;
    struct block *b;
    int r = block_get(db, e->segment, &b);

    in = r == 0 ? block_queue(b, m->queue->id) : NULL;
    if (r < 0 || !in)
        return r < 0 ? r : -EUCLEAN;
    for (uint32_t i = in->first; i < in->first + in->n; i++) {
        const struct entry *from = &b->entry[i];

        if (segment_has_ack(e->segment, from->slot))
            continue;
        if (from->len > 0)
            r = sql_read(db->sql, e->segment->id, from->off, (uint8_t *)db->data.p + to->data_bytes,
                         from->len);
        if (r < 0)
            return r;
        ((struct seg_entry *)db->entries.p)[to->n_entries++] =
            (struct seg_entry){.queue = m->queue->id,
                               .seq = from->seq,
                               .off = (uint32_t)to->data_bytes,
                               .len = from->len,
                               .crc = from->crc, /* of a record that is damaged, as before */
                               .attr = b->attr ? b->attr[i] : (struct seg_attr){0}};
        to->data_bytes += from->len;
    }
    return 0;
}

static int copy_all(struct db *db, const struct move *m, struct segment *to)
{
    int r = 0;

    db_reserve(db, &db->data, m->bytes);
    db_reserve(db, &db->entries, m->n_entries * sizeof(struct seg_entry));
    for (uint32_t at = m->at; r == 0 && at < m->at + m->n_places; at++) {
        if (m->queue->ext[at].n_live > 0)
            r = copy_extent(db, m, &m->queue->ext[at], to);
    }
    return r;
}

/* The messages leave the segments that they were in. */
static int leave(struct db *db, const struct move *m)
{
    for (uint32_t at = m->at; at < m->at + m->n_places; at++) {
        struct extent *e = &m->queue->ext[at];
        int r = e->n_live > 0 ? segment_leave(db, e->segment, m->queue->id, 0, UINT64_MAX) : 0;

        if (r < 0)
            return r;
        if (e->n_live > 0)
            e->segment->live_bytes -= e->bytes;
    }
    return 0;
}

static int move_on(struct db *db, const struct move *m)
{
    struct segment *to = segment_new(db, db->next_segment++, 0);
    const struct seg_entry *list;
    struct seg_queue *in;
    struct extent e;
    int r = copy_all(db, m, to);

    if (r == 0)
        r = group_begin(db);
    if (r < 0)
        return r;
    to->is_fleeting = m->is_fleeting;
    list = db->entries.p;
    db_reserve(db, &db->queue_list, sizeof(*in));
    in = db->queue_list.p;
    /* Where extents overlap, their entries do not stand in order. */
    *in = (struct seg_queue){.queue = m->queue->id,
                             .first_seq = UINT64_MAX,
                             .count = to->n_entries,
                             .bytes = to->data_bytes};
    for (uint32_t i = 0; i < to->n_entries; i++) {
        if (list[i].seq < in->first_seq)
            in->first_seq = list[i].seq;
        if (list[i].seq > in->last_seq)
            in->last_seq = list[i].seq;
    }
    r = segment_write(db, to, db->data.p, 1);
    if (r == 0)
        r = leave(db, m);
    if (r < 0)
        return r;
    e = (struct extent){.first = in->first_seq,
                        .last = in->last_seq,
                        .segment = to,
                        .bytes = in->bytes,
                        .n_live = in->count};
    index_move(db, m->queue, m->at, m->n, &e);
    db->has_segment = true;
    return 0;
}

uint64_t db_next_segment(const struct db *db)
{
    return db->next_segment;
}

int db_compact_step(struct db *db, const struct db_compact *how, uint64_t *ret_bytes)
{
    struct move m;
    int found, r = 0;

    *ret_bytes = 0;
    if (sql_in_transaction(db->sql) || db->policy.n_items > 0 || db->dirty)
        return -EBUSY;
    for (uint32_t n = 0; n == 0 || n < how->max_moves; n++) {
        found = find_move(db, how, &m);
        if (found != 1)
            break;
        *ret_bytes += m.bytes;
        r = move_on(db, &m);
        if (r < 0)
            return db_fail(db, r);
    }
    if (db->has_segment)
        r = db_commit(db);
    return r < 0 ? r : found != 0;
}
