/*
 * What views ask of a vhost.
 */
#include "mgmt/ask.h"

#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/request.h"
#include "queues/registry.h"
#include "queues/route.h"
#include "queues/table_json.h"
#include "queues/vhost_state.h"

static struct amqp_bytes segment_bytes(struct request *r, unsigned i)
{
    (void)request_segment(r, i); /* 404 for what no name can be */
    return amqp_bytes(r->path.segment[i].p, r->path.segment[i].len);
}

struct amqp_bytes ask_new_name(struct request *r, unsigned segment)
{
    struct amqp_bytes name = segment_bytes(r, segment);

    if (name.len == 0 || name.len > 255 || !amqp_is_utf8(name) || memchr(name.p, '\r', name.len) ||
        memchr(name.p, '\n', name.len))
        request_fail(r, 400, "a name is UTF-8, 1 to 255 bytes, without line breaks");
    return name;
}

struct amqp_bytes ask_exchange_name(struct request *r, unsigned segment)
{
    struct amqp_bytes name = segment_bytes(r, segment);

    return amqp_bytes_is(name, "amq.default") ? amqp_bytes("", 0) : name;
}

struct cell *ask_queue(struct request *r, unsigned segment)
{
    struct amqp_bytes name = segment_bytes(r, segment);
    struct vhost_tables tables;
    struct cell *c;

    vhost_tables_open(r->vhost, &tables);
    c = vhost_find_queue(&tables, name.p, name.len);
    if (!c || cell_at(c)->state == CELL_DELETED)
        request_fail_not_found(r);
    return c;
}

struct cell *ask_exchange(struct request *r, unsigned segment)
{
    struct amqp_bytes name = ask_exchange_name(r, segment);
    struct vhost_tables tables;
    struct cell *c;

    vhost_tables_open(r->vhost, &tables);
    c = vhost_find_exchange(&tables, name.p, name.len);
    if (!c || cell_at(c)->state == CELL_DELETED)
        request_fail_not_found(r);
    return c;
}

struct cell *ask_default_exchange(const char *vhost)
{
    return cell_new(&(struct cell_spec){.kind = CELL_EXCHANGE,
                                        .flags = CELL_DURABLE | CELL_PREDECLARED,
                                        .vhost = vhost,
                                        .name = "",
                                        .vhost_len = (uint8_t)strlen(vhost)});
}

const struct cell_at *ask_running(struct request *r, struct cell *queue)
{
    const struct cell_at *at = cell_at(queue);
    char text[512];

    if (queue->flags & CELL_EXCLUSIVE) {
        snprintf(text, sizeof(text),
                 "cannot obtain exclusive access to locked queue '%s' in vhost '%s'",
                 cell_name(queue), r->vhost);
        request_fail(r, 400, text);
    }
    if (at->state == CELL_UP)
        return at;
    if (at->state == CELL_RESTARTING)
        again_by_queue(r, queue, 0);
    snprintf(text, sizeof(text), "queue '%s' in vhost '%s' is %s%s", cell_name(queue), r->vhost,
             at->state == CELL_PARKED ? "down: " : "being restarted", at->reason);
    request_fail(r, 503, text);
}

static void name_store(const struct request *r, char out[300])
{
    snprintf(out, 300, "store:%s", r->vhost);
}

proc_id ask_store(const struct request *r)
{
    char name[300];

    name_store(r, name);
    return proc_whereis(name);
}

struct msg *ask_store_reply(struct request *r, struct msg *m, uint32_t type)
{
    char name[300];

    CHECK(m->ref == r->asked);
    if (m->type == type)
        return m;
    name_store(r, name);
    again_by_name(r, name);
    request_fail(r, 503, "the vhost's store is being restarted");
}

struct msg *ask_queue_reply(struct request *r, struct msg *m, uint32_t type)
{
    CHECK(m->ref == r->asked);
    if (m->type == type)
        return m;
    again_by_queue(r, ask_queue(r, 3), m->from);
    request_fail(r, 503, "the queue is being restarted");
}

static __attribute__((noreturn)) void refuse(struct request *r, enum access_resource kind,
                                             struct amqp_bytes name)
{
    char text[768];

    snprintf(text, sizeof(text), "access to %s '%.*s' in vhost '%s' refused for user '%s'",
             kind == ACCESS_QUEUE ? "queue" : "exchange", name.len ? (int)name.len : 11,
             name.len ? (const char *)name.p : "amq.default", r->vhost, r->user);
    request_fail_right(r, text);
}

void ask_right(struct request *r, enum access_resource kind, struct amqp_bytes name,
               enum access_right right)
{
    if (!access_check(r->user, r->vhost, kind, name.p, name.len, right))
        refuse(r, kind, name);
}

void ask_topic_right(struct request *r, struct amqp_bytes exchange, struct amqp_bytes key,
                     enum access_right right)
{
    struct vhost_tables tables;
    const struct cell *x;
    char text[1024];

    vhost_tables_open(r->vhost, &tables);
    x = vhost_find_exchange(&tables, exchange.p, exchange.len);
    if (!x || x->type != EXCHANGE_TOPIC ||
        access_check_topic(r->user, r->vhost, exchange.p, exchange.len, right, key.p, key.len))
        return;
    snprintf(text, sizeof(text),
             "access to topic '%.*s' in exchange '%.*s' in vhost '%s' refused for user '%s'",
             (int)key.len, (const char *)key.p, (int)exchange.len, (const char *)exchange.p,
             r->vhost, r->user);
    request_fail_right(r, text);
}

void ask_target_right(struct request *r, enum access_resource kind, struct amqp_bytes name,
                      struct amqp_bytes args, const char *key)
{
    struct amqp_bytes target;

    if (ftable_get_string(args, key, &target) != 1)
        return; /* of another type: the registry refuses it */
    ask_right(r, kind, name, ACCESS_READ);
    ask_right(r, ACCESS_EXCHANGE, target, ACCESS_WRITE);
}

static ssize_t make_table(const json_t *object, uint8_t *buf, size_t cap)
{
    RUNTIME_REGION();

    return table_of_json(object, buf, cap);
}

struct amqp_bytes ask_arguments(struct request *r)
{
    const json_t *args = json_object_get(request_body(r), "arguments");
    uint8_t *bytes;
    ssize_t size;

    /* An empty list is what RabbitMQ's own tools make of no arguments. */
    if (!args || json_is_null(args) || (json_is_array(args) && json_array_size(args) == 0))
        return amqp_bytes(NULL, 0);
    if (!json_is_object(args))
        request_fail(r, 400, "'arguments' in the body is not an object");
    size = make_table(args, NULL, 0);
    if (size < 0)
        request_fail(r, 400, "'arguments' in the body cannot be a table of arguments");
    bytes = proc_alloc((size_t)size + 1);
    (void)make_table(args, bytes, (size_t)size); /* as many bytes as were asked for */
    return amqp_bytes(bytes, (size_t)size);
}

struct blob *ask_blob(struct amqp_bytes b)
{
    return b.len ? blob_copy(b.p, b.len) : NULL;
}

void ask_registry(struct request *r, struct msg *m)
{
    const char *down = vhost_down_reason(r->vhost);
    char name[300];

    if (down) {
        msg_drop(m);
        request_fail(r, 503, down);
    }
    snprintf(name, sizeof(name), "registry:%s", r->vhost);
    r->asked = proc_call(proc_whereis(name), m, PROC_NO_TIMEOUT);
}

const struct msg_registry_reply *ask_registry_reply(struct request *r, struct msg *m)
{
    const struct msg_registry_reply *reply = (const struct msg_registry_reply *)(const void *)m;

    CHECK(m->ref == r->asked);
    if (m->type != REGISTRY_REPLY) {
        again_note(r, m);
        if (!r->m->again.status)
            r->m->again.status = (int)r->at;
        again_by_registry(r);
        request_fail(r, 503, "the vhost is being restarted");
    }
    if (reply->code)
        request_fail_amqp(r, reply->code, reply->text);
    return reply;
}

void ask_finish(struct request *r, struct msg *m)
{
    (void)ask_registry_reply(r, m);
    request_finish_status(r, r->m->again.status ? r->m->again.status : (int)r->at);
}
