/*
 * What the files of the store process share. See store.c for its duties and invariants.
 */
#ifndef PERSISTENCE_STORE_INTERNAL_H
#define PERSISTENCE_STORE_INTERNAL_H

#include "broker/core/stats.h"
#include "broker/runtime/u64map.h"
#include "persistence/db.h"
#include "persistence/store.h"

/* A queue that was opened. */
struct store_queue {
    struct store_queue *next_touched; /* while is_touched */
    uint64_t id;
    uint64_t epoch;   /* of the newest opening; operations of others are ignored */
    uint64_t up_to;   /* largest seq published in this epoch */
    uint64_t told;    /* what the last STORE_DURABLE said */
    proc_id pid;      /* who opened it last */
    proc_ref monitor; /* of a fleeting queue; 0: none */
    bool is_touched;
    bool is_gone; /* deleted; freed when the group that it touched has been told of */
};

struct store {
    struct store_arg arg;
    struct db *db;               /* NULL until recovered */
    struct u64map queues;        /* id -> struct store_queue */
    struct u64map txs;           /* number -> struct store_tx, those that are not whole */
    struct store_queue *touched; /* those that published since the last announcement */
    uint64_t touched_due_us;     /* when they are told at the latest, though nothing is written */
    struct msg **waiting;        /* kept requests that are answered when durable */
    uint32_t n_waiting, room_waiting;
    bool is_due;           /* somebody waits for the commit */
    bool is_closing_group; /* a CONTINUE is under way, which commits */
    bool wants_checkpoint; /* after a commit of the acks that came during the last one */
    uint64_t commit_bytes; /* of publishes, as many as take about 10 ms to write */
    proc_ref timer;        /* 0: none */
    uint64_t timer_due_us;
    uint64_t idle_due_us;      /* of upkeep that a commit puts off; UINT64_MAX: none */
    uint64_t log_due_us;       /* of a step that makes the log longer; UINT64_MAX: none */
    uint64_t vacuum_due_us;    /* of a look for free pages; UINT64_MAX: there are none */
    uint64_t checkpoint_bytes; /* as much as takes about 15 ms to copy */
    uint64_t wal_share;        /* the most that it may be, by what the node has for all */
    int64_t free_low;          /* fewest and most free pages since free_since_us, less those */
    int64_t free_high;         /* that were given back */
    uint64_t free_since_us;
    unsigned n_stores;         /* among which that was divided */
    uint64_t checkpoint_at_us; /* when the last one had ended */
    uint64_t checkpoint_us;    /* what the last one took */
    uint64_t worst_us;         /* the longest step so far that was no commit */
    struct msg *backup;        /* kept request; NULL: no copy is made */
    uint64_t backup_due_us;    /* of the next step */
    uint64_t backup_told_us;   /* when who asked was told of the progress */
    uint32_t backup_pages;     /* of a step that takes about 10 ms */
    uint64_t compact_due_us;   /* of the next step or round of compaction; UINT64_MAX: none */
    uint64_t compact_below, compact_mark;  /* ids of segments: old enough; and in the next round */
    uint32_t compact_moves;                /* of a step that takes about 10 ms */
    uint64_t n_compacted;                  /* bytes */
    uint64_t trim_due_us;                  /* of the next step; UINT64_MAX: none */
    uint32_t trim_pieces;                  /* of a step that takes about 10 ms */
    bool is_compacting, compact_wrote;     /* in a round; which has written something */
    uint64_t counted_bytes, counted_syncs; /* of this opening: told to store_stats_group */
    uint64_t n_groups, n_adds, n_withdrawn, n_acks, n_stale; /* for inspect */
    uint64_t commit_us;                                      /* what the last one took */
};

/* store.c */

/* The request is answered when what came so far is durable; takes it from the runtime. */
void store_wait(struct store *st, struct msg *request);
/* Commits all now, whatever the policy says, and tells all who wait. */
void store_commit(struct store *st);
/* Ends the process over an error of the database. */
__attribute__((noreturn)) void store_fail(struct store *st, int r, const char *doing);

/* store_upkeep.c */

/* The world's clock now, not as of the turn. */
uint64_t store_now_us(void);
/* Once the database is open. */
void store_upkeep_init(struct store *st);
/* After each commit: copies the WAL if it is as large as it may be. */
void store_upkeep_committed(struct store *st);
/* What is due, in a moment in which nothing waits; and when something is. */
void store_upkeep_go_on(struct store *st);
uint64_t store_upkeep_due(const struct store *st);
/* A step beside the commits took that long. */
void store_upkeep_took(struct store *st, enum store_step kind, uint64_t us);
/* One of n parts of a budget, within bounds. */
uint64_t store_share(uint64_t budget, unsigned n, uint64_t least, uint64_t most);

/* store_requests.c */

void store_on_open(struct store *st, struct msg *m);
void store_on_ops(struct store *st, struct msg *m);
void store_on_write(struct store *st, struct msg *m);
/* The process of a fleeting queue has ended. */
void store_on_down(struct store *st, const struct msg *m);
void store_on_load(struct store *st, struct msg *m);
void store_on_reserve(struct store *st, struct msg *m);

/* store_compact.c */

/* Something was committed: it may be worth a look, later. */
void store_compact_later(struct store *st);
/* Takes the step that is due. Not while something waits for a commit. */
void store_compact_go_on(struct store *st);

/* store_trim.c */

/* Once the database is open. */
void store_trim_init(struct store *st);
/* Something was committed. */
void store_trim_later(struct store *st);
/* Takes the step that is due. Not while something waits for a commit. */
void store_trim_go_on(struct store *st, uint64_t now);

/* store_read.c */

void store_tell_entry(const struct db_entry *e, struct store_entry *ret);
void store_on_read(struct store *st, struct msg *m);
void store_on_read_on(struct store *st, struct msg *m);
void store_on_find(struct store *st, struct msg *m);
/* A message of that type with those of the seqs that are there. */
struct msg_store_entries *store_find(struct store *st, uint32_t type, uint64_t queue,
                                     const uint64_t *seq, uint32_t n);

/* store_backup.c */

void store_on_backup(struct store *st, struct msg *m);
/* Takes a step if one is due. Not while something waits for a commit. */
void store_backup_go_on(struct store *st);

/* store_requests.c: */
/* A queue that was opened, or NULL. */
struct store_queue *store_find_queue(const struct store *st, uint64_t id);
/* Takes in the operations of a message that is kept; it goes when its bytes are not needed. */
void store_take_ops(struct store *st, struct store_queue *q, struct msg_store_ops *ops);
/* Gives back a batch of operations once none of its publishes needs its bytes (db_config.release).
 */
void store_release(void *ctx, void *token);

/* store_tx.c */

/* Operations of a transaction; takes the message from the runtime. */
void store_tx_keep(struct store *st, struct msg_store_ops *ops);
void store_on_tx(struct store *st, struct msg *m);
void store_on_tx_end(struct store *st, struct msg *m);
void store_on_tx_gone(struct store *st, struct msg *m);
/* Answers a STORE_TX. */
void store_tx_answer(struct msg *request, bool committed);
/* A new run of the queue is there: what an earlier one had part in cannot become whole. */
void store_tx_fence(struct store *st, uint64_t queue, uint64_t epoch);
/* The queue is deleted: what others did in the same transactions stands without it. */
void store_tx_forget(struct store *st, uint64_t queue);

#endif
