#include "queues/policies.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/core/access_pattern.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "queues/policy_keys.h"
#include "queues/table_json.h"

struct policy {
    char name[256];
    struct pattern *pattern; /* NULL: any name */
    enum policy_apply_to to;
    int64_t priority;
    bool is_operator;
    uint8_t *table; /* of rt_alloc */
    size_t len;
};

struct policies { /* immutable; those that come first win */
    size_t n;
    struct policy v[];
};

static void free_policies(void *value)
{
    struct policies *p = value;

    for (size_t i = 0; i < p->n; i++) {
        pattern_free(p->v[i].pattern);
        rt_free(p->v[i].table);
    }
    rt_free(p);
}

static struct table *shown(const char *vhost)
{
    char name[300];

    snprintf(name, sizeof(name), "vhost/%s/policies", vhost);
    return table_open(name, free_policies);
}

static bool take_definition(struct policy *p, const json_t *definition)
{
    ssize_t len = table_of_json(definition, NULL, 0);

    if (len < 0)
        return false;
    p->table = rt_alloc((size_t)len + 1);
    p->len = (size_t)len;
    return table_of_json(definition, p->table, p->len) == len;
}

/* They were checked when they came; what an earlier version stored may be otherwise. */
static bool take(struct policy *p, const struct policy_text *from)
{
    json_t *object = json_loads(from->json, 0, NULL);
    const json_t *says = from->is_operator ? json_object_get(object, "value") : object;
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *pattern = json_string_value(json_object_get(says, "pattern"));
    char why[128];
    bool ok = name && pattern;

    p->is_operator = from->is_operator;
    p->priority = json_integer_value(json_object_get(says, "priority"));
    snprintf(p->name, sizeof(p->name), "%s", name ? name : "");
    ok =
        ok && policy_apply_to_of(json_string_value(json_object_get(says, "apply-to")), &p->to) == 0;
    ok = ok && (!*pattern || pattern_new(pattern, &p->pattern, why, sizeof(why)) == 0);
    ok = ok && take_definition(p, json_object_get(says, "definition"));
    json_decref(object);
    return ok;
}

static int compare(const void *a, const void *b)
{
    const struct policy *x = a, *y = b;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return strcmp(x->name, y->name);
}

void policies_show(const char *vhost, const struct policy_text *v, size_t n)
{
    RUNTIME_REGION();
    struct policies *p = rt_zalloc(sizeof(*p) + n * sizeof(p->v[0]));
    char quoted[300];

    for (size_t i = 0; i < n; i++) {
        struct policy *to = &p->v[p->n];

        if (take(to, &v[i])) {
            p->n++;
            continue;
        }
        log_error("a stored policy is not understood and left alone: %s",
                  log_quote(quoted, sizeof(quoted), v[i].json, strlen(v[i].json)));
        pattern_free(to->pattern);
        rt_free(to->table);
        memset(to, 0, sizeof(*to));
    }
    qsort(p->v, p->n, sizeof(p->v[0]), compare);
    if (p->n > 0) {
        table_put(shown(vhost), "", 0, p);
        return;
    }
    free_policies(p);
    (void)table_del(shown(vhost), "", 0); /* it need not be there */
}

static struct amqp_bytes args_of(const struct cell *c)
{
    return c->args ? amqp_bytes(blob_bytes(c->args), blob_size(c->args)) : amqp_bytes(NULL, 0);
}

static bool is_of_type(const struct cell *c, const char *type)
{
    struct amqp_bytes found = amqp_str("classic");

    (void)ftable_get_string(args_of(c), "x-queue-type", &found); /* else it stays */
    return c->kind == CELL_QUEUE && amqp_bytes_is(found, type);
}

static bool is_meant(const struct policy *p, const struct cell *c)
{
    switch (p->to) {
    case POLICY_ALL:
        return true;
    case POLICY_QUEUES:
        return c->kind == CELL_QUEUE;
    case POLICY_EXCHANGES:
        return c->kind == CELL_EXCHANGE;
    case POLICY_CLASSIC_QUEUES:
        return is_of_type(c, "classic");
    case POLICY_QUORUM_QUEUES:
        return is_of_type(c, "quorum");
    default:
        return is_of_type(c, "stream");
    }
}

static const struct policy *find(const struct policies *all, const struct cell *c, bool is_operator)
{
    for (size_t i = 0; all && i < all->n; i++) {
        const struct policy *p = &all->v[i];

        if (p->is_operator == is_operator && is_meant(p, c) &&
            (!p->pattern || pattern_matches(p->pattern, cell_name(c), c->name_len)))
            return p;
    }
    return NULL;
}

/* NULL: neither applies. */
static struct cell_policy *merged(const struct policy *p, const struct policy *o)
{
    size_t cap = (p ? p->len : 0) + (o ? o->len : 0);
    struct cell_policy *ret;

    if (!p && !o)
        return NULL;
    ret = rt_zalloc(sizeof(*ret) + cap);
    if (p)
        strcpy(ret->name, p->name);
    if (o)
        strcpy(ret->operator_name, o->name);
    ret->len =
        (uint32_t)policy_merge(amqp_bytes(p ? p->table : NULL, p ? p->len : 0),
                               amqp_bytes(o ? o->table : NULL, o ? o->len : 0), ret->table, cap);
    return ret;
}

static bool is_same(const struct cell_policy *a, const struct cell_policy *b)
{
    if (!a || !b)
        return a == b;
    return a->len == b->len && memcmp(a->table, b->table, a->len) == 0 &&
           strcmp(a->name, b->name) == 0 && strcmp(a->operator_name, b->operator_name) == 0;
}

bool policies_apply(struct cell *c)
{
    const struct policies *all = table_get(shown(cell_vhost(c)), "", 0);
    struct cell_policy *now = merged(find(all, c, false), find(all, c, true));
    const struct cell_policy *old = cell_policy(c);

    if (is_same(old, now)) {
        rt_free(now);
        return false;
    }
    atomic_store_explicit(&c->policy, now, memory_order_release);
    if (old)
        grace_retire(rt_free, (void *)(uintptr_t)old);
    return true;
}

const struct cell_policy *cell_policy(const struct cell *c)
{
    return atomic_load_explicit(&c->policy, memory_order_acquire);
}

struct amqp_bytes cell_policy_table(const struct cell *c)
{
    const struct cell_policy *p = cell_policy(c);

    return p ? amqp_bytes(p->table, p->len) : amqp_bytes(NULL, 0);
}

static const char *arg_name(const struct cell *c, const char *key, char out[64])
{
    snprintf(out, 64, "%s%s", c->kind == CELL_QUEUE ? "x-" : "", key);
    return out;
}

bool cell_setting_int(const struct cell *c, const char *key, int64_t *ret)
{
    int64_t arg, policy;
    char name[64];
    bool has_arg = ftable_get_int(args_of(c), arg_name(c, key, name), &arg) == 1;
    bool has_policy = ftable_get_int(cell_policy_table(c), key, &policy) == 1;

    if (!has_arg && !has_policy)
        return false;
    *ret = !has_arg ? policy : !has_policy ? arg : arg < policy ? arg : policy;
    return true;
}

bool cell_setting_text(const struct cell *c, const char *key, struct amqp_bytes *ret)
{
    char name[64];

    return ftable_get_string(args_of(c), arg_name(c, key, name), ret) == 1 ||
           ftable_get_string(cell_policy_table(c), key, ret) == 1;
}
