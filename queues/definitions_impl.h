/*
 * definitions_impl.h - what the files of definitions share. Nobody else includes it.
 */
#ifndef QUEUES_DEFINITIONS_IMPL_H
#define QUEUES_DEFINITIONS_IMPL_H

#include <jansson.h>

#include "queues/definitions.h"

struct reader {
    struct definitions *to;
    const struct definitions *present; /* NULL: nothing is known of what there is */
    const char *section;
    const char *vhost; /* where all of it goes, whatever it says; NULL: it says so itself */
    size_t at;         /* number of the object in its section */
    bool is_one;       /* it is no list: numbers would tell nobody anything */
    bool is_stored;    /* our own row, taken as it is */
    bool skips;        /* what is of a type that is not here, rather than refuse it */
    char *text;        /* what is wrong, one thing behind the other */
    size_t size, len;  /* of text, and what is written of it */
    size_t n_left_out; /* for which it had no room */
};

/* Says what is wrong, after what was said before; -EINVAL. */
__attribute__((format(printf, 2, 3))) int definition_refuse(struct reader *r, const char *fmt, ...);
/* A member that is a text of least to 255 bytes without NUL. */
int definition_text(struct reader *r, const json_t *o, const char *key, size_t least, char *ret);

/* definitions_topology.c: sections that the registries keep. */
int definition_take_thing(struct reader *r, json_t *o, struct definition *d);
int definition_take_binding(struct reader *r, json_t *o, struct definition *d);
/* Skips the bindings of exchanges and queues that are skipped. */
void definitions_skip_bindings(struct definitions *d);

/* definitions_user.c */
int definition_take_user(struct reader *r, json_t *o, struct definition *d);
/* Limits as RabbitMQ writes them: an object of names and numbers, -1 for none. */
int definition_take_limits(struct reader *r, const json_t *o, struct access_limit *ret);
/* A definition's key: its names as a JSON array, which no name can imitate. Of malloc. */
char *definition_key_of(const char *a, const char *b, const char *c);

/* definitions.c: limits that `to` does not name stay as they are in `was`; null ends one. */
void definition_merge_limits(json_t *to, const json_t *was);

#endif
