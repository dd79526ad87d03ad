/*
 * Views of exchanges: all, those of a vhost, one; declaring and deleting one.
 */
#include "amqp/codec/table.h"
#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/cell_json.h"
#include "mgmt/list.h"
#include "mgmt/slots.h"
#include "mgmt/views.h"
#include "mgmt/walk.h"
#include "queues/registry.h"
#include "queues/route.h"

static void id_of(const void *item, struct list_id *ret)
{
    const struct cell *c = item;

    *ret = (struct list_id){cell_vhost(c), cell_name(c), c->vhost_len, c->name_len};
}

static json_t *show(const struct request *r, const void *item)
{
    return exchange_json(r, item, list_wants_stats(r));
}

static void unref(void *item)
{
    cell_unref(item);
}

static const struct list_ops ops = {id_of, show, unref};

static void add_default(struct walk *w, const char *vhost)
{
    list_add(w->request, ask_default_exchange(vhost));
}

/* Of all vhosts, or of the one that the path names. */
static void start_list(struct request *r)
{
    struct walk *w = walk_list_begin(r, &ops);

    w->on_vhost = add_default;
    w->on_exchange = walk_list_add;
    walk_list_go_on(r);
}

static json_t *alone(const struct request *r, const struct cell *c)
{
    RUNTIME_REGION();
    json_t *ret = exchange_json(r, c, true);

    slots_add_no_pairs(ret, "incoming", "outgoing");
    return ret;
}

static void start_one(struct request *r)
{
    struct cell *c;

    if (ask_exchange_name(r, 3).len > 0) {
        c = ask_exchange(r, 3);
    } else {
        c = ask_default_exchange(r->vhost);
        cells_add(&r->foreign->cells, c);
    }
    request_finish_json(r, alone(r, c));
}

static bool is_there(const struct request *r, struct amqp_bytes name)
{
    struct vhost_tables tables;
    const struct cell *c;

    vhost_tables_open(r->vhost, &tables);
    c = vhost_find_exchange(&tables, name.p, name.len);
    return c && cell_at(c)->state != CELL_DELETED;
}

static void start_declare(struct request *r)
{
    struct amqp_bytes name = ask_new_name(r, 3), args = ask_arguments(r);
    const char *type = request_body_text(r, "type");
    uint32_t flags = (request_body_bool(r, "durable", false) ? CELL_DURABLE : 0) |
                     (request_body_bool(r, "auto_delete", false) ? CELL_AUTO_DELETE : 0) |
                     (request_body_bool(r, "internal", false) ? CELL_INTERNAL : 0);
    struct msg_registry_declare *m;

    if (amqp_bytes_is(name, "amq.default"))
        name.len = 0; /* the registry says that nobody declares it */
    ask_right(r, ACCESS_EXCHANGE, name, ACCESS_CONFIGURE);
    ask_target_right(r, ACCESS_EXCHANGE, name, args, "alternate-exchange");
    r->at = is_there(r, name) ? 204 : 201;
    m = registry_declare_new(REGISTRY_EXCHANGE_DECLARE, name.p, name.len);
    m->flags = flags;
    m->owner = proc_self();
    m->type = ask_blob(amqp_str(type ? type : "direct"));
    m->args = ask_blob(args);
    ask_registry(r, &m->hdr);
}

static void start_delete(struct request *r)
{
    struct amqp_bytes name = ask_exchange_name(r, 3);
    bool if_unused = request_param_is_true(r, "if-unused");
    struct msg_registry_delete *m;

    if (name.len > 0) /* the registry says that nobody deletes the default one */
        (void)ask_exchange(r, 3);
    ask_right(r, ACCESS_EXCHANGE, name, ACCESS_CONFIGURE);
    m = registry_delete_new(REGISTRY_EXCHANGE_DELETE, name.p, name.len);
    m->if_unused = if_unused;
    m->owner = proc_self();
    r->at = 204;
    ask_registry(r, &m->hdr);
}

const struct view views_exchanges[] = {
    {"api/exchanges", HTTP_GET, VIEW_MANAGEMENT, 0, start_list, walk_list_continue},
    {"api/exchanges/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_list, walk_list_continue},
    {"api/exchanges/x/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_one, NULL},
    {"api/exchanges/x/x", HTTP_PUT, VIEW_MANAGEMENT, VIEW_VHOST, start_declare, ask_finish},
    {"api/exchanges/x/x", HTTP_DELETE, VIEW_MANAGEMENT, VIEW_VHOST, start_delete, ask_finish},
    {0},
};
