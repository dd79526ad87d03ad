/*
 * definitions.h - RabbitMQ's definitions as JSON, taken apart. Plain code; any thread, may block on
 * the file.
 *
 * A definition is one object of such a file: it has the name of its section ("users"), a key that
 * tells it apart within its section, its JSON text (what is stored; a plain password is replaced by
 * its hash), and what it means.
 */
#ifndef QUEUES_DEFINITIONS_H
#define QUEUES_DEFINITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/access.h"

enum definition_kind {
    DEFINITION_FACT,     /* vhosts, users, permissions, topic_permissions */
    DEFINITION_OTHER,    /* kept, and means nothing yet */
    DEFINITION_EXCHANGE, /* topology is the registry's: not stored here */
    DEFINITION_QUEUE,
    DEFINITION_BINDING,
};

struct definition {
    enum definition_kind kind;
    const char *section;     /* static */
    char *key, *text;        /* owned; NULL for topology */
    struct access_fact fact; /* FACT; its patterns are owned */
    /* Topology */
    char vhost[256], name[256], type[256]; /* binding: name is the source's */
    char dest[256], routing_key[256];
    bool durable, auto_delete, internal, to_exchange;
    uint8_t *args; /* field table bytes, owned; NULL: empty */
    size_t args_len;
};

struct definitions {
    struct definition *v;
    size_t n, room;
};

void definitions_fini(struct definitions *d);

/*
 * Reads a file. 0, -errno when it cannot be read, or -EINVAL with a line in ret_text: no JSON, or a
 * definition that cannot be (then nothing of the file is taken).
 */
int definitions_read(const char *path, struct definitions *ret, char *ret_text, size_t size);
/* Adds what one stored object of a section means. As above; -ENOENT: no such section. */
int definitions_add(struct definitions *d, const char *section, const char *text, size_t len,
                    char *ret_text, size_t size);
/* Adds a first vhost, and a first user who may do everything there. */
void definitions_add_default(struct definitions *d, bool vhost, bool user, uint32_t salt);

#endif
