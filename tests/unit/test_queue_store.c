/* A durable queue and its store: confirms, recovery, reading back, a store that dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/queue_kit.h"

static uint32_t on_disk(void)
{
    uint32_t n = 0;

    for (uint32_t s = 0; s < MAX_SEQ; s++)
        n += kit.disk[s] != NULL;
    return n;
}

static void test_confirmed_when_durable(void **state)
{
    (void)state;
    kit_start(1, CELL_DURABLE);
    kit.commits = false;
    kit_publish(0, 1, 3, true);
    kit_publish(0, 4, 2, false);
    assert_int_equal(chans[0].n_confirmed, 2); /* those that need not last */
    kit_commit();
    assert_int_equal(chans[0].n_confirmed, 5);
    for (uint32_t t = 1; t <= 5; t++)
        assert_int_equal(chans[0].confirmed[t], 1);
    assert_int_equal(on_disk(), 3);
    kit_stop();
}

static void test_settled_before_written(void **state)
{
    (void)state;
    kit_start(2, CELL_DURABLE);
    kit.commits = false;
    kit_consume(1, kit_consumer(1, false, 0));
    kit_publish(0, 1, 2, true);
    assert_int_equal(chans[0].n_confirmed, 0);
    kit_settle(1, SETTLE_ACK, chans[1].seen[1].seq);
    assert_int_equal(chans[0].confirmed[2], 1);
    kit_commit();
    assert_int_equal(chans[0].n_confirmed, 2);
    assert_int_equal(on_disk(), 1);
    chan_do(1, chan_cancel, &(uint32_t){1});
    kit_consume(2, kit_consumer(1, true, 0)); /* no acks: the store hears of nothing */
    staged.n = 0;
    kit_publish(0, 3, 4, true);
    assert_int_equal(chans[0].n_confirmed, 6);
    assert_int_equal(staged.n, 0);
    kit_stop();
}

static void test_restart_keeps_what_lasts(void **state)
{
    (void)state;
    kit_start(3, CELL_DURABLE);
    kit_publish(0, 1, 3, true);
    kit_publish(0, 4, 2, false);
    kit_publish(0, 6, 1, true);
    kit_restart_queue();
    assert_true(kit_is_up());
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 4);
    kit_consume(1, kit_consumer(1, false, 0));
    assert_int_equal(chans[1].n_seen, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(chans[1].seen[i].value, i < 3 ? i + 1 : 6);
        assert_true(chans[1].seen[i].redelivered); /* who knows */
    }
    kit_publish(0, 7, 1, true);
    assert_int_equal(chans[1].seen[4].value, 7);
    assert_false(chans[1].seen[4].redelivered);
    assert_true(chans[1].seen[4].seq > 6); /* no seq is given twice */
    kit_stop();
}

struct do_attach {
    struct consumer_spec consumer;
    uint32_t n_held;
    const struct seen *held;
};

static void send_attach(struct chan *c, void *arg)
{
    const struct do_attach *in = arg;
    struct msg_queue_attach *m = queue_attach_new(0, kit_epoch(), 1, in->n_held);

    (void)c;
    m->consumers[0] = in->consumer;
    for (uint32_t i = 0; i < in->n_held; i++)
        m->held[i] = (struct held){in->held[i].seq, in->held[i].cid};
    (void)proc_call(kit.queue, &m->hdr, PROC_NO_TIMEOUT);
}

static void test_attach(void **state)
{
    struct do_attach back = {.consumer = kit_consumer(1, false, 2), .n_held = 2};
    struct do_attach other = {.consumer = kit_consumer(1, false, 0)};

    (void)state;
    kit_start(4, CELL_DURABLE);
    kit_publish(0, 1, 5, true);
    kit_consume(1, back.consumer);
    kit_consume(2, other.consumer);
    assert_int_equal(chans[1].n_seen, 2);
    chan_do(2, chan_cancel, &(uint32_t){1});
    kit_kill(chans[2].pid); /* so 3 .. 5 are ready again */
    tw_do(spawn_chan, &(int){2});
    kit_restart_queue();
    kit_consume(2, other.consumer); /* must wait for those that were there before */
    assert_int_equal(chans[2].n_seen, 0);
    assert_int_equal(chans[2].n_replies, 0);
    back.held = chans[1].seen;
    chan_do(1, send_attach, &back);
    assert_int_equal(chans[1].reply.code, 0);
    assert_int_equal(chans[2].n_seen, 3);
    assert_int_equal(chans[2].seen[0].value, 3);
    kit_settle(1, SETTLE_ACK, chans[1].seen[0].seq);
    assert_int_equal(on_disk(), 4);
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 0);
    kit_stop();
}

static void test_attach_window_ends(void **state)
{
    (void)state;
    kit_start(5, CELL_DURABLE);
    kit_publish(0, 1, 3, true);
    kit_consume(1, kit_consumer(1, false, 1));
    kit_kill(kit.queue); /* and with it the channel, so that nobody comes back */
    kit_kill(chans[1].pid);
    tw_do(spawn_queue, NULL);
    kit_consume(2, kit_consumer(1, false, 0));
    tw_run_us(900000);
    assert_int_equal(chans[2].n_seen, 0);
    tw_run_us(200000);
    assert_int_equal(chans[2].n_seen, 3);
    kit_stop();
}

static void test_store_dies(void **state)
{
    (void)state;
    kit_start(6, CELL_DURABLE);
    kit_consume(1, kit_consumer(1, false, 0));
    kit_publish(0, 1, 3, true);
    assert_int_equal(chans[0].n_confirmed, 3);
    kit.commits = false;
    kit_publish(0, 4, 3, true);                      /* sent, not committed */
    kit_settle(1, SETTLE_ACK, chans[1].seen[0].seq); /* so was this ack */
    kit_kill(kit.store);
    kit_publish(0, 7, 2, true);
    kit_settle(1, SETTLE_ACK, chans[1].seen[1].seq);
    kit_settle(1, SETTLE_ACK, chans[1].seen[3].seq); /* never to be written */
    assert_int_equal(chans[0].n_confirmed, 4);
    chan_do(2, chan_ask, &(uint32_t){QUEUE_SYNC});
    assert_int_equal(chans[2].n_replies, 0);
    tw_do(spawn_store, NULL);
    assert_int_equal(kit.n_opens, 2);
    assert_int_equal(chans[0].n_confirmed, 4);
    kit_commit();
    assert_int_equal(chans[0].n_confirmed, 8);
    assert_int_equal(chans[2].n_replies, 1);
    assert_int_equal(on_disk(), 5); /* 3, 5, 6, 7, 8 */
    for (uint32_t t = 1; t <= 8; t++)
        assert_int_equal(chans[0].confirmed[t], 1);
    kit_restart_queue();
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 5);
    kit_stop();
}

/*
 * A channel says its acks to the queue's next run until it is told that they are handled. Without a
 * store they are nowhere but in the queue, which may die as well.
 */
static void test_settled_is_told_to_a_store(void **state)
{
    (void)state;
    kit_start(15, CELL_DURABLE);
    kit_consume(1, kit_consumer(1, false, 0));
    for (uint32_t i = 0; i < 13; i++)
        kit_publish(0, 10 * i + 1, 10, true);
    assert_int_equal(chans[1].n_seen, 130);
    for (uint32_t i = 0; i < 64; i++)
        kit_settle(1, SETTLE_ACK, chans[1].seen[i].seq);
    assert_int_equal(chans[1].n_settled, 64);
    kit_kill(kit.store);
    for (uint32_t i = 64; i < 130; i++)
        kit_settle(1, SETTLE_ACK, chans[1].seen[i].seq);
    assert_int_equal(chans[1].n_settled, 64);
    tw_do(spawn_store, NULL);
    assert_int_equal(chans[1].n_settled, 130);
    assert_int_equal(on_disk(), 0);
    kit_stop();
}

/* Credit that waited for a commit comes although the store died before it could tell of it. */
static void test_credit_after_store_died(void **state)
{
    struct do_publish p = {.value = 1, .n = 10, .size = 64 * 1024, .persistent = true};
    uint64_t before;

    (void)state;
    kit_start(10, CELL_DURABLE);
    kit.commits = false;
    for (int i = 0; i < 13; i++)
        chan_do(0, chan_publish, &p);
    before = chans[0].credit_bytes;
    assert_true(before < 130 * 64 * 1024 + CREDIT_MAX_BYTES);
    for (uint32_t i = 0; i < staged.n; i++)
        kit.disk[staged.op[i].seq] = blob_ref(staged.bytes[i]);
    kit_kill(kit.store);
    tw_do(spawn_store, NULL);
    assert_true(chans[0].credit_bytes >= 130 * 64 * 1024 + CREDIT_MAX_BYTES);
    kit_stop();
}

/* What was settled counts as long as the store has not handled it: its mailbox has a bound. */
static void test_settled_needs_credit_too(void **state)
{
    struct do_publish p = {.n = 10, .size = 64 * 1024, .persistent = true};
    uint64_t published = 0;
    uint32_t n_settled = 0;

    (void)state;
    kit_start(11, CELL_DURABLE);
    kit.commits = false;
    kit_consume(1, kit_consumer(1, false, 0));
    for (uint32_t i = 0; i < 13; i++) {
        p.value = 10 * i + 1;
        chan_do(0, chan_publish, &p);
        published += 10 * p.size;
        while (n_settled < chans[1].n_seen)
            kit_settle(1, SETTLE_ACK, chans[1].seen[n_settled++].seq);
    }
    assert_int_equal(chans[1].n_seen, 130);
    assert_true(chans[0].credit_bytes < published + CREDIT_MAX_BYTES);
    kit_commit();
    assert_true(chans[0].credit_bytes >= published + CREDIT_MAX_BYTES);
    assert_int_equal(on_disk(), 0);
    kit_stop();
}

/* Bodies over 1 MiB leave the memory, and come back in order when somebody wants them. */
static void test_read_back(void **state)
{
    enum { N = 3000, SIZE = 2000 };

    (void)state;
    kit_start(7, CELL_DURABLE);
    queue_check_invariants = false; /* which look at every entry after every message */
    for (uint32_t v = 0; v < N; v += 10) {
        struct do_publish p = {.value = v, .n = 10, .size = SIZE, .persistent = true};

        chan_do(0, chan_publish, &p);
    }
    queue_check_invariants = true;
    assert_true(blob_total_bytes() < 2 * N * SIZE); /* one copy is on the played disk */
    kit_consume(1, kit_consumer(1, false, 0));
    assert_int_equal(chans[1].n_seen, N);
    assert_true(kit.n_runs > 100);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(chans[1].seen[i].value, i);
        assert_false(chans[1].seen[i].redelivered);
    }
    kit_kill(chans[1].pid);
    assert_int_equal(kit_ask(2, QUEUE_STAT).messages, N);
    for (uint32_t i = 0; i < 700; i++) {
        kit_get(2, true);
        assert_int_equal(chans[2].got_value, i);
    }
    kit_kill(kit.store); /* with a read under way */
    kit_get(2, true);
    tw_do(spawn_store, NULL);
    kit_get(2, true);
    assert_int_equal(chans[2].got_value, 701);
    assert_int_equal(kit_ask(2, QUEUE_PURGE).messages, N - 702);
    assert_int_equal(on_disk(), 0);
    kit_stop();
}

/*
 * Of a long backlog only the head has entries. What a channel holds out of its midst stays its own,
 * in purge and store's death; the rest comes in order, once.
 */
static void test_cold(void **state)
{
    struct do_attach back = {.consumer = kit_consumer(1, false, 3), .n_held = 3};

    (void)state;
    kit_start(12, CELL_DURABLE);
    queue_limits = (struct queue_limits){.run_messages = 5, .run_bytes = 1 << 20};
    kit_consume(1, back.consumer);
    for (uint32_t v = 1; v <= 200; v += 10)
        kit_publish(0, v, 10, true);
    assert_int_equal(chans[1].n_seen, 3);
    kit_restart_queue();
    back.held = chans[1].seen;
    chan_do(1, send_attach, &back);
    chan_do(1, chan_cancel, &(uint32_t){1});
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 197);

    kit.commits = false;
    kit_settle(1, SETTLE_ACK, chans[1].seen[1].seq); /* lost with the store */
    kit_kill(kit.store);
    kit_settle(1, SETTLE_REQUEUE, chans[1].seen[0].seq);
    kit.commits = true;
    tw_do(spawn_store, NULL);
    assert_int_equal(on_disk(), 199);
    kit_consume(2, kit_consumer(1, false, 10));
    for (uint32_t i = 0; i < 20; i++)
        kit_settle(2, SETTLE_ACK, chans[2].seen[i].seq);
    assert_int_equal(chans[2].n_seen, 30);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(chans[2].seen[i].value, i == 0 ? 1 : i + 3);

    kit_kill(chans[2].pid);
    assert_int_equal(kit_ask(0, QUEUE_PURGE).messages, 199 - 20 - 1);
    kit_settle(1, SETTLE_REQUEUE, chans[1].seen[2].seq);
    assert_int_equal(on_disk(), 1);
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 1);
    kit_stop();
}

/* Nothing comes back of a purge that was answered; one that a store forgets is told to the next. */
static void test_purge_is_durable(void **state)
{
    uint32_t n;

    (void)state;
    kit_start(12, CELL_DURABLE);
    for (uint32_t round = 0; round < 2; round++) {
        kit.commits = true;
        kit_publish(0, 1 + 10 * round, 10, true);
        assert_int_equal(on_disk(), 10);
        kit.commits = false;
        n = chans[0].n_replies;
        (void)kit_ask(0, QUEUE_PURGE);
        assert_int_equal(chans[0].n_replies, n);
        assert_int_equal(on_disk(), 10);
        if (round == 1) {
            kit_kill(kit.store);
            tw_do(spawn_store, NULL);
        }
        kit_commit();
        assert_int_equal(chans[0].n_replies, n + 1);
        assert_int_equal(chans[0].reply.messages, 10);
        assert_int_equal(on_disk(), 0);
    }
    kit_stop();
}

static void test_many_recovered(void **state)
{
    (void)state;
    kit_start(8, CELL_DURABLE);
    for (uint32_t v = 1; v <= 1000; v += 10)
        kit_publish(0, v, 10, true);
    kit_restart_queue();
    kit_consume(1, kit_consumer(1, false, 300));
    assert_int_equal(chans[1].n_seen, 300);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(chans[1].seen[i].value, i + 1);
        kit_settle(1, SETTLE_ACK, chans[1].seen[i].seq);
    }
    assert_int_equal(on_disk(), 0);
    kit_stop();
}

/* A transient queue comes back empty, and says how much it lost. */
static void test_transient_restart(void **state)
{
    uint64_t seq;

    (void)state;
    kit_start(9, 0);
    kit_publish(0, 1, 5, true);
    kit_get(1, false);
    seq = chans[1].got.seq;
    kit_restart_queue();
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 0);
    tw_run_us(1100000);
    kit_publish(0, 6, 1, true);
    kit_get(1, false);
    assert_true(chans[1].got.seq > seq + 4); /* a void ack can hit nothing */
    kit_stop();
}

/* A get that needs no ack settles nothing before its reply was taken: the disk must not lose it. */
static void test_dropped_got_stays_on_disk(void **state)
{
    (void)state;
    kit_start(21, CELL_DURABLE);
    kit.commits = true;
    kit_publish(0, 1, 3, true);
    assert_int_equal(on_disk(), 3);
    chans[1].drops_got = true;
    kit_get(1, true);
    assert_int_equal(chans[1].n_got, 1);
    assert_int_equal(on_disk(), 3);
    chans[1].drops_got = false;
    kit_get(1, true);
    assert_int_equal(chans[1].got_value, 1);
    assert_false(chans[1].got.redelivered);
    assert_int_equal(on_disk(), 2);
    kit_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confirmed_when_durable),
        cmocka_unit_test(test_settled_before_written),
        cmocka_unit_test(test_restart_keeps_what_lasts),
        cmocka_unit_test(test_attach),
        cmocka_unit_test(test_attach_window_ends),
        cmocka_unit_test(test_store_dies),
        cmocka_unit_test(test_settled_is_told_to_a_store),
        cmocka_unit_test(test_credit_after_store_died),
        cmocka_unit_test(test_settled_needs_credit_too),
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_dropped_got_stays_on_disk),
        cmocka_unit_test(test_purge_is_durable),
        cmocka_unit_test(test_many_recovered),
        cmocka_unit_test(test_transient_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
