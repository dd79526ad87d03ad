/*
 * played_store.h - the store of queue_kit.h: it keeps what was committed in kit.disk, which
 * outlives it. Only queue_kit.h includes it.
 */
#ifndef TESTS_UNIT_PLAYED_STORE_H
#define TESTS_UNIT_PLAYED_STORE_H

static void staged_clear(void)
{
    for (uint32_t i = 0; i < staged.n; i++)
        blob_unref(staged.bytes[i]);
    staged.n = 0;
    staged.n_sync = staged.n_tx_ops = 0; /* the process drops them with itself */
    staged.up_to = 0;
}

static void store_commit(void)
{
    struct msg_store_durable *m;

    for (uint32_t i = 0; i < staged.n; i++) {
        const struct store_op *op = &staged.op[i];

        if (op->kind == STORE_OP_PUBLISH) {
            if (!kit.disk[op->seq])
                kit.disk[op->seq] = blob_ref(staged.bytes[i]);
            continue;
        }
        for (uint64_t s = op->seq; s <= op->last_seq; s++) {
            blob_unref(kit.disk[s]);
            kit.disk[s] = NULL;
        }
    }
    for (uint32_t i = 0; i < staged.n; i++)
        blob_unref(staged.bytes[i]);
    if (staged.up_to > 0) {
        m = MSG_NEW(STORE_DURABLE, struct msg_store_durable);
        m->queue_id = QUEUE_ID;
        m->epoch = staged.epoch;
        m->up_to_seq = staged.up_to;
        PROC_SEND(staged.queue, m);
    }
    for (uint32_t i = 0; i < staged.n_sync; i++) {
        proc_reply(staged.sync[i], msg_new(STORE_SYNCED, sizeof(struct msg), NULL));
        msg_drop(staged.sync[i]);
    }
    staged.n = 0;
    staged.n_sync = 0;
}

static struct msg_store_entries *entries_new(uint32_t type, uint32_t room)
{
    struct msg_store_entries *e = msg_new(type, sizeof(*e) + room * sizeof(e->entry[0]), NULL);

    e->queue_id = QUEUE_ID;
    e->epoch = staged.epoch;
    e->n = 0;
    return e;
}

static void entry_put(struct msg_store_entries *e, uint64_t seq)
{
    e->entry[e->n] = (struct store_entry){.seq = seq};
    e->entry[e->n++].place.len = (uint32_t)blob_size(kit.disk[seq]);
}

static void store_tell(proc_id to, uint64_t seq)
{
    struct msg_store_entries *e = entries_new(STORE_ENTRIES, 1);

    entry_put(e, seq);
    PROC_SEND(to, e);
}

static bool is_asked(const struct msg_store_open *in, uint64_t seq)
{
    for (uint32_t i = 0; i < in->n_ask; i++) {
        if (in->ask[i] == seq)
            return true;
    }
    return false;
}

/* The queue that was there has ended, and what it had with it. */
static void store_clear(void)
{
    for (uint64_t s = 0; s < MAX_SEQ; s++) {
        blob_unref(kit.disk[s]);
        kit.disk[s] = NULL;
    }
}

static void store_open(struct msg *m)
{
    const struct msg_store_open *in = MSG_OF(struct msg_store_open, m);
    struct msg_store_opened *opened = MSG_NEW(STORE_OPENED, struct msg_store_opened);

    store_commit();
    for (uint64_t s = 0; s < MAX_SEQ && in->is_first; s++) {
        if (!staged.is_fleeting[s])
            continue;
        blob_unref(kit.disk[s]);
        kit.disk[s] = NULL;
        staged.is_fleeting[s] = false;
    }
    if (in->is_fleeting)
        staged.monitor = proc_monitor(m->from);
    kit.n_opens++;
    staged.up_to = 0;
    staged.epoch = in->epoch;
    staged.queue = m->from;
    opened->epoch = in->epoch;
    opened->next_seq = 1;
    opened->n_entries = opened->bytes = 0;
    for (uint64_t s = 0; s < MAX_SEQ; s++) {
        if (!kit.disk[s])
            continue;
        opened->n_entries++;
        opened->bytes += blob_size(kit.disk[s]);
        opened->next_seq = s + 1;
        if (in->known_first > in->known_last || s < in->known_first || s > in->known_last ||
            is_asked(in, s))
            store_tell(m->from, s);
    }
    proc_reply(m, &opened->hdr);
}

static void store_ops_in(const struct msg_store_ops *in)
{
    if (in->epoch != staged.epoch)
        return;
    for (uint32_t i = 0; i < in->n; i++) {
        struct store_op *op = &staged.op[staged.n];
        uint8_t *bytes;

        CHECK(staged.n < MAX_SEQ && in->op[i].last_seq < MAX_SEQ);
        *op = in->op[i];
        staged.bytes[staged.n] = NULL;
        if (op->kind == STORE_OP_PUBLISH) {
            staged.bytes[staged.n] = blob_new(op->part_len[0] + op->part_len[1], &bytes);
            memcpy(bytes, op->part[0], op->part_len[0]);
            if (op->part_len[1] > 0)
                memcpy(bytes + op->part_len[0], op->part[1], op->part_len[1]);
            CHECK(op->is_fleeting || op->seq > staged.up_to);
            staged.is_fleeting[op->seq] = op->is_fleeting;
            if (!op->is_fleeting)
                staged.up_to = op->seq;
        }
        staged.n++;
    }
}

/* What the test decided about the one transaction that is under way. */
static void store_decide(void)
{
    bool committed = kit.tx_fate == TX_PLAY_COMMIT || kit.tx_fate == TX_PLAY_COMMIT_UNSAID;
    struct msg_store_tx_done *done;

    for (uint32_t i = 0; i < staged.n_tx_ops; i++) {
        uint64_t up_to = staged.up_to;

        staged.up_to = 0; /* a transaction's come in any order */
        if (committed)
            store_ops_in(staged.tx_ops[i]);
        staged.up_to = up_to;
        msg_drop(&staged.tx_ops[i]->hdr);
    }
    staged.n_tx_ops = 0;
    if (committed)
        store_commit();
    if (kit.tx_fate != TX_PLAY_COMMIT_UNSAID) {
        done = MSG_NEW(STORE_TX_DONE, struct msg_store_tx_done);
        done->committed = committed;
        proc_reply(staged.tx_call, &done->hdr);
    }
    kit.tx_fate = TX_PLAY_NONE;
}

/* Whether m is of a transaction. */
static bool store_tx_in(struct msg *m)
{
    if (m->type == STORE_OPS && MSG_OF(struct msg_store_ops, m)->tx != 0) {
        proc_keep(m);
        staged.tx_ops[staged.n_tx_ops++] = MSG_OF(struct msg_store_ops, m);
    } else if (m->type == STORE_TX) {
        proc_keep(m);
        staged.tx_call = m;
        kit.n_tx_calls++;
    } else if (m->type == STORE_TX_END) {
        kit.n_tx_ends++;
    } else {
        return false;
    }
    return true;
}

static void drop_bodies(struct msg *m)
{
    struct msg_store_bodies *b = MSG_OF(struct msg_store_bodies, m);

    for (uint32_t i = 0; i < b->n; i++)
        blob_unref(b->body[i].bytes);
    msg_free(m);
}

static void store_read_in(struct msg *m)
{
    const struct msg_store_read *in = MSG_OF(struct msg_store_read, m);
    struct msg_store_bodies *b =
        msg_new(STORE_BODIES, sizeof(*b) + in->n * sizeof(b->body[0]), drop_bodies);

    kit.n_reads++;
    b->n = in->n;
    for (uint32_t i = 0; i < in->n; i++)
        b->body[i] = (struct store_body){in->want[i].seq, blob_ref(kit.disk[in->want[i].seq])};
    proc_reply(m, &b->hdr);
}

static void drop_run(struct msg *m)
{
    blob_unref(MSG_OF(struct msg_store_run, m)->bytes);
    msg_free(m);
}

/* A few at a time, so that a queue has to ask often. */
static void store_read_on_in(struct msg *m)
{
    enum { RUN = 7 };
    const struct msg_store_read_on *in = MSG_OF(struct msg_store_read_on, m);
    struct msg_store_run *run =
        msg_new(STORE_RUN, sizeof(*run) + RUN * sizeof(run->item[0]), drop_run);
    uint64_t s = in->first_seq;
    uint8_t *bytes;

    kit.n_runs++;
    run->queue_id = QUEUE_ID;
    run->n = 0;
    for (uint32_t at = 0; s <= in->last_seq && run->n < RUN; s++) {
        uint32_t size = kit.disk[s] ? (uint32_t)blob_size(kit.disk[s]) : 0;

        if (!kit.disk[s])
            continue;
        run->item[run->n++] = (struct store_item){.seq = s, .offset = at, .len = size};
        at += size;
    }
    run->next_seq = s;
    s = run->n > 0 ? run->item[run->n - 1].offset + run->item[run->n - 1].len : 0;
    run->bytes = blob_new(s, &bytes);
    for (uint32_t i = 0; i < run->n; i++)
        memcpy(bytes + run->item[i].offset, blob_bytes(kit.disk[run->item[i].seq]),
               run->item[i].len);
    proc_reply(m, &run->hdr);
}

static void store_find_in(struct msg *m)
{
    const struct msg_store_find *in = MSG_OF(struct msg_store_find, m);
    struct msg_store_entries *e = entries_new(STORE_FOUND, in->n);

    for (uint32_t i = 0; i < in->n; i++) {
        if (kit.disk[in->seq[i]])
            entry_put(e, in->seq[i]);
    }
    proc_reply(m, &e->hdr);
}

static void store_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    staged_clear();
    CHECK(proc_register("store:/") == 0);
}

static void store_handle(void *state, struct msg *m)
{
    (void)state;
    if (store_tx_in(m))
        return;
    switch (m->type) {
    case MSG_DOWN:
        if (m->ref == staged.monitor)
            store_clear();
        break;
    case STORE_OPEN_QUEUE:
        store_open(m);
        break;
    case STORE_OPS:
        store_ops_in(MSG_OF(struct msg_store_ops, m));
        break;
    case STORE_READ:
        store_read_in(m);
        break;
    case STORE_READ_ON:
        store_read_on_in(m);
        break;
    case STORE_FIND:
        store_find_in(m);
        break;
    case STORE_SYNC:
        proc_keep(m);
        staged.sync[staged.n_sync++] = m;
        break;
    case CHAN_RUN:
        store_commit();
        if (kit.tx_fate != TX_PLAY_NONE)
            store_decide();
        break;
    default:
        CHECK(!"a message that a store gets");
    }
    if (kit.commits)
        store_commit();
}

static const struct proc_ops fake_store_ops = {
    .kind = "store", .state_size = 1, .init = store_init, .handle = store_handle};

#endif
