/*
 * Views of queues: all, those of a vhost, one; declaring, deleting and purging one.
 */
#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/cell_json.h"
#include "mgmt/json.h"
#include "mgmt/list.h"
#include "mgmt/slots.h"
#include "mgmt/views.h"
#include "mgmt/walk.h"
#include "queues/queue.h"
#include "queues/registry.h"
#include "queues/route.h"
#include "queues/stats.h"

/* Of all vhosts, or of the one that the path names. */
static void start_list(struct request *r)
{
    struct walk *w = walk_list_begin(r, &list_of_queues);

    w->on_queue = walk_list_add;
    walk_list_go_on(r);
}

static bool is_its_consumer(struct request *r, const struct stat_slot *s)
{
    const struct cell *q = ((const struct consumer_stats *)s)->queue;
    const struct path_segment *name = &r->path.segment[3];

    return !strcmp(cell_vhost(q), r->vhost) && q->name_len == name->len &&
           !memcmp(cell_name(q), name->p, name->len);
}

static json_t *with_consumers(const struct request *r, const struct cell *q)
{
    RUNTIME_REGION();
    json_t *ret = queue_json(r, q, QUEUE_STATS);

    json_add(ret, "consumer_details", json_incref(r->foreign->consumers));
    slots_add_no_pairs(ret, "incoming", "deliveries");
    return ret;
}

static void add_consumer(struct request *r, const struct stat_slot *s)
{
    if (!s)
        request_finish_json(r, with_consumers(r, ask_queue(r, 3)));
    slots_add_consumer(r, s);
}

static void start_one(struct request *r)
{
    (void)ask_queue(r, 3); /* 404 */
    slots_begin_consumers(r);
    slot_list_each(r, STAT_CONSUMER, is_its_consumer, add_consumer);
}

static bool is_there(const struct request *r, struct amqp_bytes name)
{
    struct vhost_tables tables;
    const struct cell *c;

    vhost_tables_open(r->vhost, &tables);
    c = vhost_find_queue(&tables, name.p, name.len);
    return c && cell_at(c)->state != CELL_DELETED;
}

static void start_declare(struct request *r)
{
    struct amqp_bytes name = ask_new_name(r, 3), args = ask_arguments(r);
    uint32_t flags = (request_body_bool(r, "durable", false) ? CELL_DURABLE : 0) |
                     (request_body_bool(r, "auto_delete", false) ? CELL_AUTO_DELETE : 0);
    struct msg_registry_declare *m;

    ask_right(r, ACCESS_QUEUE, name, ACCESS_CONFIGURE);
    ask_target_right(r, ACCESS_QUEUE, name, args, "x-dead-letter-exchange");
    r->at = is_there(r, name) ? 204 : 201;
    m = registry_declare_new(REGISTRY_QUEUE_DECLARE, name.p, name.len);
    m->flags = flags;
    m->owner = proc_self();
    m->args = ask_blob(args);
    ask_registry(r, &m->hdr);
}

static void start_delete(struct request *r)
{
    const struct cell *c = ask_queue(r, 3);
    bool if_unused = request_param_is_true(r, "if-unused");
    bool if_empty = request_param_is_true(r, "if-empty");
    struct msg_registry_delete *m;

    ask_right(r, ACCESS_QUEUE, amqp_bytes(cell_name(c), c->name_len), ACCESS_CONFIGURE);
    m = registry_delete_new(REGISTRY_QUEUE_DELETE, cell_name(c), c->name_len);
    m->if_unused = if_unused;
    m->if_empty = if_empty;
    m->owner = proc_self();
    r->at = 204;
    ask_registry(r, &m->hdr);
}

static void start_purge(struct request *r)
{
    struct cell *c = ask_queue(r, 3);
    const struct cell_at *at;

    ask_right(r, ACCESS_QUEUE, amqp_bytes(cell_name(c), c->name_len), ACCESS_READ);
    at = ask_running(r, c);
    r->asked = proc_call(at->pid, &queue_ask_new(QUEUE_PURGE, at->epoch)->hdr, PROC_NO_TIMEOUT);
}

static void handle_purge(struct request *r, struct msg *m)
{
    const struct msg_queue_reply *reply =
        MSG_OF(const struct msg_queue_reply, ask_queue_reply(r, m, QUEUE_REPLY));

    if (reply->code)
        request_fail_amqp(r, reply->code, reply->text);
    request_finish_empty(r);
}

/* Mirrors, which these are about, are not; so all of them are in step. */
static void start_action(struct request *r)
{
    const char *action = request_body_text(r, "action");

    (void)ask_queue(r, 3); /* 404 */
    if (!action || (strcmp(action, "sync") && strcmp(action, "cancel_sync")))
        request_fail(r, 400, "the action is none of sync, cancel_sync");
    request_finish_empty(r);
}

const struct view views_queues[] = {
    {"api/queues", HTTP_GET, VIEW_MANAGEMENT, 0, start_list, walk_list_continue},
    {"api/queues/detailed", HTTP_GET, VIEW_MANAGEMENT, 0, start_list, walk_list_continue},
    {"api/queues/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_list, walk_list_continue},
    {"api/queues/x/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_one, slot_list_handle},
    {"api/queues/x/x", HTTP_PUT, VIEW_MANAGEMENT, VIEW_VHOST, start_declare, ask_finish},
    {"api/queues/x/x", HTTP_DELETE, VIEW_MANAGEMENT, VIEW_VHOST, start_delete, ask_finish},
    {"api/queues/x/x/contents", HTTP_DELETE, VIEW_MANAGEMENT, VIEW_VHOST, start_purge,
     handle_purge},
    {"api/queues/x/x/actions", HTTP_POST, VIEW_ADMINISTRATOR, VIEW_VHOST, start_action, NULL},
    {0},
};
