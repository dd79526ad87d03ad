/*
 * channel_revoke.c - consumers of queues that their user may not read any more.
 *
 * Such a one is cancelled at its queue first, and its client is told (basic.cancel) when the queue
 * has answered: what the queue had sent before is delivered, and acked, as after a cancel of the
 * client's own.
 */
#include "amqp/channel_internal.h"
#include "queues/queue.h"

static bool may_read(struct channel *ch, const struct cell *q)
{
    return access_cache_check(&ch->access, ch->user, ch->vhost, ACCESS_QUEUE, cell_name(q),
                              q->name_len, ACCESS_READ);
}

static void drop(struct channel *ch, struct channel_consumer *cc)
{
    struct link *l = cc->link;

    consumer_gone(ch, cc);
    link_drop_if_unused(ch, l);
}

void consumer_check(struct channel *ch, struct channel_consumer *cc)
{
    struct msg_queue_cancel *ask;

    if (!cc->is_active || cc->revoke || may_read(ch, cc->link->cell))
        return;
    if (cc->link->state != LINK_UP) { /* the next run is not told of it */
        drop(ch, cc);
        return;
    }
    ask = MSG_NEW(QUEUE_CANCEL, struct msg_queue_cancel);
    ask->epoch = cc->link->epoch;
    ask->cid = cc->cid;
    cc->revoke = proc_call(cc->link->pid, &ask->hdr, PROC_NO_TIMEOUT);
    ch->n_revoked++;
}

/* The first that `is` picks; a check may remove one, so each look begins anew. */
static struct channel_consumer *
find(struct channel *ch, bool (*is)(struct channel *ch, struct channel_consumer *cc, proc_ref ref),
     proc_ref ref)
{
    uint64_t cid, value;
    uint32_t at = 0;

    while (u64map_next(&ch->consumers, &at, &cid, &value)) {
        struct channel_consumer *cc = (struct channel_consumer *)(uintptr_t)value;

        if (is(ch, cc, ref))
            return cc;
    }
    return NULL;
}

static bool is_to_go(struct channel *ch, struct channel_consumer *cc, proc_ref ref)
{
    (void)ref;
    return cc->is_active && !cc->revoke && !may_read(ch, cc->link->cell);
}

static bool is_answered(struct channel *ch, struct channel_consumer *cc, proc_ref ref)
{
    (void)ch;
    return cc->revoke == ref;
}

void channel_on_recheck(struct channel *ch)
{
    struct channel_consumer *cc;

    while (!ch->is_closing && (cc = find(ch, is_to_go, 0)) != NULL)
        consumer_check(ch, cc);
}

bool revoke_take(struct channel *ch, const struct msg *m)
{
    struct channel_consumer *cc =
        ch->n_revoked > 0 && m->ref ? find(ch, is_answered, m->ref) : NULL;

    if (cc)
        drop(ch, cc); /* the queue's end too ends it */
    return cc != NULL;
}
