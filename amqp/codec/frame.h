/*
 * Frames: finding them in a stream of bytes, and writing their ends. Content headers too. Pure.
 *
 *   frame          = type:u8 channel:u16 size:u32 payload[size] 0xCE
 *   content header = class:u16 weight:u16 body-size:u64 property-flags property-values
 */
#ifndef AMQP_CODEC_FRAME_H
#define AMQP_CODEC_FRAME_H

#include <sys/types.h>

#include "amqp/codec/bytes.h"

enum {
    AMQP_FRAME_METHOD = 1,
    AMQP_FRAME_HEADER = 2,
    AMQP_FRAME_BODY = 3,
    AMQP_FRAME_HEARTBEAT = 8,

    AMQP_FRAME_END = 0xCE,
    AMQP_FRAME_HEAD_LEN = 7,    /* before the payload */
    AMQP_FRAME_OVERHEAD = 8,    /* that and the end octet */
    AMQP_FRAME_MIN_MAX = 4096,  /* the least frame-max that may be negotiated */
    AMQP_CONTENT_HEAD_LEN = 12, /* of a content header before its property flags */
    AMQP_PROTOCOL_HEADER_LEN = 8,
};

/* "AMQP" 0 0 9 1, as a client sends it and as a server answers any other. */
extern const uint8_t amqp_protocol_header[AMQP_PROTOCOL_HEADER_LEN];

/* What the first bytes of a connection are. */
enum amqp_protocol {
    AMQP_PROTO_NEED_MORE, /* fewer than 8 bytes so far */
    AMQP_PROTO_0_9_1,
    AMQP_PROTO_0_9,     /* "AMQP" 1 1 0 9: served as 0-9-1 */
    AMQP_PROTO_OTHER,   /* some other version of AMQP */
    AMQP_PROTO_TLS,     /* a TLS hello on a plain port */
    AMQP_PROTO_HTTP,    /* an HTTP request */
    AMQP_PROTO_UNKNOWN, /* none of these */
};

/* Looks at the first len bytes of a connection; len may be 0. */
enum amqp_protocol frame_check_protocol(const uint8_t *buf, size_t len);

/* One frame; payload is lent from the buffer that was parsed. */
struct amqp_frame {
    uint8_t type;
    uint16_t channel;
    struct amqp_bytes payload;
};

/* What a frame's first seven octets say. */
struct amqp_frame_head {
    uint8_t type;
    uint16_t channel;
    uint32_t size; /* of the payload */
};

/*
 * Reads a frame's head: AMQP_FRAME_HEAD_LEN when it is there and may be, 0 when len is too short to
 * say, or AMQP_ERR_FRAME_TYPE, AMQP_ERR_FRAME_TOO_LARGE (size > max_frame; 0 means no limit),
 * AMQP_ERR_HEARTBEAT_PAYLOAD, AMQP_ERR_HEARTBEAT_CHANNEL. For a reader that takes a body's payload
 * to a place of its own and checks the end octet itself.
 *
 * max_frame is held against the payload alone, eight more than the protocol's words give, because
 * that is what RabbitMQ does and clients have come to rely on.
 */
int frame_parse_head(const uint8_t *buf, size_t len, uint32_t max_frame,
                     struct amqp_frame_head *ret);

/*
 * Finds the first frame of buf: its whole length (at least 8) when it is there, 0 when more bytes
 * are needed, or an error of frame_parse_head or AMQP_ERR_FRAME_END. An error in the head is told
 * as soon as the head is there. ret is written only when a frame is found.
 */
ssize_t frame_parse(const uint8_t *buf, size_t len, uint32_t max_frame, struct amqp_frame *ret);

/* Writes the seven octets before a payload of size bytes; returns the place after them. */
static inline uint8_t *frame_put_head(uint8_t *out, uint8_t type, uint16_t channel, uint32_t size)
{
    return put_u32(put_u16(put_u8(out, type), channel), size);
}

/* Writes the end octet; returns the place after it. */
static inline uint8_t *frame_put_end(uint8_t *out)
{
    return put_u8(out, AMQP_FRAME_END);
}

/* Writes a whole heartbeat frame, AMQP_FRAME_OVERHEAD octets; returns the place after it. */
static inline uint8_t *frame_put_heartbeat(uint8_t *out)
{
    return frame_put_end(frame_put_head(out, AMQP_FRAME_HEARTBEAT, 0, 0));
}

/* A content header; props (flags and values, not yet validated) is lent from the payload. */
struct amqp_content_header {
    uint16_t class_id;
    uint64_t body_size;
    struct amqp_bytes props;
};

/*
 * Reads a header frame's payload: 0, AMQP_ERR_TRUNCATED or AMQP_ERR_HEADER_WEIGHT. The class and
 * the properties are left for the caller to check (props_validate).
 */
int content_header_parse(struct amqp_bytes payload, struct amqp_content_header *ret);

enum { CONTENT_PREFIX_LEN = AMQP_FRAME_HEAD_LEN + AMQP_CONTENT_HEAD_LEN };

/*
 * Writes the CONTENT_PREFIX_LEN octets of a header frame that come before props_len bytes of
 * properties and the end octet; for a gathered write that takes the properties from where they lie.
 * Returns the place after them.
 */
uint8_t *content_put_prefix(uint8_t *out, uint16_t channel, const struct amqp_content_header *h);

/* Length of a whole header frame. */
static inline size_t content_header_frame_size(const struct amqp_content_header *h)
{
    return CONTENT_PREFIX_LEN + (size_t)h->props.len + 1;
}

/* Writes a header frame of content_header_frame_size(h) octets; returns the place after it. */
uint8_t *content_put_header_frame(uint8_t *out, uint16_t channel,
                                  const struct amqp_content_header *h);

#endif
