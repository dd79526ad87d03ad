/*
 * Channels as a queue knows them: what they hold, and what this turn has for each.
 */
#include <string.h>

#include "broker/runtime/blob.h"
#include "queues/queue_impl.h"

struct peer *peer_find(struct queue *q, proc_id pid)
{
    uint64_t *at;

    if (q->last_found && q->last_found->pid == pid)
        return q->last_found;
    at = u64map_get(&q->peers, pid);
    if (!at)
        return NULL;
    q->last_found = (struct peer *)(uintptr_t)*at;
    return q->last_found;
}

struct peer *peer_get(struct queue *q, proc_id pid)
{
    struct peer *p = peer_find(q, pid);

    if (p)
        return p;
    p = proc_zalloc(sizeof(*p));
    p->pid = pid;
    credit_init(&p->credit);
    p->next = q->first_peer;
    if (p->next)
        p->next->prev = p;
    p->magic = PEER_MAGIC;
    q->first_peer = p;
    u64map_put(&q->peers, pid, (uint64_t)(uintptr_t)p);
    p->monitor = proc_monitor(pid);
    q->last_found = p;
    return p;
}

void peer_touch(struct queue *q, struct peer *p)
{
    if (p->is_dirty)
        return;
    p->is_dirty = true;
    p->next_dirty = q->dirty;
    q->dirty = p;
}

static void peer_free(struct peer *p)
{
    p->magic = 0;
    if (p->confirms.range)
        proc_free(p->confirms.range);
    proc_free(p);
}

void peer_unpend(struct queue *q, struct peer *p)
{
    (void)q;
    p->n_pending--;
    if (p->is_gone && p->n_pending == 0 && !p->is_dirty)
        peer_free(p);
}

static void taker_free(struct taker *t)
{
    struct blob *tag = t->consumer.tag, *args = t->consumer.args;

    t->consumer.tag = t->consumer.args = NULL;
    t->magic = 0;
    blob_unref(tag);
    blob_unref(args);
    proc_free(t);
}

static void taker_unlink(struct queue *q, struct taker *t)
{
    struct peer *p = t->consumer.owner;

    if (t->prev)
        t->prev->next = t->next;
    else if (p)
        p->takers = t->next;
    else
        q->returning = t->next;
    if (t->next)
        t->next->prev = t->prev;
    if (p && p->got == t)
        p->got = NULL;
}

static void taker_link(struct taker **list, struct taker *t)
{
    t->prev = NULL;
    t->next = *list;
    if (t->next)
        t->next->prev = t;
    *list = t;
}

void taker_free_if_done(struct queue *q, struct taker *t)
{
    if (!t->consumer.is_gone || t->consumer.holder.n > 0)
        return;
    taker_unlink(q, t);
    taker_free(t);
}

struct taker *taker_new(struct queue *q, struct peer *p, const struct consumer_spec *spec)
{
    struct taker *t = proc_zalloc(sizeof(*t));
    struct consumer *c = &t->consumer;

    c->owner = p;
    c->cid = spec->cid;
    c->priority = spec->priority;
    c->prefetch = spec->prefetch;
    c->no_ack = spec->no_ack;
    c->exclusive = spec->exclusive;
    c->window_messages = spec->window_messages;
    c->window_bytes = spec->window_bytes;
    c->draw = &p->draw;
    c->tag = blob_ref(spec->tag);
    c->args = blob_ref(spec->args);
    t->magic = TAKER_MAGIC;
    share_set(q, p, spec->is_shared);
    taker_link(&p->takers, t);
    consumers_add(&q->consumers, c);
    return t;
}

struct taker *taker_find(const struct peer *p, uint32_t cid)
{
    struct taker *t = p->takers;

    while (t && (t->consumer.cid != cid || t->consumer.is_gone))
        t = t->next;
    return t;
}

struct taker *taker_got(struct queue *q, struct peer *p)
{
    (void)q;
    if (p->got)
        return p->got;
    p->got = proc_zalloc(sizeof(*p->got));
    p->got->consumer.owner = p;
    p->got->consumer.is_gone = true; /* never in turn; goes when it holds nothing */
    p->got->magic = TAKER_MAGIC;
    taker_link(&p->takers, p->got);
    return p->got;
}

void taker_cancel(struct queue *q, struct taker *t)
{
    consumers_remove(&q->consumers, &t->consumer);
    taker_free_if_done(q, t);
}

void peer_forget(struct queue *q, struct peer *p)
{
    struct msg_queue_deliver *deliver = p->deliver;

    p->deliver = NULL;
    if (deliver)
        msg_drop(&deliver->hdr);
    for (struct taker *t = p->takers, *next; t; t = next) {
        next = t->next;
        if (!t->consumer.is_gone)
            consumers_remove(&q->consumers, &t->consumer);
        taker_unlink(q, t);
        t->consumer.owner = NULL;
        t->consumer.draw = NULL;
        if (t->consumer.holder.n > 0)
            taker_link(&q->returning, t);
        else
            taker_free(t);
    }
    get_forget(q, p->pid);
    tx_forget(q, p->pid);
    share_leave(q, p);
    if (p->prev)
        p->prev->next = p->next;
    else
        q->first_peer = p->next;
    if (p->next)
        p->next->prev = p->prev;
    (void)u64map_del(&q->peers, p->pid, NULL); /* it was found there */
    q->last_found = NULL;
    proc_cancel(p->monitor);
    if (p->publishes)
        q->pool.n_channels--;
    p->is_gone = true;
    p->confirms.n = 0;
    if (p->n_pending == 0 && !p->is_dirty)
        peer_free(p);
}

void peer_confirm(struct queue *q, struct peer *p, uint64_t tag)
{
    if (tag == 0 || p->is_gone)
        return;
    ranges_add(&p->confirms, tag, proc_realloc);
    q->confirmed++;
    peer_touch(q, p);
}

/* Twice the room; the references move. */
static struct msg_queue_deliver *deliver_grow(struct msg_queue_deliver *old)
{
    struct msg_queue_deliver *d = queue_deliver_new(old->queue_id, old->epoch, 2 * old->cap);

    memcpy(d->item, old->item, old->n * sizeof(old->item[0]));
    d->n = old->n;
    old->n = 0;
    msg_drop(&old->hdr);
    return d;
}

void peer_deliver(struct queue *q, struct peer *p, const struct delivery *d)
{
    if (!p->deliver) {
        p->deliver = queue_deliver_new(q->cell->id, q->epoch, 16);
        peer_touch(q, p);
    } else if (p->deliver->n == p->deliver->cap) {
        struct msg_queue_deliver *old = p->deliver;

        p->deliver = NULL;
        p->deliver = deliver_grow(old);
    }
    p->deliver->item[p->deliver->n] = *d;
    p->deliver->n++;
}

void peer_send_deliveries(struct peer *p)
{
    struct msg_queue_deliver *d = p->deliver;

    p->deliver = NULL;
    if (d)
        proc_send(p->pid, &d->hdr);
}

static void send_confirms(struct queue *q, struct peer *p)
{
    struct msg_queue_confirm *m;

    if (p->confirms.n == 0)
        return;
    m = queue_confirm_new(q->cell->id, q->epoch, false, p->confirms.n);
    _Static_assert(sizeof(struct range) == sizeof(struct tag_range), "copied as they lie");
    memcpy(m->range, p->confirms.range, p->confirms.n * sizeof(m->range[0]));
    p->confirms.n = 0;
    PROC_SEND(p->pid, m);
}

/*
 * In the flush of a turn, so that what they make the store do goes out together with this. While
 * there is no store they are nowhere but here: the channel is to keep them for another run.
 */
static void tell_settled(const struct queue *q, struct peer *p)
{
    struct msg_queue_settled *m;

    if (p->n_settled - p->n_settled_told < SETTLED_EVERY || (q->is_durable && !q->store_ready))
        return;
    m = MSG_NEW(QUEUE_SETTLED, struct msg_queue_settled);
    m->queue_id = q->cell->id;
    m->epoch = q->epoch;
    m->n = p->n_settled_told = p->n_settled;
    PROC_SEND(p->pid, m);
}

void peer_flush(struct queue *q, struct peer *p)
{
    p->is_dirty = false;
    if (p->is_gone) {
        if (p->n_pending == 0)
            peer_free(p);
        return;
    }
    send_confirms(q, p);
    peer_send_deliveries(p);
    tell_settled(q, p);
    if (p->publishes)
        intake_raise_credit(q, p);
}
