/*
 * access_facts.c - the tables of users, vhosts and permissions: written by the access process, read
 * in place by all.
 *
 * Keys: a name; user NUL vhost; user NUL vhost NUL exchange. Values are immutable.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/access_impl.h"
#include "broker/core/access_pattern.h"
#include "broker/core/config.h"
#include "broker/core/limits.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/table.h"

/* Read at every publish, by thousands of channels: a fact of the program as its tables are. */
static atomic_uint_least64_t version = 1;
/* How many topic permissions there are: mostly none, and then no key is looked at. */
static atomic_uint_least64_t n_topics;

/* Shown to who asks, and lost with the program. */
static struct {
    atomic_uint_least64_t right, wrong;
} attempts[ACCESS_PROTOCOLS];

enum { KEY_MAX = 3 * 256 };

struct vhost {
    uint32_t mark;
    char queue_type[16];
};

struct vhost_limits {
    uint32_t mark;
    struct access_limit limit[ACCESS_LIMITS];
};

struct permission { /* also of topics */
    uint32_t mark;
    struct pattern *pattern[ACCESS_RIGHTS]; /* NULL: nothing passes */
};

static void free_permission(void *value)
{
    struct permission *p = value;

    for (int i = 0; i < ACCESS_RIGHTS; i++)
        pattern_free(p->pattern[i]);
    rt_free(p);
}

static struct table *table_of(enum access_fact_kind kind)
{
    switch (kind) {
    case ACCESS_FACT_VHOST:
        return table_open("access/vhosts", rt_free);
    case ACCESS_FACT_USER:
        return table_open("access/users", rt_free);
    case ACCESS_FACT_PERMISSION:
        return table_open("access/permissions", free_permission);
    case ACCESS_FACT_VHOST_LIMITS:
        return table_open("access/vhost_limits", rt_free);
    default:
        return table_open("access/topic_permissions", free_permission);
    }
}

/* Parts with a NUL between them; a key that is too long is that of nothing. */
static size_t make_key(char out[KEY_MAX], const char *user, const char *vhost, const void *exchange,
                       size_t len)
{
    size_t user_len = strlen(user), vhost_len = strlen(vhost);
    size_t n = user_len + 1 + vhost_len;

    if (user_len > 255 || vhost_len > 255 || len > 255)
        return 0;
    memcpy(out, user, user_len + 1);
    memcpy(out + user_len + 1, vhost, vhost_len);
    if (!exchange)
        return n;
    out[n++] = '\0';
    memcpy(out + n, exchange, len);
    return n + len;
}

uint64_t access_version(void)
{
    return atomic_load_explicit(&version, memory_order_acquire);
}

void facts_count_login(enum access_protocol protocol, bool is_right)
{
    atomic_fetch_add_explicit(is_right ? &attempts[protocol].right : &attempts[protocol].wrong, 1,
                              memory_order_relaxed);
}

struct access_attempts access_attempts(enum access_protocol protocol)
{
    return (struct access_attempts){
        .right = atomic_load_explicit(&attempts[protocol].right, memory_order_relaxed),
        .wrong = atomic_load_explicit(&attempts[protocol].wrong, memory_order_relaxed)};
}

void access_attempts_reset(void)
{
    for (int i = 0; i < ACCESS_PROTOCOLS; i++) {
        atomic_store_explicit(&attempts[i].right, 0, memory_order_relaxed);
        atomic_store_explicit(&attempts[i].wrong, 0, memory_order_relaxed);
    }
}

bool access_has_vhost(const char *vhost, size_t len)
{
    return table_get(table_of(ACCESS_FACT_VHOST), vhost, len) != NULL;
}

const char *access_queue_type(const char *vhost)
{
    const struct vhost *v = table_get(table_of(ACCESS_FACT_VHOST), vhost, strlen(vhost));

    return v && v->queue_type[0] ? v->queue_type : NULL;
}

static const struct permission *permission_of(const char *user, const char *vhost)
{
    char key[KEY_MAX];
    size_t n = make_key(key, user, vhost, NULL, 0);

    return table_get(table_of(ACCESS_FACT_PERMISSION), key, n);
}

bool access_may_open(const char *user, const char *vhost)
{
    return permission_of(user, vhost) != NULL;
}

bool access_check(const char *user, const char *vhost, enum access_resource kind, const void *name,
                  size_t len, enum access_right right)
{
    static const char of_default[] = "amq.default";
    const struct permission *p = permission_of(user, vhost);

    if (kind == ACCESS_EXCHANGE && len == 0) {
        name = of_default;
        len = sizeof(of_default) - 1;
    }
    return p && p->pattern[right] && pattern_matches(p->pattern[right], name, len);
}

bool access_check_topic(const char *user, const char *vhost, const void *exchange, size_t len,
                        enum access_right right, const void *key, size_t key_len)
{
    const struct permission *p;
    char name[KEY_MAX];
    size_t n;

    if (atomic_load_explicit(&n_topics, memory_order_acquire) == 0)
        return true;
    n = make_key(name, user, vhost, exchange, len);
    p = table_get(table_of(ACCESS_FACT_TOPIC_PERMISSION), name, n);
    return !p || (p->pattern[right] && pattern_matches(p->pattern[right], key, key_len));
}

const struct access_user *facts_user(const char *user, size_t len)
{
    return table_get(table_of(ACCESS_FACT_USER), user, len);
}

unsigned access_tags(const char *user, size_t len)
{
    const struct access_user *u = facts_user(user, len);

    return u ? u->tags : 0;
}

uint32_t access_credential(const char *user, size_t len)
{
    const struct access_user *u = facts_user(user, len);

    return u ? u->credential : 0;
}

/* FNV-1a; it need not keep anybody from choosing names that meet. */
uint64_t access_user_hash(const char *user)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; *user; user++)
        hash = (hash ^ (uint8_t)*user) * 0x100000001b3;
    return hash ? hash : 1;
}

unsigned access_tag_of(const char *name, size_t len)
{
    static const char *const names[] = {"management", "policymaker", "monitoring", "administrator",
                                        "impersonator"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return 1U << i;
    return 0;
}

static int64_t limit_of(const struct access_limit *set, uint64_t else_most)
{
    if (set && set->is_set)
        return set->most < 0 ? LIMIT_NONE : set->most;
    return else_most ? (int64_t)else_most : LIMIT_NONE;
}

int64_t access_limit_of_user(const char *user, enum access_limited what)
{
    const struct access_user *u = facts_user(user, strlen(user));
    const struct config *c = config();

    return limit_of(u ? &u->limit[what] : NULL, what == ACCESS_CONNECTIONS ? c->user_max_connections
                                                : what == ACCESS_CHANNELS  ? c->user_max_channels
                                                                           : 0);
}

int64_t access_limit_of_vhost(const char *vhost, enum access_limited what)
{
    const struct vhost_limits *v =
        table_get(table_of(ACCESS_FACT_VHOST_LIMITS), vhost, strlen(vhost));
    const struct config *c = config();

    return limit_of(v ? &v->limit[what] : NULL, what == ACCESS_CONNECTIONS
                                                    ? c->vhost_max_connections
                                                : what == ACCESS_QUEUES ? c->vhost_max_queues
                                                                        : 0);
}

struct each_vhost {
    void (*fn)(void *ctx, const char *vhost);
    void *ctx;
};

static int give_vhost(void *ctx, const void *key, size_t len, void *value)
{
    const struct each_vhost *e = ctx;
    char name[256];

    (void)value;
    memcpy(name, key, len);
    name[len] = '\0';
    e->fn(e->ctx, name);
    return 0;
}

void access_each_vhost(void (*fn)(void *ctx, const char *vhost), void *ctx)
{
    struct each_vhost e = {fn, ctx};

    table_each(table_of(ACCESS_FACT_VHOST), give_vhost, &e);
}

/*
 * The writer's side
 */

/* {username} and {vhost} in an expression of topics stand for the names, taken literally. */
static void expand(const struct access_fact *f, const char *text, char *out, size_t size)
{
    size_t n = 0;

    while (*text && n + 3 < size) {
        bool is_user = strncmp(text, "{username}", 10) == 0;
        const char *name = is_user ? f->user : strncmp(text, "{vhost}", 7) == 0 ? f->vhost : NULL;

        if (!name) {
            out[n++] = *text++;
            continue;
        }
        text += is_user ? 10 : 7;
        for (; *name && n + 3 < size; name++) {
            if (strchr("\\^$.[]|()?*+{}-#&~/ ", *name))
                out[n++] = '\\';
            out[n++] = *name;
        }
    }
    out[n] = '\0';
}

static int permission_new(const struct access_fact *f, uint32_t mark, struct permission **ret,
                          char *ret_text, size_t size)
{
    enum { EXPANDED_MAX = 12 * 1024 };
    struct permission *p = rt_zalloc(sizeof(*p));
    char *text = rt_alloc(EXPANDED_MAX);
    int r = 0;

    p->mark = mark;
    for (int i = 0; i < ACCESS_RIGHTS && r == 0; i++) {
        if (!f->pattern[i] || !*f->pattern[i])
            continue;
        if (f->kind == ACCESS_FACT_TOPIC_PERMISSION)
            expand(f, f->pattern[i], text, EXPANDED_MAX);
        r = pattern_new(f->kind == ACCESS_FACT_TOPIC_PERMISSION ? text : f->pattern[i],
                        &p->pattern[i], ret_text, size);
    }
    rt_free(text);
    if (r == 0)
        *ret = p;
    else
        free_permission(p);
    return r;
}

static struct access_user *user_new(const struct access_fact *f, uint32_t mark)
{
    struct access_user *u = rt_zalloc(sizeof(*u));

    u->mark = mark;
    u->tags = f->tags;
    u->password = f->password;
    u->credential = f->credential ? f->credential : 1;
    memcpy(u->limit, f->limit, sizeof(u->limit));
    u->loopback_only = config_is_loopback_user(f->user);
    return u;
}

static size_t key_of(const struct access_fact *f, char out[KEY_MAX])
{
    const char *name = f->kind == ACCESS_FACT_USER ? f->user : f->vhost;

    if (f->kind == ACCESS_FACT_PERMISSION)
        return make_key(out, f->user, f->vhost, NULL, 0);
    if (f->kind == ACCESS_FACT_TOPIC_PERMISSION)
        return make_key(out, f->user, f->vhost, f->exchange, strlen(f->exchange));
    memcpy(out, name, strlen(name));
    return strlen(name);
}

static void changed(void)
{
    atomic_store_explicit(&n_topics, table_count(table_of(ACCESS_FACT_TOPIC_PERMISSION)),
                          memory_order_release);
    atomic_fetch_add_explicit(&version, 1, memory_order_acq_rel);
}

int facts_set(const struct access_fact *f, uint32_t mark, char *ret_text, size_t size)
{
    struct table *t = table_of(f->kind);
    struct permission *p;
    struct vhost_limits *limits;
    struct vhost *v;
    char key[KEY_MAX];
    size_t len = key_of(f, key);
    int r = 0;

    if (f->remove) {
        table_del(t, key, len);
    } else if (f->kind == ACCESS_FACT_VHOST) {
        v = rt_zalloc(sizeof(*v));
        v->mark = mark;
        memcpy(v->queue_type, f->queue_type, sizeof(v->queue_type));
        table_put(t, key, len, v);
    } else if (f->kind == ACCESS_FACT_USER) {
        table_put(t, key, len, user_new(f, mark));
    } else if (f->kind == ACCESS_FACT_VHOST_LIMITS) {
        limits = rt_zalloc(sizeof(*limits));
        limits->mark = mark;
        memcpy(limits->limit, f->limit, sizeof(limits->limit));
        table_put(t, key, len, limits);
    } else {
        r = permission_new(f, mark, &p, ret_text, size);
        if (r == 0)
            table_put(t, key, len, p);
    }
    changed();
    return r;
}

struct sweep {
    struct table *table;
    uint32_t mark;
    unsigned n;
};

/* Each kind of value begins with its mark. */
static int sweep_one(void *ctx, const void *key, size_t len, void *value)
{
    struct sweep *s = ctx;
    char copy[KEY_MAX];
    uint32_t mark;

    memcpy(&mark, value, sizeof(mark));
    if (mark == s->mark)
        return 0;
    memcpy(copy, key, len);
    table_del(s->table, copy, len);
    s->n++;
    return 0;
}

unsigned facts_sweep(uint32_t mark)
{
    struct sweep s = {.mark = mark};

    for (int kind = ACCESS_FACT_VHOST; kind < ACCESS_FACTS; kind++) {
        s.table = table_of((enum access_fact_kind)kind);
        table_each(s.table, sweep_one, &s); /* of the version that it began with */
    }
    changed();
    return s.n;
}

bool facts_have_users(void)
{
    return table_count(table_of(ACCESS_FACT_USER)) > 0;
}

static int is_slow(void *ctx, const void *key, size_t len, void *value)
{
    (void)ctx, (void)key, (void)len;
    return ((const struct access_user *)value)->password.kind == PASSWORD_CRYPT;
}

bool facts_have_slow_user(void)
{
    return table_each(table_of(ACCESS_FACT_USER), is_slow, NULL) != 0;
}
