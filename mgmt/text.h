/*
 * text.h - a growing text: how an answer is written piece by piece, so that no turn has to make a
 * large one whole, or to copy it.
 */
#ifndef MGMT_TEXT_H
#define MGMT_TEXT_H

#include <jansson.h>
#include <stddef.h>

enum { TEXT_PIECE = 256 * 1024 };

struct text_piece {
    char *p; /* of rt_alloc */
    size_t len;
};

/* All zero is the empty text. Its memory is the owner's (text_fini), not the process's. */
struct text {
    char *p; /* the piece that is written; not terminated; NULL while it is empty */
    size_t len, size;
    char last;               /* byte that was written, also when it has been taken away */
    struct text_piece *full; /* those before it, in order; none unless over TEXT_PIECE */
    size_t n_full, full_len; /* full_len: bytes in all of them */
};

void text_fini(struct text *t);
/* Moves what is written so far; the rest is written as if it were still there. */
struct text text_take(struct text *t);
void text_add(struct text *t, const char *bytes, size_t len);
void text_add_str(struct text *t, const char *s);
/* A comma, unless a list or object has just begun or nothing was written. */
void text_add_comma(struct text *t);
/* `value` in its compact form, < and > as \u003c and \u003e; moved. */
void text_add_json(struct text *t, json_t *value);
/* An object without its closing brace, so that members can follow; moved. */
void text_add_open_object(struct text *t, json_t *value);

static inline size_t text_len(const struct text *t)
{
    return t->full_len + t->len;
}

#endif
