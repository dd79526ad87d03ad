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
    DEFINITION_OTHER,    /* policies and parameters */
    DEFINITION_GONE,     /* a vhost that is being deleted: nobody is told of it */
    DEFINITION_EXCHANGE, /* topology is the registry's: not stored here */
    DEFINITION_QUEUE,
    DEFINITION_BINDING,
    DEFINITION_SKIPPED, /* topology that is left out, `why` says for what reason */
    DEFINITION_NONE,    /* was moved away */
};

/* The member of a stored vhost that says so. */
#define DEFINITION_GONE_MARK "warren_gone"

enum definition_policy { DEFINITION_NO_POLICY, DEFINITION_POLICY, DEFINITION_OPERATOR_POLICY };

struct definition {
    enum definition_kind kind;
    const char *section;           /* static */
    char *key, *text;              /* owned; NULL for topology */
    struct access_fact fact;       /* FACT; its patterns are owned */
    bool is_protected;             /* a vhost that may not be deleted */
    enum definition_policy policy; /* OTHER */
    /* Of policies and parameters: vhost (empty: none), name. The rest is topology's. */
    char vhost[256], name[256], type[256]; /* binding: name is the source's */
    char dest[256], routing_key[256];
    bool durable, auto_delete, internal, to_exchange;
    uint8_t *args; /* field table bytes, owned; NULL: empty */
    size_t args_len;
    char *why; /* SKIPPED; owned */
};

struct definitions {
    struct definition *v;
    size_t n, room;
};

void definitions_fini(struct definitions *d);

/*
 * Reads a file. 0, -errno when it cannot be read, or -EINVAL with a line in ret_text: no JSON, or
 * all definitions that cannot be, as far as there is room for them (then nothing of the file is
 * taken). `present` is what is stored now (NULL: nothing): of users, vhosts and limits, what the
 * file does not say stays as it is there. Names of the broker's own ("amq.") are skipped.
 */
int definitions_read(const char *path, const struct definitions *present, struct definitions *ret,
                     char *ret_text, size_t size);

struct definitions_text { /* lent */
    const char *text;
    size_t len;
    const char *vhost; /* all of it goes there, and what has no vhost is left out; NULL: no */
    bool skips;        /* queues and exchanges of types that are not here, with their bindings */
};
/* The same of a text. */
int definitions_parse(const struct definitions_text *in, const struct definitions *present,
                      struct definitions *ret, char *ret_text, size_t size);
/* The same of one object of a stored section, added to `ret`; -ENOENT: no such section. */
int definitions_parse_one(const char *section, const struct definitions_text *in,
                          const struct definitions *present, struct definitions *ret,
                          char *ret_text, size_t size);
/* Adds what one stored object of a section means. As above, but it is taken as it is. */
int definitions_add(struct definitions *d, const char *section, const char *text, size_t len,
                    char *ret_text, size_t size);
/*
 * Whether the vhosts of exchanges, queues and bindings, and what the bindings bind, are in `d` or
 * are there; ret_text says what is not. For vhosts that serve. A binding of a broker's own ("amq.")
 * that is not there is skipped. Processes only.
 */
bool definitions_check_topology(struct definitions *d, char *ret_text, size_t size);
struct definitions_first { /* what a first start makes */
    bool vhost, user, cluster_id;
    uint64_t random;
};
/* Adds a first vhost, a first user who may do everything there, a name for this cluster. */
void definitions_add_first(struct definitions *d, const struct definitions_first *what);
/* The name of the stored section number i, in the order in which they are made; NULL: no more. */
const char *definitions_section(size_t i);

/* NULL: there is none. Lent until `d` changes. */
const struct definition *definitions_find(const struct definitions *d, const char *section,
                                          const char *key);
/* Whether it was there. */
bool definitions_remove(struct definitions *d, const char *section, const char *key);
/* Moves a stored section's definition there, in place of the one with its key. */
void definitions_move(struct definitions *to, struct definition *d);
/* The key of an object with these names (b and c may be NULL), as `key` has it; free() it. */
char *definitions_key(const char *a, const char *b, const char *c);

/*
 * The text of a user whose password, which this is, has a slow hash from now on; free() it. NULL:
 * it is not the password, or its hash is slow already. Slow.
 */
char *definition_upgraded(const struct definition *user, const void *password, size_t len);

#endif
