/*
 * Transactions at the store: all parts in one group, or nothing of any.
 */
#include "tests/unit/store_client.h"

enum { A = 5, B = 6, C = 7 }; /* queues */

static void end_part(void)
{
    struct msg_store_tx *m = MSG_NEW(STORE_TX, struct msg_store_tx);

    m->queue_id = t.queue;
    m->epoch = t.epoch;
    m->tx = t.tx;
    m->n_parts = t.n_parts;
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT);
}

static void known_tx(void)
{
    struct msg_store_tx *m = MSG_NEW(STORE_TX_END, struct msg_store_tx);

    m->queue_id = t.queue;
    m->epoch = t.epoch;
    m->tx = t.tx;
    m->committed = true;
    PROC_SEND(t.store, m);
}

static void abort_tx(void)
{
    struct msg_store_tx *m = MSG_NEW(STORE_TX_END, struct msg_store_tx);

    m->queue_id = t.queue;
    m->epoch = t.epoch;
    m->tx = t.tx;
    PROC_SEND(t.store, m);
}

static void say_gone(void)
{
    struct msg_store_tx *m = MSG_NEW(STORE_TX_GONE, struct msg_store_tx);

    m->queue_id = t.queue;
    m->tx = t.tx;
    PROC_SEND(t.store, m);
}

static void gone_from(uint64_t tx, uint64_t queue)
{
    t.queue = queue;
    t.tx = tx;
    act(say_gone);
    t.tx = 0;
}

/* Opens a queue: how many messages it has. */
static unsigned kept(uint64_t queue)
{
    t.queue = queue;
    act(open_queue);
    return t.n_seq;
}

static void open_both(void)
{
    for (t.queue = B; t.queue >= A; t.queue--)
        act(open_queue);
}

static void put_in(uint64_t queue, uint64_t tx, uint64_t seq, const char *text)
{
    t.queue = queue;
    t.tx = tx;
    put(seq, text);
    t.tx = 0;
}

static void take_in(uint64_t queue, uint64_t tx, uint64_t seq)
{
    t.queue = queue;
    t.tx = tx;
    take(seq, 0);
    t.tx = 0;
}

static void end_in(uint64_t queue, uint64_t tx, uint32_t n_parts)
{
    t.queue = queue;
    t.tx = tx;
    t.n_parts = n_parts;
    act(end_part);
    t.tx = 0;
}

static void a_part_alone_waits(void **state)
{
    (void)state;
    open_both();
    put_in(A, 1, 1, "a");
    end_in(A, 1, 2);
    put_in(B, 1, 1, "b");
    run_us(1000000);
    assert_true(t.n_committed == 0 && t.n_durable == 0 && t.owners == 2);
    put_in(A, 0, 2, "not of it");
    assert_true(t.n_durable == 1 && t.owners == 2);
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 1);
    assert_int_equal(t.seq[0], 2);
    assert_int_equal(kept(B), 0);
}

static void whole_it_is_one_group(void **state)
{
    uint64_t syncs;

    (void)state;
    open_both();
    put_in(A, 0, 1, "old");
    syncs = crash_fs_syncs(t.fs);
    put_in(A, 1, 2, "a");
    put_in(A, 0, 3, "overtakes");
    take_in(A, 1, 1);
    end_in(A, 1, 3);
    put_in(B, 1, 1, "b");
    put_in(B, 1, 2, "b");
    end_in(B, 1, 3);
    assert_int_equal(t.n_committed, 0);
    assert_int_equal(crash_fs_syncs(t.fs), syncs + 1); /* of what overtook it */
    end_in(C, 1, 3); /* a queue that keeps nothing here, and was never opened */
    assert_int_equal(t.n_committed, 3);
    assert_int_equal(crash_fs_syncs(t.fs), syncs + 2);
    assert_int_equal(t.owners, 0);
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 2);
    assert_true(t.seq[0] == 2 && t.seq[1] == 3);
    assert_int_equal(kept(B), 2);
}

static void nothing_to_write_is_done_at_once(void **state)
{
    uint64_t syncs = crash_fs_syncs(t.fs);

    (void)state;
    end_in(B, 9, 2);
    end_in(C, 9, 2);
    assert_true(t.n_committed == 2 && crash_fs_syncs(t.fs) == syncs);
}

static void given_up(void **state)
{
    (void)state;
    open_both();
    put_in(A, 0, 1, "old");
    put_in(A, 1, 2, "a");
    take_in(A, 1, 1);
    end_in(A, 1, 2);
    put_in(B, 1, 1, "b");
    t.tx = 1;
    act(abort_tx);
    assert_true(t.n_given_up == 1 && t.owners == 0);
    put_in(B, 1, 2, "of a part that comes late");
    end_in(B, 1, 2);
    t.tx = 1;
    act(abort_tx);
    act(abort_tx); /* of nothing */
    assert_true(t.n_given_up == 2 && t.n_committed == 0 && t.owners == 0);
    t.tx = 0;
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 1);
    assert_int_equal(kept(B), 0);
}

static void too_late_to_give_up(void **state)
{
    (void)state;
    open_both();
    put_in(A, 1, 1, "a");
    end_in(A, 1, 1);
    t.tx = 1;
    act(abort_tx);
    t.tx = 0;
    assert_true(t.n_committed == 1 && t.n_given_up == 0);
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 1);
}

/* An earlier run of the store had committed it: a queue that knows does not come again. */
static void known_from_elsewhere(void **state)
{
    (void)state;
    open_both();
    put_in(A, 0, 1, "settled by it, and sent again");
    take_in(A, 1, 1);
    end_in(A, 1, 3);
    end_in(C, 1, 3);
    t.tx = 1;
    act(known_tx);
    act(known_tx); /* it has been forgotten */
    t.tx = 0;
    assert_true(t.n_committed == 2 && t.n_given_up == 0);
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 0);
}

/* A queue that is opened anew has lost its part: whoever waits is told. */
static void an_opening_ends_it(void **state)
{
    (void)state;
    open_both();
    put_in(B, 1, 1, "b");
    end_in(B, 1, 2);
    put_in(A, 1, 1, "a");
    t.epoch = 2;
    t.queue = A;
    act(open_queue);
    assert_true(t.n_given_up == 1 && t.owners == 0);
    t.epoch = 1;
    put_in(A, 2, 2, "of the run that is gone");
    end_in(A, 2, 1);
    assert_true(t.n_refused == 1 && t.owners == 0);
    t.epoch = 2;
    assert_int_equal(kept(A), 0);
}

/* What a deleted queue had part in goes on without it. */
static void a_deleted_queue_is_not_missed(void **state)
{
    (void)state;
    open_both();
    put_in(A, 1, 1, "a"); /* remove_queue removes A */
    end_in(A, 1, 2);
    act(remove_queue);
    assert_true(t.n_given_up == 0 && t.owners == 0);
    put_in(B, 1, 1, "b");
    end_in(B, 1, 2);
    assert_int_equal(t.n_committed, 2);
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 0);
    assert_int_equal(kept(B), 1);
}

/* Others than the deleted one say so, each of them. */
static void a_part_that_does_not_come_is_not_missed(void **state)
{
    (void)state;
    open_both();
    gone_from(1, C); /* nobody has asked: it means nothing */
    put_in(A, 1, 1, "a");
    end_in(A, 1, 3);
    gone_from(1, C);
    gone_from(1, C);
    assert_int_equal(t.n_committed, 0);
    put_in(B, 1, 1, "b");
    end_in(B, 1, 3);
    gone_from(1, C);
    assert_int_equal(t.n_committed, 2);
    put_in(A, 2, 2, "a");
    end_in(A, 2, 2);
    gone_from(2, A); /* whose part is in */
    assert_int_equal(t.n_committed, 2);
    gone_from(2, B);
    assert_int_equal(t.n_committed, 3);
    act(kill_store);
    act(spawn_store);
    assert_int_equal(kept(A), 2);
    assert_int_equal(kept(B), 1);
}

/* Each queue finds all of its part, or nothing, after a commit that may or may not have been. */
static void a_failed_commit_leaves_all_or_nothing(void **state)
{
    unsigned n_all = 0, n_nothing = 0;

    (void)state;
    open_both();
    for (unsigned i = 0; i < 20; i++) {
        uint64_t tx = i + 1, seq = 2 * i + 1;
        unsigned a, b;

        put_in(A, tx, seq, "a");
        put_in(A, tx, seq + 1, "a");
        end_in(A, tx, 2);
        put_in(B, tx, i + 1, "b");
        crash_fs_fail(t.fs, 1 + i % 7, SQLITE_IOERR, true);
        end_in(B, tx, 2);
        crash_fs_fail(t.fs, 0, 0, false);
        if (!t.is_down)
            act(kill_store);
        act(spawn_store);
        a = kept(A);
        b = kept(B);
        assert_int_equal(a, 2 * b);
        n_all += b > 0;
        n_nothing += b == 0;
        for (uint64_t s = 0; s < 2; s++)
            take_in(A, 0, seq + s);
        take_in(B, 0, i + 1);
        act(sync_store);
    }
    assert_true(n_all > 0 && n_nothing > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_part_alone_waits),
        TEST(whole_it_is_one_group),
        TEST(nothing_to_write_is_done_at_once),
        TEST(given_up),
        TEST(too_late_to_give_up),
        TEST(known_from_elsewhere),
        TEST(an_opening_ends_it),
        TEST(a_deleted_queue_is_not_missed),
        TEST(a_part_that_does_not_come_is_not_missed),
        TEST(a_failed_commit_leaves_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
