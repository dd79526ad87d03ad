/*
 * settings.h - what the node has been told: users, vhosts, permissions, policies, parameters, as
 * the JSON objects that definitions hold, in shared tables.
 *
 * node writes them once they are durable; everybody reads them in place. What the checks of access
 * need of them stands in access.h; this is for who shows them.
 */
#ifndef QUEUES_SETTINGS_H
#define QUEUES_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct setting { /* immutable; valid until the handler returns */
    size_t len;
    char text[]; /* JSON, NUL-terminated; of a user also the hash of the password */
};

/* One of a section ("users") by its names (b and c may be NULL); NULL: there is none. */
const struct setting *settings_get(const char *section, const char *a, const char *b,
                                   const char *c);
/* Calls fn for each of a section, in no order. */
void settings_each(const char *section, void (*fn)(void *ctx, const struct setting *s), void *ctx);
size_t settings_count(const char *section);

/* From the node process alone. `key` as struct definition has it. */
void settings_put(const char *section, const char *key, const char *text);
void settings_del(const char *section, const char *key);
/* Takes out all of a section that `is_there` does not know. */
void settings_sweep(const char *section, bool (*is_there)(void *ctx, const char *key), void *ctx);

#endif
