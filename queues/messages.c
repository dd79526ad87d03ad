/*
 * The messages of queue.h: making them, and giving back what they carry when nobody took it.
 */
#include <stdatomic.h>
#include <string.h>

#include "amqp/codec/record.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "queues/queue.h"

static void drop_publish(struct msg *m)
{
    struct msg_queue_publish *p = MSG_OF(struct msg_queue_publish, m);

    for (uint32_t i = 0; i < p->n; i++)
        record_unref(p->item[i].record);
    msg_free(m);
}

struct msg_queue_publish *queue_publish_new(uint64_t epoch, uint32_t cap)
{
    struct msg_queue_publish *p =
        msg_new(QUEUE_PUBLISH, sizeof(*p) + (size_t)cap * sizeof(p->item[0]), drop_publish);

    p->epoch = epoch;
    p->cap = cap;
    return p;
}

static void drop_deliver(struct msg *m)
{
    struct msg_queue_deliver *d = MSG_OF(struct msg_queue_deliver, m);

    for (uint32_t i = 0; i < d->n; i++)
        record_unref(d->item[i].record);
    msg_free(m);
}

struct msg_queue_deliver *queue_deliver_new(uint64_t queue_id, uint64_t epoch, uint32_t cap)
{
    struct msg_queue_deliver *d =
        msg_new(QUEUE_DELIVER, sizeof(*d) + (size_t)cap * sizeof(d->item[0]), drop_deliver);

    d->queue_id = queue_id;
    d->epoch = epoch;
    d->cap = cap;
    return d;
}

struct msg_queue_settle *queue_settle_new(uint64_t epoch, enum settle_how how, uint32_t cap)
{
    struct msg_queue_settle *s =
        msg_new(QUEUE_SETTLE, sizeof(*s) + (size_t)cap * sizeof(s->seq[0]), NULL);

    s->epoch = epoch;
    s->how = how;
    s->n = 0;
    s->cap = cap;
    return s;
}

struct msg_queue_confirm *queue_confirm_new(uint64_t queue_id, uint64_t epoch, bool nack,
                                            uint32_t n)
{
    struct msg_queue_confirm *c =
        msg_new(QUEUE_CONFIRM, sizeof(*c) + (size_t)n * sizeof(c->range[0]), NULL);

    c->queue_id = queue_id;
    c->epoch = epoch;
    c->nack = nack;
    c->n = n;
    return c;
}

static void drop_consume(struct msg *m)
{
    struct msg_queue_consume *c = MSG_OF(struct msg_queue_consume, m);

    blob_unref(c->consumer.tag);
    blob_unref(c->consumer.args);
    msg_free(m);
}

struct msg_queue_consume *queue_consume_new(uint64_t epoch, const struct consumer_spec *consumer)
{
    struct msg_queue_consume *c = msg_new(QUEUE_CONSUME, sizeof(*c), drop_consume);

    c->epoch = epoch;
    c->consumer = *consumer;
    (void)blob_ref(consumer->tag); /* the same pointers, which were copied */
    (void)blob_ref(consumer->args);
    return c;
}

static void drop_attach(struct msg *m)
{
    struct msg_queue_attach *a = MSG_OF(struct msg_queue_attach, m);

    for (uint32_t i = 0; i < a->n_consumers; i++) {
        blob_unref(a->consumers[i].tag);
        blob_unref(a->consumers[i].args);
    }
    rt_free(a->consumers);
    rt_free(a->held);
    msg_free(m);
}

struct msg_queue_attach *queue_attach_new(uint64_t old_epoch, uint64_t epoch, uint32_t n_consumers,
                                          uint32_t n_held)
{
    struct msg_queue_attach *a = msg_new(QUEUE_ATTACH, sizeof(*a), drop_attach);

    a->old_epoch = old_epoch;
    a->epoch = epoch;
    a->consumers = n_consumers ? rt_zalloc(n_consumers * sizeof(*a->consumers)) : NULL;
    a->held = n_held ? rt_zalloc(n_held * sizeof(*a->held)) : NULL;
    a->n_consumers = n_consumers;
    a->n_held = n_held;
    return a;
}

struct msg_queue_ask *queue_ask_new(uint32_t type, uint64_t epoch)
{
    struct msg_queue_ask *a = MSG_NEW(type, struct msg_queue_ask);

    a->epoch = epoch;
    return a;
}

static void drop_tx(struct msg *m)
{
    struct msg_queue_tx *t = MSG_OF(struct msg_queue_tx, m);

    for (uint32_t i = 0; i < t->n; i++)
        record_unref(t->item[i].record);
    msg_free(m);
}

struct msg_queue_tx *queue_tx_new(uint64_t epoch, uint64_t tx, uint32_t cap)
{
    struct msg_queue_tx *t =
        msg_new(QUEUE_TX, sizeof(*t) + (size_t)cap * sizeof(t->item[0]), drop_tx);

    t->epoch = epoch;
    t->tx = tx;
    t->cap = cap;
    return t;
}

struct msg_queue_tx_end *queue_tx_end_new(uint32_t type, uint64_t tx, bool committed)
{
    struct msg_queue_tx_end *e = MSG_NEW(type, struct msg_queue_tx_end);

    e->tx = tx;
    e->committed = committed;
    return e;
}

struct msg_queue_tx_gone *queue_tx_gone_new(uint64_t tx, uint64_t queue_id)
{
    struct msg_queue_tx_gone *g = MSG_NEW(QUEUE_TX_GONE, struct msg_queue_tx_gone);

    g->tx = tx;
    g->queue_id = queue_id;
    return g;
}

uint64_t queue_tx_next(void)
{
    static _Atomic uint64_t last;

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static void peeked_drop(struct msg *m)
{
    struct msg_queue_peeked *p = MSG_OF(struct msg_queue_peeked, m);

    for (uint32_t i = 0; i < p->n; i++)
        record_unref(p->item[i].record);
    msg_free(m);
}

struct msg_queue_peeked *queue_peeked_new(uint64_t queue_id)
{
    struct msg_queue_peeked *p = msg_new(QUEUE_PEEKED, sizeof(*p), peeked_drop);

    p->queue_id = queue_id;
    return p;
}
