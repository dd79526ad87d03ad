/* A queue's part in a transaction: hidden until it is decided, whoever dies meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/queue_kit.h"

enum { TX = 77 };

struct do_tx {
    uint32_t value, n; /* so many messages from this value on */
    bool persistent;
    uint64_t acks[4]; /* 0: no more */
    uint32_t n_parts;
};

static void chan_tx(struct chan *c, void *arg)
{
    const struct do_tx *in = arg;
    struct msg_queue_tx *m = queue_tx_new(kit_epoch(), TX, in->n + 4);

    (void)c;
    for (uint32_t i = 0; i < in->n; i++)
        m->item[m->n++].record = kit_record(in->value + i, in->persistent, 4);
    for (uint32_t i = 0; i < 4 && in->acks[i]; i++)
        m->item[m->n++] = (struct tx_item){.seq = in->acks[i], .how = SETTLE_ACK};
    m->n_parts = in->n_parts;
    (void)proc_call(kit.queue, &m->hdr, PROC_NO_TIMEOUT);
}

static void chan_tx_end(struct chan *c, void *arg)
{
    (void)c;
    proc_send(kit.queue, &queue_tx_end_new(QUEUE_TX_END, TX, *(bool *)arg)->hdr);
}

static void decide(int fate)
{
    kit.tx_fate = fate;
    kit_commit();
}

static void kill_store(void)
{
    kit_kill(kit.store);
}

static void new_store(void)
{
    tw_do(spawn_store, NULL);
    tw_run_us(0);
}

static uint64_t ready(void)
{
    return kit_ask(2, QUEUE_STAT).messages;
}

/* Channel 1 holds two messages, 1 and 2, of which the transaction will settle the first. */
static void begin(uint64_t seed, bool commits, struct do_tx *in)
{
    kit_start(seed, CELL_DURABLE);
    kit.tx_fate = TX_PLAY_NONE;
    kit.n_tx_calls = kit.n_tx_ends = 0;
    kit.commits = true;
    kit_publish(0, 1, 2, true);
    kit_get(1, false);
    kit_get(1, false);
    kit.commits = commits;
    *in = (struct do_tx){
        .value = 10, .n = 3, .persistent = true, .acks = {chans[1].got.seq - 1}, .n_parts = 2};
    chan_do(1, chan_tx, in);
    assert_int_equal(ready(), 0);
    assert_int_equal(kit.n_tx_calls, 1);
}

/* Those of the transaction, in order, and nothing of what it settled. */
static void check_committed(void)
{
    assert_true(chans[1].n_committed == 1 && chans[1].n_given_up == 0);
    assert_int_equal(ready(), 3);
    kit_consume(2, kit_consumer(1, true, 0));
    assert_int_equal(chans[2].n_seen, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(chans[2].seen[i].value == 10 + i && !chans[2].seen[i].redelivered);
    kit_stop();
}

static void check_given_up(void)
{
    assert_int_equal(ready(), 1);
    kit_consume(2, kit_consumer(1, true, 0));
    assert_true(chans[2].n_seen == 1 && chans[2].seen[0].value == 1);
    assert_true(chans[2].seen[0].redelivered);
    kit_stop();
}

static void test_seen_when_committed(void **state)
{
    struct do_tx in;

    (void)state;
    begin(1, true, &in);
    decide(TX_PLAY_COMMIT);
    check_committed();
}

static void test_given_up(void **state)
{
    struct do_tx in;

    (void)state;
    begin(2, true, &in);
    decide(TX_PLAY_GIVE_UP);
    assert_int_equal(chans[1].n_given_up, 1);
    check_given_up();
}

/* The store has committed it and dies before it says so: its next run has the messages. */
static void test_store_dies_behind_the_commit(void **state)
{
    struct do_tx in;

    (void)state;
    begin(3, true, &in);
    decide(TX_PLAY_COMMIT_UNSAID);
    assert_int_equal(ready(), 0);
    kill_store();
    assert_int_equal(ready(), 0);
    new_store();
    assert_int_equal(kit.n_tx_calls, 1);
    check_committed();
}

static void test_store_dies_before_the_commit(void **state)
{
    struct do_tx in;

    (void)state;
    begin(4, true, &in);
    kill_store();
    new_store();
    assert_int_equal(kit.n_tx_calls, 2); /* handed over again */
    decide(TX_PLAY_COMMIT);
    check_committed();
}

/* Another queue knows that it was committed, while this one has no store. */
static void test_told_by_the_channel(void **state)
{
    struct do_tx in;

    (void)state;
    begin(5, true, &in);
    decide(TX_PLAY_COMMIT_UNSAID);
    kill_store();
    chan_do(1, chan_tx_end, &(bool){true});
    assert_int_equal(ready(), 3);
    new_store();
    assert_int_equal(kit.n_tx_calls, 1);
    check_committed();
}

/* Nobody waits for it any more, and the store is asked to give it up. */
static void test_channel_dies(void **state)
{
    struct do_tx in;

    (void)state;
    begin(6, true, &in);
    kit_kill(chans[1].pid);
    assert_int_equal(kit.n_tx_ends, 1);
    assert_int_equal(ready(), 1); /* what it held otherwise has come back */
    decide(TX_PLAY_GIVE_UP);
    assert_int_equal(ready(), 2);
    kit_stop();
}

static void test_channel_dies_too_late(void **state)
{
    struct do_tx in;

    (void)state;
    begin(7, true, &in);
    decide(TX_PLAY_COMMIT_UNSAID);
    kit_kill(chans[1].pid);
    kill_store();
    new_store();
    assert_int_equal(ready(), 4); /* its three, and the one that it did not settle */
    kit_stop();
}

/* What is no longer in the channel's hands cannot be settled: nothing of it is done. */
static void test_settles_what_others_have(void **state)
{
    struct do_tx in = {.value = 10, .n = 2, .persistent = true, .acks = {1000}, .n_parts = 1};

    (void)state;
    kit_start(8, CELL_DURABLE);
    kit.n_tx_calls = 0;
    chan_do(1, chan_tx, &in);
    assert_true(chans[1].n_given_up == 1 && kit.n_tx_calls == 0);
    assert_int_equal(ready(), 0);
    kit_stop();
}

/* With nothing that lasts, and nobody else in it, no store is needed. */
static void test_alone_in_memory(void **state)
{
    struct do_tx in = {.value = 10, .n = 3, .persistent = false, .n_parts = 1};

    (void)state;
    for (int durable = 0; durable < 2; durable++) {
        kit_start(9, durable ? CELL_DURABLE : 0);
        kit.n_tx_calls = 0;
        chan_do(1, chan_tx, &in);
        assert_int_equal(kit.n_tx_calls, 0);
        check_committed();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_when_committed),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_store_dies_behind_the_commit),
        cmocka_unit_test(test_store_dies_before_the_commit),
        cmocka_unit_test(test_told_by_the_channel),
        cmocka_unit_test(test_channel_dies),
        cmocka_unit_test(test_channel_dies_too_late),
        cmocka_unit_test(test_settles_what_others_have),
        cmocka_unit_test(test_alone_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
