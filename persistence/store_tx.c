/*
 * Transactions over several queues: parts come from each, and wait until all are in.
 *
 * A transaction is forgotten once it is whole: its operations are in the group then, and its
 * requests wait for the commit like any others. What is not whole stands in st->txs, and ends by
 * STORE_TX_END, or when a queue that had part in it is opened anew. A queue that knows that an
 * earlier run has committed it does not come again: the others are told so in the same way. One
 * that was deleted before it had its part does not come either; STORE_TX_GONE counts for it.
 * Nothing is kept of one that has ended, because each queue whose part may still come ends it as
 * well, behind that part.
 */
#include "persistence/store_internal.h"

struct store_tx {
    uint64_t number;
    struct msg_store_ops **ops; /* kept, in the order in which they came */
    struct msg **call;          /* kept STORE_TX, one for each part that is in */
    uint64_t *gone;             /* queues whose part does not come */
    uint32_t n_ops, cap_ops;
    uint32_t n_calls, cap_calls;
    uint32_t n_gone, cap_gone;
};

static struct store_tx *find(const struct store *st, uint64_t number)
{
    uint64_t *at = u64map_get(&st->txs, number);

    return at ? (struct store_tx *)(uintptr_t)*at : NULL;
}

static struct store_tx *find_or_make(struct store *st, uint64_t number)
{
    struct store_tx *tx = find(st, number);

    if (!tx) {
        tx = proc_zalloc(sizeof(*tx));
        tx->number = number;
        u64map_put(&st->txs, number, (uintptr_t)tx);
    }
    return tx;
}

static void forget(struct store *st, struct store_tx *tx)
{
    (void)u64map_del(&st->txs, tx->number, NULL); /* it was found there */
    proc_free(tx->ops);
    proc_free(tx->call);
    proc_free(tx->gone);
    proc_free(tx);
}

void store_tx_answer(struct msg *request, bool committed)
{
    struct msg_store_tx_done *done = MSG_NEW(STORE_TX_DONE, struct msg_store_tx_done);

    done->committed = committed;
    proc_reply(request, &done->hdr);
}

static void give_up(struct store *st, struct store_tx *tx)
{
    for (uint32_t i = 0; i < tx->n_ops; i++)
        msg_drop(&tx->ops[i]->hdr);
    for (uint32_t i = 0; i < tx->n_calls; i++) {
        store_tx_answer(tx->call[i], false);
        msg_drop(tx->call[i]);
    }
    forget(st, tx);
}

/* What has come is taken in. Where there is nothing to write it is done at once. */
static void take_in(struct store *st, struct store_tx *tx)
{
    bool writes = tx->n_ops > 0;

    for (uint32_t i = 0; i < tx->n_ops; i++)
        store_take_ops(st, store_find_queue(st, tx->ops[i]->queue_id), tx->ops[i]);
    for (uint32_t i = 0; i < tx->n_calls; i++) {
        if (writes) {
            store_wait(st, tx->call[i]);
            continue;
        }
        store_tx_answer(tx->call[i], true);
        msg_drop(tx->call[i]);
    }
    forget(st, tx);
}

void store_tx_keep(struct store *st, struct msg_store_ops *ops)
{
    struct store_tx *tx = find_or_make(st, ops->tx);

    if (tx->n_ops == tx->cap_ops) {
        tx->cap_ops = tx->cap_ops ? 2 * tx->cap_ops : 4;
        tx->ops = proc_realloc(tx->ops, tx->cap_ops * sizeof(struct msg_store_ops *));
    }
    tx->ops[tx->n_ops++] = ops;
}

static void take_in_if_whole(struct store *st, struct store_tx *tx)
{
    if (tx->n_calls + tx->n_gone == MSG_OF(struct msg_store_tx, tx->call[0])->n_parts)
        take_in(st, tx);
}

void store_on_tx(struct store *st, struct msg *m)
{
    const struct msg_store_tx *in = MSG_OF(struct msg_store_tx, m);
    const struct store_queue *q = store_find_queue(st, in->queue_id);
    struct store_tx *tx;

    if (q && in->epoch != q->epoch) {
        st->n_stale++;
        return; /* of a run that is gone; it is answered DOWN */
    }
    tx = find_or_make(st, in->tx);
    if (tx->n_calls == tx->cap_calls) {
        tx->cap_calls = tx->cap_calls ? 2 * tx->cap_calls : 4;
        tx->call = proc_realloc(tx->call, tx->cap_calls * sizeof(struct msg *));
    }
    proc_keep(m);
    tx->call[tx->n_calls++] = m;
    take_in_if_whole(st, tx);
}

/* Each queue that has asked says it. */
static bool is_counted(const struct store_tx *tx, uint64_t queue_id)
{
    for (uint32_t i = 0; i < tx->n_gone; i++) {
        if (tx->gone[i] == queue_id)
            return true;
    }
    for (uint32_t i = 0; i < tx->n_calls; i++) {
        if (MSG_OF(struct msg_store_tx, tx->call[i])->queue_id == queue_id)
            return true;
    }
    return false;
}

void store_on_tx_gone(struct store *st, struct msg *m)
{
    const struct msg_store_tx *in = MSG_OF(struct msg_store_tx, m);
    struct store_tx *tx = find(st, in->tx);

    if (!tx || tx->n_calls == 0 || is_counted(tx, in->queue_id))
        return; /* who says it has asked before: it has been decided, or this is known */
    if (tx->n_gone == tx->cap_gone) {
        tx->cap_gone = tx->cap_gone ? 2 * tx->cap_gone : 4;
        tx->gone = proc_realloc(tx->gone, tx->cap_gone * sizeof(uint64_t));
    }
    tx->gone[tx->n_gone++] = in->queue_id;
    take_in_if_whole(st, tx);
}

void store_on_tx_end(struct store *st, struct msg *m)
{
    struct store_tx *tx = find(st, MSG_OF(struct msg_store_tx, m)->tx);

    if (!tx)
        return;
    if (MSG_OF(struct msg_store_tx, m)->committed)
        take_in(st, tx); /* what is there already is ignored, and what they settle may not be */
    else
        give_up(st, tx);
}

/* An earlier run of the queue than that of the epoch. */
static bool has_part(const struct store_tx *tx, uint64_t queue, uint64_t epoch)
{
    for (uint32_t i = 0; i < tx->n_ops; i++) {
        if (tx->ops[i]->queue_id == queue && tx->ops[i]->epoch < epoch)
            return true;
    }
    for (uint32_t i = 0; i < tx->n_calls; i++) {
        const struct msg_store_tx *call = MSG_OF(struct msg_store_tx, tx->call[i]);

        if (call->queue_id == queue && call->epoch < epoch)
            return true;
    }
    return false;
}

/* One in which such a run has part; NULL: there is none. */
static struct store_tx *next_of(const struct store *st, uint64_t queue, uint64_t epoch)
{
    uint64_t number, value;
    uint32_t at = 0;

    while (u64map_next(&st->txs, &at, &number, &value)) {
        struct store_tx *tx = (struct store_tx *)(uintptr_t)value;

        if (has_part(tx, queue, epoch))
            return tx;
    }
    return NULL;
}

void store_tx_fence(struct store *st, uint64_t queue, uint64_t epoch)
{
    struct store_tx *tx;

    while ((tx = next_of(st, queue, epoch)))
        give_up(st, tx);
}

void store_tx_forget(struct store *st, uint64_t queue)
{
    uint64_t number, value;
    uint32_t at = 0;

    while (u64map_next(&st->txs, &at, &number, &value)) {
        struct store_tx *tx = (struct store_tx *)(uintptr_t)value;
        uint32_t n = 0;

        for (uint32_t i = 0; i < tx->n_ops; i++) {
            if (tx->ops[i]->queue_id == queue)
                msg_drop(&tx->ops[i]->hdr);
            else
                tx->ops[n++] = tx->ops[i];
        }
        tx->n_ops = n;
    }
}
