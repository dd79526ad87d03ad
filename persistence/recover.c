/*
 * Recovery: the index is read from headers, entry blocks and bitmaps; never a record.
 *
 * Rows are read at a border: whatever they say is checked before it is believed.
 */
#include <errno.h>
#include <stdio.h>

#include "persistence/ackmap.h"
#include "persistence/db_internal.h"

static int damaged(struct db *db, uint64_t segment, const char *what)
{
    snprintf(db->why, sizeof(db->why), "%s of segment %llu is damaged", what,
             (unsigned long long)segment);
    return -EUCLEAN;
}

/*
 * Each header row makes a segment, in order of id; one without entries is the last group's marker.
 * The newest row is always that of the last group.
 */
static int read_headers(struct db *db)
{
    int r;

    while ((r = sql_next(db->sql, SQL_HEADERS)) == 1) {
        uint64_t id = sql_column_int(db->sql, SQL_HEADERS, 0);
        struct seg_head h;
        size_t len;
        const void *p = sql_column_bytes(db->sql, SQL_HEADERS, 1, &len);

        if (id >= INT64_MAX || seg_head_decode(p, len, &h, NULL, 0) < 0) {
            sql_reset(db->sql, SQL_HEADERS);
            return damaged(db, id, "the header");
        }
        db->group = h.group;
        db->next_segment = id + 1;
        if (h.n_entries > 0)
            (void)segment_new(db, id, h.n_entries); /* stays in the db's list */
        else
            db->marker = id;
    }
    return r;
}

static void take_entry(struct db *db, struct segment *s, const struct seg_entry *in, uint32_t slot)
{
    struct queue_index *q = index_queue_make(db, in->queue);
    const struct seg_attr *a = &in->attr;
    struct entry *e;

    if (s->acks && ackmap_has(s->acks, slot)) {
        if (in->seq > q->max_seq)
            q->max_seq = in->seq;
        return;
    }
    e = index_append(db, q, in->seq);
    e->segment = s;
    e->state = ENTRY_COMMITTED;
    e->off = in->off;
    e->len = in->len;
    e->crc = in->crc;
    e->slot = slot;
    e->has_attr = a->expiry_ms || a->not_before_ms || a->attempts || a->priority || a->flags;
    q->bytes += in->len;
}

static int take_acks(struct db *db, struct segment *s, const void *p, size_t len)
{
    if (len == 0)
        return 0;
    s->acks = db_realloc(db, NULL, ackmap_bytes(s->n_entries));
    if (ackmap_decode(p, len, s->n_entries, s->acks) < 0)
        return damaged(db, s->id, "the ack bitmap");
    s->has_ack_row = true;
    s->n_live -= ackmap_count(s->acks, s->n_entries);
    /* A segment all of whose entries are settled is deleted by the group that settles the last. */
    return s->n_live == 0 ? damaged(db, s->id, "the ack bitmap") : 0;
}

/* The row of entries that the cursor stands on, which is that of segment s. */
static int read_segment(struct db *db, struct segment *s)
{
    struct seg_reader reader;
    struct seg_entry e;
    uint32_t slot = 0;
    size_t len;
    const void *p;
    int r;

    if (sql_column_int(db->sql, SQL_ENTRIES, 0) != s->id)
        return damaged(db, s->id, "the list of entries");
    p = sql_column_bytes(db->sql, SQL_ENTRIES, 2, &len);
    r = take_acks(db, s, p, len);
    if (r < 0)
        return r;
    p = sql_column_bytes(db->sql, SQL_ENTRIES, 1, &len);
    if (seg_open(&reader, p, len) < 0 || reader.left != s->n_entries)
        return damaged(db, s->id, "the list of entries");
    while ((r = seg_next(&reader, &e)) == 1)
        take_entry(db, s, &e, slot++);
    return r < 0 ? damaged(db, s->id, "the list of entries") : 0;
}

static int read_entries(struct db *db)
{
    struct segment *s = db->segments.next;
    int r;

    while ((r = sql_next(db->sql, SQL_ENTRIES)) == 1 && s != &db->segments) {
        r = read_segment(db, s);
        if (r < 0)
            break;
        s = s->next;
    }
    sql_reset(db->sql, SQL_ENTRIES);
    if (r < 0)
        return r;
    if (r == 1 || s != &db->segments)
        return damaged(db, r == 1 ? 0 : s->id, "the list of entries");
    return 0;
}

int recover(struct db *db)
{
    uint32_t at = 0;
    uint64_t id, value;
    int r = read_headers(db);

    if (r == 0)
        r = read_entries(db);
    while (r == 0 && u64map_next(&db->queues, &at, &id, &value)) {
        r = index_sort((struct queue_index *)(uintptr_t)value);
        if (r < 0)
            snprintf(db->why, sizeof(db->why), "queue %llu has a message twice",
                     (unsigned long long)id);
    }
    return r;
}
