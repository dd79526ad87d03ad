/*
 * wire.h - the messages between a connection and its channels.
 *
 * A connection decodes frames and gives each channel what one read brought for it; a channel gives
 * the connection what is to be written. Both live on one scheduler and monitor each other; a
 * channel is named by its pid, because its number may be used again before it has ended.
 */
#ifndef AMQP_WIRE_H
#define AMQP_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/msg.h"

struct blob;
struct record;

enum {
    CHANNEL_INPUT = 0x300, /* connection to channel: commands of its client */
    CHANNEL_GRANT,         /* channel to connection: how much of that it has handled */
    CHANNEL_WRITTEN,       /* connection to channel: how many deliveries the socket took */
    CHANNEL_CLOSE,         /* connection to channel: end */
    CHANNEL_DONE,          /* channel to connection: its last message */
    CONN_METHOD,           /* channel to connection: method frames, ready to be written */
    CONN_FAIL,             /* channel to connection: the client's error; the channel ends */
    CONN_DELIVER,          /* channel to connection: messages for the client */
    CONN_CONFIRM,          /* channel to connection: acks and nacks of publishes */
    CHANNEL_RECHECK,       /* connection to channel: the user's rights may have changed */
    CHANNEL_REPLY,         /* channel to another: a direct reply for its client */
};

/* Input of a channel that its connection may have under way; beyond it the socket is not read. */
enum { INPUT_WINDOW_COMMANDS = 4096, INPUT_WINDOW_BYTES = 1024 * 1024 };

enum command_kind {
    COMMAND_DONE,    /* was carried out, ahead of its turn or by moving its record */
    COMMAND_PUBLISH, /* record */
    COMMAND_ACK,     /* tag */
    COMMAND_NACK,
    COMMAND_REJECT,
    COMMAND_METHOD, /* payload: any other method's frame payload, which decodes */
    COMMAND_FAIL,   /* payload: a struct failure; found by the connection, told in order */
};

struct command {
    uint8_t kind; /* enum command_kind */
    bool mandatory, immediate;
    bool multiple, requeue;
    uint32_t len; /* of payload */
    union {
        struct record *record; /* a reference of its own */
        uint64_t tag;
        uint8_t *payload; /* of rt_alloc, owned */
    };
};

struct failure { /* what a close frame says */
    uint16_t code;
    uint32_t method; /* the offender's id; 0: none */
    char text[240];  /* without the "NOT_FOUND - " before it */
};

struct msg_channel_input {
    struct msg hdr;
    struct msg_channel_input *next; /* the receiver's */
    uint16_t n, cap;
    uint16_t at;    /* the receiver's: the first command not yet carried out */
    uint16_t ahead; /* the receiver's: below it, acks were carried out */
    struct command command[];
};

struct msg_of_channel { /* how all messages of a channel begin */
    struct msg hdr;
    uint16_t number;
};

struct msg_channel_count { /* GRANT: commands and bytes handled; WRITTEN: deliveries */
    struct msg hdr;
    uint16_t number;   /* of the channel: struct msg_of_channel */
    uint64_t n, bytes; /* since the channel began; WRITTEN: bytes is 0 */
};

struct msg_channel_close {
    struct msg hdr;
    bool by_client; /* answered with DONE when acks are durable; else as soon as may be */
};

struct msg_channel_done {
    struct msg hdr;
    uint16_t number;    /* of the channel: struct msg_of_channel */
    bool has_exclusive; /* it declared an exclusive queue */
};

struct msg_conn_method {
    struct msg hdr;
    uint16_t number; /* of the channel: struct msg_of_channel */
    uint32_t len;
    uint8_t frames[];
};

struct msg_conn_fail {
    struct msg hdr;
    uint16_t number;    /* of the channel: struct msg_of_channel */
    bool has_exclusive; /* as in DONE: nothing more comes */
    struct failure failure;
};

enum delivery_kind { DELIVERY_DELIVER, DELIVERY_GET_OK, DELIVERY_RETURN };

struct conn_delivery {
    struct record *record; /* a reference of its own */
    struct blob *ctag;     /* DELIVER: the consumer tag */
    uint64_t tag;
    uint32_t ready; /* GET_OK: left behind */
    uint8_t kind;   /* enum delivery_kind */
    bool redelivered;
    bool owns_ctag; /* the reference belongs to the first of those that follow one another */
};

struct msg_conn_deliver {
    struct msg hdr;
    uint16_t number; /* of the channel: struct msg_of_channel */
    bool tell;       /* a consumer waits to hear that this was written: answer WRITTEN */
    uint32_t n, cap;
    struct conn_delivery item[];
};

struct conn_confirm {
    uint64_t tag;
    bool multiple, nack;
};

struct msg_conn_confirm {
    struct msg hdr;
    uint16_t number; /* of the channel: struct msg_of_channel */
    uint32_t n, cap;
    struct conn_confirm item[];
};

struct msg_channel_reply {
    struct msg hdr;
    uint64_t key;          /* of the target that was meant; the channel may have another by now */
    struct record *record; /* a reference of its own */
};

/* Constructors; arrays are the caller's to fill. drop gives all references back. */
struct msg_channel_input *channel_input_new(uint16_t cap);
struct msg_conn_deliver *conn_deliver_new(uint32_t cap);
struct msg_conn_confirm *conn_confirm_new(uint32_t cap);
struct msg_channel_reply *channel_reply_new(struct record *r); /* takes a reference */
/* Room for len bytes of frames. */
struct msg_conn_method *conn_method_new(uint32_t len);

/* Appends to a message that has room; moves the record, refers to ctag (NULL: none). */
void conn_deliver_add(struct msg_conn_deliver *d, const struct conn_delivery *item);

/* What a record counts for in all windows of the front end and at queues. */
uint64_t record_window_bytes(const struct record *r);
/* What a command counts for in its channel's window. */
uint64_t command_window_bytes(const struct command *c);

#endif
