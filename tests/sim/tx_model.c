/*
 * tx_model.c - what transactions were asked for and told of, and what is seen of them.
 *
 * Invariants, by the names under which they fail:
 * 1. "only what was committed": nothing is seen of a transaction before its commit was asked for,
 *    nor ever of one that was rolled back, given up, or never asked for.
 * 2. "commit-ok lasts": after commit-ok what lasts is there until somebody settles it.
 * 3. "settled for good": what a committed transaction settled does not come again.
 * 4. "not settled stays": what no transaction that took place has settled does not go.
 * 5. "all or nothing": no evidence that one took place beside evidence that it did not.
 * 6. "order": messages of one channel stand in their queue as they were published.
 * 7. "given up has a cause": while nothing fails every commit succeeds.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/slice.h"
#include "tests/sim/tx.h"

static struct {
    struct txs_message message[TXS_MESSAGES];
    struct txs tx[TXS_MAX];
    uint32_t n_messages, n_txs, audit;
    uint32_t last_number[TXS_QUEUES][TXS_MESSAGES]; /* by writer: the last that an audit found */
    uint32_t n_committed, n_unsure, n_given_up, n_found, n_settled;
} model;

void txs_model_init(void)
{
    memset(&model, 0, sizeof(model));
}

bool txs_model_is_full(void)
{
    return model.n_messages + 1 >= TXS_MESSAGES || model.n_txs + 1 >= TXS_MAX;
}

uint32_t txs_of(struct txs_client *c)
{
    if (c->tx == 0) {
        c->tx = ++model.n_txs;
        model.tx[c->tx].failures = slice.failures;
    }
    return c->tx;
}

uint32_t txs_published(struct txs_client *c, int queue, bool persistent)
{
    uint32_t uid = ++model.n_messages, n = ++c->number;

    model.message[uid] =
        (struct txs_message){.tx = txs_of(c),
                             .writer = c->channel,
                             .number = sim_is_planted("tx-overtake") ? TXS_MESSAGES - n : n,
                             .queue = (uint8_t)queue,
                             .lasts = persistent && queue < TXS_LASTING};
    return uid;
}

void txs_settled(struct txs_client *c, struct txs_held *h, bool requeue)
{
    struct txs_message *m = &model.message[h->uid];

    h->is_marked = true;
    (void)txs_of(c); /* it begins with this, if not before */
    if (m->seen_by != c->channel)
        return; /* a restarted queue has given it to somebody else since */
    m->settled_by = c->tx;
    m->is_requeued = requeue;
    model.n_settled++;
}

static const char *kind(uint32_t uid)
{
    const struct txs_message *m = &model.message[uid];

    return m->lasts ? "those that last" : m->queue < TXS_LASTING ? "a queue that lasts" : "passing";
}

static void contradicts(const struct txs *t, uint32_t tx)
{
    if (t->yes && t->no)
        sim_fail("all or nothing", "transaction %u: message %u of %s %s, message %u of %s %s", tx,
                 t->yes_uid, kind(t->yes_uid), t->yes, t->no_uid, kind(t->no_uid), t->no);
}

static void took_place(uint32_t tx, uint32_t uid, const char *why)
{
    struct txs *t = &model.tx[tx];

    if (t->fate == TXS_OPEN || t->fate == TXS_DROPPED)
        sim_fail("only what was committed", "transaction %u, %s: message %u %s", tx,
                 t->fate == TXS_OPEN ? "open" : "given up", uid, why);
    t->yes = why;
    t->yes_uid = uid;
    contradicts(t, tx);
}

static void did_not(uint32_t tx, uint32_t uid, const char *invariant, const char *why)
{
    struct txs *t = &model.tx[tx];

    if (t->fate == TXS_COMMITTED && (model.message[uid].lasts || t->failures == slice.failures))
        sim_fail(invariant, "transaction %u was committed, and message %u of %s %s", tx, uid,
                 kind(uid), why);
    /* When the store and the channel or a queue die together, what does not last may go too. */
    if (!model.message[uid].lasts)
        return;
    t->no = why;
    t->no_uid = uid;
    contradicts(t, tx);
}

void txs_asked(struct txs_client *c)
{
    model.tx[txs_of(c)].fate = TXS_ASKED;
}

static void drop_marked(struct txs_client *c, bool settled)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n_held; i++) {
        if (c->held[i].is_marked && settled)
            continue;
        if (c->held[i].is_marked && model.message[c->held[i].uid].seen_by == c->channel)
            model.message[c->held[i].uid].settled_by = 0;
        c->held[i].is_marked = false;
        c->held[n++] = c->held[i];
    }
    c->n_held = n;
}

void txs_committed(struct txs_client *c)
{
    struct txs *t = &model.tx[c->tx];

    if (t->no)
        sim_fail("all or nothing", "transaction %u is committed, and message %u %s", c->tx,
                 t->no_uid, t->no);
    t->fate = TXS_COMMITTED;
    drop_marked(c, true);
    c->tx = 0;
    model.n_committed++;
}

static void drop(struct txs_client *c)
{
    struct txs *t = &model.tx[c->tx];

    if (t->yes)
        sim_fail("only what was committed", "transaction %u is given up, and message %u %s", c->tx,
                 t->yes_uid, t->yes);
    t->fate = TXS_DROPPED;
    c->tx = 0;
}

void txs_rolled_back(struct txs_client *c)
{
    if (c->tx != 0)
        drop(c);
    drop_marked(c, false);
}

void txs_given_up(struct txs_client *c, bool sure)
{
    /* A queue that failed shortly before may be thought to live. */
    if ((slice.failures == c->failures && slice.supervisor_failures == 0) ||
        sim_is_planted("tx-no-cause"))
        sim_fail("given up has a cause", "transaction %u is given up, and nothing has failed",
                 c->tx);
    model.n_given_up++;
    if (sure)
        drop(c);
}

void txs_lost(struct txs_client *c)
{
    struct txs *t = &model.tx[c->tx];

    c->n_held = 0;
    if (c->tx == 0)
        return;
    if (t->fate == TXS_ASKED) {
        t->fate = TXS_UNSURE;
        model.n_unsure++;
        c->tx = 0;
    } else {
        drop(c);
    }
}

/* Whoever settled it since it was seen last has not done so, or gave it back. */
static void seen_again(struct txs_message *m, uint32_t uid)
{
    struct txs *t = &model.tx[m->settled_by];

    if (m->settled_by == 0 || m->is_requeued)
        return;
    if (t->fate == TXS_COMMITTED || t->fate == TXS_ASKED || t->fate == TXS_UNSURE)
        did_not(m->settled_by, uid, "settled for good", "came again, which it had settled");
}

void txs_seen(struct txs_client *c, int queue, uint32_t uid)
{
    struct txs_message *m = &model.message[uid];

    if (uid == 0 || uid > model.n_messages || m->queue != queue)
        sim_fail("only what was committed", "message %u is none of queue %s", uid,
                 txs_queues[queue]);
    if (m->is_closed)
        sim_fail("settled for good", "message %u comes again after an audit", uid);
    took_place(m->tx, uid, "was seen, which it published");
    seen_again(m, uid);
    m->n_seen++;
    m->seen_by = c ? c->channel : 0;
    m->settled_by = 0;
}

void txs_audit_begin(void)
{
    model.audit++;
    memset(model.last_number, 0, sizeof(model.last_number));
}

void txs_audit_found(int queue, uint32_t uid)
{
    struct txs_message *m = &model.message[uid];
    uint32_t *last = &model.last_number[queue][m->writer];

    txs_seen(NULL, queue, uid);
    if (m->number <= *last)
        sim_fail("order", "queue %s: number %u of channel %u comes behind %u", txs_queues[queue],
                 m->number, m->writer, *last);
    *last = m->number;
    m->found = model.audit;
    model.n_found++;
}

/* It is not there: what does that say? */
static void missed(const struct txs_message *m, uint32_t uid)
{
    const struct txs *t = &model.tx[m->tx];
    bool must = m->lasts || t->failures == slice.failures;

    if (!must)
        return;
    if (m->n_seen == 0) {
        if (t->fate == TXS_COMMITTED || m->lasts)
            did_not(m->tx, uid, "commit-ok lasts", "is not there, which it published");
        return;
    }
    if (m->settled_by == 0 || m->is_requeued)
        sim_fail("not settled stays", "message %u of %s is gone, which transaction %u published",
                 uid, txs_queues[m->queue], m->tx);
    t = &model.tx[m->settled_by];
    if (t->fate == TXS_DROPPED || t->fate == TXS_OPEN)
        sim_fail("not settled stays", "message %u is gone, settled by transaction %u, given up",
                 uid, m->settled_by);
    took_place(m->settled_by, uid, "is gone, which it settled");
}

void txs_audit_end(void)
{
    for (uint32_t uid = 1; uid <= model.n_messages; uid++) {
        struct txs_message *m = &model.message[uid];

        if (m->found != model.audit && !m->is_closed)
            missed(m, uid);
        m->is_closed = true;
    }
    sim_note("audited", model.audit, model.n_found, model.n_committed);
}

void txs_note_did(void)
{
    sim_note("did", model.n_committed, model.n_unsure, model.n_given_up);
    sim_note("did", model.n_messages, model.n_found, model.n_settled);
    if (sim.verbose)
        printf("%u committed, %u unsure, %u given up; %u messages, %u found, %u settled\n",
               model.n_committed, model.n_unsure, model.n_given_up, model.n_messages, model.n_found,
               model.n_settled);
}
