/*
 * One database of messages and definitions: the store's plain part, without processes.
 *
 * A struct db is one directory with one SQLite database that nobody else may open. It gathers
 * operations into a group (db_add, db_ack, db_ack_range, db_put, db_del), which db_commit makes
 * durable as one transaction, or which is lost as a whole. The bytes of a group are packed into
 * segments; in RAM is what each queue has in which segment, and the entries of segments in use.
 *
 * Numbered invariants:
 *  1. An entry (queue, seq) exists at most once. Adding it again while it is live does nothing, so
 *     a queue may send again what it does not know to be durable. Seqs come in any order, also
 *     across groups: those of a transaction are given before it is known when it will be.
 *  2. An entry added and settled in the same group never reaches the disk, nor does its record
 *     unless another queue has it.
 *  3. What db_commit returned 0 for is found by the next db_open, whatever happened since, but for
 *     what a later commit settled.
 *  4. After an error from db_commit, or from any call that writes, the outcome is unknown: nothing
 *     may be called but db_abandon. The next db_open tells what there is.
 *  5. A segment whose entries are all settled is deleted whole, in the group of the last ack.
 *
 * All functions are called from one thread at a time. They return 0 (or what they say) or -errno:
 * -EIO, -ENOSPC, -ENOMEM, -EROFS, -EACCES from below, -EUCLEAN where what is on disk can't be
 * right. They block on the disk.
 */
#ifndef PERSISTENCE_DB_H
#define PERSISTENCE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "persistence/segment.h"

struct db;

/*
 * Of a new database; one that is there keeps its own. Smaller pages cost more calls and more memory
 * for large commits, larger ones more bytes for small commits, which write a few pages whole.
 */
#define DB_PAGE_BYTES 8192

struct db_config {
    const char *dir; /* made if it is missing (its parent is not) */
    const char *vfs; /* SQLite VFS; NULL: the default. With another one `dir` is only a name. */
    uint64_t cache_bytes;  /* of SQLite's page cache; 0: 2 MiB */
    uint64_t block_bytes;  /* of segments' entries kept in RAM; 0: 4 MiB */
    uint32_t wide_extents; /* pieces in more segments are settled as a range; 0: 32 */
    bool with_check;       /* looks for damaged pages also after an ordered stop */
    /*
     * The program that opens it, another number each time that one is started: what the last one
     * had that is fleeting is gone when it is not the same. 0: whichever it was.
     */
    uint64_t run;
    /*
     * Where the index and the pending group lie. Inside a process proc_realloc and proc_free, so
     * that they go with it; NULL: the program's.
     */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    /* Gives back the token of a db_add; may not call the db. NULL where no token is ever given. */
    void (*release)(void *ctx, void *token);
    void *ctx;
};

/*
 * Opens, makes if need be, and recovers. On success the WAL is empty, a new epoch is durable, and
 * *ret is the caller's, to end with db_close or db_abandon. On failure one line in `why` says what
 * the operator should know: -EBUSY (in use by another broker), -ENOTSUP (of a newer version),
 * -EINVAL (not a store of ours), -EUCLEAN (damaged), or another -errno.
 */
int db_open(const struct db_config *config, struct db **ret, char *why, size_t why_size);

/*
 * Whether db_open would find the file free and of a version it knows; makes and changes nothing,
 * and does not look for damage. The same errors; 0 also where there is no file yet.
 */
int db_probe(const char *dir, const char *vfs, char *why, size_t why_size);

/* Checkpoints, marks the stop as clean and closes. What was not committed is lost. Returns 0, or
 * the error that kept the stop from being clean; the db is gone in any case. NULL is ignored. */
int db_close(struct db *db);

/* Closes the handle and frees, writing nothing: after a failure. NULL is ignored. */
void db_abandon(struct db *db);

/*
 * For a process that dies and whose memory goes by itself: db_handle gives what db_handle_close
 * then closes, touching nothing of the db.
 */
struct sql *db_handle(struct db *db);
void db_handle_close(void *handle);

/* One line about the last error; lent until the next call. */
const char *db_error(const struct db *db);

uint64_t db_epoch(const struct db *db); /* number of this opening, from 1 */
uint64_t db_group(const struct db *db); /* number of the last durable group */

/* The key that tells records apart within a group, and what is done with the bytes. */
struct db_add {
    uint64_t queue; /* never 0 */
    uint64_t seq;
    struct seg_attr attr;
    struct iovec iov[2]; /* the record's bytes: both pieces, either may be empty */
    /*
     * Not NULL: other adds of this group with this key, an even number, have the same bytes, which
     * are written once for those that are fleeting, and once for the others.
     * It may not name other bytes as long as one of those adds waits, which a reference behind the
     * token sees to.
     */
    const void *key;
    /*
     * Not NULL: the bytes stay where they are until release(ctx, token), called once for each add
     * that gave one: when the group is committed or the bytes are not needed. NULL: they are
     * copied.
     */
    void *token;
    uint32_t hold_us; /* how long it may wait for company; see commit_policy.h */
    bool is_fleeting; /* need not outlive the program (db_config.run) */
};

/*
 * Takes a message into the group. 1: it was there already, live (the token is released); 0: taken.
 * -EMSGSIZE: the record is longer than DB_RECORD_MAX (the token is released).
 */
int db_add(struct db *db, const struct db_add *add, uint64_t now_us);
#define DB_RECORD_MAX (512U * 1024 * 1024)

enum db_acked {
    DB_UNKNOWN,   /* no such entry is live */
    DB_WITHDRAWN, /* it was in this group and has left it */
    DB_SETTLED,   /* it is committed; settled with this group */
};

/* Settles an entry; what became of it (enum db_acked), or -errno where the disk can't tell. */
int db_ack(struct db *db, uint64_t queue, uint64_t seq, uint64_t now_us);

/*
 * Settles all entries of a queue with first <= seq <= last; returns how many, or -errno. They are
 * gone at once, but the disk is cleared of many of them in steps: db_trim_step.
 */
int64_t db_ack_range(struct db *db, uint64_t queue, uint64_t first, uint64_t last, uint64_t now_us);

/* The same for all that a queue has and that is fleeting, but for what waits for a commit. */
int64_t db_ack_fleeting(struct db *db, uint64_t queue, uint64_t now_us);

/*
 * Definitions: plain rows. The meaning of all fields but the keys is the caller's. A queue's and an
 * exchange's key is its id, a binding's (source, dest, dest_type, key, args), a setting's (kind,
 * name). Byte strings may hold anything.
 */
enum db_def_kind { DB_QUEUE = 1, DB_EXCHANGE, DB_BINDING, DB_SETTING };

struct db_bytes {
    const void *p;
    size_t len;
};

struct db_def {
    enum db_def_kind kind;
    uint64_t id;          /* queue, exchange */
    uint64_t source;      /* binding */
    uint64_t dest;        /* binding */
    uint32_t dest_type;   /* binding: 0 queue, 1 exchange */
    uint32_t flags;       /* queue, exchange */
    struct db_bytes name; /* queue, exchange, setting */
    struct db_bytes type; /* exchange: its type; setting: its kind ("user", "policy") */
    struct db_bytes key;  /* binding */
    struct db_bytes args; /* queue, exchange, binding; setting: its value */
};

/* Adds or replaces a row in the group. The bytes are lent for the call. */
int db_put(struct db *db, const struct db_def *def);

/*
 * Deletes the row with this key in the group. A queue or exchange takes the bindings from and to it
 * along; a queue's entries are to be settled by db_ack_range before. A row that is not there is no
 * error.
 */
int db_del(struct db *db, const struct db_def *def);

/*
 * Reserves n ids that no earlier call gave; they are sure to be new once the group is committed.
 * *ret is the first.
 */
int db_reserve_ids(struct db *db, uint32_t n, uint64_t *ret);

/* Calls fn for each row, settings first, then exchanges, queues, bindings; bytes lent for the call.
 * Stops where fn returns not 0, and returns that. */
int db_each_def(struct db *db, int (*fn)(void *ctx, const struct db_def *def), void *ctx);

/* What waits for the commit. */
struct db_pending {
    uint64_t due_us; /* when to commit: 0 at once, UINT64_MAX nothing waits */
    uint64_t bytes;
    uint32_t adds;
    uint32_t acks;
};

struct db_pending db_pending(const struct db *db);

/* Commits the group; a group of nothing costs nothing and gets no number. All tokens are released.
 */
int db_commit(struct db *db);

/*
 * The same, but of the adds only so many as come to about max_bytes (one more than fits; 0: none),
 * those first that came first of those that wait equally long. What is left waits for the next
 * commit. All acks and all rows are written.
 */
int db_commit_some(struct db *db, uint64_t max_bytes);

/* The smallest seq of the queue's pending adds that are not fleeting; UINT64_MAX: there is none. */
uint64_t db_first_pending(const struct db *db, uint64_t queue);

/* What the index knows of a queue; all 0 for a queue without entries. */
struct db_queue_info {
    uint64_t n_live;  /* pending ones included */
    uint64_t bytes;   /* of their records */
    uint64_t max_seq; /* largest ever seen since the opening */
};

struct db_queue_info db_queue_info(const struct db *db, uint64_t queue);

/* Calls fn for the id of each queue that has live entries, in no order. */
void db_each_queue(struct db *db, void (*fn)(void *ctx, uint64_t queue), void *ctx);

struct db_entry {
    uint64_t seq;
    uint64_t segment; /* 0: not yet committed; then off and crc are 0 */
    uint32_t off;
    uint32_t len;
    uint32_t crc;
    struct seg_attr attr;
};

/*
 * Gives up to max live entries of a queue with seq >= *from, in order of seq, and moves *from
 * behind the last. Returns how many, 0 at the end, or -errno. Entries change by every other call;
 * it may be called again with *from all the same.
 */
int db_entries(struct db *db, uint64_t queue, uint64_t *from, struct db_entry *ret, int max);

/* The length of the record of a live entry, or -ENOENT, or -errno where the disk can't tell. */
int64_t db_record_len(struct db *db, uint64_t queue, uint64_t seq);

/* Copies that record to buf, which has room for it; its length, -ENOENT, or -EUCLEAN where it is
 * damaged on disk (other records may be whole). */
int64_t db_read(struct db *db, uint64_t queue, uint64_t seq, void *buf);

/* Copies the record of an entry that db_entries has just told. 0, or -errno as db_read. */
int db_read_entry(struct db *db, uint64_t queue, const struct db_entry *e, void *buf);

struct db_limits {
    uint64_t cache_bytes; /* of SQLite's page cache */
    uint64_t block_bytes; /* of segments' entries kept in RAM */
    uint64_t wal_bytes;   /* that the WAL's file may keep once it was copied */
};

/* Changes them; 0 or -errno, which is no failure of the database. */
int db_set_limits(struct db *db, const struct db_limits *limits);

/* Gives back the memory of pages that could be read again. */
void db_release_memory(struct db *db);

/*
 * Compaction: what a queue has in many small pieces, or in segments that are mostly settled, is
 * written again, into segments of its own.
 */
struct db_compact {
    uint64_t below;       /* only segments with an id below this one */
    uint32_t min_extents; /* so many small pieces are worth it */
    uint32_t max_scan;    /* pieces that are looked at for one move */
    uint32_t max_moves;   /* segments of up to 256 KiB written in one step; one at least */
};

/* The id that the next segment will have: those of now are below it. */
uint64_t db_next_segment(const struct db *db);

/*
 * Looks for the next such pieces and writes them anew, max_moves times: one commit of its own.
 * *ret_bytes: how many it wrote. 1: there may be more; 0: all queues were looked through since the
 * last 0. Not while something waits for a commit (-EBUSY).
 */
int db_compact_step(struct db *db, const struct db_compact *how, uint64_t *ret_bytes);

/*
 * Makes the WAL's file so long, by zeros, and syncs it: a commit that need not make it longer is
 * synced in less time, and without a long tail. 0 or an error; -ENOSPC: it is as long as there was
 * room for, which is no failure. -EBUSY as db_checkpoint.
 */
int db_wal_grow(struct db *db, uint64_t size);
/* How long it is. */
uint64_t db_wal_size(const struct db *db);

/* Bytes of the WAL that wait for a checkpoint. */
uint64_t db_wal_bytes(const struct db *db);

/* Bytes that the checkpoint would copy: fewer, because of each page only the newest counts. */
uint64_t db_checkpoint_bytes(const struct db *db);

/* Bytes that went to the WAL, and how often it was synced, since the opening. */
void db_wal_written(const struct db *db, uint64_t *ret_bytes, uint64_t *ret_syncs);

/*
 * Copies the WAL into the database and syncs it. Takes as long as there is to copy: SQLite has no
 * smaller step, so whoever wants short ones calls it often. Not while something waits for a commit
 * (-EBUSY).
 */
int db_checkpoint(struct db *db);

/* How many pages the file has, and how many of them hold nothing. */
int db_pages(struct db *db, int64_t *ret_all, int64_t *ret_free);

/*
 * Gives free pages back to the file system and keeps `keep` of them: at most `pages`, and none
 * after is_over(ctx) said so (NULL: never), which is asked behind each, because one may cost the
 * search of a long list. How many it gave; 0: there are none to give. A commit of its own. Not
 * while something waits for a commit (-EBUSY).
 */
int64_t db_vacuum_step(struct db *db, uint32_t pages, uint32_t keep, bool (*is_over)(void *ctx),
                       void *ctx);

/*
 * Clears the disk of n segments whose messages were settled all together, or are an earlier
 * program's. 1 if there are more, 0 if not. A commit of its own; a few go with every other one.
 * Not while something waits for a commit (-EBUSY).
 */
int db_trim_step(struct db *db, uint32_t n);
/* Whether there are any. */
bool db_is_trimming(const struct db *db);

/*
 * Begins a copy of the whole database into `path`, a new file of the same VFS, which db_copy_step
 * makes while all else goes on; it ends as the database is after its last step. One at a time; not
 * while something waits for a commit (-EBUSY). What fails is the copy, never the database: db_error
 * says it, and the copy is over.
 */
int db_copy_begin(struct db *db, const char *path);

/*
 * Copies at most so many pages. 1: more to do; 0: the file is whole, closed, and to be
 * synced by who asked for it; -errno. Not while something waits for a commit (-EBUSY, which ends
 * nothing).
 */
int db_copy_step(struct db *db, uint32_t pages);

/* Bytes copied, of those to copy by what is known now; as of the last step but the one that
 * returned 0. */
void db_copy_progress(const struct db *db, uint64_t *ret_done, uint64_t *ret_all);

/* Gives up a copy; nothing is done where there is none. */
void db_copy_end(struct db *db);

/* What a store has. */
struct db_found {
    uint64_t group; /* the last durable one */
    uint64_t queues;
    uint64_t messages;
    uint64_t bytes;
    uint64_t definitions;
};

/*
 * Opens the store in `dir`, looks at every page, entry and record of it, and closes it: 0, what
 * db_open says, or -EUCLEAN; one line in `why`. It counts as one opening of the store.
 */
int db_verify(const char *dir, const char *vfs, struct db_found *ret, char *why, size_t why_size);

/* What was found in a damaged store. */
struct db_salvaged {
    uint64_t definitions; /* kept */
    uint64_t messages;    /* kept */
    uint64_t lost;        /* whose record can't be read, or that are not what was written */
    uint64_t orphans;     /* of queues whose definition is lost */
    uint64_t lists_lost;  /* segments of which nobody knows any more what was in them */
    uint64_t acks_lost;   /* segments whose messages come again although some were acked */
    bool definitions_lost;
};

/*
 * Copies all that can be read of the store in `from` into a new one in `to`, a directory that is
 * made. The first is locked meanwhile and not written to but for what its WAL has. 0, or -errno and
 * a line in `why`: -ENODATA where nothing of it can be read.
 */
int db_salvage(const char *from, const char *to, const char *vfs, struct db_salvaged *ret,
               char *why, size_t why_size);

#endif
