/*
 * Views of bindings: all, those of a vhost, of a queue, of an exchange, between two; making and
 * deleting one.
 *
 * They are read from the routes of exchanges in place, one exchange after the other. To the default
 * exchange each queue is bound by its name.
 */
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/u64map.h"
#include "mgmt/ask.h"
#include "mgmt/cell_json.h"
#include "mgmt/list.h"
#include "mgmt/views.h"
#include "mgmt/walk.h"
#include "queues/registry.h"
#include "queues/registry_hash.h"
#include "queues/route.h"
#include "queues/routes.h"

struct search { /* process memory */
    struct walk walk;
    const struct cell *dest; /* only what is bound to this one, a reference of cells; NULL: all */
    const char *properties_key;        /* only the one of this; NULL: all */
    const struct binding_facts *found; /* the last one; the list has it */
    const struct cell *source;         /* that is walked */
    struct u64map seen; /* of this source: of a headers exchange one may come twice */
};

static struct blob *blob_of(const struct blob *b)
{
    return blob_ref((struct blob *)(uintptr_t)b);
}

static struct cell *cell_of(const struct cell *c)
{
    return c ? cell_ref((struct cell *)(uintptr_t)c) : NULL;
}

static void id_of(const void *item, struct list_id *ret)
{
    const struct binding_facts *b = item;

    ret->vhost = cell_vhost(b->dest);
    ret->vhost_len = b->dest->vhost_len;
    ret->name = b->source ? cell_name(b->source) : "";
    ret->name_len = b->source ? b->source->name_len : 0;
}

static json_t *show(const struct request *r, const void *item)
{
    (void)r;
    return binding_json(item);
}

static void unref(void *item)
{
    struct binding_facts *b = item;

    if (b->source)
        cell_unref((struct cell *)(uintptr_t)b->source);
    cell_unref((struct cell *)(uintptr_t)b->dest);
    blob_unref((struct blob *)(uintptr_t)b->key);
    blob_unref((struct blob *)(uintptr_t)b->args);
    rt_free(b);
}

static const struct list_ops ops = {id_of, show, unref};

static bool is_wanted(const struct search *s, const struct binding_facts *b)
{
    char key[PROPERTIES_KEY_SIZE];

    if (s->dest && s->dest != b->dest)
        return false;
    if (!s->properties_key)
        return true;
    binding_properties_key(b->key, b->args, key);
    return !strcmp(key, s->properties_key);
}

static void add(struct request *r, const struct binding_facts *b)
{
    RUNTIME_REGION();
    struct search *s = r->state;
    struct binding_facts *item;

    if (!is_wanted(s, b))
        return;
    item = rt_alloc(sizeof(*item));
    *item = (struct binding_facts){.source = cell_of(b->source),
                                   .dest = cell_of(b->dest),
                                   .key = blob_of(b->key),
                                   .args = blob_of(b->args)};
    s->found = item;
    list_add(r, item);
}

static bool was_seen(struct search *s, const struct binding *b)
{
    uint64_t hash;

    if (s->source->type != EXCHANGE_HEADERS)
        return false;
    hash = registry_binding_hash(s->source->id, b->dest->id ^ (uint64_t)b->dest->kind << 63, b->key,
                                 b->args);
    if (u64map_get(&s->seen, hash))
        return true;
    u64map_put(&s->seen, hash, 1);
    return false;
}

static void add_binding(void *ctx, const struct binding *b)
{
    struct request *r = ctx;
    struct search *s = r->state;

    if (!was_seen(s, b))
        add(r, &(struct binding_facts){s->source, b->dest, b->key, b->args});
}

/* What is bound to an exchange. */
static void look_at_exchange(struct request *r, const struct cell *c)
{
    RUNTIME_REGION();
    struct search *s = r->state;

    s->source = c;
    u64map_init(&s->seen, rt_realloc, rt_free);
    routes_each(c, add_binding, r);
    u64map_fini(&s->seen);
}

/* A queue's binding to the default exchange; an exchange has none. */
static void look_at_queue(struct request *r, const struct cell *c)
{
    RUNTIME_REGION();
    struct blob *name;

    if (c->kind != CELL_QUEUE)
        return;
    name = blob_copy(cell_name(c), c->name_len);
    add(r, &(struct binding_facts){NULL, c, name, NULL});
    blob_unref(name);
}

static void on_exchange(struct walk *w, struct cell *c)
{
    look_at_exchange(w->request, c);
}

static void on_queue(struct walk *w, struct cell *c)
{
    look_at_queue(w->request, c);
}

static void go_on(struct request *r)
{
    struct search *s = r->state;

    if (walk_go_on(&s->walk))
        list_run(r);
}

static void on_continue(struct request *r, struct msg *m)
{
    CHECK(m->type == MSG_CONTINUE);
    go_on(r);
}

static struct search *begin(struct request *r)
{
    struct search *s = proc_zalloc(sizeof(*s));

    if (r->foreign->cells.n > 0)
        s->dest = r->foreign->cells.cell[0];
    r->state = s;
    list_begin(r, &ops);
    return s;
}

/* Of all vhosts, or of the one that the path names. */
static void start_list(struct request *r)
{
    struct search *s = begin(r);

    walk_init(&s->walk, r, NULL);
    s->walk.on_exchange = on_exchange;
    if (!s->dest)
        s->walk.on_queue = on_queue;
    else
        look_at_queue(r, s->dest);
    if (r->vhost)
        walk_only(&s->walk, r->vhost);
    go_on(r);
}

/* All that is bound to this one. */
static void list_to(struct request *r, const struct cell *dest)
{
    cells_add(&r->foreign->cells, cell_of(dest));
    start_list(r);
}

static void start_of_queue(struct request *r)
{
    list_to(r, ask_queue(r, 3));
}

static void start_of_destination(struct request *r)
{
    if (ask_exchange_name(r, 3).len == 0) { /* nothing is bound to the default exchange */
        (void)begin(r);
        list_run(r);
    } else {
        list_to(r, ask_exchange(r, 3));
    }
}

static void start_of_source(struct request *r)
{
    struct search *s;
    const struct cell *source;

    if (ask_exchange_name(r, 3).len > 0) {
        source = ask_exchange(r, 3);
        (void)begin(r);
        look_at_exchange(r, source);
        list_run(r);
    } else {
        s = begin(r);
        walk_init(&s->walk, r, NULL);
        s->walk.on_queue = on_queue;
        walk_only(&s->walk, r->vhost);
        go_on(r);
    }
}

/* api/bindings/VHOST/e/SOURCE/(q or e)/DESTINATION. NULL: there is none. */
static const struct cell *find_dest(const struct request *r)
{
    const struct path_segment *name = &r->path.segment[6];
    struct vhost_tables tables;

    vhost_tables_open(r->vhost, &tables);
    return *r->path.segment[5].p == 'q' ? vhost_find_queue(&tables, name->p, name->len)
                                        : vhost_find_exchange(&tables, name->p, name->len);
}

/* Finds what is between the two; nothing, where one of them is not there. */
static struct search *find_between(struct request *r, const char *properties_key)
{
    struct amqp_bytes name = ask_exchange_name(r, 4);
    const struct cell *dest = find_dest(r), *source;
    struct vhost_tables tables;
    struct search *s = begin(r);

    vhost_tables_open(r->vhost, &tables);
    source = name.len > 0 ? vhost_find_exchange(&tables, name.p, name.len) : NULL;
    s->properties_key = properties_key;
    s->dest = dest;
    if (dest && source)
        look_at_exchange(r, source);
    else if (dest && name.len == 0)
        look_at_queue(r, dest);
    return s;
}

static void start_between(struct request *r)
{
    (void)find_between(r, NULL);
    list_run(r);
}

/* The one that the path names; 404 where there is none. The list has it. */
static const struct binding_facts *find_one(struct request *r)
{
    const struct search *s = find_between(r, request_segment(r, 7));

    if (!s->found)
        request_fail_not_found(r);
    return s->found;
}

static void start_one(struct request *r)
{
    request_finish_json(r, binding_json(find_one(r)));
}

static struct amqp_bytes bytes_of(const struct blob *b)
{
    return b ? amqp_bytes(blob_bytes(b), blob_size(b)) : amqp_bytes("", 0);
}

static enum access_resource dest_kind(const struct request *r)
{
    return *r->path.segment[5].p == 'q' ? ACCESS_QUEUE : ACCESS_EXCHANGE;
}

static void check_rights(struct request *r, struct amqp_bytes key)
{
    struct amqp_bytes source = ask_exchange_name(r, 4);
    const struct path_segment *dest = &r->path.segment[6];

    ask_right(r, dest_kind(r), amqp_bytes(dest->p, dest->len), ACCESS_WRITE);
    ask_right(r, ACCESS_EXCHANGE, source, ACCESS_READ);
    ask_topic_right(r, source, key, ACCESS_READ);
}

static struct msg_registry_bind *bind_new(struct request *r, uint32_t type, struct blob *key,
                                          struct blob *args)
{
    struct msg_registry_bind *m = registry_bind_new(type);
    struct amqp_bytes source = ask_exchange_name(r, 4);

    m->to_exchange = dest_kind(r) == ACCESS_EXCHANGE;
    m->owner = proc_self();
    m->source = blob_copy(source.p, source.len);
    m->dest = blob_copy(r->path.segment[6].p, r->path.segment[6].len);
    m->key = key;
    m->args = args;
    return m;
}

static void start_delete(struct request *r)
{
    const struct binding_facts *b = find_one(r);

    check_rights(r, bytes_of(b->key));
    r->at = 204;
    ask_registry(r, &bind_new(r, REGISTRY_UNBIND, blob_of(b->key), blob_of(b->args))->hdr);
}

struct made { /* process memory */
    char properties_key[PROPERTIES_KEY_SIZE];
};

static void start_bind(struct request *r)
{
    const char *text = request_body_text(r, "routing_key");
    struct amqp_bytes key = amqp_str(text ? text : ""), args = ask_arguments(r);
    struct made *made = proc_zalloc(sizeof(*made));
    struct msg_registry_bind *m;

    (void)request_segment(r, 6); /* 404 for what no name can be */
    if (key.len > 255)
        request_fail(r, 400, "the routing key is longer than 255 bytes");
    check_rights(r, key);
    m = bind_new(r, REGISTRY_BIND, ask_blob(key), ask_blob(args));
    binding_properties_key(m->key, m->args, made->properties_key);
    r->state = made;
    ask_registry(r, &m->hdr);
}

/* As it must be written behind the resource's path. */
static char *location_of(const struct request *r)
{
    RUNTIME_REGION();
    const struct made *made = r->state;
    const struct path_segment *dest = &r->path.segment[6];
    char *name = evhttp_uriencode(dest->p, (ev_ssize_t)dest->len, 0);
    char *key = evhttp_uriencode(made->properties_key, -1, 0), *ret = NULL;

    if (name && key) {
        ret = rt_alloc(strlen(name) + strlen(key) + 2);
        strcpy(stpcpy(stpcpy(ret, name), "/"), key);
    }
    free(name);
    free(key);
    return ret;
}

static void handle_bind(struct request *r, struct msg *m)
{
    struct msg_http_response *response;

    (void)ask_registry_reply(r, m);
    response = http_response_new(201, NULL);
    response->location = location_of(r);
    request_respond(r, response);
}

enum { ALL = VIEW_MANAGEMENT, V = VIEW_VHOST };

const struct view views_bindings[] = {
    {"api/bindings", HTTP_GET, ALL, 0, start_list, on_continue},
    {"api/bindings/x", HTTP_GET, ALL, V, start_list, on_continue},
    {"api/bindings/x/e/x/q/x", HTTP_GET, ALL, V, start_between, NULL},
    {"api/bindings/x/e/x/e/x", HTTP_GET, ALL, V, start_between, NULL},
    {"api/bindings/x/e/x/q/x", HTTP_POST, ALL, V, start_bind, handle_bind},
    {"api/bindings/x/e/x/e/x", HTTP_POST, ALL, V, start_bind, handle_bind},
    {"api/bindings/x/e/x/q/x/x", HTTP_GET, ALL, V, start_one, NULL},
    {"api/bindings/x/e/x/e/x/x", HTTP_GET, ALL, V, start_one, NULL},
    {"api/bindings/x/e/x/q/x/x", HTTP_DELETE, ALL, V, start_delete, ask_finish},
    {"api/bindings/x/e/x/e/x/x", HTTP_DELETE, ALL, V, start_delete, ask_finish},
    {"api/queues/x/x/bindings", HTTP_GET, ALL, V, start_of_queue, on_continue},
    {"api/exchanges/x/x/bindings/source", HTTP_GET, ALL, V, start_of_source, on_continue},
    {"api/exchanges/x/x/bindings/destination", HTTP_GET, ALL, V, start_of_destination, on_continue},
    {0},
};
