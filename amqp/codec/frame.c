#include "amqp/codec/frame.h"

const uint8_t amqp_protocol_header[AMQP_PROTOCOL_HEADER_LEN] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

static bool is_http(const uint8_t *buf)
{
    static const char *const verbs[] = {"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS "};

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (memcmp(buf, verbs[i], strlen(verbs[i])) == 0)
            return true;
    return false;
}

enum amqp_protocol frame_check_protocol(const uint8_t *buf, size_t len)
{
    static const uint8_t amqp_0_9[] = {'A', 'M', 'Q', 'P', 1, 1, 0, 9};

    if (len < AMQP_PROTOCOL_HEADER_LEN)
        return AMQP_PROTO_NEED_MORE;
    if (memcmp(buf, amqp_protocol_header, AMQP_PROTOCOL_HEADER_LEN) == 0)
        return AMQP_PROTO_0_9_1;
    if (memcmp(buf, amqp_0_9, sizeof(amqp_0_9)) == 0)
        return AMQP_PROTO_0_9;
    if (memcmp(buf, amqp_protocol_header, 4) == 0)
        return AMQP_PROTO_OTHER;
    /* A TLS record of type handshake, version 3.x, as every hello begins. */
    if (buf[0] == 0x16 && buf[1] == 0x03)
        return AMQP_PROTO_TLS;
    return is_http(buf) ? AMQP_PROTO_HTTP : AMQP_PROTO_UNKNOWN;
}

int frame_parse_head(const uint8_t *buf, size_t len, uint32_t max_frame,
                     struct amqp_frame_head *ret)
{
    struct amqp_frame_head h;

    if (len < AMQP_FRAME_HEAD_LEN)
        return 0;
    h.type = buf[0];
    h.channel = get_u16(buf + 1);
    h.size = get_u32(buf + 3);
    if (h.type == AMQP_FRAME_HEARTBEAT) {
        if (h.channel != 0)
            return AMQP_ERR_HEARTBEAT_CHANNEL;
        if (h.size != 0)
            return AMQP_ERR_HEARTBEAT_PAYLOAD;
    } else if (h.type < AMQP_FRAME_METHOD || h.type > AMQP_FRAME_BODY) {
        return AMQP_ERR_FRAME_TYPE;
    }
    if (max_frame && h.size > max_frame)
        return AMQP_ERR_FRAME_TOO_LARGE;
    *ret = h;
    return AMQP_FRAME_HEAD_LEN;
}

ssize_t frame_parse(const uint8_t *buf, size_t len, uint32_t max_frame, struct amqp_frame *ret)
{
    struct amqp_frame_head h;
    int r = frame_parse_head(buf, len, max_frame, &h);

    if (r <= 0)
        return r;
    if (len - AMQP_FRAME_HEAD_LEN <= h.size)
        return 0;
    if (buf[AMQP_FRAME_HEAD_LEN + (size_t)h.size] != AMQP_FRAME_END)
        return AMQP_ERR_FRAME_END;
    ret->type = h.type;
    ret->channel = h.channel;
    ret->payload = amqp_bytes(buf + AMQP_FRAME_HEAD_LEN, h.size);
    return (ssize_t)h.size + AMQP_FRAME_OVERHEAD;
}

int content_header_parse(struct amqp_bytes payload, struct amqp_content_header *ret)
{
    if (payload.len < AMQP_CONTENT_HEAD_LEN + 2)
        return AMQP_ERR_TRUNCATED;
    if (get_u16(payload.p + 2) != 0)
        return AMQP_ERR_HEADER_WEIGHT;
    ret->class_id = get_u16(payload.p);
    ret->body_size = get_u64(payload.p + 4);
    ret->props = amqp_bytes(payload.p + AMQP_CONTENT_HEAD_LEN, payload.len - AMQP_CONTENT_HEAD_LEN);
    return 0;
}

uint8_t *content_put_prefix(uint8_t *out, uint16_t channel, const struct amqp_content_header *h)
{
    out = frame_put_head(out, AMQP_FRAME_HEADER, channel, AMQP_CONTENT_HEAD_LEN + h->props.len);
    out = put_u16(out, h->class_id);
    out = put_u16(out, 0);
    return put_u64(out, h->body_size);
}

uint8_t *content_put_header_frame(uint8_t *out, uint16_t channel,
                                  const struct amqp_content_header *h)
{
    return frame_put_end(put_bytes(content_put_prefix(out, channel, h), h->props));
}
