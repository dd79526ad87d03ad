/*
 * channel_settle.c - acks, nacks, rejects and recover: from delivery tags to queues.
 */
#include <string.h>

#include "amqp/channel_internal.h"

enum { SETTLE_MAX = 64 }; /* seqs in one message to a queue */

static void put(struct late_settle **list, uint32_t *n, uint32_t *cap, struct late_settle s)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 8;
        *list = proc_realloc(*list, *cap * sizeof(**list));
    }
    (*list)[(*n)++] = s;
}

/* The queue is not there: it is told when it has come back. */
static void settle_late(struct link *l, const struct tag_entry *e, enum settle_how how)
{
    if (l->state == LINK_GONE)
        return;
    put(&l->late, &l->n_late, &l->cap_late, (struct late_settle){e->seq, e->cid, how});
}

/*
 * Is kept until the queue says that it has handled it. What ends a message ends it for all, so it
 * can be said again to another run of the queue; what gives it back may have put it into other
 * hands.
 */
void settle_sent(struct link *l, struct late_settle s, bool lasts)
{
    if (!lasts || s.how == SETTLE_REQUEUE)
        s.seq = 0;
    put(&l->sent, &l->n_sent, &l->cap_sent, s);
}

void channel_on_settled(struct channel *ch, const struct msg *m)
{
    const struct msg_queue_settled *in = (const struct msg_queue_settled *)(const void *)m;
    struct link *l = link_find(ch, in->queue_id);
    uint32_t n;

    if (!l || l->state != LINK_UP || in->epoch != l->epoch)
        return;
    n = (uint32_t)(in->n - l->n_settled);
    l->n_settled = in->n;
    l->n_sent -= n;
    memmove(l->sent, l->sent + n, l->n_sent * sizeof(l->sent[0]));
}

void settle_forgotten(struct link *l)
{
    for (uint32_t i = 0; i < l->n_sent; i++) {
        if (l->sent[i].seq != 0)
            put(&l->late, &l->n_late, &l->cap_late, l->sent[i]);
    }
    l->n_sent = 0;
    l->n_settled = 0;
}

void settle_take(struct channel *ch, struct tag_entry *e)
{
    struct link *l = e->link;

    l->n_held--;
    if (e->cid != 0) /* of a consumer, not of a get */
        share_release(&ch->share);
    else
        share_release_other(&ch->share);
    tags_take(&ch->tags, e);
    link_drop_if_unused(ch, l);
}

/* Gathers what its queue is to be told. */
static void tell(struct channel *ch, struct link *l, const struct tag_entry *e, enum settle_how how)
{
    l->has_acked |= e->lasts;
    if (l->settle && (l->settle->how != how || l->settle->n == l->settle->cap))
        PROC_SEND(l->pid, l->settle);
    if (!l->settle) {
        l->settle = queue_settle_new(l->epoch, how, SETTLE_MAX);
        proc_keep(&l->settle->hdr);
        link_touch(ch, l);
    }
    l->settle->seq[l->settle->n++] = e->seq;
    settle_sent(l, (struct late_settle){e->seq, e->cid, how}, e->lasts);
}

void settle_entry(struct channel *ch, struct tag_entry *e, enum settle_how how)
{
    struct link *l = e->link;

    if (how == SETTLE_ACK)
        channel_count_delivery(ch->stats, l->queue_type, ACKNOWLEDGED);
    /* Without a seq it died with its queue's process. */
    if (e->seq != 0 && l->state == LINK_UP)
        tell(ch, l, e, how);
    else if (e->seq != 0)
        settle_late(l, e, how);
    settle_take(ch, e);
}

static uint32_t method_of(const struct command *cmd)
{
    return cmd->kind == COMMAND_ACK    ? AMQP_BASIC_ACK
           : cmd->kind == COMMAND_NACK ? AMQP_BASIC_NACK
                                       : AMQP_BASIC_REJECT;
}

static __attribute__((noreturn)) void unknown_tag(struct channel *ch, const struct command *cmd)
{
    channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, method_of(cmd), "unknown delivery tag %llu",
                 (unsigned long long)cmd->tag);
}

/* All up to a tag; 0 means all there is. What a transaction has marked is not touched. */
static void settle_up_to(struct channel *ch, uint64_t tag, enum settle_how how)
{
    struct tag_entry *next;

    for (struct tag_entry *e = tags_first(&ch->tags); e && (tag == 0 || e->tag <= tag); e = next) {
        next = tags_next(&ch->tags, e);
        if (!e->tx)
            settle_entry(ch, e, how);
    }
}

/* The same in a transaction. */
static void mark_up_to(struct channel *ch, const struct command *cmd, enum settle_how how)
{
    uint64_t last = cmd->tag ? cmd->tag : ch->tags.last;
    struct tag_entry *e = tags_from(&ch->tags, ch->tx.settled_to + 1);

    for (; e && e->tag <= last; e = tags_next(&ch->tags, e)) {
        if (!e->tx)
            tx_settle(ch, e, how, method_of(cmd));
    }
    if (last > ch->tx.settled_to)
        ch->tx.settled_to = last;
}

static void all_up_to(struct channel *ch, const struct command *cmd, enum settle_how how)
{
    if (ch->tx.is_on)
        mark_up_to(ch, cmd, how);
    else
        settle_up_to(ch, cmd->tag, how);
}

void channel_settle(struct channel *ch, const struct command *cmd)
{
    enum settle_how how = cmd->kind == COMMAND_ACK ? SETTLE_ACK
                          : cmd->requeue           ? SETTLE_REQUEUE
                                                   : SETTLE_REJECT;
    struct tag_entry *e;

    if (cmd->multiple && cmd->tag == 0) {
        all_up_to(ch, cmd, how);
        return;
    }
    /* As with RabbitMQ, the tag itself must be unsettled, also when it stands for all before it. */
    e = tags_find(&ch->tags, cmd->tag);
    if (!e || e->tx)
        unknown_tag(ch, cmd);
    if (cmd->multiple)
        all_up_to(ch, cmd, how);
    else if (ch->tx.is_on)
        tx_settle(ch, e, how, method_of(cmd));
    else
        settle_entry(ch, e, how);
}

void channel_recover(struct channel *ch)
{
    settle_up_to(ch, 0, SETTLE_REQUEUE);
}
