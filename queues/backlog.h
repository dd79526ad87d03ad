/*
 * backlog.h - the messages of one queue in their order: what is ready, and who holds what is not.
 *
 * Pure: no process, clock or I/O. Entries stand in chunks by seq, so that a seq is found without a
 * search and a requeued message is back in its place by a change of state. Memory comes from the
 * two functions given; in a process's own heap it goes with the process, without backlog_fini.
 *
 * A long backlog has no entry for most of its messages: those between two seqs are *cold*, known
 * here by their number and bytes only, and the store tells them when their turn comes. What has an
 * entry between these seqs, or had one, is not cold.
 *
 * A record pointer in an entry is the caller's reference: the backlog never touches it.
 */
#ifndef QUEUES_BACKLOG_H
#define QUEUES_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/u64map.h"

struct record;
struct holder;
struct backlog_chunk;

enum entry_state { ENTRY_GONE, ENTRY_READY, ENTRY_UNACKED };

enum entry_flags {
    ENTRY_REDELIVERED = 1 << 0, /* somebody may have seen it */
    ENTRY_STORED = 1 << 1,      /* the store was told of it, so it must be told of its end */
    ENTRY_DURABLE = 1 << 2,     /* the store has it on disk */
    ENTRY_READING = 1 << 3,     /* asked back from the store */
    ENTRY_HEAPED = 1 << 4,      /* the backlog's own: its seq stands in the heap */
    ENTRY_AHEAD = 1 << 5,       /* was cold, and nobody has it yet */
    ENTRY_FLEETING = 1 << 6,    /* need not last, and is not DURABLE */
    ENTRY_LASTING = 1 << 7,     /* it is to last: set by backlog_weigh */
};

struct entry {
    struct record *record;     /* NULL: only the store has its bytes */
    struct entry *prev, *next; /* of the same holder, oldest delivery first */
    struct holder *holder;     /* UNACKED: who has it */
    uint32_t size;             /* bytes, as windows count them */
    uint32_t body;             /* bytes of the body alone */
    uint32_t pending;          /* its place among the publishes not yet durable (pending.h) */
    uint16_t index;            /* its place in its chunk */
    uint8_t state, flags;
};

struct holder { /* whoever has deliveries that are not settled; zeroed at first */
    struct entry *first, *last;
    uint32_t n;
    uint64_t bytes;
};

struct backlog_mass {      /* what entries amount to, for who looks at the queue */
    uint64_t body;         /* bytes of bodies */
    uint64_t lasting;      /* those that are to last */
    uint64_t lasting_body; /* bytes of their bodies */
    uint64_t here;         /* those whose record is here */
    uint64_t here_body;    /* bytes of their bodies */
};

struct backlog {
    struct backlog_chunk *first, *last; /* by seq */
    struct backlog_chunk *found;        /* where the last search ended */
    struct backlog_chunk *warmed;       /* where backlog_warm was last; NULL: it is no more */
    struct backlog_chunk *spare;        /* one empty chunk kept against churn */
    struct u64map chunks;               /* chunk number + 1 to chunk */
    struct backlog_chunk *cursor;       /* the chunk of cursor_seq; NULL: nothing is ahead */
    uint64_t cursor_seq;                /* no entry below it is READY unless it is in the heap */
    uint64_t *heap;                     /* seqs below the cursor that became READY again */
    uint32_t heap_n, heap_cap;
    uint64_t n_ready, n_unacked, ready_bytes, unacked_bytes; /* cold ones included */
    struct backlog_mass ready_mass, unacked_mass;            /* cold ones included */
    struct backlog_mass cold_mass; /* of the cold ones, as far as it is known */
    /* READY ones without an entry; cold_n 0: there are none. cold_last only grows. */
    uint64_t cold_first, cold_last, cold_n, cold_bytes;
    uint64_t top; /* the highest seq of those STORED that was ever taken or removed */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
};

void backlog_init(struct backlog *b, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
void backlog_fini(struct backlog *b);

/* A new READY entry behind all others; seq is above every seq that was ever added. */
struct entry *backlog_add(struct backlog *b, uint64_t seq, struct record *record, uint32_t size);
/* Says what the entry's body amounts to, which counts as nothing before; also once more. */
void backlog_weigh(struct backlog *b, struct entry *e, uint32_t body, bool is_lasting);
/* Puts a record into the entry, or takes it out (NULL). */
void backlog_set_record(struct backlog *b, struct entry *e, struct record *record);
/* The READY entry of the lowest seq; NULL when nothing is ready, or what is next is cold. */
struct entry *backlog_head(struct backlog *b);

/* So many cold ones between these seqs, for a backlog that has no entries. All are to last, and
 * their bodies are about as long as they are. */
void backlog_set_cold(struct backlog *b, uint64_t first, uint64_t last, uint64_t n, uint64_t bytes);
/*
 * Makes a READY entry cold, if it is above all that ever were and all that was ever taken; or if it
 * is in their midst, and in every run that the caller has yet to get. The caller has taken its
 * record out, and e is no more when the result is true.
 */
bool backlog_cool(struct backlog *b, struct entry *e);
/*
 * A cold one gets its READY entry, which is to be weighed; backlog_uncount comes before, and says
 * with what body it was counted among the cold.
 */
void backlog_uncount(struct backlog *b, uint32_t body, bool is_lasting);
struct entry *backlog_warm(struct backlog *b, uint64_t seq, struct record *record, uint32_t size);
/* No cold one is below that seq. */
void backlog_cold_from(struct backlog *b, uint64_t seq);
/* The cold ones are dropped. */
void backlog_drop_cold(struct backlog *b);
static inline bool backlog_is_in_cold(const struct backlog *b, uint64_t seq)
{
    return b->cold_n > 0 && seq >= b->cold_first && seq <= b->cold_last;
}
/* READY to UNACKED, in the hands of `h`. */
void backlog_take(struct backlog *b, struct entry *e, struct holder *h);
/* UNACKED to READY, at its place. */
void backlog_return(struct backlog *b, struct entry *e);
/* To GONE. The caller has taken the record out; e is no more. */
void backlog_remove(struct backlog *b, struct entry *e);

/* NULL: not there, or GONE. */
struct entry *backlog_find(struct backlog *b, uint64_t seq);
uint64_t entry_seq(const struct entry *e);
/* The live entry of the lowest seq >= seq; NULL at the end. */
struct entry *backlog_from(struct backlog *b, uint64_t seq);
/* The live entry that follows e by seq; NULL at the end. */
struct entry *backlog_after(const struct entry *e);
/* The i-th of the seqs that were returned below the cursor; some may be live no more. */
static inline uint64_t backlog_returned(const struct backlog *b, uint32_t i)
{
    return i < b->heap_n ? b->heap[i] : 0;
}

/*
 * For the end of a process whose state is not trusted: calls fn for each record of an entry that
 * is not GONE, as far as the chunks are intact. Returns false when it had to stop.
 */
bool backlog_each_record(const struct backlog *b, void (*fn)(struct record *));
/* Whether the sums are those of the entries; walks them all. */
bool backlog_is_sound(const struct backlog *b);

#endif
