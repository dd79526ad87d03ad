/*
 * JSON values from names, numbers and field tables.
 */
#include "mgmt/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

static json_t *value_json(const struct ftable_value *v, unsigned depth);

/* The length of the UTF-8 character that `p` begins with; 0: none is there. */
static size_t char_len(const uint8_t *p, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++) {
        if (amqp_is_utf8(amqp_bytes(p, n)))
            return n;
    }
    return 0;
}

/* Three bytes for each one at most. */
static json_t *mended_text(const uint8_t *p, size_t len)
{
    char *out = rt_alloc(3 * len), *at = out;
    json_t *ret;

    for (size_t i = 0; i < len;) {
        size_t n = char_len(p + i, len - i);

        if (n)
            at = (char *)mempcpy(at, p + i, n);
        else
            at = (char *)mempcpy(at, "\xef\xbf\xbd", 3);
        i += n ? n : 1;
    }
    ret = json_stringn_nocheck(out, (size_t)(at - out));
    rt_free(out);
    return ret;
}

json_t *json_text(const void *bytes, size_t len)
{
    RUNTIME_REGION();

    if (amqp_is_utf8(amqp_bytes(bytes, len)))
        return json_stringn_nocheck(len ? bytes : "", len);
    return mended_text(bytes, len);
}

json_t *json_text_str(const char *s)
{
    RUNTIME_REGION();

    return s ? json_text(s, strlen(s)) : json_null();
}

json_t *json_count(uint64_t n)
{
    RUNTIME_REGION();

    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

void json_add(json_t *object, const char *key, json_t *value)
{
    RUNTIME_REGION();

    (void)json_object_set_new(object, key, value);
}

void json_add_text(json_t *object, const char *key, const char *s)
{
    json_add(object, key, json_text_str(s));
}

void json_add_count(json_t *object, const char *key, uint64_t n)
{
    json_add(object, key, json_count(n));
}

void json_add_time(json_t *object, const char *key, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[64], date[32];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text), "%s.%03d+00:00", date, (int)(wall_ms % 1000));
    json_add_text(object, key, text);
}

void json_add_bool(json_t *object, const char *key, bool b)
{
    json_add(object, key, json_boolean(b));
}

void json_append(json_t *array, json_t *value)
{
    RUNTIME_REGION();

    (void)json_array_append_new(array, value);
}

static json_t *real_json(double d)
{
    return isfinite(d) ? json_real(d) : json_null();
}

/* An array, or its beginning if it is damaged or too deep. */
static json_t *array_json(struct amqp_bytes contents, unsigned depth)
{
    struct ftable_iter it = ftable_begin(contents);
    struct ftable_value v;
    json_t *ret = json_array();

    while (depth < FTABLE_MAX_DEPTH && ftable_next_element(&it, &v) == 1)
        (void)json_array_append_new(ret, value_json(&v, depth + 1)); /* a damaged value: left out */
    return ret;
}

/* A key is text too: it is mended in the same way, and ends at a NUL. */
static void object_set(json_t *object, struct amqp_bytes key, json_t *value)
{
    json_t *text = json_text(key.p, key.len);
    const char *p = json_string_value(text);

    if (value && !json_object_get(object, p))
        (void)json_object_set_nocheck(object, p, value); /* it fails only without memory */
    json_decref(text);
    json_decref(value);
}

static json_t *table_json(struct amqp_bytes contents, unsigned depth)
{
    struct ftable_iter it = ftable_begin(contents);
    struct amqp_bytes key;
    struct ftable_value v;
    json_t *ret = json_object();

    while (depth < FTABLE_MAX_DEPTH && ftable_next(&it, &key, &v) == 1)
        object_set(ret, key, value_json(&v, depth + 1));
    return ret;
}

static json_t *value_json(const struct ftable_value *v, unsigned depth)
{
    switch (v->type) {
    case 't':
        return json_boolean(v->b);
    case 'T':
        return json_count(v->seconds);
    case 'f':
    case 'd':
        return real_json(v->d);
    case 'D':
        return real_json((double)v->i / pow(10, v->scale));
    case 'S':
    case 'x':
        return json_text(v->bytes.p, v->bytes.len);
    case 'A':
        return array_json(v->bytes, depth);
    case 'F':
        return table_json(v->bytes, depth);
    default:
        return ftable_is_int(v) ? json_integer(v->i) : json_null();
    }
}

json_t *json_ftable(struct amqp_bytes table)
{
    RUNTIME_REGION();

    return table_json(table, 0);
}

bool json_has_text(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && strcmp(text, value) == 0;
}

json_t *json_keep(json_t *object, bool is_wanted)
{
    if (is_wanted)
        return object;
    json_decref(object);
    return NULL;
}
