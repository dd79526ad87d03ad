/*
 * Segments as the index knows them, and the entries of those that are in use.
 *
 * Invariants:
 *  1. Of a segment's entries n_live are live, and the others have their bit in `acks`, but for a
 *     segment that is settled as a whole, which is dirty and goes with the group.
 *  2. Blocks hold no more than the config's block_bytes, not counting the one made last.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persistence/db_internal.h"

struct segment *segment_new(struct db *db, uint64_t id, uint32_t n_entries)
{
    struct segment *s = db_realloc(db, NULL, sizeof(*s));

    memset(s, 0, sizeof(*s));
    s->id = id;
    s->n_entries = n_entries;
    s->n_live = n_entries;
    s->next = &db->segments;
    s->prev = db->segments.prev;
    s->prev->next = s;
    s->next->prev = s;
    return s;
}

static void block_free(struct db *db, struct block *b)
{
    b->newer->older = b->older;
    b->older->newer = b->newer;
    b->segment->block = NULL;
    db->block_bytes -= b->bytes;
    db_free(db, b->attr);
    db_free(db, b);
}

void segment_free(struct db *db, struct segment *s)
{
    if (s->block)
        block_free(db, s->block);
    s->prev->next = s->next;
    s->next->prev = s->prev;
    db_free(db, s->acks);
    db_free(db, s);
}

static void mark_dirty(struct db *db, struct segment *s)
{
    if (s->is_dirty)
        return;
    s->is_dirty = true;
    s->next_dirty = db->dirty;
    db->dirty = s;
}

void segment_ack(struct db *db, struct segment *s, uint32_t slot)
{
    if (!s->acks) {
        s->acks = db_realloc(db, NULL, ackmap_bytes(s->n_entries));
        memset(s->acks, 0, ackmap_bytes(s->n_entries));
    }
    ackmap_set(s->acks, slot);
    s->n_live--;
    mark_dirty(db, s);
}

void segment_ack_all(struct db *db, struct segment *s)
{
    s->n_live = 0;
    mark_dirty(db, s);
}

void block_init(struct db *db)
{
    db->blocks.newer = db->blocks.older = &db->blocks;
}

/* Puts it behind the ring's head, as the one used last. */
static void link_newest(struct db *db, struct block *b)
{
    b->newer = &db->blocks;
    b->older = db->blocks.older;
    b->newer->older = b;
    b->older->newer = b;
}

static int compare_entry(const void *a, const void *b)
{
    const struct seg_entry *x = *(const struct seg_entry *const *)a;
    const struct seg_entry *y = *(const struct seg_entry *const *)b;

    if (x->queue != y->queue)
        return x->queue < y->queue ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static bool has_attr(const struct seg_attr *a)
{
    return a->expiry_ms || a->not_before_ms || a->attempts || a->priority || a->flags;
}

/* Pointers to the entries by queue and seq, in room of n; *ret_queues: of how many queues. -EUCLEAN
 * where two are the same. */
static int sort_entries(const struct seg_entry *list, uint32_t n, const struct seg_entry **by,
                        uint32_t *ret_queues)
{
    uint32_t n_queues = n > 0;
    bool is_sorted = true;

    for (uint32_t i = 0; i < n; i++) {
        by[i] = &list[i];
        is_sorted = is_sorted && (i == 0 || compare_entry(&by[i - 1], &by[i]) < 0);
    }
    if (!is_sorted)
        qsort(by, n, sizeof(struct seg_entry *), compare_entry);
    for (uint32_t i = 1; i < n; i++) {
        if (compare_entry(&by[i - 1], &by[i]) == 0)
            return -EUCLEAN;
        n_queues += by[i]->queue != by[i - 1]->queue;
    }
    *ret_queues = n_queues;
    return 0;
}

/* One piece of memory for the block, its entries and its queues. */
static struct block *block_alloc(struct db *db, uint32_t n_entries, uint32_t n_queues)
{
    size_t entries = n_entries * sizeof(struct entry);
    size_t bytes = sizeof(struct block) + entries + n_queues * sizeof(struct block_queue);
    struct block *b = db_realloc(db, NULL, bytes);

    memset(b, 0, sizeof(*b));
    b->bytes = bytes;
    b->entry = (struct entry *)(b + 1);
    b->queue = (struct block_queue *)(b->entry + n_entries);
    b->n_entries = n_entries;
    return b;
}

static void put_attr(struct db *db, struct block *b, uint32_t at, const struct seg_attr *attr)
{
    size_t size = b->n_entries * sizeof(*attr);

    if (!has_attr(attr))
        return;
    if (!b->attr) {
        b->attr = db_realloc(db, NULL, size);
        memset(b->attr, 0, size);
        b->bytes += size;
    }
    b->attr[at] = *attr;
}

static void fill_block(struct db *db, struct block *b, const struct seg_entry *list,
                       const struct seg_entry *const *by)
{
    for (uint32_t i = 0; i < b->n_entries; i++) {
        const struct seg_entry *e = by[i];

        if (i == 0 || e->queue != by[i - 1]->queue)
            b->queue[b->n_queues++] = (struct block_queue){.queue = e->queue, .first = i};
        b->queue[b->n_queues - 1].n++;
        b->entry[i] = (struct entry){.seq = e->seq,
                                     .off = e->off,
                                     .len = e->len,
                                     .crc = e->crc,
                                     .slot = (uint32_t)(e - list)};
        put_attr(db, b, i, &e->attr);
    }
}

int block_make(struct db *db, struct segment *s, const struct seg_entry *list)
{
    const struct seg_entry **by;
    uint32_t n_queues;
    int r;

    db_reserve(db, &db->sorted, s->n_entries * sizeof(*by));
    by = db->sorted.p;
    r = sort_entries(list, s->n_entries, by, &n_queues);
    if (r < 0)
        return r;
    while (db->block_bytes > db->config.block_bytes)
        block_free(db, db->blocks.newer);
    s->block = block_alloc(db, s->n_entries, n_queues);
    s->block->segment = s;
    fill_block(db, s->block, list, by);
    db->block_bytes += s->block->bytes;
    link_newest(db, s->block);
    return 0;
}

static int damaged(struct db *db, const struct segment *s)
{
    snprintf(db->why, sizeof(db->why), "the list of entries of segment %llu is damaged",
             (unsigned long long)s->id);
    return -EUCLEAN;
}

/* The row of entries that the cursor stands on. */
static int decode(struct db *db, struct segment *s)
{
    struct seg_reader reader;
    struct seg_entry *list;
    uint32_t n = 0;
    size_t len;
    const void *p = sql_column_bytes(db->sql, SQL_ENTRIES_OF, 0, &len);
    int r;

    if (seg_open(&reader, p, len) < 0 || reader.left != s->n_entries)
        return damaged(db, s);
    db_reserve(db, &db->loaded, s->n_entries * sizeof(*list));
    list = db->loaded.p;
    while (n < s->n_entries && seg_next(&reader, &list[n]) == 1)
        n++;
    if (n < s->n_entries || seg_next(&reader, &(struct seg_entry){0}) != 0)
        return damaged(db, s);
    r = block_make(db, s, list);
    return r < 0 ? damaged(db, s) : 0;
}

static int load(struct db *db, struct segment *s)
{
    int r = sql_bind_int(db->sql, SQL_ENTRIES_OF, 1, s->id);

    if (r == 0)
        r = sql_next(db->sql, SQL_ENTRIES_OF);
    if (r < 1)
        return r < 0 ? r : damaged(db, s);
    r = decode(db, s);
    sql_reset(db->sql, SQL_ENTRIES_OF);
    return r;
}

int block_get(struct db *db, struct segment *s, struct block **ret)
{
    struct block *b = s->block;
    int r;

    if (!b) {
        r = load(db, s);
        if (r < 0)
            return r;
        b = s->block;
    } else if (db->blocks.older != b) {
        b->newer->older = b->older;
        b->older->newer = b->newer;
        link_newest(db, b);
    }
    *ret = b;
    return 0;
}

int segment_leave(struct db *db, struct segment *s, uint64_t queue, uint64_t first, uint64_t last)
{
    const struct block_queue *in;
    struct block *b;
    int r = block_get(db, s, &b);

    in = r == 0 ? block_queue(b, queue) : NULL;
    if (r < 0 || !in)
        return r < 0 ? r : -EUCLEAN;
    for (uint32_t i = block_lower_bound(b, in, first);
         i < in->first + in->n && b->entry[i].seq <= last; i++) {
        if (!segment_has_ack(s, b->entry[i].slot))
            segment_ack(db, s, b->entry[i].slot);
    }
    return 0;
}

const struct block_queue *block_queue(const struct block *b, uint64_t queue)
{
    uint32_t low = 0, high = b->n_queues;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (b->queue[mid].queue < queue)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->n_queues && b->queue[low].queue == queue ? &b->queue[low] : NULL;
}

uint32_t block_lower_bound(const struct block *b, const struct block_queue *q, uint64_t seq)
{
    uint32_t low = q->first, high = q->first + q->n;
    uint64_t guess;

    if (seq <= b->entry[low].seq)
        return low;
    /* Seqs rise by one or more, so the entry is no further than this, and mostly just there. */
    guess = low + (seq - b->entry[low].seq);
    if (guess < high && b->entry[guess].seq == seq)
        return (uint32_t)guess;
    if (guess < high)
        high = (uint32_t)guess;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (b->entry[mid].seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}
