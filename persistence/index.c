/*
 * The index in RAM: for each queue what is pending, and the extents of what is committed.
 *
 * Invariants:
 *  1. pend[pend_head .. pend_tail) rises in seq; n_pending of them have an operation, the first of
 *     them has. ext[ext_head .. ext_tail) rises in first; n_ext of them have live entries, the
 *     first of them has.
 *  2. An extent's n_live entries are those of its queue in its segment that are not in its acks.
 *  3. For the last extent with first <= seq, no extent further than `overlap` before it has
 *     last >= seq. Mostly that is 0: extents follow each other.
 *  4. A (queue, seq) is live at most once, be it pending or committed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "persistence/db_internal.h"

struct queue_index *index_queue(const struct db *db, uint64_t queue)
{
    uint64_t *at = u64map_get(&db->queues, queue);

    return at ? (struct queue_index *)(uintptr_t)*at : NULL;
}

struct queue_index *index_queue_make(struct db *db, uint64_t queue)
{
    struct queue_index *q = index_queue(db, queue);

    if (q)
        return q;
    q = db_realloc(db, NULL, sizeof(*q));
    memset(q, 0, sizeof(*q));
    q->id = queue;
    u64map_put(&db->queues, queue, (uintptr_t)q);
    return q;
}

/* What is pending. */

/* The place of the first one with that seq or a larger one. */
static uint32_t pend_lower_bound(const struct queue_index *q, uint64_t seq)
{
    uint32_t low = q->pend_head, high = q->pend_tail;
    uint64_t guess;

    if (low == high || seq <= q->pend[low].seq)
        return low;
    /* Seqs rise by one or more, so it is no further than this, and mostly just there. */
    guess = low + (seq - q->pend[low].seq);
    if (guess < high && q->pend[guess].seq == seq)
        return (uint32_t)guess;
    if (guess < high)
        high = (uint32_t)guess;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (q->pend[mid].seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct db_op *index_pending(const struct queue_index *q, uint64_t seq)
{
    uint32_t at = pend_lower_bound(q, seq);

    return at < q->pend_tail && q->pend[at].seq == seq ? q->pend[at].op : NULL;
}

struct db_op *index_pending_next(const struct queue_index *q, uint64_t from)
{
    if (q->n_pending == 0)
        return NULL;
    for (uint32_t at = pend_lower_bound(q, from); at < q->pend_tail; at++) {
        if (q->pend[at].op)
            return q->pend[at].op;
    }
    return NULL;
}

/* Makes room for one more at the tail: by moving those that are left together, or by growing. */
static void pend_room(struct db *db, struct queue_index *q)
{
    uint32_t to = 0;

    if (q->pend_tail < q->pend_room)
        return;
    if (q->pend_room == 0 || q->n_pending > q->pend_room / 2) {
        q->pend_room = q->pend_room ? q->pend_room * 2 : 16;
        q->pend = db_realloc(db, q->pend, q->pend_room * sizeof(*q->pend));
        return;
    }
    for (uint32_t i = q->pend_head; i < q->pend_tail; i++) {
        if (q->pend[i].op)
            q->pend[to++] = q->pend[i];
    }
    q->pend_head = 0;
    q->pend_tail = to;
}

void index_add(struct db *db, struct queue_index *q, struct db_op *op, uint64_t len)
{
    uint32_t at;

    pend_room(db, q);
    at = pend_lower_bound(q, op->seq);
    if (at == q->pend_tail || q->pend[at].seq != op->seq) {
        memmove(&q->pend[at + 1], &q->pend[at], (q->pend_tail - at) * sizeof(*q->pend));
        q->pend_tail++;
    }
    q->pend[at] = (struct pend){.seq = op->seq, .op = op};
    q->n_pending++;
    q->n_live++;
    q->bytes += len;
    if (op->seq > q->max_seq)
        q->max_seq = op->seq;
}

void index_unpend(struct queue_index *q, const struct db_op *op, uint64_t len, bool is_settled)
{
    q->pend[pend_lower_bound(q, op->seq)].op = NULL;
    q->n_pending--;
    if (is_settled) {
        q->n_live--;
        q->bytes -= len;
    }
    while (q->pend_head < q->pend_tail && !q->pend[q->pend_head].op)
        q->pend_head++;
    if (q->n_pending == 0)
        q->pend_head = q->pend_tail = 0;
}

/* What is committed. */

/* The place behind the last extent with first <= seq. */
static uint32_t ext_upper_bound(const struct queue_index *q, uint64_t seq)
{
    uint32_t low = q->ext_head, high = q->ext_tail;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (q->ext[mid].first <= seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The first place at which an extent may have that seq. */
static uint32_t ext_from(const struct queue_index *q, uint64_t seq)
{
    uint32_t at = ext_upper_bound(q, seq);

    return at - q->ext_head > q->overlap ? at - q->overlap - 1 : q->ext_head;
}

/* The first live entry of an extent with seq >= from. */
static int find_in(struct db *db, const struct queue_index *q, struct extent *e, uint64_t from,
                   struct found *ret)
{
    const struct block_queue *in;
    struct block *b;
    int r = block_get(db, e->segment, &b);

    if (r < 0)
        return r;
    in = block_queue(b, q->id);
    if (!in)
        return -EUCLEAN;
    for (uint32_t at = block_lower_bound(b, in, from); at < in->first + in->n; at++) {
        if (segment_has_ack(e->segment, b->entry[at].slot))
            continue;
        ret->extent = e;
        ret->entry = b->entry[at];
        ret->attr = b->attr ? b->attr[at] : (struct seg_attr){0};
        return 1;
    }
    return 0;
}

int index_next(struct db *db, struct queue_index *q, uint64_t from, struct found *ret)
{
    struct found f;
    bool has_any = false;

    for (uint32_t at = ext_from(q, from); at < q->ext_tail; at++) {
        struct extent *e = &q->ext[at];
        int r;

        if (has_any && e->first > ret->entry.seq)
            break;
        if (e->n_live == 0 || e->last < from)
            continue;
        r = find_in(db, q, e, from, &f);
        if (r < 0)
            return r;
        if (r == 0 || (has_any && f.entry.seq > ret->entry.seq))
            continue;
        *ret = f;
        has_any = true;
    }
    return has_any;
}

int index_find(struct db *db, struct queue_index *q, uint64_t seq, struct found *ret)
{
    for (uint32_t at = ext_from(q, seq); at < q->ext_tail && q->ext[at].first <= seq; at++) {
        struct extent *e = &q->ext[at];
        struct found f;
        int r;

        if (e->n_live == 0 || e->last < seq)
            continue;
        r = find_in(db, q, e, seq, &f);
        if (r < 0)
            return r;
        if (r == 0 || f.entry.seq != seq)
            continue;
        *ret = f;
        return 1;
    }
    return 0;
}

/* So many entries of the extent are settled. */
static void uncount(struct db *db, struct queue_index *q, struct extent *e, uint32_t n,
                    uint64_t bytes)
{
    e->segment->live_bytes -= bytes;
    e->n_live -= n;
    e->bytes -= bytes;
    q->n_live -= n;
    q->bytes -= bytes;
    if (e->n_live > 0)
        return;
    q->n_ext--;
    while (q->ext_head < q->ext_tail && q->ext[q->ext_head].n_live == 0)
        q->ext_head++;
    if (q->n_ext > 0)
        return;
    q->ext_head = q->ext_tail = q->overlap = 0;
    if (q->ext_room > 64) {
        db_free(db, q->ext);
        q->ext = NULL;
        q->ext_room = 0;
    }
}

void index_settle(struct db *db, struct queue_index *q, const struct found *f)
{
    segment_ack(db, f->extent->segment, f->entry.slot);
    uncount(db, q, f->extent, 1, f->entry.len);
}

/* Settles all of an extent; false: that takes a look at its entries. */
static bool settle_whole(struct db *db, struct queue_index *q, struct extent *e,
                         struct range *range)
{
    struct segment *s = e->segment;
    bool is_alone = e->n_live == s->n_live; /* nothing else is live in it */

    if (!is_alone && !range)
        return false;
    if (is_alone && (!range || s->is_dirty))
        segment_ack_all(db, s);
    else
        trim_add(db, s, range, is_alone);
    uncount(db, q, e, e->n_live, e->bytes);
    return true;
}

/* Settles what an extent has of the range; `known`: one of the db's that says so, or NULL. */
static int settle_in(struct db *db, struct queue_index *q, struct extent *e,
                     const struct range *range, struct range *known)
{
    struct segment *s = e->segment;
    const struct block_queue *in;
    uint32_t n = 0;
    uint64_t bytes = 0;
    struct block *b;
    int r;

    if (range->first <= e->first && e->last <= range->last && settle_whole(db, q, e, known))
        return 0;
    r = block_get(db, s, &b);
    if (r < 0)
        return r;
    in = block_queue(b, q->id);
    if (!in)
        return -EUCLEAN;
    for (uint32_t at = block_lower_bound(b, in, range->first);
         at < in->first + in->n && b->entry[at].seq <= range->last; at++) {
        if (segment_has_ack(s, b->entry[at].slot))
            continue;
        segment_ack(db, s, b->entry[at].slot);
        bytes += b->entry[at].len;
        n++;
    }
    if (n > 0)
        uncount(db, q, e, n, bytes);
    return 0;
}

static bool has_some(const struct extent *e, const struct range *in)
{
    return e->n_live > 0 && e->last >= in->first && (!in->is_fleeting || e->segment->is_fleeting);
}

int index_settle_known(struct db *db, struct queue_index *q, const struct range *in,
                       struct range *known)
{
    for (uint32_t at = ext_from(q, in->first); at < q->ext_tail && q->ext[at].first <= in->last;
         at++) {
        int r = has_some(&q->ext[at], in) ? settle_in(db, q, &q->ext[at], in, known) : 0;

        if (r < 0)
            return r;
        if (q->n_ext == 0)
            break; /* that was the last, and the list is gone */
    }
    return 0;
}

int index_settle_range(struct db *db, struct queue_index *q, const struct range *in, uint64_t *ret)
{
    uint64_t before = q->n_live;
    struct range *known = NULL;
    uint32_t at = ext_from(q, in->first), n = 0;
    int r = 0;

    for (; at < q->ext_tail && q->ext[at].first <= in->last && !trim_is_wide(db, n); at++)
        n += has_some(&q->ext[at], in);
    if (trim_is_wide(db, n))
        r = trim_begin(db, in, &known);
    if (r == 0)
        r = index_settle_known(db, q, in, known);
    *ret = before - q->n_live;
    return r;
}

/* Makes room for one more at the tail. */
static void ext_room(struct db *db, struct queue_index *q)
{
    uint32_t to = 0;

    if (q->ext_tail < q->ext_room)
        return;
    if (q->ext_room == 0 || q->n_ext > q->ext_room / 2) {
        q->ext_room = q->ext_room ? q->ext_room * 2 : 4;
        q->ext = db_realloc(db, q->ext, q->ext_room * sizeof(*q->ext));
        return;
    }
    for (uint32_t i = q->ext_head; i < q->ext_tail; i++) {
        if (q->ext[i].n_live > 0)
            q->ext[to++] = q->ext[i];
    }
    q->ext_head = 0;
    q->ext_tail = to;
}

static void measure_overlap(struct queue_index *q)
{
    uint32_t from = q->ext_head;

    q->overlap = 0;
    for (uint32_t at = q->ext_head; at < q->ext_tail; at++) {
        /* What ends before this one begins ends before the later ones, too. */
        while (q->ext[from].last < q->ext[at].first)
            from++;
        if (at - from > q->overlap)
            q->overlap = at - from;
    }
}

void index_add_extent(struct db *db, struct queue_index *q, const struct extent *e)
{
    bool is_behind = q->n_ext == 0 || e->first > q->max_last;
    uint32_t at;

    ext_room(db, q);
    at = is_behind ? q->ext_tail : ext_upper_bound(q, e->first);
    memmove(&q->ext[at + 1], &q->ext[at], (q->ext_tail - at) * sizeof(*q->ext));
    q->ext[at] = *e;
    q->ext_tail++;
    q->n_ext++;
    if (q->n_ext == 1 || e->last > q->max_last)
        q->max_last = e->last;
    if (!is_behind)
        measure_overlap(q);
}

void index_recover_extent(struct db *db, struct queue_index *q, const struct extent *e)
{
    ext_room(db, q);
    q->ext[q->ext_tail++] = *e;
    q->n_ext++;
    q->n_live += e->n_live;
    q->bytes += e->bytes;
    if (e->last > q->max_last)
        q->max_last = e->last;
}

uint32_t index_extent_at(const struct queue_index *q, uint64_t seq)
{
    return seq == 0 ? q->ext_head : ext_upper_bound(q, seq - 1);
}

/* Ends n live extents from place `at` on; the place behind the last of them. */
static uint32_t end_extents(struct queue_index *q, uint32_t at, uint32_t n)
{
    q->n_ext -= n;
    for (; n > 0; at++) {
        n -= q->ext[at].n_live > 0;
        q->ext[at].n_live = 0;
    }
    if (q->n_ext == 0)
        at = q->ext_head = q->ext_tail = q->overlap = 0;
    return at;
}

void index_move(struct db *db, struct queue_index *q, uint32_t at, uint32_t n,
                const struct extent *to)
{
    uint32_t end = end_extents(q, at, n);

    if (end == 0 || q->overlap > 0) {
        index_add_extent(db, q, to);
        return;
    }
    /* As they followed each other, it may stand for the last of them, if the others do not stand
     * between it and what is looked for. */
    for (uint32_t i = at; i < end; i++)
        q->ext[i].first = q->ext[i].last = to->first;
    q->ext[end - 1] = *to;
    q->n_ext++;
}

static int compare_first(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

void index_sort(struct queue_index *q)
{
    for (uint32_t at = q->ext_head + 1; at < q->ext_tail; at++) {
        if (q->ext[at].first >= q->ext[at - 1].first)
            continue;
        qsort(q->ext + q->ext_head, q->ext_tail - q->ext_head, sizeof(*q->ext), compare_first);
        break;
    }
    measure_overlap(q);
}

static void queue_free(struct db *db, struct queue_index *q)
{
    db_free(db, q->pend);
    db_free(db, q->ext);
    db_free(db, q);
}

void index_forget(struct db *db, uint64_t queue)
{
    struct queue_index *q = index_queue(db, queue);

    if (!q || q->n_live > 0)
        return;
    u64map_del(&db->queues, queue, NULL);
    queue_free(db, q);
}

void index_fini(struct db *db)
{
    uint32_t at = 0;
    uint64_t id, value;

    while (u64map_next(&db->queues, &at, &id, &value))
        queue_free(db, (struct queue_index *)(uintptr_t)value);
    u64map_fini(&db->queues);
    while (db->segments.next != &db->segments)
        segment_free(db, db->segments.next);
}
