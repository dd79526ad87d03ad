/*
 * channel_consume.c - consumers of a channel: consume, cancel, and what ends them.
 */
#include <string.h>

#include "amqp/channel_internal.h"
#include "amqp/codec/table.h"
#include "amqp/replies.h"
#include "broker/core/config.h"
#include "broker/core/names.h"

static void unref_blob(void *blob)
{
    blob_unref(blob);
}

static struct blob *own_blob(struct amqp_bytes b)
{
    struct blob *blob = blob_copy(b.p, b.len);

    proc_at_exit(unref_blob, blob);
    return blob;
}

static void give_blob(struct blob *blob)
{
    if (!blob)
        return;
    proc_at_exit_cancel(unref_blob, blob);
    blob_unref(blob);
}

static struct channel_consumer *find_by_tag(struct channel *ch, struct amqp_bytes tag)
{
    uint64_t cid, value;
    uint32_t at = 0;

    while (u64map_next(&ch->consumers, &at, &cid, &value)) {
        struct channel_consumer *cc = (struct channel_consumer *)(uintptr_t)value;

        if (amqp_bytes_equal(amqp_bytes(blob_bytes(cc->tag), blob_size(cc->tag)), tag))
            return cc;
    }
    return NULL;
}

static void activate(struct channel *ch, struct channel_consumer *cc)
{
    cc->is_active = true;
    cc->link->n_active++;
    consumer_show(ch, cc);
}

void consumer_remove(struct channel *ch, struct channel_consumer *cc)
{
    struct channel_consumer **at = &ch->marked;
    struct link *l = cc->link;

    if (cc->revoke) {
        proc_cancel(cc->revoke);
        ch->n_revoked--;
    }
    while (*at && *at != cc)
        at = &(*at)->next_marked;
    if (*at)
        *at = cc->next_marked;
    if (ch->last_consumer == cc)
        ch->last_consumer = NULL;
    (void)u64map_del(&ch->consumers, cc->cid, NULL); /* every consumer is in it */
    l->n_consumers--;
    l->n_active -= cc->is_active;
    if (cc->stats)
        stat_slot_hide(&cc->stats->slot);
    give_blob(cc->tag);
    give_blob(cc->args);
    proc_free(cc);
}

/* Cancelled by its queue's end: the client is told if it can understand that. */
void consumer_gone(struct channel *ch, struct channel_consumer *cc)
{
    struct amqp_method m = {.id = AMQP_BASIC_CANCEL};

    m.u.basic_cancel.consumer_tag = amqp_bytes(blob_bytes(cc->tag), blob_size(cc->tag));
    m.u.basic_cancel.nowait = true;
    if (ch->cancel_notify)
        channel_tell(ch, &m);
    consumer_remove(ch, cc);
}

static int32_t priority_of(struct channel *ch, struct amqp_bytes args)
{
    int64_t priority = 0;
    int r = ftable_get_int(args, "x-priority", &priority);

    if (r == 1)
        return priority > INT32_MAX   ? INT32_MAX
               : priority < INT32_MIN ? INT32_MIN
                                      : (int32_t)priority;
    if (r == AMQP_ERR_WRONG_TYPE)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_CONSUME,
                     "invalid arg 'x-priority': not an integer");
    return 0;
}

/* 128 random bits as text, where the client leaves the choice of a tag to us. */
struct amqp_bytes consumer_make_tag(char out[64])
{
    uint64_t bits[2] = {proc_random(), proc_random()};

    return amqp_bytes(out, name_of_bits(out, "amq.ctag-", bits));
}

static struct channel_consumer *consumer_new(struct channel *ch, struct link *l,
                                             const struct amqp_basic_consume *c)
{
    struct channel_consumer *cc = proc_zalloc(sizeof(*cc));
    char made[64];

    cc->priority = priority_of(ch, c->arguments);
    cc->link = l;
    cc->cid = ++ch->next_cid;
    cc->no_ack = c->no_ack;
    cc->exclusive = c->exclusive;
    cc->prefetch = ch->prefetch;
    cc->tag = own_blob(c->consumer_tag.len ? c->consumer_tag : consumer_make_tag(made));
    if (c->arguments.len)
        cc->args = own_blob(c->arguments);
    u64map_put(&ch->consumers, cc->cid, (uintptr_t)cc);
    l->n_consumers++;
    return cc;
}

static enum method_result start_consumer(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_consume *c = &m->u.basic_consume;
    struct channel_consumer *cc;
    struct consumer_spec spec;
    enum method_result r;
    struct cell *cell;
    struct link *l;

    topology_check_table(ch, m->id, c->arguments);
    if (c->consumer_tag.len &&
        (find_by_tag(ch, c->consumer_tag) || reply_has_tag(ch, c->consumer_tag)))
        channel_fail(ch, AMQP_CODE_NOT_ALLOWED, m->id, "attempt to reuse consumer tag '%.*s'",
                     (int)c->consumer_tag.len, (const char *)c->consumer_tag.p);
    if (config()->consumer_max_per_channel > 0 &&
        ch->consumers.n >= config()->consumer_max_per_channel)
        channel_fail(ch, AMQP_CODE_NOT_ALLOWED, m->id,
                     "reached maximum (%u) of consumers per channel", ch->consumers.n);
    if (amqp_bytes_is(c->queue, REPLY_QUEUE))
        return reply_consume(ch, m);
    cell = topology_queue(ch, c->queue, m->id, &r);
    if (!cell)
        return r;
    l = link_to(ch, cell);
    if (l->state != LINK_UP)
        return op_await_cell(ch, cell, l->pid);
    cc = consumer_new(ch, l, c);
    spec = consumer_describe(ch, cc);
    return op_call(ch, l->pid, &queue_consume_new(l->epoch, &spec)->hdr);
}

static enum method_result cancel(struct channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_cancel *c = &m->u.basic_cancel;
    struct channel_consumer *cc = find_by_tag(ch, c->consumer_tag);
    struct amqp_method ok = {.id = AMQP_BASIC_CANCEL_OK};
    struct msg_queue_cancel *ask;

    if (cc && cc->link->state == LINK_UP && ch->op_tries == 0) {
        ask = MSG_NEW(QUEUE_CANCEL, struct msg_queue_cancel);
        ask->epoch = cc->link->epoch;
        ask->cid = cc->cid;
        return op_call(ch, cc->link->pid, &ask->hdr);
    }
    if (cc) {
        struct link *l = cc->link;

        consumer_remove(ch, cc); /* its queue is dead, and will not hear of it again */
        link_drop_if_unused(ch, l);
    }
    if (reply_has_tag(ch, c->consumer_tag))
        reply_cancel(ch);
    ok.u.basic_cancel_ok.consumer_tag = c->consumer_tag;
    if (!c->nowait)
        channel_reply(ch, &ok);
    return METHOD_DONE;
}

enum method_result consume_start(struct channel *ch, const struct amqp_method *m)
{
    return m->id == AMQP_BASIC_CANCEL ? cancel(ch, m) : start_consumer(ch, m);
}

/* The consumer whose consume is under way: the newest. */
static struct channel_consumer *starting(struct channel *ch)
{
    uint64_t *found = u64map_get(&ch->consumers, ch->next_cid);
    struct channel_consumer *cc = found ? (struct channel_consumer *)(uintptr_t)*found : NULL;

    return cc && !cc->is_active ? cc : NULL;
}

/* Its queue has died before it answered; all is begun again, or the channel ends. */
void consume_abandon(struct channel *ch, const struct amqp_method *m)
{
    struct channel_consumer *cc = m->id == AMQP_BASIC_CONSUME ? starting(ch) : NULL;
    struct link *l = cc ? cc->link : NULL;

    if (!cc)
        return;
    consumer_remove(ch, cc);
    link_drop_if_unused(ch, l);
}

static enum method_result started(struct channel *ch, const struct amqp_method *m,
                                  const struct msg_queue_reply *reply)
{
    struct channel_consumer *cc = starting(ch);
    struct amqp_method ok = {.id = AMQP_BASIC_CONSUME_OK};

    CHECK(cc);
    if (reply->code != 0)
        channel_fail(ch, reply->code, m->id, "%s", reply->text);
    activate(ch, cc);
    ok.u.basic_consume_ok.consumer_tag = amqp_bytes(blob_bytes(cc->tag), blob_size(cc->tag));
    if (!m->u.basic_consume.nowait)
        channel_reply(ch, &ok);
    consumer_check(ch, cc); /* rights may have changed while the queue was asked */
    return METHOD_DONE;
}

enum method_result consume_reply(struct channel *ch, const struct amqp_method *m, struct msg *reply)
{
    struct channel_consumer *cc;
    struct amqp_method ok = {.id = AMQP_BASIC_CANCEL_OK};

    if (m->id == AMQP_BASIC_CONSUME)
        return started(ch, m, MSG_OF(struct msg_queue_reply, reply));
    cc = find_by_tag(ch, m->u.basic_cancel.consumer_tag);
    if (cc) /* it may have gone with its queue meanwhile */
        consumer_remove(ch, cc);
    ok.u.basic_cancel_ok.consumer_tag = m->u.basic_cancel.consumer_tag;
    if (!m->u.basic_cancel.nowait)
        channel_reply(ch, &ok);
    return METHOD_DONE;
}
