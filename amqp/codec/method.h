/*
 * Methods: decoding and encoding any method of AMQP 0-9-1 and RabbitMQ's extensions. Pure.
 *
 * The structs are made of amqp.def: include "amqp/codec/methods.h" (which includes this file) for
 * AMQP_QUEUE_DECLARE, struct amqp_queue_declare and struct amqp_method. Strings and tables in them
 * are lent views of the input; a table's bytes are only looked at when somebody asks for what is in
 * them (table.h), so decoding a method costs a few comparisons.
 */
#ifndef AMQP_CODEC_METHOD_H
#define AMQP_CODEC_METHOD_H

#include <sys/types.h>

#include "amqp/codec/bytes.h"

struct amqp_method;

enum amqp_method_flags {
    AMQP_BY_CLIENT = 1, /* a client may send it */
    AMQP_BY_SERVER = 2, /* a server may send it */
    AMQP_SYNC = 4,      /* its sender waits for an answer, unless it says nowait */
    AMQP_CONTENT = 8,   /* a content header and body follow it */
};

enum amqp_field_type {
    AMQP_FIELD_OCTET,
    AMQP_FIELD_SHORT,
    AMQP_FIELD_LONG,
    AMQP_FIELD_LONGLONG,
    AMQP_FIELD_SHORTSTR,
    AMQP_FIELD_LONGSTR,
    AMQP_FIELD_TABLE,
    AMQP_FIELD_BIT,
};

/* One argument: for tracing, and for tests that try every method there is. */
struct amqp_field {
    const char *name;
    enum amqp_field_type type;
    size_t offset; /* in struct amqp_method */
};

struct amqp_method_desc {
    uint32_t id;
    const char *name; /* "queue.declare" */
    unsigned flags;   /* enum amqp_method_flags */
    unsigned n_fields;
    const struct amqp_field *fields; /* in the order of the wire */
};

static inline uint16_t amqp_class_of(uint32_t id)
{
    return (uint16_t)(id >> 16);
}

static inline uint16_t amqp_number_of(uint32_t id)
{
    return (uint16_t)id;
}

/*
 * The id at the head of a method frame's payload, whether or not it is known; 0 when the payload is
 * shorter than an id. For the class and method of a close frame that complains of the rest.
 */
uint32_t amqp_method_peek(struct amqp_bytes payload);

/*
 * Decodes a method frame's payload. 0, or AMQP_ERR_TRUNCATED, AMQP_ERR_TRAILING,
 * AMQP_ERR_UNKNOWN_CLASS, AMQP_ERR_UNKNOWN_METHOD, AMQP_ERR_SHORTSTR (not UTF-8; methods that carry
 * content are not checked for it). Views in *ret are lent from the payload. After an error the
 * contents of *ret are undefined.
 */
int amqp_method_decode(struct amqp_bytes payload, struct amqp_method *ret);

/*
 * Octets of the whole method frame, head and end included; AMQP_ERR_SHORTSTR when a short string
 * has over 255 bytes, AMQP_ERR_UNKNOWN_METHOD when there is no such id.
 */
ssize_t amqp_method_encoded_size(const struct amqp_method *m);

/*
 * Writes the whole method frame to out, which has room for cap octets: its size, AMQP_ERR_NO_ROOM
 * with nothing written, or an error of amqp_method_encoded_size. Method frames are not held against
 * frame-max, as they cannot be split.
 */
ssize_t amqp_method_encode(const struct amqp_method *m, uint16_t channel, uint8_t *out, size_t cap);

/* What is known of a method; NULL for an unknown id. Static. */
const struct amqp_method_desc *amqp_method_desc(uint32_t id);

/* The i-th method of the table, i < AMQP_N_METHODS. */
const struct amqp_method_desc *amqp_method_desc_at(size_t i);

/* "queue.declare"; "unknown" for an unknown id. Static, never NULL. */
const char *amqp_method_name(uint32_t id);

/* Whether content frames follow the method. False for an unknown id. */
bool amqp_method_has_content(uint32_t id);

/* Whether a client may send the method. False for an unknown id. */
bool amqp_method_is_from_client(uint32_t id);

/* "NOT_FOUND" for 404; "UNKNOWN" for what is no reply code. Static, never NULL. */
const char *amqp_code_name(uint16_t code);

/* Whether the code closes the connection and not only the channel; true for an unknown code. */
bool amqp_code_is_hard(uint16_t code);

#endif
