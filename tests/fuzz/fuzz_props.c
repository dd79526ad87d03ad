/*
 * The input is the properties of a content header: those that are valid are found within them and
 * encoded again to what is valid and stays the same. It is also taken for a stored record.
 */
#include "amqp/codec/props.h"
#include "amqp/codec/record.h"
#include "tests/fuzz/fuzz.h"

static void check_record(const uint8_t *data, size_t size)
{
    struct record *r = record_load(data, size);
    uint8_t *out;

    if (!r)
        return;
    out = malloc(size);
    MUST(record_stored_size(r) == size);
    record_store(r, out);
    /* The flags and the priority are read again from the properties. */
    MUST(memcmp(out, data, offsetof(struct record_head, flags)) == 0);
    MUST(memcmp(out + offsetof(struct record_head, props_len),
                data + offsetof(struct record_head, props_len),
                size - offsetof(struct record_head, props_len)) == 0);
    (void)record_expiration(r);
    (void)record_headers(r);
    record_unref(r);
    free(out);
}

static void check_encoding(struct amqp_bytes props)
{
    struct amqp_props p, q;
    ssize_t size;
    uint8_t *once, *twice;

    MUST(props_decode(props, &p) == 0);
    size = props_encoded_size(&p);
    MUST(size >= PROPS_EMPTY_LEN && (size_t)size <= props.len);
    once = malloc((size_t)size);
    twice = malloc((size_t)size);
    MUST(props_encode(&p, once, (size_t)size) == size);
    MUST(props_validate(amqp_bytes(once, (size_t)size)) == 0);
    MUST(props_decode(amqp_bytes(once, (size_t)size), &q) == 0);
    MUST(props_encode(&q, twice, (size_t)size) == size);
    MUST(memcmp(once, twice, (size_t)size) == 0);
    /* Nothing was dropped but undefined flags and what they bring. */
    if (!(props.p[1] & 3))
        MUST((size_t)size == props.len && memcmp(once, props.p, props.len) == 0);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amqp_bytes props = amqp_bytes(data, size), v;

    check_record(data, size);
    for (unsigned i = 0; i < PROP_COUNT; i++)
        if (props_find(props, i, &v))
            MUST(v.p >= data + 2 && v.p + v.len <= data + size);
    if (props_validate(props) == 0)
        check_encoding(props);
    return 0;
}
