/*
 * Views of definitions: an export of all, or of a vhost, and taking one in.
 *
 * An export is written in parts: the settings first, then queues, exchanges and bindings, read from
 * the tables as they are when their turn comes.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/u64map.h"
#include "mgmt/definitions_json.h"
#include "mgmt/json.h"
#include "mgmt/multipart.h"
#include "mgmt/node_ask.h"
#include "mgmt/user_json.h"
#include "mgmt/views.h"
#include "queues/registry_hash.h"
#include "queues/routes.h"
#include "queues/route.h"
#include "queues/settings.h"

/* A section's objects, in an order that stays the same. */
struct gathered {
    const struct request *r;
    const struct setting **v;
    size_t n, size;
};

static void gather(void *ctx, const struct setting *s)
{
    struct gathered *g = ctx;

    if (g->n < g->size)
        g->v[g->n++] = s;
}

static int compare(const void *a, const void *b)
{
    const struct setting *const *x = a, *const *y = b;

    return strcmp((*x)->text, (*y)->text);
}

/* In an export of one vhost nothing names it. */
static bool is_in(const struct request *r, json_t *object)
{
    const char *vhost = json_string_value(json_object_get(object, "vhost"));

    if (!r->vhost)
        return true;
    if (!vhost || strcmp(vhost, r->vhost) != 0)
        return false;
    json_object_del(object, "vhost");
    return true;
}

static void add_one(struct request *r, const struct setting *s, bool is_user)
{
    RUNTIME_REGION();
    struct text *out = &r->foreign->out;
    json_t *object = setting_json(s);

    if (object && is_user)
        object = user_json(r, object);
    if (!object || !is_in(r, object)) {
        json_decref(object);
        return;
    }
    text_add_comma(out);
    text_add_json(out, object);
}

static void add_section(struct request *r, const char *section)
{
    struct gathered g = {.r = r, .size = settings_count(section) + 64};
    struct text *out = &r->foreign->out;

    g.v = proc_alloc(g.size * sizeof(struct setting *));
    settings_each(section, gather, &g);
    qsort(g.v, g.n, sizeof(struct setting *), compare);
    text_add_str(out, ",\"");
    text_add_str(out, section);
    text_add_str(out, "\":[");
    for (size_t i = 0; i < g.n; i++)
        add_one(r, g.v[i], strcmp(section, "users") == 0);
    text_add_str(out, "]");
    proc_free(g.v);
}

static void add_cells(void *ctx, const char *vhost)
{
    struct request *r = ctx;

    cells_add_queues(&r->foreign->cells, vhost);
    cells_add_exchanges(&r->foreign->cells, vhost);
}

struct bindings {
    struct request *r;
    const struct cell *source;
    struct u64map seen; /* one may come twice */
};

static void add_binding(void *ctx, const struct binding *b)
{
    struct bindings *w = ctx;
    struct text *out = &w->r->foreign->out;
    uint64_t hash = registry_binding_hash(
        w->source->id, b->dest->id ^ (uint64_t)b->dest->kind << 63, b->key, b->args);

    if ((b->dest->flags & CELL_EXCLUSIVE) || u64map_get(&w->seen, hash))
        return;
    u64map_put(&w->seen, hash, 1);
    text_add_comma(out);
    text_add_json(out, definitions_binding_json(w->source, b, !w->r->vhost));
}

static void add_bindings(struct request *r, const struct cell *x)
{
    RUNTIME_REGION();
    struct bindings w = {.r = r, .source = x};

    u64map_init(&w.seen, rt_realloc, rt_free);
    routes_each(x, add_binding, &w);
    u64map_fini(&w.seen);
}

static void add_one_cell(struct request *r, const struct cell *c)
{
    RUNTIME_REGION();

    text_add_comma(&r->foreign->out);
    text_add_json(&r->foreign->out, definitions_cell_json(c, !r->vhost));
}

enum phase { QUEUES, EXCHANGES, BINDINGS, PHASES };

/* r->at counts the cells once for each phase. */
static void go_on(struct request *r)
{
    static const char *const heads[PHASES] = {",\"queues\":[", "],\"exchanges\":[",
                                              "],\"bindings\":["};
    struct cells *all = &r->foreign->cells;

    for (; r->at < PHASES * (all->n + 1); r->at++) {
        enum phase phase = (enum phase)(r->at / (all->n + 1));
        size_t i = r->at % (all->n + 1);
        const struct cell *c = i > 0 ? all->cell[i - 1] : NULL;

        if (!request_may_write(r)) {
            request_continue(r);
            return;
        }
        if (!c)
            text_add_str(&r->foreign->out, heads[phase]);
        else if (phase == BINDINGS && c->kind == CELL_EXCHANGE && c->name_len > 0)
            add_bindings(r, c);
        else if (phase != BINDINGS && definitions_has(c) &&
                 (c->kind == CELL_QUEUE) == (phase == QUEUES))
            add_one_cell(r, c);
    }
    text_add_str(&r->foreign->out, "]}");
    request_finish(r);
}

static void handle_export(struct request *r, struct msg *m)
{
    CHECK(m->type == MSG_CONTINUE);
    go_on(r);
}

static void begin(struct request *r)
{
    text_add_str(&r->foreign->out,
                 "{\"rabbit_version\":\"3.10.8\",\"rabbitmq_version\":\"3.10.8\","
                 "\"product_name\":\"Warren\",\"product_version\":\"" WARREN_VERSION "\"");
}

static void start_export(struct request *r)
{
    static const char *const sections[] = {
        "users",   "vhosts", "permissions", "topic_permissions", "parameters", "global_parameters",
        "policies"};

    begin(r);
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        add_section(r, sections[i]);
    access_each_vhost(add_cells, r);
    go_on(r);
}

static void start_export_vhost(struct request *r)
{
    begin(r);
    add_section(r, "parameters");
    add_section(r, "policies");
    add_cells(r, r->vhost);
    go_on(r);
}

/*
 * Taking in
 */

static void start_import(struct request *r)
{
    const char *vhost = r->path.n > 2 ? request_segment(r, 2) : NULL;
    struct msg_node_change *m;
    struct amqp_bytes file = {0};

    if (vhost && !access_has_vhost(vhost, strlen(vhost)))
        request_fail_not_found(r);
    if (r->m->body)
        file = amqp_bytes(blob_bytes(r->m->body), blob_size(r->m->body));
    if (multipart_is(r->m->content_type) &&
        !multipart_find(r->m->content_type, file, "file", &file))
        request_fail(r, 400, "the form has no part named 'file'");
    m = node_change_new(NODE_IMPORT, (const char *)file.p, file.len);
    snprintf(m->vhost, sizeof(m->vhost), "%s", vhost ? vhost : "");
    m->skips = request_param_is_true(r, "skip_unsupported");
    (void)request_who(r, m->who);
    r->asked = proc_call(proc_whereis("node"), &m->hdr, PROC_NO_TIMEOUT);
}

static void handle_import(struct request *r, struct msg *m)
{
    const struct msg_node_changed *done = node_answer(r, m);

    if (done->result == NODE_REFUSED || done->result == NODE_FAILED)
        request_fail(r, 400, done->text);
    request_finish_status(r, 204);
}

enum { ADMIN = VIEW_ADMINISTRATOR };

const struct view views_definitions[] = {
    {"api/definitions", HTTP_GET, ADMIN, 0, start_export, handle_export},
    {"api/definitions", HTTP_POST, ADMIN, 0, start_import, handle_import},
    {"api/all-configuration", HTTP_GET, ADMIN, 0, start_export, handle_export},
    {"api/all-configuration", HTTP_POST, ADMIN, 0, start_import, handle_import},
    {"api/definitions/x", HTTP_GET, ADMIN, VIEW_VHOST, start_export_vhost, handle_export},
    {"api/definitions/x", HTTP_POST, ADMIN, 0, start_import, handle_import},
    {0},
};
