/*
 * text.h - a growing text: how an answer is written piece by piece, so that no turn has to make a
 * large one whole.
 */
#ifndef MGMT_TEXT_H
#define MGMT_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* All zero is the empty text. Its memory is the owner's (text_fini), not the process's. */
struct text {
    char *p; /* not terminated; NULL while nothing was added */
    size_t len, size;
};

void text_fini(struct text *t);
void text_add(struct text *t, const char *bytes, size_t len);
void text_add_str(struct text *t, const char *s);
/* A comma, unless a list or object has just begun or nothing was written. */
void text_add_comma(struct text *t);
/* `value` in its compact form; moved. */
void text_add_json(struct text *t, json_t *value);
/* An object without its closing brace, so that members can follow; moved. */
void text_add_open_object(struct text *t, json_t *value);

#endif
