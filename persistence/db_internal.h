/*
 * What the files of the store's plain part share: the index in RAM and the pending group.
 *
 * index.c keeps, for each queue, a vector of entries in order of seq. An entry is live until it is
 * settled; until it is committed it points to its operation in the group, then to its segment.
 */
#ifndef PERSISTENCE_DB_INTERNAL_H
#define PERSISTENCE_DB_INTERNAL_H

#include "broker/runtime/u64map.h"
#include "persistence/commit_policy.h"
#include "persistence/db.h"
#include "persistence/sql.h"

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
    uint64_t id;
    uint8_t *acks; /* bitmap of the settled entries; NULL: none is */
    uint32_t n_entries;
    uint32_t n_live;
    bool is_dirty;    /* has acks that this group is to write */
    bool has_ack_row; /* there is an ack row on disk to delete */
};

enum { ENTRY_PENDING = 1, ENTRY_COMMITTED, ENTRY_SETTLED };

struct entry {
    uint64_t seq;
    union {
        struct segment *segment; /* COMMITTED */
        struct db_op *op;        /* PENDING */
    };
    uint32_t off;
    uint32_t len;
    uint32_t crc;
    uint32_t slot : 29; /* its number in the segment's entries */
    uint32_t has_attr : 1;
    uint32_t state : 2;
};

struct queue_index {
    struct entry *v; /* rising in seq */
    uint64_t id;
    uint64_t max_seq;
    uint64_t bytes;
    uint64_t in_segment; /* the segment under construction that mark is about */
    uint32_t mark;       /* this queue's place in that segment's list of queues */
    uint32_t head;       /* v[head..tail) may be live */
    uint32_t tail;
    uint32_t room;
    uint32_t n_live;
    bool is_unsorted; /* only during recovery */
};

/* What the adds of one key have in common: bytes that are written once. */
struct record {
    const void *key;   /* NULL: of one add alone */
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
    struct u64map keys;      /* key -> struct record of this group */
    struct commit_policy policy;
    struct db_op *free_ops; /* by next_of_record */
    uint64_t epoch;
    uint64_t group;        /* last durable */
    uint64_t next_segment; /* id of the next segment or marker */
    uint64_t marker;       /* header row that only tells the last group; 0: none */
    uint64_t next_id;
    bool has_rows; /* definitions wait in an open transaction */
    bool is_failed;
    struct buffer data, entries, head, queue_list; /* of the segment under construction */
    char why[256];
};

/* Memory of the index: db->config's functions, or the program's. */
void *db_realloc(struct db *db, void *p, size_t size);
void db_free(struct db *db, void *p);

/* Makes room for size bytes, keeping what is there. */
void db_reserve(struct db *db, struct buffer *b, size_t size);

/* Keeps the error's text and that nothing may be called any more; returns r. */
int db_fail(struct db *db, int r);

/* index.c */

struct queue_index *index_queue(const struct db *db, uint64_t queue); /* NULL: has no entries */
struct queue_index *index_queue_make(struct db *db, uint64_t queue);
/* The live entry, or NULL. Valid until the next index_insert of this queue. */
struct entry *index_find(const struct queue_index *q, uint64_t seq);
/* Adds a live entry whose seq is not live; returns it for the caller to fill in. */
struct entry *index_insert(struct db *db, struct queue_index *q, uint64_t seq);
/* The same without regard to order, for recovery; index_sort comes last. */
struct entry *index_append(struct db *db, struct queue_index *q, uint64_t seq);
int index_sort(struct queue_index *q);
/* The entry is settled: out of the counts, and soon out of the vector. */
void index_settle(struct db *db, struct queue_index *q, struct entry *e);
/* The first live entry with seq >= from, or NULL. */
struct entry *index_next(const struct queue_index *q, uint64_t from);
/* Frees what is kept of a queue, if it has no live entries. */
void index_forget(struct db *db, uint64_t queue);
void index_fini(struct db *db);

struct segment *segment_new(struct db *db, uint64_t id, uint32_t n_entries);
void segment_free(struct db *db, struct segment *s);
/* Marks entry `slot` as settled, for this group to write. */
void segment_ack(struct db *db, struct segment *s, uint32_t slot);

/* group.c */

void group_init(struct db *db);
/* Releases what waits. */
void group_fini(struct db *db);
/* Begins the transaction where none is open. */
int group_begin(struct db *db);

/* commit.c, recover.c */

int commit_segments(struct db *db);
int commit_acks(struct db *db);
int recover(struct db *db);

#endif
