/*
 * The message record: the one object that a message is, from the socket it came from to the sockets
 * it goes to and to the disk. It is shared by reference count, and nothing in it changes once its
 * body is filled.
 *
 * One allocation holds a head and, right behind it, [exchange][routing key][properties][body]; so
 * what is stored is one piece of memory. A body over RECORD_INLINE_MAX lies in a blob instead.
 * Properties stay the bytes in which they came: flags and values as in a content header.
 */
#ifndef AMQP_CODEC_RECORD_H
#define AMQP_CODEC_RECORD_H

#include <stdatomic.h>

#include "amqp/codec/bytes.h"
#include "broker/runtime/blob.h"

enum {
    RECORD_INLINE_MAX = 32 * 1024,       /* a larger body lies in a blob */
    RECORD_BODY_MAX = 512 * 1024 * 1024, /* a larger one is refused by record_new */
};

/* What record_new found in the properties, so that nobody walks them for it again. */
enum record_flags {
    RECORD_PERSISTENT = 1,     /* delivery-mode is 2 */
    RECORD_HAS_EXPIRATION = 2, /* the expiration property is set, whatever it holds */
    RECORD_HAS_PRIORITY = 4,   /* the priority property is set */
    RECORD_HAS_HEADERS = 8,    /* the headers property is set */
};

/* Head of the stored form, little-endian as in memory on every machine that this is built for. */
struct record_head {
    uint8_t exchange_len;
    uint8_t key_len;
    uint8_t flags;    /* enum record_flags */
    uint8_t priority; /* 0 when the property is not set */
    uint32_t props_len;
    uint32_t body_len;
};

/* Embedded nowhere; open only so that the accessors are inline. Use them. */
struct record {
    struct blob *blob; /* the body when it is larger than RECORD_INLINE_MAX, else NULL */
    _Atomic uint32_t refs;
    struct record_head head; /* the stored form begins here */
    uint8_t bytes[];         /* exchange, key, properties, inline body */
};

_Static_assert(sizeof(struct record_head) == 12, "the stored head has no padding");
_Static_assert(offsetof(struct record, bytes) == 24, "the stored form is contiguous");

/* What record_new copies; the views are lent during the call. */
struct record_parts {
    struct amqp_bytes exchange; /* at most 255 bytes */
    struct amqp_bytes key;      /* at most 255 bytes */
    struct amqp_bytes props;    /* property flags and values, as props_validate accepts them */
};

/*
 * A record with one reference, which the caller owns, its body still to be filled: *ret_body is the
 * place for body_len bytes, lent until they are written, before the record is shown to anybody.
 * ret_body may be NULL when body_len is 0. NULL, with nothing changed, when a part is longer than
 * said above or body_len is over RECORD_BODY_MAX. Props that do not parse are kept as they are;
 * their flags are then those that could be read.
 */
struct record *record_new(const struct record_parts *parts, size_t body_len, uint8_t **ret_body);

/*
 * The same for a body that comes in pieces, of which perhaps not all come: one that lies in a blob
 * has no room yet, and *ret_body is NULL. It gets room by record_make_room, by the end for all of
 * it. Until then the record is its maker's alone, who asks for nothing of the body.
 */
struct record *record_begin(const struct record_parts *parts, size_t body_len, uint8_t **ret_body);
/* Room for `room` bytes of the body, in which the first `have` are kept. Returns where it lies. */
uint8_t *record_make_room(struct record *r, size_t have, size_t room);

/* One more reference; from any thread that owns one. */
static inline struct record *record_ref(struct record *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

/* Gives n references more at once, as for a message that goes to many queues. */
static inline void record_ref_many(struct record *r, uint32_t n)
{
    atomic_fetch_add_explicit(&r->refs, n, memory_order_relaxed);
}

/* Gives one reference back; the last one frees the record and its blob. NULL is allowed. */
void record_unref(struct record *r);

/* The views are lent as long as the caller holds a reference. */
static inline struct amqp_bytes record_exchange(const struct record *r)
{
    return amqp_bytes(r->bytes, r->head.exchange_len);
}

static inline struct amqp_bytes record_key(const struct record *r)
{
    return amqp_bytes(r->bytes + r->head.exchange_len, r->head.key_len);
}

static inline struct amqp_bytes record_props(const struct record *r)
{
    return amqp_bytes(r->bytes + r->head.exchange_len + r->head.key_len, r->head.props_len);
}

static inline uint32_t record_body_len(const struct record *r)
{
    return r->head.body_len;
}

/* Length of exchange, key and properties: what lies before an inline body. */
static inline size_t record_front_len(const struct record *r)
{
    return (size_t)r->head.exchange_len + r->head.key_len + r->head.props_len;
}

static inline struct amqp_bytes record_body(const struct record *r)
{
    if (r->blob)
        return amqp_bytes(blob_bytes(r->blob), r->head.body_len);
    return amqp_bytes(r->bytes + record_front_len(r), r->head.body_len);
}

static inline bool record_is_persistent(const struct record *r)
{
    return r->head.flags & RECORD_PERSISTENT;
}

static inline bool record_has_expiration(const struct record *r)
{
    return r->head.flags & RECORD_HAS_EXPIRATION;
}

static inline bool record_has_headers(const struct record *r)
{
    return r->head.flags & RECORD_HAS_HEADERS;
}

/* 0 when the publisher set none. */
static inline uint8_t record_priority(const struct record *r)
{
    return r->head.priority;
}

/* The expiration property as it came; an empty view when it is not set. */
struct amqp_bytes record_expiration(const struct record *r);

/* The headers property's table; an empty view when it is not set. */
struct amqp_bytes record_headers(const struct record *r);

/* Bytes of memory that the record and its blob take, without the allocator's own. */
static inline size_t record_memory_size(const struct record *r)
{
    return sizeof(struct record) + record_front_len(r) + r->head.body_len;
}

/* The stored form's length: head, front and body. */
static inline size_t record_stored_size(const struct record *r)
{
    return sizeof(struct record_head) + record_front_len(r) + r->head.body_len;
}

/*
 * The stored form as two lent pieces, so that it can be written from where it lies: the first has
 * all but a body that is in a blob, the second is that body, or empty.
 */
static inline void record_stored_parts(const struct record *r, struct amqp_bytes ret[2])
{
    size_t front = sizeof(struct record_head) + record_front_len(r);

    ret[1] = r->blob ? record_body(r) : amqp_bytes(NULL, 0);
    ret[0] = amqp_bytes(&r->head, r->blob ? front : front + r->head.body_len);
}

/* Writes the stored form, record_stored_size(r) bytes, to out. */
void record_store(const struct record *r, uint8_t *out);

/*
 * A record with one reference, which the caller owns, from its stored form; bytes is lent. NULL
 * when the lengths in it do not add up to len, or its properties do not parse. What the head says
 * of the properties is not believed but read again.
 */
struct record *record_load(const uint8_t *bytes, size_t len);

#endif
