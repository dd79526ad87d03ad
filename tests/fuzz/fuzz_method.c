/*
 * The input is a method frame's payload. What is accepted has its exact length, is encoded to a
 * frame of that length, and what that gives is accepted and encoded to the same bytes: only unused
 * bits may differ from the input.
 */
#include "amqp/codec/frame.h"
#include "amqp/codec/methods.h"
#include "tests/fuzz/fuzz.h"

/* Whether bytes that differ can do so only in bits that no argument uses. */
static bool is_same_but_bits(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t differ = 0;

    for (size_t i = 0; i < len; i++)
        differ += a[i] != b[i];
    return differ <= 1; /* no method has more than one octet of bits */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amqp_method m, n;
    uint8_t *once, *twice;
    size_t frame = size + AMQP_FRAME_OVERHEAD;

    if (amqp_method_decode(amqp_bytes(data, size), &m) < 0)
        return 0;
    MUST(amqp_method_peek(amqp_bytes(data, size)) == m.id);
    MUST(amqp_method_desc(m.id) != NULL);
    MUST(amqp_method_encoded_size(&m) == (ssize_t)frame);
    once = malloc(frame);
    twice = malloc(frame);
    MUST(amqp_method_encode(&m, 1, once, frame - 1) == AMQP_ERR_NO_ROOM);
    MUST(amqp_method_encode(&m, 1, once, frame) == (ssize_t)frame);
    MUST(is_same_but_bits(once + AMQP_FRAME_HEAD_LEN, data, size));
    MUST(amqp_method_decode(amqp_bytes(once + AMQP_FRAME_HEAD_LEN, size), &n) == 0);
    MUST(amqp_method_encode(&n, 1, twice, frame) == (ssize_t)frame);
    MUST(memcmp(once, twice, frame) == 0);
    free(once);
    free(twice);
    return 0;
}
