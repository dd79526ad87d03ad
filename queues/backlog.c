/*
 * backlog.c - chunks of entries by seq, a cursor that only goes forward, and a heap of what was
 * returned behind it.
 *
 * Invariants:
 *   1. Chunks are linked in order of seq, and each is in the map under its number + 1.
 *   2. No chunk but the last is without a live entry.
 *   3. A READY entry is at or above cursor_seq, or its seq is in the heap (and it is HEAPED).
 *      Without a cursor chunk all READY entries are in the heap.
 *   4. The heap may also hold seqs of entries that are not READY any more; backlog_head drops them.
 *   5. n_ready, n_unacked and the bytes are the sums over the entries and what is cold.
 *   6. A seq from cold_first to cold_last without an entry that was not warmed is cold or nothing.
 *      Only what lies above `top` and cold_last becomes cold, or had an entry between these all the
 *      time, so that nothing that was settled lies between.
 *   7. No chunk before the cursor's has an entry at or above cursor_seq.
 */
#include "queues/backlog.h"

#include <string.h>

#include "queues/backlog_mass.h"

enum {
    CHUNK_BITS = 6,
    CHUNK_ENTRIES = 1 << CHUNK_BITS,
    CHUNK_MAGIC = 0x62636b31,
    HEAP_KEPT = 1024, /* a heap that runs empty keeps room for so many */
};

struct backlog_chunk {
    uint32_t magic; /* teardown after a crash believes only chunks that have it */
    uint32_t live;
    uint64_t number; /* seq >> CHUNK_BITS of its entries */
    struct backlog_chunk *prev, *next;
    struct entry entry[CHUNK_ENTRIES];
};

static struct backlog_chunk *chunk_of(const struct entry *e)
{
    const struct entry *first = e - e->index;

    return (struct backlog_chunk *)((char *)first - offsetof(struct backlog_chunk, entry));
}

uint64_t entry_seq(const struct entry *e)
{
    return (chunk_of(e)->number << CHUNK_BITS) + e->index;
}

void backlog_init(struct backlog *b, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    *b = (struct backlog){.realloc = realloc_fn, .free = free_fn};
    u64map_init(&b->chunks, realloc_fn, free_fn);
}

void backlog_fini(struct backlog *b)
{
    for (struct backlog_chunk *c = b->first, *next; c; c = next) {
        next = c->next;
        b->free(c);
    }
    if (b->spare)
        b->free(b->spare);
    if (b->heap)
        b->free(b->heap);
    u64map_fini(&b->chunks);
}

static struct backlog_chunk *chunk_find(struct backlog *b, uint64_t number)
{
    uint64_t *at;

    if (b->found && b->found->number == number)
        return b->found;
    if (b->last && b->last->number == number)
        return b->last;
    at = u64map_get(&b->chunks, number + 1);
    if (!at)
        return NULL;
    b->found = (struct backlog_chunk *)(uintptr_t)*at;
    return b->found;
}

/* Takes out a chunk without live entries. */
static void chunk_drop(struct backlog *b, struct backlog_chunk *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        b->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        b->last = c->prev;
    if (b->found == c)
        b->found = NULL;
    if (b->cursor == c) {
        b->cursor = c->next;
        b->cursor_seq = c->next ? c->next->number << CHUNK_BITS : b->cursor_seq;
    }
    if (b->warmed == c)
        b->warmed = NULL;
    (void)u64map_del(&b->chunks, c->number + 1, NULL); /* invariant 1: it was there */
    c->magic = 0;
    if (b->spare)
        b->free(c);
    else
        b->spare = c;
}

/* A new chunk behind `prev` (NULL: before all). */
static struct backlog_chunk *chunk_insert(struct backlog *b, uint64_t number,
                                          struct backlog_chunk *prev)
{
    struct backlog_chunk *c = b->spare ? b->spare : b->realloc(NULL, sizeof(*c));

    b->spare = NULL;
    memset(c, 0, sizeof(*c));
    c->number = number;
    for (uint16_t i = 0; i < CHUNK_ENTRIES; i++)
        c->entry[i].index = i;
    c->magic = CHUNK_MAGIC;
    c->prev = prev;
    c->next = prev ? prev->next : b->first;
    if (c->next)
        c->next->prev = c;
    else
        b->last = c;
    if (prev)
        prev->next = c;
    else
        b->first = c;
    u64map_put(&b->chunks, number + 1, (uint64_t)(uintptr_t)c);
    return c;
}

/* The chunk for that number, which may have to be made somewhere among the others. */
static struct backlog_chunk *chunk_get(struct backlog *b, uint64_t number)
{
    struct backlog_chunk *c = chunk_find(b, number);
    struct backlog_chunk *prev = NULL;

    if (c)
        return c;
    /* Cold ones are warmed one behind the other. */
    c = b->last && b->last->number < number       ? b->last
        : b->warmed && b->warmed->number < number ? b->warmed
                                                  : b->first;
    for (; c && c->number < number; c = c->next)
        prev = c;
    c = chunk_insert(b, number, prev);
    if (prev && prev->live == 0)
        chunk_drop(b, prev); /* it was kept only because it was the last */
    return c;
}

void backlog_uncount(struct backlog *b, uint32_t body, bool is_lasting)
{
    mass_uncount(&b->cold_mass, &b->ready_mass, body, is_lasting);
}

static struct backlog_mass *mass_of(struct backlog *b, const struct entry *e)
{
    return e->state == ENTRY_READY ? &b->ready_mass : &b->unacked_mass;
}

void backlog_weigh(struct backlog *b, struct entry *e, uint32_t body, bool is_lasting)
{
    struct backlog_mass *m = mass_of(b, e);

    mass_sub(m, e);
    e->body = body;
    e->flags = (uint8_t)(is_lasting ? e->flags | ENTRY_LASTING : e->flags & ~ENTRY_LASTING);
    mass_add(m, e);
}

void backlog_set_record(struct backlog *b, struct entry *e, struct record *record)
{
    struct backlog_mass *m = mass_of(b, e);

    mass_sub(m, e);
    e->record = record;
    mass_add(m, e);
}

static struct entry *entry_fill(struct backlog *b, struct backlog_chunk *c, uint64_t seq,
                                struct record *record, uint32_t size)
{
    struct entry *e = &c->entry[seq & (CHUNK_ENTRIES - 1)];

    e->record = record;
    e->size = size;
    e->body = 0;
    e->flags = 0;
    e->state = ENTRY_READY;
    mass_add(&b->ready_mass, e);
    c->live++;
    b->n_ready++;
    b->ready_bytes += size;
    return e;
}

struct entry *backlog_add(struct backlog *b, uint64_t seq, struct record *record, uint32_t size)
{
    uint64_t number = seq >> CHUNK_BITS;
    struct backlog_chunk *c = b->last;

    if (!c || c->number != number)
        c = chunk_get(b, number);
    if (b->n_ready == b->cold_n || !b->cursor) {
        /* No entry waits at the cursor, so it can jump here over what is held. */
        b->cursor = c;
        b->cursor_seq = seq;
    }
    return entry_fill(b, c, seq, record, size);
}

/* Whether the cursor will not come by seq any more. */
static bool is_behind(const struct backlog *b, uint64_t seq)
{
    return !b->cursor || seq < b->cursor_seq;
}

static void heap_push(struct backlog *b, uint64_t seq)
{
    uint32_t i;

    if (b->heap_n == b->heap_cap) {
        b->heap_cap = b->heap_cap ? 2 * b->heap_cap : 16;
        b->heap = b->realloc(b->heap, b->heap_cap * sizeof(*b->heap));
    }
    i = b->heap_n++;
    while (i > 0 && b->heap[(i - 1) / 2] > seq) {
        b->heap[i] = b->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    b->heap[i] = seq;
}

static void heap_pop(struct backlog *b)
{
    uint64_t moved = b->heap[--b->heap_n];
    uint32_t i = 0, child;

    for (; (child = 2 * i + 1) < b->heap_n; i = child) {
        if (child + 1 < b->heap_n && b->heap[child + 1] < b->heap[child])
            child++;
        if (b->heap[child] >= moved)
            break;
        b->heap[i] = b->heap[child];
    }
    b->heap[i] = moved;
    if (b->heap_n == 0 && b->heap_cap > HEAP_KEPT) {
        b->free(b->heap);
        b->heap = NULL;
        b->heap_cap = 0;
    }
}

/* The cursor finds what is at that seq, and all behind it. */
static void cursor_back(struct backlog *b, struct backlog_chunk *c, uint64_t seq)
{
    if (!b->cursor || seq < b->cursor_seq)
        b->cursor_seq = seq;
    if (!b->cursor || c->number < b->cursor->number)
        b->cursor = c;
}

/*
 * The READY entry below `end` and at or above the cursor, which comes to stand on it, or else at
 * the end.
 */
static struct entry *cursor_head(struct backlog *b, uint64_t end)
{
    struct backlog_chunk *c = b->cursor;

    for (; c && c->number << CHUNK_BITS < end; c = c->next) {
        uint64_t base = c->number << CHUNK_BITS;
        uint32_t i = b->cursor_seq > base ? (uint32_t)(b->cursor_seq - base) : 0;
        uint32_t n = end - base < CHUNK_ENTRIES ? (uint32_t)(end - base) : CHUNK_ENTRIES;

        for (; i < n; i++) {
            if (c->entry[i].state != ENTRY_READY)
                continue;
            b->cursor = c;
            b->cursor_seq = base + i;
            return &c->entry[i];
        }
        if (n < CHUNK_ENTRIES)
            break;
    }
    if (end > b->cursor_seq)
        b->cursor_seq = end;
    b->cursor = c;
    return NULL;
}

/* The READY entry of the lowest seq in the heap. */
static struct entry *heap_head(struct backlog *b)
{
    while (b->heap_n > 0) {
        struct entry *e = backlog_find(b, b->heap[0]);

        if (e && e->state == ENTRY_READY)
            return e;
        if (e)
            e->flags &= (uint8_t)~ENTRY_HEAPED;
        heap_pop(b);
    }
    return NULL;
}

struct entry *backlog_head(struct backlog *b)
{
    uint64_t end = b->cold_n > 0 ? b->cold_first : UINT64_MAX;
    struct entry *e = heap_head(b);

    if (e && entry_seq(e) < end)
        end = entry_seq(e);
    else
        e = NULL;
    /* Nothing at or above the cursor is below the heap's, unless the cursor went back. */
    if (b->n_ready > b->cold_n && end > b->cursor_seq) {
        struct entry *ahead = cursor_head(b, end);

        return ahead ? ahead : e;
    }
    return e;
}

void backlog_set_cold(struct backlog *b, uint64_t first, uint64_t last, uint64_t n, uint64_t bytes)
{
    b->cold_first = first;
    b->cold_last = last;
    b->cold_n = n;
    b->cold_bytes = bytes;
    b->n_ready += n;
    b->ready_bytes += bytes;
    mass_count(&b->cold_mass, n, bytes);
    mass_count(&b->ready_mass, n, bytes);
}

/* The entry's place is free again. */
static void entry_end(struct backlog *b, struct entry *e)
{
    struct backlog_chunk *c = chunk_of(e);

    e->state = ENTRY_GONE;
    e->flags = 0;
    e->record = NULL;
    if (--c->live == 0 && c != b->last)
        chunk_drop(b, c);
}

bool backlog_cool(struct backlog *b, struct entry *e)
{
    uint64_t seq = entry_seq(e);

    bool is_amid = b->cold_n > 0 && seq > b->cold_first && seq < b->cold_last;

    if (e->state != ENTRY_READY || (!is_amid && (seq <= b->top || seq <= b->cold_last)))
        return false;
    if (b->cold_n == 0)
        b->cold_first = seq;
    if (!is_amid)
        b->cold_last = seq;
    b->cold_n++;
    b->cold_bytes += e->size;
    backlog_set_record(b, e, NULL);
    mass_add(&b->cold_mass, e); /* and stays among the ready */
    entry_end(b, e);
    return true;
}

struct entry *backlog_warm(struct backlog *b, uint64_t seq, struct record *record, uint32_t size)
{
    struct backlog_chunk *c = chunk_get(b, seq >> CHUNK_BITS);
    struct entry *e = entry_fill(b, c, seq, record, size);

    b->n_ready--; /* it was counted among the cold */
    b->ready_bytes -= size;
    b->cold_n--;
    b->cold_bytes -= size;
    if (b->cold_n == 0)
        mass_forget(&b->cold_mass, &b->ready_mass);
    b->warmed = c;
    cursor_back(b, c, seq);
    return e;
}

void backlog_cold_from(struct backlog *b, uint64_t seq)
{
    if (seq > b->cold_first)
        b->cold_first = seq;
}

void backlog_drop_cold(struct backlog *b)
{
    b->n_ready -= b->cold_n;
    b->ready_bytes -= b->cold_bytes;
    b->cold_n = b->cold_bytes = 0;
    mass_forget(&b->cold_mass, &b->ready_mass);
}

/* Its end may be known to the store before long. */
static void note_top(struct backlog *b, const struct entry *e)
{
    if (e->flags & ENTRY_STORED && entry_seq(e) > b->top)
        b->top = entry_seq(e);
}

void backlog_take(struct backlog *b, struct entry *e, struct holder *h)
{
    note_top(b, e);
    mass_move(&b->ready_mass, &b->unacked_mass, e);
    b->n_ready--;
    b->ready_bytes -= e->size;
    b->n_unacked++;
    b->unacked_bytes += e->size;
    e->state = ENTRY_UNACKED;
    e->holder = h;
    e->next = NULL;
    e->prev = h->last;
    if (h->last)
        h->last->next = e;
    else
        h->first = e;
    h->last = e;
    h->n++;
    h->bytes += e->size;
    if (b->heap_n > 0 && b->heap[0] == entry_seq(e)) {
        e->flags &= (uint8_t)~ENTRY_HEAPED;
        heap_pop(b);
    }
}

static void holder_remove(struct backlog *b, struct entry *e)
{
    struct holder *h = e->holder;

    if (e->prev)
        e->prev->next = e->next;
    else
        h->first = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        h->last = e->prev;
    h->n--;
    h->bytes -= e->size;
    e->holder = NULL;
    b->n_unacked--;
    b->unacked_bytes -= e->size;
}

void backlog_return(struct backlog *b, struct entry *e)
{
    uint64_t seq = entry_seq(e);

    holder_remove(b, e);
    mass_move(&b->unacked_mass, &b->ready_mass, e);
    e->state = ENTRY_READY;
    b->n_ready++;
    b->ready_bytes += e->size;
    if (is_behind(b, seq) && !(e->flags & ENTRY_HEAPED)) {
        e->flags |= ENTRY_HEAPED;
        heap_push(b, seq);
    }
}

void backlog_remove(struct backlog *b, struct entry *e)
{
    note_top(b, e);
    mass_sub(mass_of(b, e), e);
    if (e->state == ENTRY_UNACKED) {
        holder_remove(b, e);
    } else {
        b->n_ready--;
        b->ready_bytes -= e->size;
        if (b->heap_n > 0 && b->heap[0] == entry_seq(e))
            heap_pop(b);
    }
    entry_end(b, e);
}

struct entry *backlog_find(struct backlog *b, uint64_t seq)
{
    struct backlog_chunk *c = chunk_find(b, seq >> CHUNK_BITS);
    struct entry *e;

    if (!c)
        return NULL;
    e = &c->entry[seq & (CHUNK_ENTRIES - 1)];
    return e->state == ENTRY_GONE ? NULL : e;
}

/* The first live entry of c from place i on, or of the chunks behind it. */
static struct entry *live_from(struct backlog_chunk *c, uint32_t i)
{
    for (; c; c = c->next, i = 0) {
        for (; i < CHUNK_ENTRIES; i++) {
            if (c->entry[i].state != ENTRY_GONE)
                return &c->entry[i];
        }
    }
    return NULL;
}

struct entry *backlog_from(struct backlog *b, uint64_t seq)
{
    struct backlog_chunk *c = chunk_find(b, seq >> CHUNK_BITS);

    if (c)
        return live_from(c, seq & (CHUNK_ENTRIES - 1));
    /* Most of what is asked for lies ahead of the cursor. */
    c = b->cursor && b->cursor->number <= seq >> CHUNK_BITS ? b->cursor : b->first;
    for (; c && c->number < seq >> CHUNK_BITS; c = c->next)
        continue;
    return live_from(c, 0);
}

struct entry *backlog_after(const struct entry *e)
{
    return live_from(chunk_of(e), e->index + 1u);
}

bool backlog_each_record(const struct backlog *b, void (*fn)(struct record *))
{
    const struct backlog_chunk *prev = NULL;

    for (const struct backlog_chunk *c = b->first; c; prev = c, c = c->next) {
        if (((uintptr_t)c & 7) != 0 || c->magic != CHUNK_MAGIC || c->prev != prev)
            return false;
        for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
            if (c->entry[i].state != ENTRY_GONE && c->entry[i].record)
                fn(c->entry[i].record);
        }
    }
    return true;
}

bool backlog_is_sound(const struct backlog *b)
{
    uint64_t ready = 0, unacked = 0, ready_bytes = 0, unacked_bytes = 0;
    struct backlog_mass ready_mass = b->cold_mass, unacked_mass = {0};

    for (const struct backlog_chunk *c = b->first; c; c = c->next) {
        uint32_t live = 0;

        for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
            const struct entry *e = &c->entry[i];

            if (e->state == ENTRY_GONE)
                continue;
            live++;
            ready += e->state == ENTRY_READY;
            unacked += e->state == ENTRY_UNACKED;
            ready_bytes += e->state == ENTRY_READY ? e->size : 0;
            unacked_bytes += e->state == ENTRY_UNACKED ? e->size : 0;
            mass_add(e->state == ENTRY_READY ? &ready_mass : &unacked_mass, e);
            if ((e->state == ENTRY_UNACKED) != (e->holder != NULL) ||
                (e->state == ENTRY_READY && is_behind(b, entry_seq(e)) &&
                 !(e->flags & ENTRY_HEAPED)))
                return false;
        }
        if (live != c->live || (live == 0 && c != b->last))
            return false;
    }
    return ready + b->cold_n == b->n_ready && unacked == b->n_unacked &&
           ready_bytes + b->cold_bytes == b->ready_bytes && unacked_bytes == b->unacked_bytes &&
           mass_is_same(&ready_mass, &b->ready_mass) &&
           mass_is_same(&unacked_mass, &b->unacked_mass) &&
           (b->cold_n == 0 || b->cold_first <= b->cold_last);
}
