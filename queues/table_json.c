/*
 * Field tables from JSON objects.
 */
#include "queues/table_json.h"

#include "amqp/codec/table.h"

static void put_value(struct ftable_builder *b, const char *key, const json_t *v)
{
    const char *name;
    json_t *inner;
    size_t i;

    if (b->error)
        return; /* also what is too deep is not gone through */
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        ftable_open_table(b, key);
        json_object_foreach((json_t *)(uintptr_t)v, name, inner)
            put_value(b, name, inner);
        ftable_end(b);
        break;
    case JSON_ARRAY:
        ftable_open_array(b, key);
        json_array_foreach(v, i, inner)
            put_value(b, NULL, inner);
        ftable_end(b);
        break;
    case JSON_STRING:
        ftable_put_bytes(b, key, amqp_bytes(json_string_value(v), json_string_length(v)));
        break;
    case JSON_INTEGER:
        ftable_put_int(b, key, json_integer_value(v));
        break;
    case JSON_REAL:
        ftable_put_double(b, key, json_real_value(v));
        break;
    case JSON_NULL:
        ftable_put_void(b, key);
        break;
    default:
        ftable_put_bool(b, key, json_is_true(v));
        break;
    }
}

ssize_t table_of_json(const json_t *object, uint8_t *buf, size_t cap)
{
    struct ftable_builder b;
    struct amqp_bytes bytes;
    const char *key;
    json_t *v;
    int r;

    ftable_build(&b, buf, cap);
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
        put_value(&b, key, v);
    r = ftable_finish(&b, &bytes);
    if (b.len > FTABLE_MAX_SIZE)
        return AMQP_ERR_TABLE_SIZE;
    return r < 0 && r != AMQP_ERR_NO_ROOM ? r : (ssize_t)b.len;
}
