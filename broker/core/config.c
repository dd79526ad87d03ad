/*
 * The configuration in force, and where it came from.
 *
 * What was read at the start is remembered as a list of sources, so that it can be read again. What
 * is in force is replaced as a whole; who reads the old one meanwhile does so until its handler
 * returns.
 */
#include "broker/core/config.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "broker/core/config_impl.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/table.h"

enum { SOURCES_MAX = 64 };

struct source {
    bool is_file;
    char key[128], value[CONFIG_TEXT_MAX]; /* of a file only value, its path */
};

static struct config_whole first; /* before the tree starts it is changed in place */
static struct source sources[SOURCES_MAX];
static unsigned n_sources;
static bool is_ready;
static struct config_whole *_Atomic in_force = &first;

static size_t index_of(const struct config_key *k)
{
    return (size_t)(k - config_keys);
}

void config_defaults(struct config_whole *w)
{
    struct config_listeners *l;
    char text[128];

    memset(w, 0, sizeof(*w));
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->type == KEY_NAMES && *k->initial) {
            (void)config_parse(&w->values, k, k->initial, "true", text, sizeof(text));
        } else if (k->type == KEY_LISTENERS && *k->initial) {
            (void)config_parse(&w->values, k, "default", k->initial, text, sizeof(text));
            l = (struct config_listeners *)(void *)((char *)&w->values + k->offset);
            l->is_initial = true;
        } else if (k->type != KEY_SECTION && k->type != KEY_LISTENERS && k->type != KEY_PAIRS &&
                   k->initial) {
            (void)config_parse(&w->values, k, "", k->initial, text, sizeof(text)); /* valid */
        }
    }
}

/* The last line there is room for says how many more there are. */
static void warn(struct config_whole *w, const char *origin, const char *key, const char *why)
{
    char *last = w->warning[CONFIG_WARNINGS_MAX - 1];

    if (w->n_warnings < CONFIG_WARNINGS_MAX - 1) {
        snprintf(w->warning[w->n_warnings++], sizeof(w->warning[0]),
                 "%s: '%.80s' has no meaning here: %s", origin, key, why);
        return;
    }
    w->n_warnings = CONFIG_WARNINGS_MAX;
    snprintf(last, sizeof(w->warning[0]), "%u more keys have no meaning here", ++w->n_unsaid);
}

/* Whether a value asks for no more than there is. */
static bool is_off(const char *value)
{
    return !strcmp(value, "false") || !strcmp(value, "none");
}

static int put_foreign(struct config_whole *w, const char *key, const char *value,
                       const char *origin, char *ret_text, size_t size)
{
    const struct config_foreign_key *k = config_find_foreign(key);

    if (k && (k->what == CONFIG_IGNORED || is_off(value))) {
        warn(w, origin, key, k->why);
        return 0;
    }
    if (k)
        snprintf(ret_text, size, "key '%.80s' is not supported: %s", key, k->why);
    else
        snprintf(ret_text, size, "unknown key '%.80s'", key);
    return -EINVAL;
}

/* What could not stand on a line of its own, and so not be shown as one, is not taken either. */
static bool is_plain(const char *text, char but)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f || *text == but)
            return false;
    }
    return true;
}

int config_put(struct config_whole *w, const char *key, const char *value, const char *origin,
               char *ret_text, size_t size)
{
    const char *rest;
    const struct config_key *k = config_find_key(key, &rest);
    int r;

    if (!is_plain(key, '=') || !is_plain(value, 0)) {
        snprintf(ret_text, size, "a key or a value with control characters");
        return -EINVAL;
    }
    if (!k)
        return put_foreign(w, key, value, origin, ret_text, size);
    r = config_parse(&w->values, k, rest, value, ret_text, size);
    if (r == 0)
        snprintf(w->origin[index_of(k)], CONFIG_ORIGIN_MAX, "%s", origin);
    return r;
}

void config_reset(void)
{
    config_defaults(&first);
    n_sources = 0;
    is_ready = true;
}

const struct config_whole *config_whole(void)
{
    if (!is_ready)
        config_reset();
    return atomic_load_explicit(&in_force, memory_order_acquire);
}

const struct config *config(void)
{
    return &config_whole()->values;
}

const char *config_address(const char *own)
{
    return *own ? own : config()->bind;
}

bool config_is_loopback_user(const char *user)
{
    const struct config_names *names = &config()->loopback_users;

    for (uint32_t i = 0; i < names->n; i++) {
        if (!strcmp(names->at[i], user))
            return true;
    }
    return false;
}

bool config_is_set(const char *key)
{
    const char *rest;
    const struct config_key *k = config_find_key(key, &rest);

    return k && config_whole()->origin[index_of(k)][0];
}

static int remember(bool is_file, const char *key, const char *value, char *ret_text, size_t size)
{
    struct source *s = &sources[n_sources];

    if (n_sources == SOURCES_MAX || strlen(key) >= sizeof(s->key) ||
        strlen(value) >= sizeof(s->value)) {
        snprintf(ret_text, size, "too many settings, or too long a one");
        return -EINVAL;
    }
    s->is_file = is_file;
    strcpy(s->key, key);
    strcpy(s->value, value);
    n_sources++;
    return 0;
}

static int take(struct config_whole *w, const struct source *s, char *ret_text, size_t size)
{
    if (s->is_file)
        return config_read_into(w, s->value, ret_text, size);
    return config_put(w, s->key, s->value, "command line", ret_text, size);
}

int config_set(const char *key, const char *value, char *ret_text, size_t size)
{
    int r;

    (void)config_whole(); /* defaults first */
    r = remember(false, key, value, ret_text, size);
    return r < 0 ? r : take(&first, &sources[n_sources - 1], ret_text, size);
}

int config_read_file(const char *path, char *ret_text, size_t size)
{
    int r;

    (void)config_whole(); /* defaults first */
    r = remember(true, "", path, ret_text, size);
    return r < 0 ? r : take(&first, &sources[n_sources - 1], ret_text, size);
}

void config_each_file(void (*fn)(void *ctx, const char *path), void *ctx)
{
    for (unsigned i = 0; i < n_sources; i++) {
        if (sources[i].is_file)
            fn(ctx, sources[i].value);
    }
}

int config_read_again(struct config_whole *ret, char *ret_text, size_t size)
{
    int r = 0;

    config_defaults(ret);
    for (unsigned i = 0; r == 0 && i < n_sources; i++)
        r = take(ret, &sources[i], ret_text, size);
    return r;
}

void config_put_in_force(const struct config_whole *w)
{
    struct config_whole *copy = rt_alloc(sizeof(*copy)), *old;

    *copy = *w;
    old = atomic_exchange_explicit(&in_force, copy, memory_order_acq_rel);
    if (old != &first)
        grace_retire(rt_free, old);
}

void config_each_warning(void (*fn)(void *ctx, const char *text), void *ctx)
{
    const struct config_whole *w = config_whole();

    for (uint32_t i = 0; i < w->n_warnings; i++)
        fn(ctx, w->warning[i]);
}
