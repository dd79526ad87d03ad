/*
 * msg.h - what processes send to each other.
 *
 * A message is made by its sender and owned by its receiver after the send. It holds values,
 * proc_ids, blobs and memory that its `drop` frees; never a pointer into a process's memory.
 */
#ifndef BROKER_RUNTIME_MSG_H
#define BROKER_RUNTIME_MSG_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t proc_id; /* 0: nobody. scheduler:8 | slot:24 | generation:32 */
/* Names one call, monitor or timer of the process that made it; 0: none. */
typedef uint64_t proc_ref;

/*
 * Message types. The runtime's own stand below MSG_USER; each room takes a block of its own:
 * queues 0x100.., persistence 0x200.., amqp 0x300.., mgmt 0x400.., core 0x500...
 */
enum {
    MSG_EXIT = 1, /* struct msg_exit: a linked process ended; only to those that trap exits */
    MSG_DOWN,     /* struct msg_exit: a monitored process ended, or a call cannot be answered */
    MSG_TIMEOUT,  /* struct msg: a timer or call with this ref ran out */
    MSG_STARTED,  /* struct msg: init of a child spawned with PROC_NOTIFY returned; from = child */
    MSG_IO,       /* struct msg_io (io.h): a watched descriptor is ready */
    MSG_FD,       /* struct msg_fd (io.h): a descriptor changes its owner */
    MSG_CONTINUE, /* struct msg: proc_continue(): the process asked for another turn */
    MSG_NAMED,    /* struct msg: proc_await(): hdr.from now has the name */
    MSG_SUP_REPLY = 32,
    MSG_USER = 64,
};

/* Bits of msg.flags; the runtime's, but for reading. */
enum {
    MSG_F_ASKS = 1 << 0,    /* a call: `ref` is the caller's and must be answered */
    MSG_F_ANSWERS = 1 << 1, /* `ref` is the receiver's own */
    MSG_F_HIGH = 1 << 2,    /* sent in the high lane */
    MSG_F_KEPT = 1 << 3,    /* owned by a process: made by it, or proc_keep */
    MSG_F_SENT = 1 << 4,    /* sent on during the handler */
};

/* First member of every message struct. */
struct msg {
    struct msg *next;           /* the runtime's */
    struct msg **kept_at;       /* the runtime's: doubly linked while kept */
    void (*drop)(struct msg *); /* frees the message and what it carries; never NULL */
    proc_id from;               /* who sent it; set by the runtime */
    proc_ref ref;
    uint32_t type;
    uint32_t flags;
};

/*
 * Allocates a message of `size` bytes (struct msg first; the rest is zeroed only when `drop` is not
 * NULL or size is below 256) and sets type and drop. drop NULL: the message owns nothing but
 * itself. A drop function frees what the message carries and then calls msg_free. What process code
 * makes belongs to the process until it is sent or dropped: a crash in between drops it. So a
 * process may also hold an object of its own as a message that it never sends, and its drop runs
 * however the process ends.
 */
__attribute__((returns_nonnull)) void *msg_new(uint32_t type, size_t size,
                                               void (*drop)(struct msg *));
void msg_free(struct msg *m);

/* Drops a message that was never sent; answers DOWN to its caller if it asks. NULL is ignored. */
void msg_drop(struct msg *m);

#define MSG_NEW(TYPE, STRUCT) ((STRUCT *)msg_new((TYPE), sizeof(STRUCT), NULL))
/* The containing struct of a message whose type was checked. */
#define MSG_OF(STRUCT, m) ((STRUCT *)(void *)(m))

#endif
