/*
 * config_impl.h - what the files of the configuration share.
 */
#ifndef BROKER_CORE_CONFIG_IMPL_H
#define BROKER_CORE_CONFIG_IMPL_H

#include "broker/core/config.h"

enum key_type {
    KEY_SECTION, /* no key: a heading */
    KEY_UINT,
    KEY_BOOL,
    KEY_TEXT,
    KEY_CHOICE,
    KEY_SIZE,
    KEY_RATIO,
    KEY_TIME,
    KEY_LISTENERS, /* name ends in ".*": one for each name */
    KEY_NAMES,     /* likewise, name = true or false */
    KEY_PAIRS,     /* likewise, name = text: see config_pair_next */
};

enum {
    KEY_RELOADABLE = 1 << 0,
    KEY_SECRET = 1 << 1, /* its value is not printed */
    KEY_HIDDEN = 1 << 2, /* another name of a key: not printed */
};

struct key_choice {
    const char *name;
    uint64_t value;
};

struct config_key {
    const char *name;
    enum key_type type;
    unsigned flags;
    size_t offset;
    /* KEY_UINT: bounds. KEY_TIME: bounds in ms. KEY_TEXT, _PAIRS: max is the room, NUL included */
    uint64_t min, max;
    uint64_t unit_ms;                 /* KEY_TIME: what a bare number counts and the field holds */
    const struct key_choice *choices; /* KEY_CHOICE: until a NULL name; the first one is printed */
    const char *initial;
    const char *meaning;
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* A key by the name that stands in a file; *ret_rest is what stands for ".*". NULL: unknown. */
const struct config_key *config_find_key(const char *name, const char **ret_rest);

/* A key of RabbitMQ's that is none of ours, or all that begin so. */
struct config_foreign_key {
    const char *prefix;
    enum config_foreign { CONFIG_IGNORED, CONFIG_REFUSED } what;
    const char *why;
};
/* NULL: nobody knows it. */
const struct config_foreign_key *config_find_foreign(const char *name);

enum { CONFIG_KEYS_MAX = 160, CONFIG_ORIGIN_MAX = 120, CONFIG_WARNINGS_MAX = 64 };

/* A whole configuration: values, and where each comes from. Plain memory, copied by value. */
struct config_whole {
    struct config values;
    char origin[CONFIG_KEYS_MAX][CONFIG_ORIGIN_MAX]; /* empty: the default */
    uint32_t n_warnings, n_unsaid;                   /* unsaid: for which there was no room */
    char warning[CONFIG_WARNINGS_MAX][320];
};

/* Values by type: 0, or -EINVAL and a text. `rest` as config_find_key gives it. */
int config_parse(struct config *c, const struct config_key *k, const char *rest, const char *value,
                 char *ret_text, size_t size);
/* The value as it would stand in a file; of a list its `i`-th line, false: there is none. */
bool config_show(const struct config *c, const struct config_key *k, unsigned i, char *out,
                 size_t size);
bool config_is_same(const struct config *a, const struct config *b, const struct config_key *k);
const char *config_type_name(const struct config_key *k, char *out, size_t size);

void config_defaults(struct config_whole *w);
/* Sets a key by name; `origin` says where from. */
int config_put(struct config_whole *w, const char *key, const char *value, const char *origin,
               char *ret_text, size_t size);
int config_read_into(struct config_whole *w, const char *path, char *ret_text, size_t size);

/* As config_check, of one that is not in force yet. */
int config_check_whole(const struct config_whole *w, char *ret_text, size_t size);
/* Gives `to` the value that `from` has, and its origin. */
void config_copy_key(struct config_whole *to, const struct config_whole *from,
                     const struct config_key *k);

/* The configuration in force with what belongs to it. */
const struct config_whole *config_whole(void);
/* Everything read anew, as at the start, into *ret. */
int config_read_again(struct config_whole *ret, char *ret_text, size_t size);
/* Puts a copy in force; from process `config` only. What it replaces is freed when nobody reads. */
void config_put_in_force(const struct config_whole *w);

#endif
