/* One queue among played channels: order, turns, confirms, refusals, giving back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "queues/registry.h"
#include "tests/unit/queue_kit.h"

static void assert_seen(const struct chan *c, uint32_t i, uint32_t value, bool redelivered)
{
    assert_true(i < c->n_seen);
    assert_int_equal(c->seen[i].value, value);
    assert_int_equal(c->seen[i].redelivered, redelivered);
}

static void test_publish_then_consume(void **state)
{
    (void)state;
    kit_start(1, 0);
    kit_publish(0, 1, 5, false);
    assert_int_equal(chans[0].n_confirmed, 5); /* transient: taken in is enough */
    assert_int_equal(kit_ask(1, QUEUE_STAT).messages, 5);
    kit_consume(1, kit_consumer(9, false, 0));
    assert_int_equal(chans[1].n_seen, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_seen(&chans[1], i, 1 + i, false);
    assert_int_equal(chans[1].seen[0].cid, 9);
    kit_publish(0, 6, 1, false); /* and in the same turn when somebody waits */
    assert_seen(&chans[1], 5, 6, false);
    assert_int_equal(kit_ask(1, QUEUE_STAT).consumers, 1);
    kit_stop();
}

static void test_requeue_in_place(void **state)
{
    static const uint32_t order[] = {2, 0, 1};

    (void)state;
    kit_start(2, 0);
    kit_publish(0, 10, 5, false);
    kit_consume(1, kit_consumer(1, false, 3));
    assert_int_equal(chans[1].n_seen, 3);
    chan_do(1, chan_cancel, &(uint32_t){1});
    for (int i = 0; i < 3; i++)
        kit_settle(1, SETTLE_REQUEUE, chans[1].seen[order[i]].seq);
    kit_consume(2, kit_consumer(1, false, 0));
    assert_int_equal(chans[2].n_seen, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_seen(&chans[2], i, 10 + i, i < 3);
    kit_stop();
}

static void test_prefetch_round_robin(void **state)
{
    (void)state;
    kit_start(3, 0);
    kit_consume(1, kit_consumer(1, false, 2));
    kit_consume(2, kit_consumer(1, false, 2));
    kit_publish(0, 1, 10, false);
    assert_int_equal(chans[1].n_seen, 2);
    assert_int_equal(chans[2].n_seen, 2);
    assert_seen(&chans[1], 1, 3, false);
    assert_seen(&chans[2], 1, 4, false);
    kit_settle(1, SETTLE_ACK, chans[1].seen[0].seq);
    assert_seen(&chans[1], 2, 5, false);
    kit_settle(2, SETTLE_REJECT, chans[2].seen[1].seq);
    assert_seen(&chans[2], 2, 6, false);
    kit_settle(2, SETTLE_ACK, chans[1].seen[1].seq); /* another's: void */
    assert_int_equal(chans[1].n_seen, 3);
    kit_stop();
}

static void send_permit(struct chan *c, void *arg)
{
    struct msg_queue_permit *m = MSG_NEW(QUEUE_PERMIT, struct msg_queue_permit);

    (void)c;
    m->epoch = kit_epoch();
    m->cid = 1;
    m->messages = *(uint64_t *)arg;
    m->bytes = UINT64_MAX;
    PROC_SEND(kit.queue, m);
}

/* The prefetch that a channel's consumers share: drawn when there is something, given back at once.
 */
static void test_shared_prefetch(void **state)
{
    struct consumer_spec spec = kit_consumer(1, false, 0);

    (void)state;
    kit_start(31, 0);
    spec.is_shared = true;
    kit_consume(1, spec);
    assert_false(chans[1].wants);
    kit_publish(0, 1, 5, false);
    assert_true(chans[1].wants);
    assert_int_equal(chans[1].n_seen, 0);
    kit_share(1, 2);
    assert_int_equal(chans[1].n_seen, 2);
    assert_true(chans[1].wants); /* goes on wanting until it is empty */
    kit_settle(1, SETTLE_ACK, chans[1].seen[0].seq);
    assert_int_equal(chans[1].n_seen, 2);
    kit_share(1, 10);
    assert_int_equal(chans[1].n_seen, 5);
    assert_false(chans[1].wants);
    assert_int_equal(chans[1].n_back, 7);
    kit_share(1, 3); /* crosses the one that gave back */
    assert_int_equal(chans[1].n_back, 10);
    spec = kit_consumer(2, true, 0);
    spec.is_shared = true;
    kit_consume(1, spec);
    kit_publish(0, 6, 5, false); /* who needs no ack uses no permit, but waits for one */
    assert_int_equal(chans[1].n_seen, 5);
    assert_true(chans[1].wants);
    for (uint32_t seen = 7; seen <= 9; seen += 2) {
        kit_share(1, 1);
        assert_int_equal(chans[1].n_seen, seen); /* each of the two got one */
    }
    kit_share(1, 1);
    assert_int_equal(chans[1].n_seen, 10);
    assert_int_equal(chans[1].n_back, 11);
    kit_stop();
}

static void test_shared_prefetch_switched(void **state)
{
    struct consumer_spec spec = kit_consumer(1, false, 3);

    (void)state;
    kit_start(32, 0);
    kit_consume(1, spec);
    kit_publish(0, 1, 2, false);
    assert_int_equal(chans[1].n_seen, 2);
    kit_share(1, 0);
    kit_publish(0, 3, 8, false);
    assert_int_equal(chans[1].n_seen, 2);
    kit_share(1, 4);
    assert_int_equal(chans[1].n_seen, 3); /* its own prefetch is full: the rest is of no use */
    assert_int_equal(chans[1].n_back, 3);
    kit_settle(1, SETTLE_ACK, chans[1].seen[0].seq);
    assert_true(chans[1].wants);
    kit_share(1, -1);
    assert_int_equal(chans[1].n_seen, 4);
    kit_share(1, 0);
    chan_do(1, chan_cancel, &(uint32_t){1});
    kit_consume(2, kit_consumer(1, false, 0)); /* another channel is not limited */
    assert_int_equal(chans[2].n_seen, 6);
    kit_stop();
}

static void test_window(void **state)
{
    struct consumer_spec spec = kit_consumer(1, true, 0);

    (void)state;
    kit_start(4, 0);
    kit_publish(0, 1, 10, false);
    spec.window_messages = 3;
    kit_consume(1, spec);
    assert_int_equal(chans[1].n_seen, 3);
    chan_do(1, send_permit, &(uint64_t){7});
    assert_int_equal(chans[1].n_seen, 7);
    chan_do(1, send_permit, &(uint64_t){5});
    assert_int_equal(chans[1].n_seen, 7);
    kit_stop();
}

static void test_channel_dies(void **state)
{
    (void)state;
    kit_start(5, 0);
    kit_publish(0, 1, 4, false);
    kit_consume(1, kit_consumer(1, false, 2));
    kit_kill(chans[1].pid);
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 4);
    assert_int_equal(kit_ask(0, QUEUE_STAT).consumers, 0);
    kit_consume(2, kit_consumer(1, true, 0));
    for (uint32_t i = 0; i < 4; i++)
        assert_seen(&chans[2], i, 1 + i, i < 2);
    assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 0);
    kit_stop();
}

static void test_detach_gives_back(void **state)
{
    (void)state;
    kit_start(5, 0);
    kit_publish(0, 1, 2, false);
    kit_get(1, false);
    assert_int_equal(chans[1].got_value, 1);
    assert_int_equal(chans[1].got.ready, 1);
    (void)kit_ask(1, QUEUE_DETACH);
    kit_get(2, false);
    assert_int_equal(chans[2].got_value, 1);
    assert_true(chans[2].got.redelivered);
    kit_stop();
}

static void test_exclusive_and_refusals(void **state)
{
    struct consumer_spec alone = kit_consumer(1, false, 0);

    (void)state;
    kit_start(6, 0);
    alone.exclusive = true;
    kit_consume(1, alone);
    assert_int_equal(chans[1].reply.code, 0);
    kit_consume(2, kit_consumer(1, false, 0));
    assert_int_equal(chans[2].reply.code, 403);
    assert_string_equal(chans[2].reply.text, "queue 'q' in vhost '/' in exclusive use");
    chan_do(1, chan_cancel, &(uint32_t){1});
    kit_consume(2, kit_consumer(1, false, 0));
    assert_int_equal(chans[2].reply.code, 0);
    kit_consume(1, alone);
    assert_int_equal(chans[1].reply.code, 403);
    kit_stop();
}

static void test_get(void **state)
{
    (void)state;
    kit_start(7, 0);
    kit_get(1, false);
    assert_true(chans[1].got.empty);
    kit_publish(0, 1, 3, false);
    kit_get(1, true);
    assert_int_equal(chans[1].got_value, 1);
    assert_int_equal(chans[1].got.ready, 2);
    kit_get(1, false);
    assert_int_equal(chans[1].got_value, 2);
    kit_settle(1, SETTLE_REQUEUE, chans[1].got.seq);
    kit_get(1, false);
    assert_int_equal(chans[1].got_value, 2);
    assert_true(chans[1].got.redelivered);
    kit_stop();
}

/* A reply that nobody takes goods out of brings them home, and they were not seen. */
static void test_dropped_got_comes_back(void **state)
{
    (void)state;
    kit_start(8, 0);
    kit_publish(0, 1, 3, false);
    chans[1].drops_got = true;
    for (int no_ack = 0; no_ack < 2; no_ack++) {
        kit_get(1, no_ack);
        assert_int_equal(chans[1].n_got, 1 + no_ack);
        assert_int_equal(kit_ask(0, QUEUE_STAT).messages, 3);
    }
    kit_consume(2, kit_consumer(1, false, 0));
    for (uint32_t i = 0; i < 3; i++)
        assert_seen(&chans[2], i, 1 + i, false);
    kit_stop();
}

/* Behind one that was handed out meanwhile it is out of order, and says so. */
static void test_dropped_got_behind_others(void **state)
{
    (void)state;
    kit_start(8, 0);
    kit_publish(0, 1, 2, false);
    chans[1].keeps_got = true;
    kit_get(1, false);
    kit_get(2, false);
    assert_int_equal(chans[2].got_value, 2);
    kit_drop_got(1);
    kit_get(2, false);
    assert_int_equal(chans[2].got_value, 1);
    assert_true(chans[2].got.redelivered);
    kit_stop();
}

static void test_purge_counts_ready(void **state)
{
    (void)state;
    kit_start(9, 0);
    kit_publish(0, 1, 16, false);
    for (uint32_t i = 0; i < 300; i++)
        kit_publish(0, 17 + i * 10, 10, false);
    kit_get(1, false);
    kit_get(1, false);
    assert_int_equal(kit_ask(2, QUEUE_PURGE).messages, 3014);
    assert_int_equal(kit_ask(2, QUEUE_STAT).messages, 0);
    kit_settle(1, SETTLE_REQUEUE, chans[1].got.seq);
    assert_int_equal(kit_ask(2, QUEUE_STAT).messages, 1);
    kit_stop();
}

static void send_delete(struct chan *c, void *arg)
{
    struct msg_queue_delete *m = MSG_NEW(QUEUE_DELETE, struct msg_queue_delete);

    (void)c;
    m->if_unused = ((bool *)arg)[0];
    m->if_empty = ((bool *)arg)[1];
    (void)proc_call(kit.queue, &m->hdr, PROC_NO_TIMEOUT);
}

static void test_delete(void **state)
{
    bool unused[2] = {true, false}, empty[2] = {false, true}, any[2] = {false, false};

    (void)state;
    kit_start(10, CELL_DURABLE);
    kit.commits = false;
    kit_publish(0, 1, 3, true);
    assert_int_equal(chans[0].n_confirmed, 0);
    kit_consume(1, kit_consumer(1, false, 1));
    chan_do(2, send_delete, unused);
    assert_int_equal(chans[2].reply.code, 406);
    assert_string_equal(chans[2].reply.text, "queue 'q' in vhost '/' in use");
    chan_do(2, send_delete, empty);
    assert_int_equal(chans[2].reply.code, 406);
    assert_string_equal(chans[2].reply.text, "queue 'q' in vhost '/' not empty");
    chan_do(2, send_delete, any);
    assert_int_equal(chans[2].reply.code, 0);
    assert_int_equal(chans[2].reply.messages, 2);
    assert_int_equal(chans[1].n_gone, 1);
    assert_int_equal(chans[0].n_confirmed, 3);
    assert_int_equal(tw.n_crashes, 0);
    (void)kit_ask(2, QUEUE_STAT);
    assert_int_equal(chans[2].n_down, 1);
    kit_stop();
}

static void test_credit(void **state)
{
    (void)state;
    kit_start(11, CELL_DURABLE);
    kit.commits = false;
    kit_publish(0, 1, 16, true);
    assert_int_equal(chans[0].credit_messages, 16 + CREDIT_MAX_MESSAGES);
    for (uint32_t v = 17; chans[0].credit_messages > chans[0].published; v += 64) {
        uint64_t left = chans[0].credit_messages - chans[0].published;

        assert_true(v < 20000); /* the store's backlog stops it */
        kit_publish(0, v, left < 64 ? (uint32_t)left : 64, true);
    }
    kit_commit();
    assert_true(chans[0].credit_messages - chans[0].published == CREDIT_MAX_MESSAGES);
    assert_int_equal(chans[0].n_confirmed, chans[0].published);
    kit_stop();
}

static void registry_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register("registry:/") == 0);
}

static uint32_t n_unused;

static void registry_handle(void *state, struct msg *m)
{
    (void)state;
    n_unused += m->type == REGISTRY_QUEUE_UNUSED;
}

static void spawn_registry(void *arg)
{
    static const struct proc_ops ops = {
        .kind = "registry", .state_size = 1, .init = registry_init, .handle = registry_handle};

    *(proc_id *)arg = proc_spawn(&(struct spawn){.ops = &ops, .scheduler = SCHED_SAME});
}

static void test_auto_delete(void **state)
{
    proc_id registry;

    (void)state;
    kit_start(12, CELL_AUTO_DELETE);
    n_unused = 0;
    tw_do(spawn_registry, &registry);
    kit_get(1, true); /* does not count as use */
    kit_consume(1, kit_consumer(1, false, 0));
    kit_consume(1, kit_consumer(2, false, 0));
    chan_do(1, chan_cancel, &(uint32_t){1});
    assert_int_equal(n_unused, 0);
    kit_kill(chans[1].pid);
    assert_int_equal(n_unused, 1);
    kit_kill(registry); /* it may have died over it, so it is told again */
    tw_do(spawn_registry, &registry);
    assert_int_equal(n_unused, 2);
    kit_kill(registry);
    kit_stop();
}

static void inspect(void *arg)
{
    (void)arg;
    (void)rt_inspect(kit.queue, 1000000);
}

static void test_inspect(void **state)
{
    (void)state;
    kit_start(13, 0);
    kit_publish(0, 1, 3, false);
    tw_do(inspect, NULL);
    assert_non_null(strstr(tw.text, "\"ready\":3,"));
    kit_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_then_consume),
        cmocka_unit_test(test_requeue_in_place),
        cmocka_unit_test(test_prefetch_round_robin),
        cmocka_unit_test(test_shared_prefetch),
        cmocka_unit_test(test_shared_prefetch_switched),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_channel_dies),
        cmocka_unit_test(test_detach_gives_back),
        cmocka_unit_test(test_exclusive_and_refusals),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_dropped_got_comes_back),
        cmocka_unit_test(test_dropped_got_behind_others),
        cmocka_unit_test(test_purge_counts_ready),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_auto_delete),
        cmocka_unit_test(test_inspect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
