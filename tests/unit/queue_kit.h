/*
 * queue_kit.h - one real queue process among played channels and a played store, on test_world.h.
 *
 * Channels run functions given by the test and write down what they receive; the store keeps what
 * was committed in `disk`, which outlives it. Include it once, after test_world.h.
 */
#ifndef TESTS_UNIT_QUEUE_KIT_H
#define TESTS_UNIT_QUEUE_KIT_H

#include "amqp/codec/record.h"
#include "broker/runtime/blob.h"
#include "persistence/store.h"
#include "queues/invariant.h"
#include "queues/queue.h"

enum { N_CHANNELS = 3, MAX_SEQ = 1 << 16, MAX_GOT = 1 << 15, CHAN_RUN = 0xF010, QUEUE_ID = 7 };

struct seen { /* one delivery */
    uint64_t epoch, seq;
    uint32_t cid, value;
    bool redelivered;
};

static struct chan {
    proc_id pid;
    struct seen seen[MAX_GOT];
    uint32_t n_seen;
    uint8_t confirmed[MAX_SEQ]; /* by tag: how often */
    uint64_t n_confirmed, credit_messages, credit_bytes;
    uint64_t published; /* in the present epoch */
    struct msg_queue_reply reply;
    struct msg_queue_got got; /* without its record */
    uint32_t got_value, n_replies, n_got, n_gone, n_down;
    uint32_t n_committed, n_given_up; /* transactions */
    uint64_t n_settled;               /* settlements that it was told are handled */
    uint32_t n_back;                  /* permits of the shared prefetch that came back */
    bool wants;                       /* such permits */
    bool drops_got;                   /* does not take the record out of a QUEUE_GOT */
    bool keeps_got;                   /* leaves it lying until kit_drop_got */
    struct msg *kept;
} chans[N_CHANNELS];

static struct kit {
    struct cell *cell;
    struct blob *arg;
    proc_id queue, store;
    bool commits; /* the store commits by itself; else only at kit_commit */
    uint32_t n_reads, n_runs, n_opens;
    struct blob *disk[MAX_SEQ]; /* committed */
    /* What kit_commit does with the transaction that is under way. */
    enum { TX_PLAY_NONE, TX_PLAY_COMMIT, TX_PLAY_COMMIT_UNSAID, TX_PLAY_GIVE_UP } tx_fate;
    uint32_t n_tx_calls, n_tx_ends;
} kit;

static struct staged { /* sent to the store and not committed */
    struct store_op op[MAX_SEQ];
    struct blob *bytes[MAX_SEQ];
    uint32_t n;
    uint64_t up_to, epoch;
    proc_id queue;
    struct msg *sync[64];
    proc_ref monitor; /* of the queue, if what it has ends with it */
    bool is_fleeting[MAX_SEQ];
    uint32_t n_sync;
    struct msg_store_ops *tx_ops[16];
    uint32_t n_tx_ops;
    struct msg *tx_call;
} staged;

static uint32_t value_of(const struct record *r)
{
    uint32_t v;

    memcpy(&v, record_body(r).p, sizeof(v));
    return v;
}

static struct record *kit_record(uint32_t value, bool persistent, uint32_t size)
{
    static const uint8_t on[] = {0x10, 0, 2}, off[] = {0, 0};
    struct record_parts parts = {.props = persistent ? amqp_bytes(on, sizeof(on))
                                                     : amqp_bytes(off, sizeof(off))};
    uint8_t *body;
    struct record *r = record_new(&parts, size, &body);

    memset(body, 0, size);
    memcpy(body, &value, sizeof(value));
    return r;
}

#include "tests/unit/played_store.h"

/* Channels. */

struct chan_run {
    struct msg hdr;
    void (*fn)(struct chan *c, void *arg);
    void *arg;
};

static void chan_deliver(struct chan *c, const struct msg_queue_deliver *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct delivery *in = &d->item[i];

        CHECK(c->n_seen < MAX_GOT);
        c->seen[c->n_seen++] =
            (struct seen){d->epoch, in->seq, in->cid, value_of(in->record), in->redelivered};
    }
}

static void chan_confirm(struct chan *c, const struct msg_queue_confirm *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        for (uint64_t t = m->range[i].first; t <= m->range[i].last; t++) {
            c->confirmed[t]++;
            c->n_confirmed++;
        }
    }
}

static void chan_got(struct chan *c, struct msg_queue_got *m)
{
    struct record *record = m->record;
    struct msg_queue_settle *s;

    c->n_got++;
    c->got = *m;
    c->got.record = NULL;
    if (c->keeps_got) {
        c->kept = &m->hdr;
        proc_keep(c->kept);
    }
    if (!record || c->drops_got || c->kept)
        return;
    c->got_value = value_of(record);
    m->record = NULL;
    record_unref(record);
    if (!m->no_ack)
        return;
    s = queue_settle_new(m->epoch, SETTLE_TAKEN, 1);
    s->seq[s->n++] = m->seq;
    PROC_SEND(m->queue, s);
}

static void chan_handle(void *state, struct msg *m)
{
    struct chan *c = &chans[*(int *)state];

    switch (m->type) {
    case CHAN_RUN:
        MSG_OF(struct chan_run, m)->fn(c, MSG_OF(struct chan_run, m)->arg);
        break;
    case QUEUE_DELIVER:
        chan_deliver(c, MSG_OF(struct msg_queue_deliver, m));
        break;
    case QUEUE_CONFIRM:
        chan_confirm(c, MSG_OF(struct msg_queue_confirm, m));
        break;
    case QUEUE_CREDIT:
        c->credit_messages = MSG_OF(struct msg_queue_credit, m)->messages;
        c->credit_bytes = MSG_OF(struct msg_queue_credit, m)->bytes;
        break;
    case QUEUE_REPLY:
        c->reply = *MSG_OF(struct msg_queue_reply, m);
        c->n_replies++;
        break;
    case QUEUE_GOT:
        chan_got(c, MSG_OF(struct msg_queue_got, m));
        break;
    case QUEUE_CONSUMER_GONE:
        c->n_gone++;
        break;
    case QUEUE_WANT:
        c->wants = true;
        break;
    case QUEUE_SHARE_BACK:
        c->wants = false;
        c->n_back += MSG_OF(struct msg_queue_share, m)->n;
        break;
    case QUEUE_TX_DONE:
        c->n_committed += MSG_OF(struct msg_queue_tx_end, m)->committed;
        c->n_given_up += !MSG_OF(struct msg_queue_tx_end, m)->committed;
        break;
    case QUEUE_SETTLED: /* these channels tell nobody again what they settled */
        c->n_settled = MSG_OF(struct msg_queue_settled, m)->n;
        break;
    case MSG_DOWN:
        c->n_down++;
        break;
    default:
        CHECK(!"a message that a channel gets");
    }
}

static void chan_init(void *state, const void *arg)
{
    memcpy(state, arg, sizeof(int));
}

static const struct proc_ops chan_ops = {
    .kind = "channel", .state_size = sizeof(int), .init = chan_init, .handle = chan_handle};

/* fn(channel i, arg) as its process code, and all that follows of it. */
static void chan_do(int i, void (*fn)(struct chan *c, void *arg), void *arg)
{
    struct chan_run *m = MSG_NEW(CHAN_RUN, struct chan_run);

    m->fn = fn;
    m->arg = arg;
    rt_send(chans[i].pid, &m->hdr);
    tw_run_us(0);
}

static void spawn_chan(void *arg)
{
    int i = *(int *)arg;

    memset(&chans[i], 0, sizeof(chans[i]));
    chans[i].credit_messages = CREDIT_INITIAL_MESSAGES;
    chans[i].pid = proc_spawn(&(struct spawn){
        .ops = &chan_ops, .arg = blob_copy(arg, sizeof(int)), .scheduler = SCHED_SAME});
}

static void spawn_queue(void *arg)
{
    (void)arg;
    kit.queue = proc_spawn(
        &(struct spawn){.ops = &queue_ops, .arg = blob_ref(kit.arg), .scheduler = SCHED_SAME});
}

static void spawn_store(void *arg)
{
    (void)arg;
    kit.store = proc_spawn(&(struct spawn){.ops = &fake_store_ops, .scheduler = SCHED_SAME});
}

/* Nothing ended by itself but as it should; false: a planted bug ended it. */
static bool kit_is_fine(void)
{
    const struct exit_reason *why = &tw.last_crash.why;

    if (tw.n_crashes == 0 || why->kind == EXIT_KILLED)
        return true;
    if (queue_plant == PLANT_NONE)
        print_error("%s:%d: %s\n", why->file ? why->file : "", why->line, why->text);
    assert_true(queue_plant != PLANT_NONE);
    return false;
}

/* Ends a process as a crash would, and lets the news travel. */
static void kit_kill(proc_id pid)
{
    bool is_fine = kit_is_fine();
    struct crash_report last = tw.last_crash;

    rt_signal(pid, EXIT_KILL, "killed by the test");
    tw_run_us(0);
    if (!is_fine)
        tw.last_crash = last; /* for who planted it */
}

static uint64_t kit_epoch(void)
{
    return cell_at(kit.cell)->epoch;
}

static bool kit_is_up(void)
{
    return cell_at(kit.cell)->state == CELL_UP;
}

/* The queue dies, its cell says so, and a new one starts. */
__attribute__((unused)) static void kit_restart_queue(void)
{
    kit_kill(kit.queue);
    cell_set(kit.cell, 0, kit_epoch(), CELL_RESTARTING, NULL);
    for (int i = 0; i < N_CHANNELS; i++) {
        chans[i].credit_messages = CREDIT_INITIAL_MESSAGES;
        chans[i].published = 0;
    }
    tw_do(spawn_queue, NULL);
}

__attribute__((unused)) static void kit_commit(void)
{
    struct msg *m = MSG_NEW(CHAN_RUN, struct msg);

    rt_send(kit.store, m);
    tw_run_us(0);
}

static void kit_start(uint64_t seed, uint32_t flags)
{
    struct cell_spec spec = {.kind = CELL_QUEUE,
                             .id = QUEUE_ID,
                             .flags = flags,
                             .vhost = "/",
                             .name = "q",
                             .vhost_len = 1,
                             .name_len = 1};
    struct queue_arg arg;

    memset(&kit, 0, sizeof(kit));
    memset(&staged, 0, sizeof(staged));
    kit.commits = true;
    queue_check_invariants = true;
    queue_plant = PLANT_NONE;
    queue_limits = (struct queue_limits){
        .resident_bytes = 1 << 20, .run_messages = 1024, .run_bytes = 1 << 20};
    tw_start(seed);
    arg.cell = kit.cell = cell_new(&spec);
    kit.arg = blob_copy(&arg, sizeof(arg));
    tw_do(spawn_store, NULL);
    tw_do(spawn_queue, NULL);
    for (int i = 0; i < N_CHANNELS; i++)
        tw_do(spawn_chan, &i);
    assert_true(kit_is_up());
}

static void kit_stop(void)
{
    kit_kill(kit.queue);
    kit_kill(kit.store);
    for (int i = 0; i < N_CHANNELS; i++)
        kit_kill(chans[i].pid);
    staged_clear();
    for (uint32_t s = 0; s < MAX_SEQ; s++)
        blob_unref(kit.disk[s]);
    blob_unref(kit.arg);
    tw_stop();
    cell_unref(kit.cell);
}

/* What channels do. */

struct do_publish {
    uint32_t value, n, size;
    uint64_t tag; /* of the first; 0: none is wanted */
    bool persistent;
};

static void chan_publish(struct chan *c, void *arg)
{
    const struct do_publish *in = arg;
    struct msg_queue_publish *m = queue_publish_new(kit_epoch(), in->n);

    for (uint32_t i = 0; i < in->n; i++) {
        m->item[i].record = kit_record(in->value + i, in->persistent, in->size ? in->size : 4);
        m->item[i].tag = in->tag ? in->tag + i : 0;
    }
    m->n = in->n;
    c->published += in->n;
    PROC_SEND(kit.queue, m);
}

static void chan_consume(struct chan *c, void *arg)
{
    (void)c;
    (void)proc_call(kit.queue, &queue_consume_new(kit_epoch(), arg)->hdr, PROC_NO_TIMEOUT);
}

static struct consumer_spec kit_consumer(uint32_t cid, bool no_ack, uint16_t prefetch)
{
    return (struct consumer_spec){.cid = cid,
                                  .no_ack = no_ack,
                                  .prefetch = prefetch,
                                  .window_messages = UINT64_MAX,
                                  .window_bytes = UINT64_MAX};
}

__attribute__((unused)) static void chan_cancel(struct chan *c, void *arg)
{
    struct msg_queue_cancel *m = MSG_NEW(QUEUE_CANCEL, struct msg_queue_cancel);

    (void)c;
    m->epoch = kit_epoch();
    m->cid = *(uint32_t *)arg;
    (void)proc_call(kit.queue, &m->hdr, PROC_NO_TIMEOUT);
}

static void chan_get(struct chan *c, void *arg)
{
    struct msg_queue_get *m = MSG_NEW(QUEUE_GET, struct msg_queue_get);

    (void)c;
    m->epoch = kit_epoch();
    m->no_ack = *(bool *)arg;
    (void)proc_call(kit.queue, &m->hdr, PROC_NO_TIMEOUT);
}

struct do_settle {
    enum settle_how how;
    uint32_t n;
    const uint64_t *seq;
};

static void chan_settle(struct chan *c, void *arg)
{
    const struct do_settle *in = arg;
    struct msg_queue_settle *m = queue_settle_new(kit_epoch(), in->how, in->n);

    (void)c;
    memcpy(m->seq, in->seq, in->n * sizeof(m->seq[0]));
    m->n = in->n;
    PROC_SEND(kit.queue, m);
}

static void chan_share(struct chan *c, void *arg)
{
    struct msg_queue_share *m = MSG_NEW(QUEUE_SHARE, struct msg_queue_share);

    (void)c;
    m->epoch = kit_epoch();
    m->is_limited = *(int *)arg >= 0;
    m->n = m->is_limited ? (uint32_t) * (int *)arg : 0;
    PROC_SEND(kit.queue, m);
}

/* So many permits of channel i's shared prefetch; -1: there is none. */
__attribute__((unused)) static void kit_share(int i, int n)
{
    chan_do(i, chan_share, &n);
}

/* PURGE, STAT, SYNC as calls. */
static void chan_ask(struct chan *c, void *arg)
{
    (void)c;
    (void)proc_call(kit.queue, &queue_ask_new(*(uint32_t *)arg, kit_epoch())->hdr, PROC_NO_TIMEOUT);
}

__attribute__((unused)) static struct msg_queue_reply kit_ask(int i, uint32_t type)
{
    chan_do(i, chan_ask, &type);
    return chans[i].reply;
}

__attribute__((unused)) static void kit_settle(int i, enum settle_how how, uint64_t seq)
{
    struct do_settle s = {how, 1, &seq};

    chan_do(i, chan_settle, &s);
}

static void kit_publish(int i, uint32_t value, uint32_t n, bool persistent)
{
    struct do_publish p = {.value = value, .n = n, .tag = value, .persistent = persistent};

    chan_do(i, chan_publish, &p);
}

__attribute__((unused)) static void kit_consume(int i, struct consumer_spec spec)
{
    chan_do(i, chan_consume, &spec);
}

__attribute__((unused)) static void kit_get(int i, bool no_ack)
{
    chan_do(i, chan_get, &no_ack);
}

static void chan_drop_got(struct chan *c, void *arg)
{
    struct msg *m = c->kept;

    (void)arg;
    c->kept = NULL;
    msg_drop(m);
}

__attribute__((unused)) static void kit_drop_got(int i)
{
    chan_do(i, chan_drop_got, NULL);
}

#endif
