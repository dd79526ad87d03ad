/*
 * What the files of the store's plain part share: the index in RAM and the pending group.
 *
 * Of what is committed, index.c keeps for each queue its *extents*: what it has in which segment.
 * The entries themselves are on disk, beside their segment; block.c keeps a bounded number of
 * segments' entries in RAM, those used last. Of what is pending each message has its operation in
 * the group, which index.c finds by its seq.
 */
#ifndef PERSISTENCE_DB_INTERNAL_H
#define PERSISTENCE_DB_INTERNAL_H

#include "broker/runtime/u64map.h"
#include "persistence/ackmap.h"
#include "persistence/commit_policy.h"
#include "persistence/db.h"
#include "persistence/sql.h"

#define DB_FILE_NAME "store.sqlite"

/* A group is cut into segments of this size; a longer record has a segment of its own. */
#define SEGMENT_BYTES (256 * 1024)

/* Entries after which a segment is full although its bytes are few. */
#define SEGMENT_ENTRIES 4096

struct db_op;

/* A segment on disk (or on its way there) that has live entries. */
struct segment {
    struct segment *prev; /* among all, for freeing */
    struct segment *next;
    struct segment *next_dirty; /* while is_dirty */
    struct block *block;        /* its entries; NULL: they are on disk only */
    uint64_t id;
    uint64_t data_bytes; /* of its row */
    uint64_t
        live_bytes; /* of the live entries' records, each counted: a shared one more than once */
    uint8_t *acks;  /* bitmap of the settled entries; NULL: none is */
    uint32_t n_entries;
    uint32_t n_live;
    bool is_dirty;    /* has acks that this group is to write */
    bool has_ack_row; /* there is an ack row on disk to delete */
    bool is_fleeting; /* nothing in it outlives the program */
};

struct entry {
    uint64_t seq;
    uint32_t off;
    uint32_t len;
    uint32_t crc;
    uint32_t slot; /* its number in the segment's entries, which is that of its bit in `acks` */
};

struct block_queue { /* the entries of one queue: entry[first .. first + n) of the block */
    uint64_t queue;
    uint32_t first;
    uint32_t n;
};

/* The entries of a segment, settled ones too, by queue and then by seq. */
struct block {
    struct block *newer; /* ring by last use */
    struct block *older;
    struct segment *segment;
    struct seg_attr *attr; /* beside entry; NULL: no entry has any */
    struct entry *entry;
    struct block_queue *queue; /* rising in queue */
    size_t bytes;
    uint32_t n_entries;
    uint32_t n_queues;
};

/* What one queue has in one segment. */
struct extent {
    uint64_t first; /* seqs of the first and the last, be they live or not */
    uint64_t last;
    struct segment *segment; /* valid as long as n_live > 0 */
    uint64_t bytes;          /* of the live ones' records */
    uint32_t n_live;
};

struct pend { /* a message of the group */
    uint64_t seq;
    struct db_op *op; /* NULL: settled or written since */
};

struct queue_index {
    struct pend *pend;  /* pend[pend_head .. pend_tail) rises in seq */
    struct extent *ext; /* ext[ext_head .. ext_tail) rises in first */
    uint64_t id;
    uint64_t n_live; /* pending ones included, as in the next */
    uint64_t bytes;
    uint64_t max_seq;
    uint64_t max_last;   /* of all extents */
    uint64_t in_segment; /* the segment under construction that mark is about */
    uint32_t mark;       /* this queue's place in that segment's list of queues */
    uint32_t pend_head, pend_tail, pend_room, n_pending;
    uint32_t ext_head, ext_tail, ext_room, n_ext; /* n_ext: those with live entries */
    uint32_t overlap; /* a seq lies in no extent further before the last that begins below it */
};

/* What the adds of one key have in common: bytes that are written once. */
struct record {
    uintptr_t key;     /* 0: of one add alone */
    struct db_op *ops; /* ring through op->next_of_record; the bytes of any are those of all */
    uint64_t len;
};

struct db_op {
    struct commit_item item; /* first: the policy's list is the list of operations */
    struct queue_index *queue;
    struct record *record;
    struct db_op *prev_of_record;
    struct db_op *next_of_record;
    struct iovec iov[2]; /* valid as long as the token is held */
    void *copy;          /* where there is no token: what iov points to */
    void *token;
    uint64_t seq;
    struct seg_attr attr;
    bool is_written; /* in a segment of the commit that is going on */
    bool is_fleeting;
};

struct range {          /* of a queue's messages: settled, or to be */
    struct range *next; /* of the db's, which are on disk; see trim.c */
    uint64_t queue, first, last;
    bool is_fleeting; /* only those that are */
    uint32_t n_left;  /* segments in the list of the dead */
};

struct buffer {
    void *p;
    size_t room;
};

struct db {
    struct db_config config;
    struct sql *sql;
    struct u64map queues;    /* id -> struct queue_index */
    struct segment segments; /* ring head */
    struct segment *dirty;   /* those with acks to write, by next_dirty */
    struct block blocks;     /* ring head: older is the block used last, newer the first to go */
    size_t block_bytes;
    struct u64map keys; /* key -> struct record of this group */
    struct commit_policy policy;
    struct db_op *free_ops; /* by next_of_record */
    uint64_t epoch;
    uint64_t group;        /* last durable */
    uint64_t next_segment; /* id of the next segment or marker */
    uint64_t marker;       /* header row that only tells the last group; 0: none */
    uint64_t next_id;
    uint64_t fleeting_from; /* fleeting segments with ids below it are of an earlier program */
    struct range *ranges;   /* settled, and in part on disk; see trim.c */
    struct dead *dead;      /* dead[dead_head .. dead_tail) are to leave the disk */
    uint32_t dead_head, dead_tail, dead_room;
    bool has_fleeting;                   /* some of the pending adds are */
    bool has_rows;                       /* other rows wait in an open transaction */
    bool has_segment;                    /* one was written that is not of the pending adds */
    uint64_t compact_queue, compact_seq; /* where the next step of db_compact looks; 0: begins */
    uint32_t compact_at;                 /* and where in `queues` it goes on behind that one */
    bool is_failed;
    struct buffer data, entries, head, queue_list; /* of the segment under construction */
    struct buffer loaded, sorted;                  /* while a block is made */
    char why[256];
};

/* Memory of the index: db->config's functions, or the program's. */
void *db_realloc(struct db *db, void *p, size_t size);
/* Syncs the directory that holds `dir`, for a name that was made or removed. 0 or -errno. */
int db_sync_parent(const char *dir);
void db_free(struct db *db, void *p);

/* Makes room for size bytes, keeping what is there. */
void db_reserve(struct db *db, struct buffer *b, size_t size);

/* Keeps the error's text and that nothing may be called any more; returns r. */
int db_fail(struct db *db, int r);

/* index.c */

struct queue_index *index_queue(const struct db *db, uint64_t queue); /* NULL: has no entries */
struct queue_index *index_queue_make(struct db *db, uint64_t queue);

/* The operation of a pending message, or NULL. */
struct db_op *index_pending(const struct queue_index *q, uint64_t seq);
/* The first pending message with seq >= from, or NULL. */
struct db_op *index_pending_next(const struct queue_index *q, uint64_t from);
/* Adds a pending message of that length, whose seq is not live. */
void index_add(struct db *db, struct queue_index *q, struct db_op *op, uint64_t len);
/* It is pending no more; `is_settled`: nor live. */
void index_unpend(struct queue_index *q, const struct db_op *op, uint64_t len, bool is_settled);

/* A live entry that is committed: values, but for the extent, which is valid until one is added. */
struct found {
    struct extent *extent;
    struct entry entry;
    struct seg_attr attr;
};

/* Each of these is 1: found, 0: there is none, or -errno. */
int index_find(struct db *db, struct queue_index *q, uint64_t seq, struct found *ret);
/* The first with seq >= from. */
int index_next(struct db *db, struct queue_index *q, uint64_t from, struct found *ret);

/* Settles one that was found. */
void index_settle(struct db *db, struct queue_index *q, const struct found *f);
/* Settles all that are committed and in the range; *ret: how many they were. */
int index_settle_range(struct db *db, struct queue_index *q, const struct range *in, uint64_t *ret);
/* The same where one of the db's says so already; or NULL. */
int index_settle_known(struct db *db, struct queue_index *q, const struct range *in,
                       struct range *known);

/* Tells what the queue has in a segment that was written. The messages were counted before. */
void index_add_extent(struct db *db, struct queue_index *q, const struct extent *e);
/* The same without regard to order, for recovery, where they are counted now; index_sort is last.
 */
void index_recover_extent(struct db *db, struct queue_index *q, const struct extent *e);
void index_sort(struct queue_index *q);

/*
 * What the extents from place `at` on have moved to: one extent with all that is live in n of them,
 * dead ones between not counted.
 */
void index_move(struct db *db, struct queue_index *q, uint32_t at, uint32_t n,
                const struct extent *to);
/* The place of the first extent with first >= seq. */
uint32_t index_extent_at(const struct queue_index *q, uint64_t seq);

/* Frees what is kept of a queue, if it has no live entries. */
void index_forget(struct db *db, uint64_t queue);
void index_fini(struct db *db);

/* block.c */

struct segment *segment_new(struct db *db, uint64_t id, uint32_t n_entries);
void segment_free(struct db *db, struct segment *s);
/* Marks entry `slot` as settled, for this group to write. */
void segment_ack(struct db *db, struct segment *s, uint32_t slot);
/* Marks what is live of a queue from one seq to another as settled. */
int segment_leave(struct db *db, struct segment *s, uint64_t queue, uint64_t first, uint64_t last);
/* Marks all as settled: the segment goes with this group. */
void segment_ack_all(struct db *db, struct segment *s);

void block_init(struct db *db);
/* Keeps the entries of a segment, given in order of slot. -EUCLEAN: a message is there twice. */
int block_make(struct db *db, struct segment *s, const struct seg_entry *list);
/* The entries of a segment, read from disk if need be; valid until the next call of this. */
int block_get(struct db *db, struct segment *s, struct block **ret);
/* The entries of a queue in it; NULL: there are none. */
const struct block_queue *block_queue(const struct block *b, uint64_t queue);
/* The place of the queue's first entry with that seq or a larger one. */
uint32_t block_lower_bound(const struct block *b, const struct block_queue *q, uint64_t seq);

static inline bool segment_has_ack(const struct segment *s, uint32_t slot)
{
    return s->acks && ackmap_has(s->acks, slot);
}

/* group.c */

void group_init(struct db *db);
/* Releases what waits. */
void group_fini(struct db *db);
/* Begins the transaction where none is open. */
int group_begin(struct db *db);

/* commit.c, recover.c */

/*
 * Writes the rows of a new segment: data_bytes at `data`, n_entries in db->entries and what each
 * queue has of them in db->queue_list. All of it is live then.
 */
int segment_write(struct db *db, struct segment *s, const void *data, uint32_t n_queues);

/* Deletes its rows, and frees it. */
int segment_delete(struct db *db, struct segment *s);

int commit_segments(struct db *db, uint64_t max_bytes);
int commit_acks(struct db *db);
int recover(struct db *db);

/* trim.c */

/* Whether a range that has so many extents is worth a row. */
bool trim_is_wide(const struct db *db, uint32_t n_extents);
/* Writes that the range is settled; *ret is the db's. 0 or -errno. */
int trim_begin(struct db *db, const struct range *in, struct range **ret);
/*
 * The segment is to leave the disk (`is_whole`: nobody else may know it, nor may it be dirty), or
 * the range's queue is to leave the segment. range NULL: it is of an earlier program.
 */
void trim_add(struct db *db, struct segment *s, struct range *range, bool is_whole);
/* Does so with n of them, in the group. */
int trim_some(struct db *db, uint32_t n);
/* Before a message is added: no range on disk may settle it. */
int trim_make_room(struct db *db, uint64_t queue, uint64_t seq);
/* Settles what the rows say, in RAM. */
int trim_recover(struct db *db);
void trim_fini(struct db *db);

/* defs.c */

/* Calls fn for each row of a kind, by rising or falling keys; what fn returned if not 0, or -errno.
 */
int defs_each(struct sql *sql, enum db_def_kind kind, bool backwards,
              int (*fn)(void *ctx, const struct db_def *def), void *ctx);

#endif
