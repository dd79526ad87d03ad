/*
 * channel_stats.c - what a channel and its consumers show of themselves, and what is counted of the
 * exchanges that it publishes to.
 *
 * An exchange has as many writers as channels publish to it. So a channel counts for itself as long
 * as it publishes to the same exchange, and adds the sums to the cell at the end of the handler.
 */
#include "amqp/channel_internal.h"
#include "broker/runtime/region.h"

static void show(struct channel *ch)
{
    RUNTIME_REGION();

    ch->stats = channel_stats_new(ch->connection, ch->number);
    stat_slot_show(&ch->stats->slot);
}

void channel_show(struct channel *ch)
{
    show(ch);
    channel_show_turn(ch);
}

void channel_show_turn(struct channel *ch)
{
    struct channel_stats *s = ch->stats;

    stat_set(&s->prefetch, ch->prefetch);
    stat_set(&s->shared_prefetch, ch->share.limit);
    stat_set(&s->consumers, ch->consumers.n);
    stat_set(&s->unacked, ch->tags.n);
    stat_set(&s->unconfirmed, confirms_open(&ch->confirms));
    stat_set(&s->uncommitted, ch->tx.n - ch->tx.n_settled);
    stat_set(&s->uncommitted_acks, ch->tx.n_settled);
    stat_set(&s->is_confirming, ch->is_confirming);
    stat_set(&s->is_transactional, ch->tx.is_on);
    stat_set(&s->active_us, proc_now_us());
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void channel_count_exchange(struct channel *ch)
{
    struct exchange_counts *c = &ch->counts;
    struct default_exchange *none = c->exchange ? NULL : vhost_default_exchange(&ch->tables);
    struct exchange_stats *to = c->exchange ? &c->exchange->exchange_stats : NULL;

    if (c->in == 0)
        return;
    if (none)
        to = &none->stats;
    if (to) {
        add(&to->publish_in, c->in);
        add(&to->publish_out, c->out);
    }
    *c = (struct exchange_counts){0};
}

void channel_count_routed(struct channel *ch, const struct record *r, struct cell *exchange,
                          uint32_t n_queues)
{
    if (ch->counts.exchange != exchange)
        channel_count_exchange(ch);
    ch->counts.exchange = exchange;
    ch->counts.in++;
    ch->counts.out += n_queues;
    channel_count_publish(ch->stats, record_body_len(r), ch->is_confirming);
    if (n_queues > 0)
        channel_count(ch->stats, MESSAGES_ROUTED);
}

static void show_consumer(struct channel *ch, struct channel_consumer *cc)
{
    RUNTIME_REGION();
    struct consumer_stats *s =
        consumer_stats_new(ch->stats, cc->cid, cc->link->cell, cc->tag, cc->args);

    s->prefetch = cc->prefetch;
    s->no_ack = cc->no_ack;
    s->exclusive = cc->exclusive;
    stat_slot_show(&s->slot);
    cc->stats = s;
}

void consumer_show(struct channel *ch, struct channel_consumer *cc)
{
    show_consumer(ch, cc);
}
