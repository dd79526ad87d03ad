/*
 * definitions_topology.c - exchanges, queues and bindings of definitions.
 *
 * They are held against the rules of declaring before anything of the file is taken, so that a
 * registry refuses nothing of it later but what depends on what is there already. So is what they
 * refer to, where all vhosts serve.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/access.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/hamt.h"
#include "broker/runtime/region.h"
#include "broker/runtime/u64map.h"
#include "queues/definitions_impl.h"
#include "queues/registry_args.h"
#include "queues/route.h"
#include "queues/table_json.h"

static bool get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static int take_args(struct reader *r, const json_t *o, struct definition *d)
{
    json_t *args = json_object_get(o, "arguments");
    ssize_t size;

    if (!json_is_object(args) || json_object_size(args) == 0)
        return 0;
    size = table_of_json(args, NULL, 0);
    if (size < 0)
        return definition_refuse(r, "'arguments' cannot be a table");
    d->args = rt_alloc((size_t)size);
    d->args_len = (size_t)table_of_json(args, d->args, (size_t)size);
    return 0;
}

static void skip(struct definition *d, const char *why)
{
    d->kind = DEFINITION_SKIPPED;
    d->why = rt_alloc(strlen(why) + 1);
    strcpy(d->why, why);
}

static uint16_t check(const struct definition *d, struct refusal *ret)
{
    struct blob *name = blob_copy(d->name, strlen(d->name));
    struct blob *args = d->args_len ? blob_copy(d->args, d->args_len) : NULL;
    struct blob *type = blob_copy(d->type, strlen(d->type));
    uint32_t flags = (d->durable ? CELL_DURABLE : 0U) | (d->auto_delete ? CELL_AUTO_DELETE : 0U);
    enum exchange_type unused;

    if (d->kind == DEFINITION_EXCHANGE) {
        if (!exchange_type_of(type, &unused, ret))
            (void)check_exchange_args(d->vhost, name, args, ret); /* `ret` has it */
    } else if (!check_queue_args(d->vhost, name, args, ret)) {
        (void)check_queue_quorum(d->vhost, name, args, flags, false, ret); /* as above */
    }
    blob_unref(name);
    blob_unref(args);
    blob_unref(type);
    return ret->code;
}

/* A type that is not here, in a file that would be right with it. */
static bool is_of_elsewhere(const json_t *o, const struct definition *d)
{
    static const char *const known[] = {"direct", "fanout", "topic", "headers"};
    const char *type =
        json_string_value(json_object_get(json_object_get(o, "arguments"), "x-queue-type"));

    if (d->kind == DEFINITION_QUEUE)
        return type && strcmp(type, "stream") == 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(d->type, known[i]) == 0)
            return false;
    return true;
}

static int take_checked(struct reader *r, const json_t *o, struct definition *d)
{
    struct refusal refusal = {0};

    if (strncmp(d->name, "amq.", 4) == 0)
        skip(d, "names that begin with 'amq.' are the broker's own");
    else if (check(d, &refusal) == 0)
        return 0;
    else if (r->skips && is_of_elsewhere(o, d))
        skip(d, refusal.text);
    else
        return definition_refuse(r, "'%s' in vhost '%s': %s", d->name, d->vhost, refusal.text);
    return 0;
}

/* Later brokers' exports name a queue's type beside its arguments. */
static void take_type(json_t *o)
{
    static const char key[] = "x-queue-type";
    json_t *type = json_object_get(o, "type"), *args = json_object_get(o, "arguments");

    if (!json_is_string(type) || json_object_get(args, key))
        return;
    if (!json_is_object(args))
        json_object_set_new(o, "arguments", args = json_object());
    json_object_set(args, key, type);
}

int definition_take_thing(struct reader *r, json_t *o, struct definition *d)
{
    bool is_queue = strcmp(r->section, "queues") == 0;
    int error = definition_text(r, o, "name", 1, d->name);

    if (is_queue)
        take_type(o);
    d->kind = is_queue ? DEFINITION_QUEUE : DEFINITION_EXCHANGE;
    if (error == 0)
        error = definition_text(r, o, "vhost", 1, d->vhost);
    if (error == 0 && !is_queue)
        error = definition_text(r, o, "type", 1, d->type);
    d->durable = get_bool(o, "durable");
    d->auto_delete = get_bool(o, "auto_delete");
    d->internal = get_bool(o, "internal");
    if (error == 0)
        error = take_args(r, o, d);
    return error < 0 ? error : take_checked(r, o, d);
}

int definition_take_binding(struct reader *r, json_t *o, struct definition *d)
{
    const char *kind = json_string_value(json_object_get(o, "destination_type"));
    int error = definition_text(r, o, "vhost", 1, d->vhost);

    d->kind = DEFINITION_BINDING;
    d->to_exchange = kind && strcmp(kind, "exchange") == 0;
    if (error == 0)
        error = definition_text(r, o, "source", 1, d->name);
    if (error == 0)
        error = definition_text(r, o, "destination", 1, d->dest);
    if (error == 0)
        error = definition_text(r, o, "routing_key", 0, d->routing_key);
    return error < 0 ? error : take_args(r, o, d);
}

static uint64_t hash_of(bool is_queue, const char *vhost, const char *name)
{
    char key[600];
    int len = snprintf(key, sizeof(key), "%c%s%c%s", is_queue ? 'q' : 'x', vhost, '\0', name);

    return hamt_hash(1, key, (size_t)len);
}

static uint64_t hash_of_vhost(const char *vhost)
{
    return hamt_hash(2, vhost, strlen(vhost));
}

void definitions_skip_bindings(struct definitions *d)
{
    struct u64map skipped;

    u64map_init(&skipped, rt_realloc, rt_free);
    for (size_t i = 0; i < d->n; i++) {
        const struct definition *one = &d->v[i];

        /* What the broker has by itself under such a name can be bound all the same. */
        if (one->kind == DEFINITION_SKIPPED && strncmp(one->name, "amq.", 4) != 0)
            u64map_put(&skipped,
                       hash_of(strcmp(one->section, "queues") == 0, one->vhost, one->name), 1);
    }
    for (size_t i = 0; skipped.n > 0 && i < d->n; i++) {
        struct definition *b = &d->v[i];

        if (b->kind == DEFINITION_BINDING &&
            (u64map_get(&skipped, hash_of(false, b->vhost, b->name)) ||
             u64map_get(&skipped, hash_of(!b->to_exchange, b->vhost, b->dest))))
            skip(b, "what it binds was left out");
    }
    u64map_fini(&skipped);
}

/*
 * What topology refers to
 */

struct known {
    struct u64map made; /* vhosts, exchanges and queues that are in the file */
    char vhost[256];    /* whose tables these are; empty: nobody's */
    struct vhost_tables tables;
};

static void know_made(struct known *k, const struct definitions *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct definition *one = &d->v[i];

        if (one->kind == DEFINITION_FACT && one->fact.kind == ACCESS_FACT_VHOST)
            u64map_put(&k->made, hash_of_vhost(one->fact.vhost), 1);
        else if (one->kind == DEFINITION_EXCHANGE || one->kind == DEFINITION_QUEUE)
            u64map_put(&k->made, hash_of(one->kind == DEFINITION_QUEUE, one->vhost, one->name), 1);
    }
}

static bool has_vhost(const struct known *k, const char *vhost)
{
    return access_has_vhost(vhost, strlen(vhost)) || u64map_get(&k->made, hash_of_vhost(vhost));
}

/* The broker's own exchanges are in the tables once their vhost serves. */
static bool has_thing(struct known *k, bool is_queue, const char *vhost, const char *name)
{
    if (u64map_get(&k->made, hash_of(is_queue, vhost, name)))
        return true;
    if (!access_has_vhost(vhost, strlen(vhost)))
        return !is_queue && strncmp(name, "amq.", 4) == 0;
    if (strcmp(k->vhost, vhost) != 0) {
        snprintf(k->vhost, sizeof(k->vhost), "%s", vhost);
        vhost_tables_open(vhost, &k->tables);
    }
    return (is_queue ? vhost_find_queue : vhost_find_exchange)(&k->tables, name, strlen(name));
}

/* false: `why` says what it refers to that is not there. */
static bool is_whole(struct known *k, struct definition *d, char *why, size_t size)
{
    const char *missing = NULL, *kind = "exchange";

    if (!has_vhost(k, d->vhost)) {
        snprintf(why, size, "%s: vhost '%s' does not exist", d->section, d->vhost);
        return false;
    }
    if (d->kind != DEFINITION_BINDING)
        return true;
    if (!has_thing(k, false, d->vhost, d->name)) {
        missing = d->name;
    } else if (!has_thing(k, !d->to_exchange, d->vhost, d->dest)) {
        missing = d->dest;
        kind = d->to_exchange ? "exchange" : "queue";
    }
    if (missing && strncmp(missing, "amq.", 4) == 0) {
        skip(d, "what it binds is a broker's own");
        return true;
    }
    if (missing)
        snprintf(why, size, "%s: %s '%s' in vhost '%s' does not exist", d->section, kind, missing,
                 d->vhost);
    return !missing;
}

bool definitions_check_topology(struct definitions *d, char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct known k = {0};
    size_t n_wrong = 0, len;
    char unused[1];

    u64map_init(&k.made, rt_realloc, rt_free);
    know_made(&k, d);
    for (size_t i = 0; i < d->n; i++) {
        bool is_first = n_wrong == 0;

        if (d->v[i].kind == DEFINITION_EXCHANGE || d->v[i].kind == DEFINITION_QUEUE ||
            d->v[i].kind == DEFINITION_BINDING)
            n_wrong += !is_whole(&k, &d->v[i], is_first ? ret_text : unused, is_first ? size : 1);
    }
    u64map_fini(&k.made);
    len = strlen(ret_text);
    if (n_wrong > 1)
        snprintf(ret_text + len, size - len, "; and %zu more", n_wrong - 1);
    return n_wrong == 0;
}
