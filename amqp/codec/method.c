/*
 * The part of method coding that is the same for every method: finding it, the frame around it, the
 * check that nothing is left over. What differs is generated.
 */
#include "amqp/codec/method.h"

#include "amqp/codec/frame.h"
#include "amqp/codec/method_impl.h"

enum { ID_LEN = 4 };

static int find_method(uint32_t id, const struct amqp_method_impl **ret)
{
    uint16_t class_id = amqp_class_of(id);
    uint16_t number = amqp_number_of(id);
    uint8_t place;

    if (class_id > AMQP_MAX_CLASS || !amqp_class_rows[class_id])
        return AMQP_ERR_UNKNOWN_CLASS;
    if (number > AMQP_MAX_METHOD)
        return AMQP_ERR_UNKNOWN_METHOD;
    place = amqp_method_places[amqp_class_rows[class_id] - 1][number];
    if (!place)
        return AMQP_ERR_UNKNOWN_METHOD;
    *ret = &amqp_methods[place - 1];
    return 0;
}

uint32_t amqp_method_peek(struct amqp_bytes payload)
{
    return payload.len < ID_LEN ? 0 : get_u32(payload.p);
}

int amqp_method_decode(struct amqp_bytes payload, struct amqp_method *ret)
{
    const struct amqp_method_impl *impl;
    struct amqp_in in = in_over(payload);
    int r;

    if (!in_u32(&in, &ret->id))
        return AMQP_ERR_TRUNCATED;
    r = find_method(ret->id, &impl);
    if (r < 0)
        return r;
    if (impl->decode) {
        r = impl->decode(&in, ret);
        if (r < 0)
            return r;
    }
    return in_left(&in) ? AMQP_ERR_TRAILING : 0;
}

static ssize_t frame_size(const struct amqp_method_impl *impl, const struct amqp_method *m)
{
    ssize_t args = impl->size ? impl->size(m) : 0;

    return args < 0 ? args : args + AMQP_FRAME_OVERHEAD + ID_LEN;
}

ssize_t amqp_method_encoded_size(const struct amqp_method *m)
{
    const struct amqp_method_impl *impl;

    if (find_method(m->id, &impl) < 0)
        return AMQP_ERR_UNKNOWN_METHOD;
    return frame_size(impl, m);
}

ssize_t amqp_method_encode(const struct amqp_method *m, uint16_t channel, uint8_t *out, size_t cap)
{
    const struct amqp_method_impl *impl;
    ssize_t size;
    uint8_t *p;

    if (find_method(m->id, &impl) < 0)
        return AMQP_ERR_UNKNOWN_METHOD;
    size = frame_size(impl, m);
    if (size < 0)
        return size;
    if ((size_t)size > cap)
        return AMQP_ERR_NO_ROOM;
    p = frame_put_head(out, AMQP_FRAME_METHOD, channel, (uint32_t)(size - AMQP_FRAME_OVERHEAD));
    p = put_u32(p, m->id);
    if (impl->encode)
        p = impl->encode(p, m);
    (void)frame_put_end(p); /* the size was computed before */
    return size;
}

const struct amqp_method_desc *amqp_method_desc(uint32_t id)
{
    const struct amqp_method_impl *impl;

    return find_method(id, &impl) < 0 ? NULL : &impl->desc;
}

const struct amqp_method_desc *amqp_method_desc_at(size_t i)
{
    return i < AMQP_N_METHODS ? &amqp_methods[i].desc : NULL;
}

const char *amqp_method_name(uint32_t id)
{
    const struct amqp_method_desc *d = amqp_method_desc(id);

    return d ? d->name : "unknown";
}

bool amqp_method_has_content(uint32_t id)
{
    const struct amqp_method_desc *d = amqp_method_desc(id);

    return d && d->flags & AMQP_CONTENT;
}

bool amqp_method_is_from_client(uint32_t id)
{
    const struct amqp_method_desc *d = amqp_method_desc(id);

    return d && d->flags & AMQP_BY_CLIENT;
}

static const struct amqp_code_info *find_code(uint16_t code)
{
    for (size_t i = 0; i < amqp_n_codes; i++)
        if (amqp_codes[i].code == code)
            return &amqp_codes[i];
    return NULL;
}

const char *amqp_code_name(uint16_t code)
{
    const struct amqp_code_info *info = find_code(code);

    return info ? info->name : "UNKNOWN";
}

bool amqp_code_is_hard(uint16_t code)
{
    const struct amqp_code_info *info = find_code(code);

    return !info || info->is_hard;
}
