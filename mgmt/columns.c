/*
 * Choosing members of JSON objects.
 */
#include "mgmt/columns.h"

#include <string.h>

#include "broker/runtime/region.h"

const json_t *columns_get(const json_t *value, const char *dotted)
{
    RUNTIME_REGION();

    while (value) {
        size_t n = strcspn(dotted, ".");

        value = json_object_getn(value, dotted, n);
        if (!dotted[n])
            return value;
        dotted += n + 1;
    }
    return NULL;
}

/* The object that is this member, made when missing; NULL: something else is. Lent. */
static json_t *open_member(json_t *to, const char *key, size_t len)
{
    json_t *ret = json_object_getn(to, key, len);

    if (ret)
        return json_is_object(ret) ? ret : NULL;
    ret = json_object();
    (void)json_object_setn_new_nocheck(to, key, len, ret); /* fails only without memory */
    return ret;
}

/* Copies the member "a.b" (of `len` bytes) of `from`, which need not be there. */
static void copy_column(json_t *to, const json_t *from, const char *dotted, size_t len)
{
    const char *end = dotted + len;

    while (from && to) {
        const char *dot = memchr(dotted, '.', (size_t)(end - dotted));
        size_t n = (size_t)((dot ? dot : end) - dotted);
        json_t *member = json_object_getn(from, dotted, n);

        if (!member)
            return;
        if (!dot) {
            (void)json_object_setn_nocheck(to, dotted, n, member); /* as above */
            return;
        }
        if (!json_is_object(member))
            return;
        to = open_member(to, dotted, n);
        from = member;
        dotted = dot + 1;
    }
}

static json_t *pick_of_object(const json_t *value, const char *columns)
{
    json_t *ret = json_object();

    while (*columns) {
        size_t n = strcspn(columns, ",");

        copy_column(ret, value, columns, n);
        columns += n + (columns[n] == ',');
    }
    return ret;
}

json_t *columns_pick(json_t *value, const char *columns)
{
    RUNTIME_REGION();
    json_t *ret;

    if (json_is_object(value)) {
        ret = pick_of_object(value, columns);
    } else if (json_is_array(value)) {
        ret = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_t *one = json_array_get(value, i);

            (void)json_array_append_new(ret, json_is_object(one) ? pick_of_object(one, columns)
                                                                 : json_incref(one));
        }
    } else {
        return value;
    }
    json_decref(value);
    return ret;
}
