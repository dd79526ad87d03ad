/*
 * channel_access.c - what a user must be allowed for each method.
 *
 *   exchange.declare   configure it; with an alternate exchange also read it, write that one
 *   exchange.delete    configure it
 *   exchange.bind, unbind   write the destination, read the source and, on a topic exchange,
 *                      the key
 *   queue.declare      configure it; with a dead letter exchange also read it, write that one
 *   queue.delete       configure it
 *   queue.bind, unbind write the queue, read the exchange and, on a topic exchange, the key
 *   queue.purge, basic.get, basic.consume   read the queue
 *   basic.publish      write the exchange and, on a topic exchange, the key
 *   passive declares   any right to it
 *
 * All other methods need none, and nor does consuming from amq.rabbitmq.reply-to. Names are checked
 * before anybody looks whether there is such a thing, so that a refusal tells nothing.
 */
#include <string.h>

#include "amqp/channel_internal.h"
#include "amqp/codec/table.h"
#include "amqp/replies.h"

struct subject {
    enum access_resource kind;
    struct amqp_bytes name;
};

static __attribute__((noreturn)) void refuse(struct channel *ch, uint32_t method,
                                             const struct subject *s)
{
    channel_fail(ch, AMQP_CODE_ACCESS_REFUSED, method,
                 "access to %s '%.*s' in vhost '%s' refused for user '%s'",
                 s->kind == ACCESS_QUEUE ? "queue" : "exchange",
                 s->name.len ? (int)s->name.len : 11,
                 s->name.len ? (const char *)s->name.p : "amq.default", ch->vhost, ch->user);
}

static bool may(struct channel *ch, const struct subject *s, enum access_right right)
{
    return access_cache_check(&ch->access, ch->user, ch->vhost, s->kind, s->name.p, s->name.len,
                              right);
}

static void need(struct channel *ch, uint32_t method, struct subject s, enum access_right right)
{
    if (!may(ch, &s, right))
        refuse(ch, method, &s);
}

static void need_any(struct channel *ch, uint32_t method, struct subject s)
{
    if (!may(ch, &s, ACCESS_READ) && !may(ch, &s, ACCESS_WRITE) && !may(ch, &s, ACCESS_CONFIGURE))
        refuse(ch, method, &s);
}

static void need_topic(struct channel *ch, uint32_t method, struct amqp_bytes exchange,
                       struct amqp_bytes key, enum access_right right)
{
    const struct cell *x = vhost_find_exchange(&ch->tables, exchange.p, exchange.len);

    if (!x || x->type != EXCHANGE_TOPIC)
        return;
    if (!access_check_topic(ch->user, ch->vhost, exchange.p, exchange.len, right, key.p, key.len))
        channel_fail(ch, AMQP_CODE_ACCESS_REFUSED, method,
                     "access to topic '%.*s' in exchange '%.*s' in vhost '%s' refused for user "
                     "'%s'",
                     (int)key.len, (const char *)key.p, (int)exchange.len, (const char *)exchange.p,
                     ch->vhost, ch->user);
}

/* As declares and binds understand a name; `room` has 255 bytes. */
static struct amqp_bytes strip(struct amqp_bytes name, char *room)
{
    size_t n = 0;

    for (uint32_t i = 0; i < name.len && n < 255; i++)
        if (name.p[i] != '\r' && name.p[i] != '\n')
            room[n++] = (char)name.p[i];
    return amqp_bytes(room, n);
}

static struct subject queue_of(struct channel *ch, struct amqp_bytes name)
{
    if (name.len == 0 && ch->current_queue)
        name = amqp_str(ch->current_queue);
    return (struct subject){ACCESS_QUEUE, name};
}

static struct subject exchange_of(struct amqp_bytes name)
{
    return (struct subject){ACCESS_EXCHANGE, name};
}

/* The exchange that an argument names: what is declared may send it messages. */
static void check_target(struct channel *ch, uint32_t method, struct subject s,
                         struct amqp_bytes args, const char *key)
{
    struct amqp_bytes target;

    if (ftable_get_string(args, key, &target) != 1)
        return; /* of another type: refused for that later */
    need(ch, method, s, ACCESS_READ);
    need(ch, method, exchange_of(target), ACCESS_WRITE);
}

static void check_exchange_declare(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_declare *d = &m->u.exchange_declare;
    char room[256];
    struct subject s = exchange_of(strip(d->exchange, room));

    if (d->passive) {
        need_any(ch, m->id, s);
        return;
    }
    need(ch, m->id, s, ACCESS_CONFIGURE);
    check_target(ch, m->id, s, d->arguments, "alternate-exchange");
}

static void check_queue_declare(struct channel *ch, const struct amqp_method *m)
{
    /* What a name that the server chooses looks like. */
    static const char made[] = "amq.gen-AAAAAAAAAAAAAAAAAAAAAA";
    const struct amqp_queue_declare *d = &m->u.queue_declare;
    char room[256];
    struct subject s = {ACCESS_QUEUE, strip(d->queue, room)};

    if (reply_is_name(s.name))
        return; /* whoever was told such a name may ask whether its owner is there */

    if (s.name.len == 0 && !d->passive)
        s.name = amqp_str(made);
    if (d->passive) {
        need_any(ch, m->id, s);
        return;
    }
    need(ch, m->id, s, ACCESS_CONFIGURE);
    check_target(ch, m->id, s, d->arguments, "x-dead-letter-exchange");
}

static void check_bind(struct channel *ch, uint32_t method, struct subject dest,
                       struct amqp_bytes source, struct amqp_bytes key)
{
    char room[256], dest_room[256];
    struct subject s = exchange_of(strip(source, room));

    dest.name = strip(dest.name, dest_room);
    need(ch, method, dest, ACCESS_WRITE);
    need(ch, method, s, ACCESS_READ);
    need_topic(ch, method, s.name, key, ACCESS_READ);
}

static void check_queue_method(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_bind *b = &m->u.queue_bind;
    const struct amqp_queue_unbind *u = &m->u.queue_unbind;

    switch (m->id) {
    case AMQP_QUEUE_DECLARE:
        check_queue_declare(ch, m);
        break;
    case AMQP_QUEUE_DELETE:
        need(ch, m->id, queue_of(ch, m->u.queue_delete.queue), ACCESS_CONFIGURE);
        break;
    case AMQP_QUEUE_PURGE:
        need(ch, m->id, queue_of(ch, m->u.queue_purge.queue), ACCESS_READ);
        break;
    case AMQP_QUEUE_BIND:
        check_bind(ch, m->id, queue_of(ch, b->queue), b->exchange, b->routing_key);
        break;
    case AMQP_QUEUE_UNBIND:
        check_bind(ch, m->id, queue_of(ch, u->queue), u->exchange, u->routing_key);
        break;
    default:
        break;
    }
}

void channel_check_method(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_bind *b = &m->u.exchange_bind;
    const struct amqp_exchange_unbind *u = &m->u.exchange_unbind;

    switch (m->id) {
    case AMQP_EXCHANGE_DECLARE:
        check_exchange_declare(ch, m);
        break;
    case AMQP_EXCHANGE_DELETE:
        need(ch, m->id, exchange_of(m->u.exchange_delete.exchange), ACCESS_CONFIGURE);
        break;
    case AMQP_EXCHANGE_BIND:
        check_bind(ch, m->id, exchange_of(b->destination), b->source, b->routing_key);
        break;
    case AMQP_EXCHANGE_UNBIND:
        check_bind(ch, m->id, exchange_of(u->destination), u->source, u->routing_key);
        break;
    case AMQP_BASIC_GET:
        need(ch, m->id, queue_of(ch, m->u.basic_get.queue), ACCESS_READ);
        break;
    case AMQP_BASIC_CONSUME:
        if (!amqp_bytes_is(m->u.basic_consume.queue, "amq.rabbitmq.reply-to"))
            need(ch, m->id, queue_of(ch, m->u.basic_consume.queue), ACCESS_READ);
        break;
    default:
        check_queue_method(ch, m);
    }
}

void channel_check_publish(struct channel *ch, struct amqp_bytes exchange)
{
    need(ch, AMQP_BASIC_PUBLISH, exchange_of(exchange), ACCESS_WRITE);
}

void channel_check_keys(struct channel *ch, struct amqp_bytes exchange, const struct route_query *q)
{
    need_topic(ch, AMQP_BASIC_PUBLISH, exchange, q->key, ACCESS_WRITE);
    for (size_t i = 0; i < sizeof(q->more_keys) / sizeof(q->more_keys[0]); i++) {
        struct ftable_iter it = ftable_begin(q->more_keys[i]);
        struct ftable_value v;

        while (ftable_next_element(&it, &v) == 1)
            if (v.type == 'S')
                need_topic(ch, AMQP_BASIC_PUBLISH, exchange, v.bytes, ACCESS_WRITE);
    }
}
