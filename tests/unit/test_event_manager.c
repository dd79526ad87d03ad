/*
 * test_event_manager.c - who gets which events, who is skipped, who is forgotten.
 */
#include "broker/runtime/event_manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "broker/runtime/blob.h"

enum { LISTENERS = 3, ACT = MSG_USER + 1 };

/* What a listener does when told to. */
enum act { SUBSCRIBE, UNSUBSCRIBE, ACK, CRASH };

struct msg_act {
    struct msg hdr;
    enum act what;
    uint32_t max_behind;
};

static proc_id manager, listener[LISTENERS];
static char got[LISTENERS][512]; /* kinds, with the number of those missed before in brackets */

static void listen_init(void *state, const void *arg)
{
    *(int *)state = *(const int *)arg;
}

static void listen_handle(void *state, struct msg *m)
{
    int i = *(int *)state;
    size_t len = strlen(got[i]);

    if (m->type == MSG_EVENT) {
        struct msg_event *e = MSG_OF(struct msg_event, m);

        if (e->skipped)
            len += (size_t)snprintf(got[i] + len, sizeof(got[i]) - len, "(%d)", (int)e->skipped);
        snprintf(got[i] + len, sizeof(got[i]) - len, "%u%s", e->kind,
                 e->body ? (const char *)blob_bytes(e->body) : "");
        return;
    }
    switch (MSG_OF(struct msg_act, m)->what) {
    case SUBSCRIBE:
        event_subscribe(manager, MSG_OF(struct msg_act, m)->max_behind);
        break;
    case UNSUBSCRIBE:
        event_unsubscribe(manager);
        break;
    case ACK:
        event_ack(manager);
        break;
    case CRASH:
        proc_exit(EXIT_CRASH, 0, "as planned");
    }
}

static const struct proc_ops listen_ops = {
    .kind = "listener", .state_size = sizeof(int), .init = listen_init, .handle = listen_handle};

static void spawn_all(void *arg)
{
    struct spawn spec = {.ops = &event_manager_ops};

    (void)arg;
    manager = proc_spawn(&spec);
    spec.ops = &listen_ops;
    for (int i = 0; i < LISTENERS; i++) {
        spec.arg = blob_copy(&i, sizeof(i));
        listener[i] = proc_spawn(&spec);
    }
}

static void start(void)
{
    tw_start(1);
    memset(got, 0, sizeof(got));
    tw_do(spawn_all, NULL);
}

static void stop(void)
{
    rt_signal(manager, EXIT_KILL, "the test is over");
    for (int i = 0; i < LISTENERS; i++)
        rt_signal(listener[i], EXIT_KILL, "the test is over");
    tw_run_us(0);
    tw_stop();
}

static void act(int i, enum act what, uint32_t max_behind)
{
    struct msg_act *m = MSG_NEW(ACT, struct msg_act);

    m->what = what;
    m->max_behind = max_behind;
    rt_send(listener[i], &m->hdr);
    tw_run_us(0);
}

static void notify_in_root(void *arg)
{
    event_notify(manager, *(uint32_t *)arg, NULL);
}

static void notify(uint32_t kind)
{
    tw_do(notify_in_root, &kind);
}

static void notify_with_body(void *arg)
{
    event_notify(manager, 7, blob_copy(arg, strlen(arg) + 1));
}

static void inspect_in_root(void *arg)
{
    (void)arg;
    (void)rt_inspect(manager, PROC_NO_TIMEOUT);
}

static void test_all_subscribers_get_all(void **state)
{
    (void)state;
    start();
    notify(1); /* nobody listens yet */
    act(0, SUBSCRIBE, 10);
    act(1, SUBSCRIBE, 10);
    notify(2);
    notify(3);
    assert_string_equal(got[0], "23");
    assert_string_equal(got[1], "23");
    assert_string_equal(got[2], "");
    stop();
}

static void test_body_is_shared_and_freed(void **state)
{
    uint64_t before;

    (void)state;
    start();
    before = blob_total_bytes();
    act(0, SUBSCRIBE, 10);
    act(1, SUBSCRIBE, 10);
    tw_do(notify_with_body, "seven");
    assert_string_equal(got[0], "7seven");
    assert_string_equal(got[1], "7seven");
    tw_run_us(1000);
    assert_true(blob_total_bytes() == before);
    stop();
}

static void test_twice_is_once(void **state)
{
    (void)state;
    start();
    act(0, SUBSCRIBE, 10);
    act(0, SUBSCRIBE, 10);
    notify(1);
    assert_string_equal(got[0], "1");
    act(0, UNSUBSCRIBE, 0);
    notify(2);
    assert_string_equal(got[0], "1");
    act(0, UNSUBSCRIBE, 0); /* of nobody: ignored */
    stop();
}

/* Behind by two, it is skipped; having acknowledged it hears how much it missed. */
static void test_slow_one_is_skipped(void **state)
{
    (void)state;
    start();
    act(0, SUBSCRIBE, 2);
    act(1, SUBSCRIBE, 100);
    for (uint32_t kind = 1; kind <= 5; kind++)
        notify(kind);
    assert_string_equal(got[0], "12");
    assert_string_equal(got[1], "12345");
    act(0, ACK, 0);
    notify(6);
    notify(7);
    assert_string_equal(got[0], "12(3)6");
    act(0, ACK, 0);
    act(0, ACK, 0);
    notify(8);
    notify(9);
    assert_string_equal(got[0], "12(3)6(1)89");
    stop();
}

/* More acknowledgements than events change nothing: a subscriber can't hurt its manager. */
static void test_too_many_acks(void **state)
{
    (void)state;
    start();
    act(0, SUBSCRIBE, 1);
    act(0, ACK, 0);
    act(0, ACK, 0);
    act(2, ACK, 0); /* and not of one that never subscribed */
    notify(1);
    notify(2);
    assert_string_equal(got[0], "1");
    assert_int_equal(tw.n_crashes, 0);
    stop();
}

static void test_dead_one_is_forgotten(void **state)
{
    (void)state;
    start();
    act(0, SUBSCRIBE, 10);
    act(1, SUBSCRIBE, 10);
    act(0, CRASH, 0);
    notify(1);
    assert_string_equal(got[0], "");
    assert_string_equal(got[1], "1");
    tw_do(inspect_in_root, NULL);
    assert_string_equal(tw.text, "{\"subscribers\":1,\"events\":1,\"skipped\":0}");
    stop();
}

static void send_nonsense(void *arg)
{
    (void)arg;
    proc_send(manager, MSG_NEW(MSG_USER + 99, struct msg));
}

static void test_unknown_message_is_a_crash(void **state)
{
    (void)state;
    start();
    tw_do(send_nonsense, NULL);
    assert_int_equal(tw.n_crashes, 1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_subscribers_get_all),
        cmocka_unit_test(test_body_is_shared_and_freed),
        cmocka_unit_test(test_twice_is_once),
        cmocka_unit_test(test_slow_one_is_skipped),
        cmocka_unit_test(test_too_many_acks),
        cmocka_unit_test(test_dead_one_is_forgotten),
        cmocka_unit_test(test_unknown_message_is_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
