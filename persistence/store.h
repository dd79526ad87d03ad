/*
 * store.h - the store process of a vhost: the one that does everything with its database.
 *
 * A blocking server, registered as "store:<vhost>" (or by the name it is given). Queues send it
 * arrays of operations, the registry rows of definitions; it commits groups and tells each queue
 * how far it is durable. It sees no protocol: a message is bytes, an owner that gives them back,
 * and flags.
 *
 * Rules
 * 1. Operations of one queue are taken in the order sent. STORE_DURABLE(up_to_seq) says that every
 *    publish of this (queue, epoch) with seq <= up_to_seq is on disk or was settled before.
 * 2. An ack of a publish that is not yet in a commit withdraws it: it never touches the disk. Any
 *    other goes into the next commit, before publishes that came earlier where those fill several;
 *    who needs an order between the two asks STORE_SYNC.
 * 3. An operation of an epoch older than the newest STORE_OPEN_QUEUE of its queue is ignored.
 * 4. A publish whose (queue, seq) the store already has is ignored: queues send again what was not
 *    durable when the store died.
 * 5. Operations that name a transaction wait until STORE_TX has come from all its parts; then they
 *    are taken in together, into one group, so that all of them last or none. A seq of theirs may
 *    be below one that was committed meanwhile, and STORE_DURABLE does not speak of them: the
 *    answer to STORE_TX does.
 * 6. A publish that is fleeting goes to disk only to free memory: it is gone when another program
 *    opens the store or another process the queue, and STORE_DURABLE does not speak of it
 *    (STORE_SYNC does). It keeps its place among the others of its queue.
 * 7. Of a queue that was opened as fleeting all is settled when the process that opened it ends.
 * 8. A failed commit ends the process (its outcome is unknown). The next one recovers, checkpoints
 *    with TRUNCATE, then registers its name; whoever awaited the name opens its queue anew.
 */
#ifndef PERSISTENCE_STORE_H
#define PERSISTENCE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

struct blob;

enum {
    STORE_OPEN_QUEUE = 0x200, /* call */
    STORE_ENTRIES,            /* cast, store to queue, before STORE_OPENED */
    STORE_OPENED,             /* reply */
    STORE_OPS,                /* cast, queue to store */
    STORE_DURABLE,            /* cast, store to queue, at most once for each queue and group */
    STORE_SYNC,               /* call: answered when all that was sent before is durable */
    STORE_SYNCED,             /* reply */
    STORE_READ,               /* call */
    STORE_BODIES,             /* reply */
    STORE_READ_ON,            /* call: what follows from a seq on */
    STORE_RUN,                /* reply */
    STORE_FIND,               /* call: which of these seqs are there */
    STORE_FOUND,              /* reply */
    STORE_WRITE,              /* call: definition rows */
    STORE_WRITTEN,            /* reply, once durable */
    STORE_LOAD,               /* call: all definition rows */
    STORE_ROWS,               /* reply */
    STORE_RESERVE,            /* call: ids */
    STORE_RESERVED,           /* reply */
    STORE_BACKUP,             /* call: a copy of all that the store has */
    STORE_BACKUP_PROGRESS,    /* cast to who asked, a few times a second */
    STORE_BACKED_UP,          /* reply */
    STORE_TX,                 /* call: a part of a transaction is complete */
    STORE_TX_END,  /* cast: it is not to be, unless it has been already; or it has been */
    STORE_TX_GONE, /* cast: the part of a queue does not come, for the queue is deleted */
    STORE_TX_DONE, /* reply, once it is durable or given up */
};

/* Where a message lies; a value that queues keep and give back to STORE_READ. */
struct store_place {
    uint64_t segment;
    uint32_t offset, len;
    uint32_t crc;
};

enum store_op_kind { STORE_OP_PUBLISH, STORE_OP_ACK, STORE_OP_ACK_RANGE };

struct store_op {
    enum store_op_kind kind;
    bool is_fleeting;  /* PUBLISH: rule 6 */
    uint32_t flags;    /* PUBLISH: kept with the entry, given back at recovery */
    uint64_t seq;      /* ACK_RANGE: the first */
    uint64_t last_seq; /* ACK_RANGE: the last; every entry in between that is still there */
    /* PUBLISH: the bytes, in two pieces, and who owns them. One owner is written once a group. */
    void *owner;
    const void *part[2];
    uint32_t part_len[2];
};

/*
 * STORE_OPEN_QUEUE: fences older epochs, then tells what is there: in numbers, and one by one what
 * is not among known_first to known_last (first > last: all is told; 0 to UINT64_MAX: nothing is),
 * and which of `ask`, which are among them.
 */
struct msg_store_open {
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint64_t known_first, known_last;
    bool is_fleeting; /* the queue is: rule 7 */
    bool is_first;    /* of this epoch: what is fleeting and of earlier ones is settled */
    uint32_t n_ask;
    uint64_t ask[];
};

struct store_entry {
    uint64_t seq;
    uint32_t flags;
    struct store_place place;
};

/* STORE_ENTRIES: in order of seq, at most 4096 a message; STORE_FOUND: in the order asked */
struct msg_store_entries {
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint32_t n;
    struct store_entry entry[];
};

struct msg_store_opened { /* STORE_OPENED: all STORE_ENTRIES of this queue came before */
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint64_t next_seq;         /* above all that the store ever knew of this queue */
    uint64_t n_entries, bytes; /* of all entries, known or not */
};

struct msg_store_ops { /* STORE_OPS; drop gives every owner back by unref */
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint64_t tx;          /* 0: of no transaction */
    uint64_t ack_time_us; /* the queue's recent time from delivery to ack; 0: nobody consumes */
    void (*unref)(void *owner);
    uint32_t n, cap;
    struct store_op op[];
};

struct msg_store_durable { /* STORE_DURABLE */
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint64_t up_to_seq;
    uint64_t group;
};

struct store_read {
    uint64_t seq;
    struct store_place place;
};

struct msg_store_read { /* STORE_READ */
    struct msg hdr;
    uint64_t queue_id;
    uint32_t n;
    struct store_read want[];
};

struct store_body {
    uint64_t seq;
    struct blob *bytes; /* the message's bytes; NULL: damaged (CRC) or gone */
};

struct msg_store_bodies { /* STORE_BODIES, in the order asked; drop unrefs what was not taken */
    struct msg hdr;
    uint64_t queue_id;
    uint32_t n;
    struct store_body body[];
};

struct msg_store_tx { /* STORE_TX, STORE_TX_END, STORE_TX_GONE */
    struct msg hdr;
    bool committed;           /* END: by an earlier run of the store, as it turned out */
    uint64_t queue_id, epoch; /* GONE: the id of the deleted one */
    uint64_t tx;              /* never used again while the program runs */
    uint32_t n_parts;         /* TX: so many such calls make it whole */
};

struct msg_store_tx_done { /* STORE_TX_DONE */
    struct msg hdr;
    bool committed; /* durable in all its parts; false: nothing of it is or will be */
};

struct msg_store_read_on { /* STORE_READ_ON: from first_seq on, no further than last_seq */
    struct msg hdr;
    uint64_t queue_id;
    uint64_t first_seq, last_seq;
    uint32_t max; /* of messages, and of their bytes; one message comes however long it is */
    uint32_t max_bytes;
};

struct store_item {
    uint64_t seq;
    uint32_t flags;
    uint32_t offset, len; /* in `bytes` */
    bool is_damaged;      /* by its checksum */
};

struct msg_store_run { /* STORE_RUN, in order of seq; drop unrefs the bytes */
    struct msg hdr;
    uint64_t queue_id;
    uint64_t next_seq;  /* all below it were told */
    bool is_gone;       /* the queue's row was removed, and its messages with it */
    struct blob *bytes; /* NULL: there are none */
    uint32_t n;
    struct store_item item[];
};

struct msg_store_find { /* STORE_FIND */
    struct msg hdr;
    uint64_t queue_id;
    uint32_t n;
    uint64_t seq[];
};

/* Definition rows. Names and arguments are bytes; what they mean is the registry's. */
enum store_row_kind { STORE_ROW_QUEUE, STORE_ROW_EXCHANGE, STORE_ROW_BINDING, STORE_ROW_SETTING };

struct store_row {
    enum store_row_kind kind;
    bool remove;        /* by id (setting: type and name); a queue's removal takes its messages
                           and bindings with it */
    uint64_t id;        /* queue, exchange: its id. binding: source exchange's id */
    uint64_t dest_id;   /* binding */
    uint32_t dest_kind; /* binding: STORE_ROW_QUEUE or STORE_ROW_EXCHANGE */
    uint32_t flags;     /* the registry's */
    struct blob *name;  /* queue, exchange, setting: its name; binding: its key */
    struct blob *type;  /* exchange: its type; setting: its kind; else NULL */
    struct blob *args;  /* field table bytes; NULL: empty. Setting: its value */
};

struct msg_store_rows { /* STORE_WRITE and STORE_ROWS; drop unrefs the blobs */
    struct msg hdr;
    uint32_t n, cap;
    struct store_row row[];
};

struct msg_store_reserve { /* STORE_RESERVE / STORE_RESERVED: n ids from first, never used before */
    struct msg hdr;
    uint64_t first;
    uint32_t n;
};

/*
 * The copy is made in steps of about 10 ms between commits, and is as of the commit before its end.
 * A newer request ends an older one.
 */
struct msg_store_backup {
    struct msg hdr;
    char path[512]; /* a new file */
};

struct msg_store_backup_progress {
    struct msg hdr;
    uint64_t done, all; /* bytes of the file */
};

struct msg_store_backed_up {
    struct msg hdr;
    int error;      /* 0, or -errno; then the file is of no use */
    uint64_t group; /* the last one in the file */
    char why[200];  /* of an error */
};

struct store_arg { /* the arg blob of store_ops */
    char vhost[256];
    char name[64]; /* registered under; empty: "store:<vhost>" */
    char dir[512]; /* made when missing (its parent exists) */
    /* Of the node, divided among its stores; 0: 256 MiB, 1 GiB. */
    uint64_t cache_budget, wal_budget;
};

/* When compaction and vacuum come; a test makes it soon. Set before the runtime starts. */
struct store_tuning {
    uint64_t cold_us;     /* what is older may be written anew */
    uint64_t still_us;    /* free pages whose number stood still for so long are given back */
    uint32_t min_extents; /* so many small pieces of a queue are worth it */
};

extern struct store_tuning store_tuning;

extern const struct proc_ops store_ops;
/* The same as another kind of process: the node's own store, which holds settings. */
extern const struct proc_ops node_store_ops;

/* Messages with room for n; the caller fills them and sends them. */
struct msg_store_ops *store_ops_new(uint64_t queue_id, uint64_t epoch, uint32_t cap,
                                    void (*unref)(void *owner));
struct msg_store_rows *store_rows_new(uint32_t type, uint32_t cap);
struct msg_store_open *store_open_new(uint64_t queue_id, uint64_t epoch, uint32_t n_ask);
struct msg_store_read *store_read_new(uint64_t queue_id, uint32_t n);
struct msg_store_find *store_find_new(uint64_t queue_id, uint32_t n);

/*
 * Before the tree starts, from main: whether `dir` and the stores below it can be used, but for
 * damage, which is the damaged store's to tell. 0; -EBUSY (another broker has it),
 * -EACCES, -EROFS, -ENOTSUP (a newer version's), -EINVAL (not ours); *ret_text says it in a line.
 */
int store_probe(const char *dir, const char *vfs, char *ret_text, size_t size);

/*
 * Removes the store of a directory, and the directory where nothing else is in it. 0 also where
 * there is none; -EBUSY while somebody has it open. Blocks on the disk.
 */
int store_remove(const char *dir, const char *vfs);

#endif
