/*
 * channel_topology.c - methods of exchanges and queues: what is asked of the registry for them, and
 * what its answers mean. How requests are under way is in channel_asks.c.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"
#include "amqp/codec/table.h"
#include "amqp/replies.h"

struct name { /* as clients mean it: without CR and LF */
    uint8_t len;
    char text[256];
};

static struct amqp_bytes name_view(const struct name *n)
{
    return amqp_bytes(n->text, n->len);
}

static struct name strip(struct amqp_bytes b)
{
    struct name n = {0};

    for (uint32_t i = 0; i < b.len && i < 255; i++)
        if (b.p[i] != '\r' && b.p[i] != '\n')
            n.text[n.len++] = (char)b.p[i];
    return n;
}

void topology_no_queue(struct channel *ch, uint32_t method, struct amqp_bytes name)
{
    channel_fail(ch, AMQP_CODE_NOT_FOUND, method, "no queue '%.*s' in vhost '%s'", (int)name.len,
                 (const char *)name.p, ch->vhost);
}

void topology_check_table(struct channel *ch, uint32_t method, struct amqp_bytes table)
{
    int r = ftable_validate(table);

    if (r < 0)
        channel_fail(ch,
                     r == AMQP_ERR_TABLE_DEPTH || r == AMQP_ERR_TABLE_SIZE ? AMQP_CODE_SYNTAX_ERROR
                                                                           : AMQP_CODE_FRAME_ERROR,
                     method, "%s", amqp_error_text(r));
}

/* An empty name stands for the queue that this channel declared last. */
static struct amqp_bytes or_current(struct channel *ch, struct amqp_bytes name, uint32_t method)
{
    if (name.len > 0)
        return name;
    if (!ch->current_queue)
        channel_fail(ch, AMQP_CODE_NOT_FOUND, method, "no previously declared queue");
    return amqp_str(ch->current_queue);
}

static void set_current(struct channel *ch, const struct cell *cell)
{
    if (ch->current_queue && strcmp(ch->current_queue, cell_name(cell)) == 0)
        return;
    ch->current_queue = proc_realloc(ch->current_queue, cell->name_len + 1u);
    memcpy(ch->current_queue, cell_name(cell), cell->name_len + 1u);
}

static void check_owner(struct channel *ch, const struct cell *cell, uint32_t method)
{
    if (!(cell->flags & CELL_EXCLUSIVE) || cell->owner == ch->connection)
        return;
    channel_fail(ch, AMQP_CODE_RESOURCE_LOCKED, method,
                 "cannot obtain exclusive access to locked queue '%s' in vhost '%s'. It was "
                 "declared on another connection.",
                 cell_name(cell), ch->vhost);
}

struct cell *topology_queue(struct channel *ch, struct amqp_bytes name, uint32_t method,
                            enum method_result *ret)
{
    const struct cell_at *at;
    struct cell *cell;

    name = or_current(ch, name, method);
    cell = vhost_find_queue(&ch->tables, name.p, name.len);
    if (!cell)
        topology_no_queue(ch, method, name);
    check_owner(ch, cell, method);
    at = cell_at(cell);
    switch (at->state) {
    case CELL_UP:
        return cell;
    case CELL_PARKED:
        channel_fail(ch, AMQP_CODE_NOT_FOUND, method, "queue '%s' in vhost '%s' is down: %s",
                     cell_name(cell), ch->vhost, at->reason);
    case CELL_DELETED:
        topology_no_queue(ch, method, name);
    default:
        *ret = op_await_cell(ch, cell, 0);
        return NULL;
    }
}

static struct blob *copy_or_null(struct amqp_bytes b)
{
    return b.len ? blob_copy(b.p, b.len) : NULL;
}

static uint32_t flag_if(bool on, uint32_t flag)
{
    return on ? flag : 0;
}

/* A declare of such a name asks whether its owner is there. */
void topology_declare_reply(struct channel *ch, const struct amqp_method *m)
{
    struct amqp_method ok = {.id = AMQP_QUEUE_DECLARE_OK};
    const struct name name = strip(m->u.queue_declare.queue);

    if (!amqp_bytes_is(name_view(&name), REPLY_QUEUE) && !reply_exists(ch->vhost, name_view(&name)))
        topology_no_queue(ch, m->id, name_view(&name));
    ok.u.queue_declare_ok =
        (struct amqp_queue_declare_ok){.queue = name_view(&name), .consumer_count = 1};
    if (!m->u.queue_declare.nowait)
        channel_reply(ch, &ok);
}

static struct msg_registry_declare *declare_new(struct channel *ch, uint32_t type,
                                                const struct name *name, struct amqp_bytes args)
{
    struct msg_registry_declare *ask = registry_declare_new(type, name->text, name->len);

    ask->in_order = true;
    ask->owner = ch->connection;
    ask->args = copy_or_null(args);
    return ask;
}

static struct msg *declare_queue(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_declare *d = &m->u.queue_declare;
    const struct name name = strip(d->queue);
    struct msg_registry_declare *ask;

    if (d->passive && name.len == 0)
        topology_no_queue(ch, m->id, name_view(&name));
    ask = declare_new(ch, REGISTRY_QUEUE_DECLARE, &name, d->arguments);
    ask->passive = d->passive;
    ask->flags = flag_if(d->durable, CELL_DURABLE) | flag_if(d->exclusive, CELL_EXCLUSIVE) |
                 flag_if(d->auto_delete, CELL_AUTO_DELETE);
    if (d->exclusive && !d->passive)
        ch->has_exclusive = true;
    return &ask->hdr;
}

static struct msg *declare_exchange(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_declare *d = &m->u.exchange_declare;
    const struct name name = strip(d->exchange);
    struct msg_registry_declare *ask =
        declare_new(ch, REGISTRY_EXCHANGE_DECLARE, &name, d->arguments);

    ask->passive = d->passive;
    ask->flags = flag_if(d->durable, CELL_DURABLE) | flag_if(d->internal, CELL_INTERNAL) |
                 flag_if(d->auto_delete, CELL_AUTO_DELETE);
    ask->type = blob_copy(d->type.p, d->type.len);
    return &ask->hdr;
}

static struct msg *delete_any(struct channel *ch, const struct amqp_method *m)
{
    bool queue = m->id == AMQP_QUEUE_DELETE;
    struct amqp_bytes name =
        queue ? or_current(ch, m->u.queue_delete.queue, m->id) : m->u.exchange_delete.exchange;
    struct msg_registry_delete *ask = registry_delete_new(
        queue ? REGISTRY_QUEUE_DELETE : REGISTRY_EXCHANGE_DELETE, name.p, name.len);

    ask->in_order = true;
    ask->if_unused = queue ? m->u.queue_delete.if_unused : m->u.exchange_delete.if_unused;
    ask->if_empty = queue && m->u.queue_delete.if_empty;
    ask->owner = ch->connection;
    return &ask->hdr;
}

struct bind_parts {
    bool remove, to_exchange;
    struct amqp_bytes source, dest, key, args;
};

static struct bind_parts bind_parts_of(const struct amqp_method *m)
{
    const struct amqp_queue_bind *qb = &m->u.queue_bind;
    const struct amqp_queue_unbind *qu = &m->u.queue_unbind;
    const struct amqp_exchange_bind *xb = &m->u.exchange_bind;
    const struct amqp_exchange_unbind *xu = &m->u.exchange_unbind;

    switch (m->id) {
    case AMQP_QUEUE_BIND:
        return (struct bind_parts){false,     false,           qb->exchange,
                                   qb->queue, qb->routing_key, qb->arguments};
    case AMQP_QUEUE_UNBIND:
        return (struct bind_parts){true,      false,           qu->exchange,
                                   qu->queue, qu->routing_key, qu->arguments};
    case AMQP_EXCHANGE_BIND:
        return (struct bind_parts){false,           true,         xb->source, xb->destination,
                                   xb->routing_key, xb->arguments};
    default:
        return (struct bind_parts){true,         true, xu->source, xu->destination, xu->routing_key,
                                   xu->arguments};
    }
}

static struct msg *bind_any(struct channel *ch, const struct amqp_method *m)
{
    struct bind_parts b = bind_parts_of(m);
    const struct name source = strip(b.source), dest = strip(b.dest);
    struct amqp_bytes to = name_view(&dest);
    struct msg_registry_bind *ask;

    if (!b.to_exchange && to.len == 0) {
        struct amqp_bytes current = or_current(ch, to, m->id);

        if (b.key.len == 0 && !b.remove)
            b.key = current; /* a bind that names neither means the queue's name */
        to = current;
    }
    ask = registry_bind_new(b.remove ? REGISTRY_UNBIND : REGISTRY_BIND);
    ask->in_order = true;
    ask->to_exchange = b.to_exchange;
    ask->owner = ch->connection;
    ask->source = blob_copy(source.text, source.len);
    ask->dest = blob_copy(to.p, to.len);
    ask->key = blob_copy(b.key.p, b.key.len);
    ask->args = copy_or_null(b.args);
    return &ask->hdr;
}

enum method_result topology_purge(struct channel *ch, const struct amqp_method *m)
{
    enum method_result r;
    struct cell *cell = topology_queue(ch, m->u.queue_purge.queue, m->id, &r);

    if (!cell)
        return r;
    return op_call(ch, cell_at(cell)->pid, &queue_ask_new(QUEUE_PURGE, cell_at(cell)->epoch)->hdr);
}

static struct amqp_bytes args_of(const struct amqp_method *m)
{
    switch (m->id) {
    case AMQP_QUEUE_DECLARE:
        return m->u.queue_declare.arguments;
    case AMQP_EXCHANGE_DECLARE:
        return m->u.exchange_declare.arguments;
    case AMQP_QUEUE_DELETE:
    case AMQP_EXCHANGE_DELETE:
        return amqp_bytes(NULL, 0);
    default:
        return bind_parts_of(m).args;
    }
}

/* Whether it leaves out the name of a queue that must be there. */
static bool means_current(const struct amqp_method *m)
{
    switch (m->id) {
    case AMQP_QUEUE_DECLARE:
        return m->u.queue_declare.passive && strip(m->u.queue_declare.queue).len == 0;
    case AMQP_QUEUE_DELETE:
        return m->u.queue_delete.queue.len == 0;
    case AMQP_QUEUE_BIND:
    case AMQP_QUEUE_UNBIND:
        return strip(bind_parts_of(m).dest).len == 0;
    default:
        return false;
    }
}

bool topology_may_follow(struct channel *ch, const struct amqp_method *m)
{
    struct failure unused;

    return !means_current(m) && ftable_validate(args_of(m)) == 0 && channel_may(ch, m, &unused);
}

struct msg *topology_request(struct channel *ch, const struct amqp_method *m)
{
    topology_check_table(ch, m->id, args_of(m));
    switch (m->id) {
    case AMQP_QUEUE_DECLARE:
        return declare_queue(ch, m);
    case AMQP_EXCHANGE_DECLARE:
        return declare_exchange(ch, m);
    case AMQP_QUEUE_DELETE:
    case AMQP_EXCHANGE_DELETE:
        return delete_any(ch, m);
    default:
        return bind_any(ch, m);
    }
}

bool topology_is_of_registry(const struct amqp_method *m)
{
    uint32_t class_id = amqp_class_of(m->id);

    if (m->id == AMQP_QUEUE_DECLARE) {
        const struct name name = strip(m->u.queue_declare.queue);

        return !reply_is_name(name_view(&name));
    }
    return m->id != AMQP_QUEUE_PURGE &&
           (class_id == AMQP_CLASS_EXCHANGE || class_id == AMQP_CLASS_QUEUE);
}

static uint32_t count32(uint64_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void declared(struct channel *ch, const struct amqp_method *m, const struct cell *cell,
                     const struct queue_counts *counts)
{
    struct amqp_method ok = {.id = AMQP_QUEUE_DECLARE_OK};
    struct amqp_queue_declare_ok *d = &ok.u.queue_declare_ok;
    const struct cell_at *at = cell_at(cell);

    set_current(ch, cell);
    if (m->u.queue_declare.nowait)
        return;
    if (at->state == CELL_PARKED && m->u.queue_declare.passive)
        channel_fail(ch, AMQP_CODE_NOT_FOUND, m->id, "queue '%s' in vhost '%s' is down: %s",
                     cell_name(cell), ch->vhost, at->reason);
    d->queue = amqp_bytes(cell_name(cell), cell->name_len);
    d->message_count = count32(counts->messages);
    d->consumer_count = count32(counts->consumers);
    channel_reply(ch, &ok);
}

static bool is_nowait(const struct amqp_method *m)
{
    switch (m->id) {
    case AMQP_EXCHANGE_DECLARE:
        return m->u.exchange_declare.nowait;
    case AMQP_EXCHANGE_DELETE:
        return m->u.exchange_delete.nowait;
    case AMQP_EXCHANGE_BIND:
        return m->u.exchange_bind.nowait;
    case AMQP_EXCHANGE_UNBIND:
        return m->u.exchange_unbind.nowait;
    case AMQP_QUEUE_BIND:
        return m->u.queue_bind.nowait;
    case AMQP_QUEUE_PURGE:
        return m->u.queue_purge.nowait;
    case AMQP_QUEUE_DELETE:
        return m->u.queue_delete.nowait;
    default:
        return false;
    }
}

/* The -ok of a method whose number follows its own, but for exchange.unbind's. */
static void say_ok(struct channel *ch, const struct amqp_method *m, uint64_t messages)
{
    struct amqp_method ok = {.id = m->id + 1};

    if (is_nowait(m))
        return;
    if (m->id == AMQP_EXCHANGE_UNBIND)
        ok.id = AMQP_EXCHANGE_UNBIND_OK;
    else if (m->id == AMQP_QUEUE_DELETE)
        ok.u.queue_delete_ok.message_count = count32(messages);
    else if (m->id == AMQP_QUEUE_PURGE)
        ok.u.queue_purge_ok.message_count = count32(messages);
    channel_reply(ch, &ok);
}

void topology_conclude(struct channel *ch, const struct amqp_method *m,
                       const struct msg_registry_reply *r, const struct queue_counts *counts)
{
    if (r->code != 0)
        channel_fail(ch, r->code, m->id, "%s", r->text);
    if (m->id == AMQP_QUEUE_DECLARE)
        declared(ch, m, r->cell, counts);
    else
        say_ok(ch, m, r->messages);
}

enum method_result topology_purged(struct channel *ch, const struct amqp_method *m,
                                   const struct msg *reply)
{
    const struct msg_queue_reply *p = MSG_OF(struct msg_queue_reply, reply);

    if (p->code != 0)
        channel_fail(ch, p->code, m->id, "%s", p->text);
    say_ok(ch, m, p->messages);
    return METHOD_DONE;
}
