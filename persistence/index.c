/*
 * The index in RAM: for each queue its live entries in order of seq, and the segments they are in.
 *
 * Invariants:
 *  1. v[head..tail) rises in seq; n_live of them are not SETTLED; v[head], if there is one, is
 *     live.
 *  2. Of a segment's entries n_live are live, and the others have their bit in `acks`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "persistence/ackmap.h"
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

/* The place of the first entry with that seq or a larger one. */
static uint32_t lower_bound(const struct queue_index *q, uint64_t seq)
{
    uint32_t low = q->head, high = q->tail;
    uint64_t guess;

    if (low == high || seq <= q->v[low].seq)
        return low;
    /* Seqs rise by one or more, so the entry is no further than this, and mostly just there. */
    guess = low + (seq - q->v[low].seq);
    if (guess < high && q->v[guess].seq == seq)
        return (uint32_t)guess;
    if (guess < high)
        high = (uint32_t)guess;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (q->v[mid].seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct entry *index_find(const struct queue_index *q, uint64_t seq)
{
    uint32_t at = lower_bound(q, seq);

    /* A settled one may still stand in the place, and a live one of the same seq never beside it.
     */
    if (at == q->tail || q->v[at].seq != seq || q->v[at].state == ENTRY_SETTLED)
        return NULL;
    return &q->v[at];
}

struct entry *index_next(const struct queue_index *q, uint64_t from)
{
    if (q->n_live == 0)
        return NULL;
    for (uint32_t at = lower_bound(q, from); at < q->tail; at++) {
        if (q->v[at].state != ENTRY_SETTLED)
            return &q->v[at];
    }
    return NULL;
}

/* Makes room for one more at the tail: by moving the live ones together, or else by growing. */
static void make_room(struct db *db, struct queue_index *q)
{
    uint32_t to = 0;

    if (q->tail < q->room)
        return;
    if (q->n_live > q->room / 2) {
        q->room = q->room * 2;
        q->v = db_realloc(db, q->v, q->room * sizeof(*q->v));
        return;
    }
    for (uint32_t i = q->head; i < q->tail; i++) {
        if (q->v[i].state != ENTRY_SETTLED)
            q->v[to++] = q->v[i];
    }
    q->head = 0;
    q->tail = to;
    if (q->room == 0 || (q->room > 1024 && to < q->room / 4)) {
        q->room = q->room ? q->room / 2 : 16;
        q->v = db_realloc(db, q->v, q->room * sizeof(*q->v));
    }
}

static struct entry *take_in(struct queue_index *q, uint32_t at, uint64_t seq)
{
    memset(&q->v[at], 0, sizeof(q->v[at]));
    q->v[at].seq = seq;
    q->n_live++;
    if (seq > q->max_seq)
        q->max_seq = seq;
    return &q->v[at];
}

struct entry *index_append(struct db *db, struct queue_index *q, uint64_t seq)
{
    make_room(db, q);
    if (q->tail > q->head && q->v[q->tail - 1].seq >= seq)
        q->is_unsorted = true;
    return take_in(q, q->tail++, seq);
}

struct entry *index_insert(struct db *db, struct queue_index *q, uint64_t seq)
{
    uint32_t at;

    make_room(db, q);
    at = lower_bound(q, seq);
    if (at < q->tail && q->v[at].seq == seq)
        return take_in(q, at, seq); /* in the place of the settled one */
    memmove(&q->v[at + 1], &q->v[at], (q->tail - at) * sizeof(*q->v));
    q->tail++;
    return take_in(q, at, seq);
}

static int compare_seq(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

int index_sort(struct queue_index *q)
{
    if (!q->is_unsorted)
        return 0;
    qsort(q->v + q->head, q->tail - q->head, sizeof(*q->v), compare_seq);
    for (uint32_t i = q->head + 1; i < q->tail; i++) {
        if (q->v[i].seq == q->v[i - 1].seq)
            return -EUCLEAN;
    }
    q->is_unsorted = false;
    return 0;
}

void index_settle(struct db *db, struct queue_index *q, struct entry *e)
{
    e->state = ENTRY_SETTLED;
    q->bytes -= e->len;
    q->n_live--;
    while (q->head < q->tail && q->v[q->head].state == ENTRY_SETTLED)
        q->head++;
    if (q->n_live > 0)
        return;
    q->head = q->tail = 0;
    if (q->room > 1024) {
        db_free(db, q->v);
        q->v = NULL;
        q->room = 0;
    }
}

void index_forget(struct db *db, uint64_t queue)
{
    struct queue_index *q = index_queue(db, queue);

    if (!q || q->n_live > 0)
        return;
    u64map_del(&db->queues, queue, NULL);
    db_free(db, q->v);
    db_free(db, q);
}

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

void segment_free(struct db *db, struct segment *s)
{
    s->prev->next = s->next;
    s->next->prev = s->prev;
    db_free(db, s->acks);
    db_free(db, s);
}

void segment_ack(struct db *db, struct segment *s, uint32_t slot)
{
    if (!s->acks) {
        s->acks = db_realloc(db, NULL, ackmap_bytes(s->n_entries));
        memset(s->acks, 0, ackmap_bytes(s->n_entries));
    }
    ackmap_set(s->acks, slot);
    s->n_live--;
    if (s->is_dirty)
        return;
    s->is_dirty = true;
    s->next_dirty = db->dirty;
    db->dirty = s;
}

void index_fini(struct db *db)
{
    uint32_t at = 0;
    uint64_t id, value;

    while (u64map_next(&db->queues, &at, &id, &value)) {
        struct queue_index *q = (struct queue_index *)(uintptr_t)value;

        db_free(db, q->v);
        db_free(db, q);
    }
    u64map_fini(&db->queues);
    while (db->segments.next != &db->segments)
        segment_free(db, db->segments.next);
}
