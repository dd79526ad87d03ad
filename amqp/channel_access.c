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
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"
#include "amqp/codec/table.h"
#include "amqp/replies.h"

struct subject {
    enum access_resource kind;
    struct amqp_bytes name;
};

static bool may(struct channel *ch, const struct subject *s, enum access_right right)
{
    return access_cache_check(&ch->access, ch->user, ch->vhost, s->kind, s->name.p, s->name.len,
                              right);
}

static bool refuse(struct channel *ch, const struct subject *s, struct failure *ret)
{
    ret->code = AMQP_CODE_ACCESS_REFUSED;
    snprintf(ret->text, sizeof(ret->text),
             "access to %s '%.*s' in vhost '%s' refused for user '%s'",
             s->kind == ACCESS_QUEUE ? "queue" : "exchange", s->name.len ? (int)s->name.len : 11,
             s->name.len ? (const char *)s->name.p : "amq.default", ch->vhost, ch->user);
    return false;
}

static bool need(struct channel *ch, struct subject s, enum access_right right, struct failure *ret)
{
    return may(ch, &s, right) || refuse(ch, &s, ret);
}

static bool need_any(struct channel *ch, struct subject s, struct failure *ret)
{
    return may(ch, &s, ACCESS_READ) || may(ch, &s, ACCESS_WRITE) || may(ch, &s, ACCESS_CONFIGURE) ||
           refuse(ch, &s, ret);
}

static bool need_topic(struct channel *ch, struct amqp_bytes exchange, struct amqp_bytes key,
                       enum access_right right, struct failure *ret)
{
    const struct cell *x = vhost_find_exchange(&ch->tables, exchange.p, exchange.len);

    if (!x || x->type != EXCHANGE_TOPIC ||
        access_check_topic(ch->user, ch->vhost, exchange.p, exchange.len, right, key.p, key.len))
        return true;
    ret->code = AMQP_CODE_ACCESS_REFUSED;
    snprintf(ret->text, sizeof(ret->text),
             "access to topic '%.*s' in exchange '%.*s' in vhost '%s' refused for user '%s'",
             (int)key.len, (const char *)key.p, (int)exchange.len, (const char *)exchange.p,
             ch->vhost, ch->user);
    return false;
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
static bool may_target(struct channel *ch, struct subject s, struct amqp_bytes args,
                       const char *key, struct failure *ret)
{
    struct amqp_bytes target;

    if (ftable_get_string(args, key, &target) != 1)
        return true; /* of another type: refused for that later */
    return need(ch, s, ACCESS_READ, ret) && need(ch, exchange_of(target), ACCESS_WRITE, ret);
}

static bool may_declare_exchange(struct channel *ch, const struct amqp_exchange_declare *d,
                                 struct failure *ret)
{
    char room[256];
    struct subject s = exchange_of(strip(d->exchange, room));

    if (d->passive)
        return need_any(ch, s, ret);
    return need(ch, s, ACCESS_CONFIGURE, ret) &&
           may_target(ch, s, d->arguments, "alternate-exchange", ret);
}

static bool may_declare_queue(struct channel *ch, const struct amqp_queue_declare *d,
                              struct failure *ret)
{
    /* What a name that the server chooses looks like. */
    static const char made[] = "amq.gen-AAAAAAAAAAAAAAAAAAAAAA";
    char room[256];
    struct subject s = {ACCESS_QUEUE, strip(d->queue, room)};

    if (reply_is_name(s.name))
        return true; /* whoever was told such a name may ask whether its owner is there */
    if (s.name.len == 0 && !d->passive)
        s.name = amqp_str(made);
    if (d->passive)
        return need_any(ch, s, ret);
    return need(ch, s, ACCESS_CONFIGURE, ret) &&
           may_target(ch, s, d->arguments, "x-dead-letter-exchange", ret);
}

static bool may_bind(struct channel *ch, struct subject dest, struct amqp_bytes source,
                     struct amqp_bytes key, struct failure *ret)
{
    char room[256], dest_room[256];
    struct subject s = exchange_of(strip(source, room));

    dest.name = strip(dest.name, dest_room);
    return need(ch, dest, ACCESS_WRITE, ret) && need(ch, s, ACCESS_READ, ret) &&
           need_topic(ch, s.name, key, ACCESS_READ, ret);
}

static bool may_queue_method(struct channel *ch, const struct amqp_method *m, struct failure *ret)
{
    const struct amqp_queue_bind *b = &m->u.queue_bind;
    const struct amqp_queue_unbind *u = &m->u.queue_unbind;

    switch (m->id) {
    case AMQP_QUEUE_DECLARE:
        return may_declare_queue(ch, &m->u.queue_declare, ret);
    case AMQP_QUEUE_DELETE:
        return need(ch, queue_of(ch, m->u.queue_delete.queue), ACCESS_CONFIGURE, ret);
    case AMQP_QUEUE_PURGE:
        return need(ch, queue_of(ch, m->u.queue_purge.queue), ACCESS_READ, ret);
    case AMQP_QUEUE_BIND:
        return may_bind(ch, queue_of(ch, b->queue), b->exchange, b->routing_key, ret);
    case AMQP_QUEUE_UNBIND:
        return may_bind(ch, queue_of(ch, u->queue), u->exchange, u->routing_key, ret);
    default:
        return true;
    }
}

bool channel_may(struct channel *ch, const struct amqp_method *m, struct failure *ret)
{
    const struct amqp_exchange_bind *b = &m->u.exchange_bind;
    const struct amqp_exchange_unbind *u = &m->u.exchange_unbind;

    ret->method = m->id;
    switch (m->id) {
    case AMQP_EXCHANGE_DECLARE:
        return may_declare_exchange(ch, &m->u.exchange_declare, ret);
    case AMQP_EXCHANGE_DELETE:
        return need(ch, exchange_of(m->u.exchange_delete.exchange), ACCESS_CONFIGURE, ret);
    case AMQP_EXCHANGE_BIND:
        return may_bind(ch, exchange_of(b->destination), b->source, b->routing_key, ret);
    case AMQP_EXCHANGE_UNBIND:
        return may_bind(ch, exchange_of(u->destination), u->source, u->routing_key, ret);
    case AMQP_BASIC_GET:
        return need(ch, queue_of(ch, m->u.basic_get.queue), ACCESS_READ, ret);
    case AMQP_BASIC_CONSUME:
        return amqp_bytes_is(m->u.basic_consume.queue, "amq.rabbitmq.reply-to") ||
               need(ch, queue_of(ch, m->u.basic_consume.queue), ACCESS_READ, ret);
    default:
        return may_queue_method(ch, m, ret);
    }
}

void channel_check_publish(struct channel *ch, struct amqp_bytes exchange)
{
    struct subject s = exchange_of(exchange);
    struct failure f;

    if (may(ch, &s, ACCESS_WRITE))
        return;
    f.method = AMQP_BASIC_PUBLISH;
    (void)refuse(ch, &s, &f); /* false: that is known */
    channel_fail_with(ch, &f);
}

void channel_check_keys(struct channel *ch, struct amqp_bytes exchange, const struct route_query *q)
{
    struct failure f;
    bool may = need_topic(ch, exchange, q->key, ACCESS_WRITE, &f);

    for (size_t i = 0; i < sizeof(q->more_keys) / sizeof(q->more_keys[0]); i++) {
        struct ftable_iter it = ftable_begin(q->more_keys[i]);
        struct ftable_value v;

        while (may && ftable_next_element(&it, &v) == 1)
            may = v.type != 'S' || need_topic(ch, exchange, v.bytes, ACCESS_WRITE, &f);
    }
    if (may)
        return;
    f.method = AMQP_BASIC_PUBLISH;
    channel_fail_with(ch, &f);
}
