/*
 * channel_share.c - the prefetch that a channel's consumers share (basic.qos, global): queues that
 * have something for them draw permits, in turns, and give back at once what they cannot use.
 */
#include <stddef.h>

#include "amqp/channel_internal.h"
#include "broker/core/config.h"

static void tell(struct channel *ch, struct link *l, uint32_t n)
{
    struct msg_queue_share *m = MSG_NEW(QUEUE_SHARE, struct msg_queue_share);

    m->epoch = l->epoch;
    m->is_limited = ch->share.limit > 0;
    m->n = n;
    PROC_SEND(l->pid, m);
}

void channel_set_share(struct channel *ch, uint16_t asked)
{
    bool was_limited = ch->share.limit > 0;
    uint32_t most = (uint32_t)config()->channel_max_unacked;
    uint32_t limit = asked && (most == 0 || asked < most) ? asked : most;

    ch->share.most = most;
    share_set_limit(&ch->share, limit);
    if (was_limited == (limit > 0))
        return; /* a raise is given out when the turn ends, a cut takes effect by itself */
    for (struct link *l = ch->links; l; l = l->next)
        if (l->state == LINK_UP)
            tell(ch, l, 0);
}

static struct link *teller(struct channel *ch, const struct msg_queue_share *m)
{
    struct link *l = link_find(ch, m->queue_id);

    return l && l->state == LINK_UP && m->epoch == l->epoch ? l : NULL;
}

void channel_on_want(struct channel *ch, const struct msg *m)
{
    struct link *l = teller(ch, (const struct msg_queue_share *)(const void *)m);

    if (l)
        share_want(&ch->share, &l->share);
}

void channel_on_share_back(struct channel *ch, const struct msg *m)
{
    const struct msg_queue_share *in = (const struct msg_queue_share *)(const void *)m;
    struct link *l = teller(ch, in);

    if (!l)
        return;
    CHECK(in->n <= l->share.out); /* it had them of us */
    share_back(&ch->share, &l->share, in->n);
}

void channel_give_permits(struct channel *ch)
{
    struct share_member *m;
    uint32_t n;

    for (uint32_t left = ch->share.n_wanting; left > 0; left--) {
        m = share_give(&ch->share, left, &n);
        if (!m)
            return;
        tell(ch, (struct link *)(void *)((char *)m - offsetof(struct link, share)), n);
    }
}
