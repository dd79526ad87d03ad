/*
 * A growing text.
 */
#include "mgmt/text.h"

#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

void text_fini(struct text *t)
{
    for (size_t i = 0; i < t->n_full; i++)
        rt_free(t->full[i].p);
    rt_free(t->full);
    rt_free(t->p);
    *t = (struct text){0};
}

struct text text_take(struct text *t)
{
    struct text ret = *t;

    *t = (struct text){.last = ret.last};
    return ret;
}

/* The piece that is written counts as full, and the next one begins. */
static void begin_piece(struct text *t)
{
    if (!(t->n_full & (t->n_full - 1))) /* room for the next power of two */
        t->full = rt_realloc(t->full, (t->n_full ? 2 * t->n_full : 1) * sizeof(*t->full));
    t->full[t->n_full++] = (struct text_piece){t->p, t->len};
    t->full_len += t->len;
    t->p = NULL;
    t->len = t->size = 0;
}

static void make_room(struct text *t, size_t more)
{
    if (t->len >= TEXT_PIECE)
        begin_piece(t);
    if (t->size - t->len >= more)
        return;
    t->size = (t->len + more) * 2;
    t->p = rt_realloc(t->p, t->size);
}

void text_add(struct text *t, const char *bytes, size_t len)
{
    if (!len)
        return;
    make_room(t, len);
    memcpy(t->p + t->len, bytes, len);
    t->len += len;
    t->last = bytes[len - 1];
}

void text_add_str(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_add_comma(struct text *t)
{
    if (t->last && t->last != '[' && t->last != '{')
        text_add(t, ",", 1);
}

/* Angle brackets stand in strings only, and so can be written in a way that no browser reads. */
static int add_chunk(const char *bytes, size_t len, void *t)
{
    for (size_t i = 0; i < len;) {
        size_t n = 0;

        while (i + n < len && bytes[i + n] != '<' && bytes[i + n] != '>')
            n++;
        text_add(t, bytes + i, n);
        i += n;
        if (i < len)
            text_add(t, bytes[i++] == '<' ? "\\u003c" : "\\u003e", 6);
    }
    return 0;
}

void text_add_json(struct text *t, json_t *value)
{
    RUNTIME_REGION();

    /* It fails only for what is no JSON value at all: such a member shows as null. */
    if (json_dump_callback(value, add_chunk, t, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
        text_add_str(t, "null");
    json_decref(value);
}

void text_add_open_object(struct text *t, json_t *value)
{
    text_add_json(t, value);
    t->len--;
    t->last = t->p[t->len - 1];
}
