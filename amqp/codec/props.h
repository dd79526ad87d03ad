/*
 * Basic properties: the bytes of a content header after the body size, flags and then the values of
 * those that are set. They stay the bytes that they came in; what is asked of them is found by
 * walking. Pure.
 *
 * Flags come in words of 16 bits, and bit 0 says that another word follows. Bits 15 to 2 of the
 * first are the properties below. Bit 1 and all later words stand for properties that nobody has
 * defined: what they might bring with them comes last, and is passed on unread.
 */
#ifndef AMQP_CODEC_PROPS_H
#define AMQP_CODEC_PROPS_H

#include <sys/types.h>

#include "amqp/codec/bytes.h"

/* In the order of the wire; the flag of property n is bit 15 - n. */
enum amqp_prop {
    PROP_CONTENT_TYPE,     /* shortstr */
    PROP_CONTENT_ENCODING, /* shortstr */
    PROP_HEADERS,          /* table */
    PROP_DELIVERY_MODE,    /* octet */
    PROP_PRIORITY,         /* octet */
    PROP_CORRELATION_ID,   /* shortstr */
    PROP_REPLY_TO,         /* shortstr */
    PROP_EXPIRATION,       /* shortstr */
    PROP_MESSAGE_ID,       /* shortstr */
    PROP_TIMESTAMP,        /* longlong */
    PROP_TYPE,             /* shortstr */
    PROP_USER_ID,          /* shortstr */
    PROP_APP_ID,           /* shortstr */
    PROP_CLUSTER_ID,       /* shortstr */
    PROP_COUNT
};

enum { PROPS_EMPTY_LEN = 2, PROPS_TRANSIENT = 1, PROPS_PERSISTENT = 2 /* delivery-mode */ };

/* The flag of a property, for struct amqp_props and the first word on the wire. */
static inline uint16_t prop_flag(enum amqp_prop prop)
{
    return (uint16_t)(0x8000u >> prop);
}

/*
 * All properties, taken apart. Only those whose flag is set count; strings are views lent from
 * where they were decoded. headers is a table's contents.
 */
struct amqp_props {
    uint16_t flags;
    uint8_t delivery_mode;
    uint8_t priority;
    uint64_t timestamp;
    struct amqp_bytes content_type;
    struct amqp_bytes content_encoding;
    struct amqp_bytes headers;
    struct amqp_bytes correlation_id;
    struct amqp_bytes reply_to;
    struct amqp_bytes expiration;
    struct amqp_bytes message_id;
    struct amqp_bytes type;
    struct amqp_bytes user_id;
    struct amqp_bytes app_id;
    struct amqp_bytes cluster_id;
};

/*
 * Whether the flags and the values that they announce fill props exactly, the headers table
 * included: 0, AMQP_ERR_TRUNCATED, AMQP_ERR_TRAILING, or an error of ftable_validate.
 */
int props_validate(struct amqp_bytes props);

/*
 * Where a property's value lies: a string's characters, a table's contents, 1 octet, 8 octets.
 * False when it is not set, or when props is damaged before it.
 */
bool props_find(struct amqp_bytes props, enum amqp_prop prop, struct amqp_bytes *ret);

/* The values asked for most. False, and ret not written, when the property is not set. */
bool props_delivery_mode(struct amqp_bytes props, uint8_t *ret);
bool props_priority(struct amqp_bytes props, uint8_t *ret);
bool props_timestamp(struct amqp_bytes props, uint64_t *ret);

/* The headers table's contents; empty when the property is not set. */
struct amqp_bytes props_headers(struct amqp_bytes props);

/*
 * Reads what an expiration property holds, milliseconds in decimal digits: 0, or
 * AMQP_ERR_WRONG_TYPE when it is empty, has anything but digits, or does not fit into 64 bits.
 */
int props_parse_expiration(struct amqp_bytes expiration, uint64_t *ret_ms);

/*
 * Takes all apart in one walk: 0, AMQP_ERR_TRUNCATED or AMQP_ERR_TRAILING. The headers are not
 * looked into. What undefined flags brought with them is dropped, and so are those flags.
 */
int props_decode(struct amqp_bytes props, struct amqp_props *ret);

/* Bytes that props_encode writes; AMQP_ERR_SHORTSTR when a string is over 255. */
ssize_t props_encoded_size(const struct amqp_props *p);

/* Writes flags and values: how many bytes, AMQP_ERR_NO_ROOM, or AMQP_ERR_SHORTSTR. */
ssize_t props_encode(const struct amqp_props *p, uint8_t *out, size_t cap);

#endif
