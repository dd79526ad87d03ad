/*
 * The input is a stream of frames. Whatever is found lies within it, is found again when the stream
 * comes octet by octet, and is written the same; content headers too. The first octet picks
 * frame-max.
 */
#include "amqp/codec/frame.h"
#include "tests/fuzz/fuzz.h"

static void check_header(const struct amqp_frame *f)
{
    struct amqp_content_header h;
    uint8_t *out;

    if (content_header_parse(f->payload, &h) < 0)
        return;
    out = malloc(content_header_frame_size(&h));
    MUST(content_put_header_frame(out, f->channel, &h) == out + content_header_frame_size(&h));
    MUST(out[0] == AMQP_FRAME_HEADER);
    MUST(memcmp(out + 1, f->payload.p - 6, 6 + (size_t)f->payload.len + 1) == 0);
    free(out);
}

static void check_frame(const uint8_t *at, size_t len, uint32_t max_frame,
                        const struct amqp_frame *f)
{
    uint8_t head[AMQP_FRAME_HEAD_LEN];
    struct amqp_frame g;

    MUST(f->payload.p == at + AMQP_FRAME_HEAD_LEN);
    MUST(!max_frame || f->payload.len <= max_frame);
    MUST(frame_put_head(head, f->type, f->channel, f->payload.len) == head + sizeof(head));
    MUST(memcmp(head, at, sizeof(head)) == 0);
    for (size_t part = 0; part < len; part++)
        MUST(frame_parse(at, part, max_frame, &g) == 0);
    if (f->type == AMQP_FRAME_HEADER)
        check_header(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t max_frame = size ? data[0] : 0;
    size_t at = size ? 1 : 0;
    struct amqp_frame f;
    ssize_t r;

    (void)frame_check_protocol(data, size); /* for its reads only */
    while ((r = frame_parse(data + at, size - at, max_frame, &f)) > 0) {
        MUST((size_t)r <= size - at);
        MUST((size_t)r == AMQP_FRAME_OVERHEAD + (size_t)f.payload.len);
        check_frame(data + at, (size_t)r, max_frame, &f);
        at += (size_t)r;
    }
    return 0;
}
