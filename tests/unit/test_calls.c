/*
 * test_calls.c - calls on one thread: each has exactly one answer, and each message one owner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/agents.h"

/* What agents do. */

static void do_reply(struct msg *m, uintptr_t arg)
{
    struct msg_tell *r = MSG_NEW(TELL, struct msg_tell);

    r->value = arg;
    proc_reply(m, &r->hdr);
}

static void do_nothing(struct msg *m, uintptr_t arg)
{
    (void)m;
    (void)arg;
}

static struct reply_to deferred;

static void do_defer(struct msg *m, uintptr_t arg)
{
    (void)arg;
    deferred = proc_defer(m);
}

static void do_answer_deferred(struct msg *m, uintptr_t arg)
{
    struct msg_tell *r = MSG_NEW(TELL, struct msg_tell);

    (void)m;
    r->value = arg;
    proc_reply_to(deferred, &r->hdr);
}

static void do_refuse_deferred(struct msg *m, uintptr_t arg)
{
    (void)m;
    (void)arg;
    proc_refuse(deferred);
}

static void do_forward(struct msg *m, uintptr_t arg)
{
    struct msg_do *d = MSG_OF(struct msg_do, m);

    d->fn = do_reply;
    PROC_SEND(agents[arg].pid, d);
}

/* Tests. */

static void call_gets_its_reply(void **state)
{
    struct ask ask = {.to = 1, .fn = do_reply, .arg = 9, .timeout_us = 1000};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&ask);
    assert_int_equal(agents[0].n, 1);
    assert_int_equal(agents[0].note[0].value, 9);
    assert_int_equal(agents[0].note[0].ref, last_ref);
    tw_run_us(10000);
    assert_int_equal(agents[0].n, 1); /* no timeout behind it */
    stop();
}

static void dropped_request_is_down_noreply(void **state)
{
    struct ask ask = {.to = 1, .fn = do_nothing, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&ask);
    assert_int_equal(agents[0].n, 1);
    assert_int_equal(agents[0].note[0].type, MSG_DOWN);
    assert_int_equal(agents[0].note[0].ref, last_ref);
    assert_int_equal(agents[0].note[0].why.kind, EXIT_NOREPLY);
    stop();
}

static void call_to_the_dead_is_down_noproc(void **state)
{
    struct ask ask = {.to = 1, .fn = do_reply, .timeout_us = 1000};

    (void)state;
    start(2, 0);
    act(1, do_exit, EXIT_NORMAL);
    act(0, do_call, (uintptr_t)&ask);
    tw_run_us(5000);
    assert_int_equal(agents[0].n, 1);
    assert_int_equal(agents[0].note[0].why.kind, EXIT_NOPROC);
    stop();
}

static void callee_that_dies_over_it_answers_its_reason(void **state)
{
    struct ask ask = {.to = 1, .fn = do_fail, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&ask);
    assert_int_equal(agents[0].note[0].why.kind, EXIT_CRASH);
    assert_string_equal(agents[0].note[0].why.text, "CHECK(arg == 77)");
    stop();
}

static void kept_and_deferred_requests_answer_at_exit(void **state)
{
    struct ask keep = {.to = 1, .fn = do_keep, .timeout_us = PROC_NO_TIMEOUT};
    struct ask defer = {.to = 1, .fn = do_defer, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&keep);
    act(0, do_call, (uintptr_t)&defer);
    assert_int_equal(agents[0].n, 0);
    act(1, do_exit, EXIT_SHUTDOWN);
    assert_int_equal(count_notes(0, MSG_DOWN), 2);
    assert_int_equal(agents[0].note[0].why.kind, EXIT_SHUTDOWN);
    assert_int_equal(agents[0].note[1].why.kind, EXIT_SHUTDOWN);
    stop();
}

static void deferred_request_is_answered_later(void **state)
{
    struct ask ask = {.to = 1, .fn = do_defer, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&ask);
    act(1, do_answer_deferred, 3);
    assert_int_equal(agents[0].note[0].value, 3);
    act(0, do_call, (uintptr_t)&ask);
    act(1, do_refuse_deferred, 0);
    assert_int_equal(agents[0].note[1].why.kind, EXIT_NOREPLY);
    act(1, do_exit, EXIT_NORMAL);
    assert_int_equal(agents[0].n, 2); /* nothing is answered twice */
    stop();
}

static void forwarded_request_keeps_its_duty(void **state)
{
    struct ask ask = {.to = 1, .fn = do_forward, .arg = 2, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(3, 0);
    act(0, do_call, (uintptr_t)&ask);
    assert_int_equal(agents[0].note[0].type, TELL);
    assert_int_equal(agents[0].note[0].from, agents[2].pid);
    act(2, do_exit, EXIT_NORMAL);
    act(0, do_call, (uintptr_t)&ask);
    assert_int_equal(agents[0].note[1].why.kind, EXIT_NOPROC);
    stop();
}

static void timeout_comes_and_late_reply_is_dropped_unseen(void **state)
{
    struct ask ask = {.to = 1, .fn = do_defer, .timeout_us = 2000};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&ask);
    tw_run_us(1999);
    assert_int_equal(agents[0].n, 0);
    tw_run_us(1);
    assert_int_equal(agents[0].note[0].type, MSG_TIMEOUT);
    assert_int_equal(agents[0].note[0].ref, last_ref);
    act(1, do_answer_deferred, 3);
    assert_int_equal(agents[0].n, 1);
    stop();
}

static unsigned goods_back;

static void goods_drop(struct msg *m)
{
    goods_back++;
    tell(agents[1].pid, 1000);
    msg_free(m);
}

static void do_answer_goods(struct msg *m, uintptr_t arg)
{
    (void)m;
    (void)arg;
    proc_reply_to(deferred, msg_new(GOODS, sizeof(struct msg), goods_drop));
}

static void reply_with_goods_gives_them_back_when_dropped(void **state)
{
    struct ask ask = {.to = 1, .fn = do_defer, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    goods_back = 0;
    start(3, 0);
    act(0, do_call, (uintptr_t)&ask);
    act(0, do_cancel, 0);
    act(1, do_answer_goods, 0);
    assert_int_equal(goods_back, 1);
    assert_int_equal(noted(1, TELL)->value, 1000);
    assert_int_equal(agents[0].n, 0);
    act(0, do_call, (uintptr_t)&ask);
    act(0, do_exit, EXIT_NORMAL);
    act(1, do_answer_goods, 0);
    assert_int_equal(goods_back, 2); /* the asker is dead */
    stop();
}

static void do_make_and_fail(struct msg *m, uintptr_t arg)
{
    struct msg *made = msg_new(GOODS, sizeof(struct msg), goods_drop);

    (void)m;
    CHECK(made == NULL || arg == 77);
}

static void made_but_unsent_message_is_dropped_at_crash(void **state)
{
    (void)state;
    goods_back = 0;
    start(2, 0);
    act(0, do_make_and_fail, 0);
    assert_int_equal(goods_back, 1);
    assert_int_equal(noted(1, TELL)->value, 1000);
    stop();
}

static void do_reply_twice(struct msg *m, uintptr_t arg)
{
    do_reply(m, arg);
    do_reply(m, arg);
}

static void second_reply_is_a_crash_of_the_callee(void **state)
{
    struct ask ask = {.to = 1, .fn = do_reply_twice, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(2, 0);
    act(0, do_call, (uintptr_t)&ask);
    assert_int_equal(agents[0].n, 1);
    assert_int_equal(agents[0].note[0].type, TELL);
    assert_int_equal(tw.last_crash.why.kind, EXIT_CRASH);
    assert_non_null(strstr(tw.last_crash.why.text, "proc_reply"));
    stop();
}

static void do_keep_many(struct msg *m, uintptr_t arg)
{
    (void)arg;
    proc_keep(m);
}

static void kept_messages_leave_in_any_order(void **state)
{
    struct ask ask = {.to = 1, .fn = do_keep_many, .timeout_us = PROC_NO_TIMEOUT};

    (void)state;
    start(2, 0);
    for (unsigned i = 0; i < 100; i++)
        act(0, do_call, (uintptr_t)&ask);
    act(1, do_fail, 0);
    assert_int_equal(count_notes(0, MSG_DOWN), 100);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_gets_its_reply),
        cmocka_unit_test(dropped_request_is_down_noreply),
        cmocka_unit_test(call_to_the_dead_is_down_noproc),
        cmocka_unit_test(callee_that_dies_over_it_answers_its_reason),
        cmocka_unit_test(kept_and_deferred_requests_answer_at_exit),
        cmocka_unit_test(deferred_request_is_answered_later),
        cmocka_unit_test(forwarded_request_keeps_its_duty),
        cmocka_unit_test(timeout_comes_and_late_reply_is_dropped_unseen),
        cmocka_unit_test(reply_with_goods_gives_them_back_when_dropped),
        cmocka_unit_test(made_but_unsent_message_is_dropped_at_crash),
        cmocka_unit_test(second_reply_is_a_crash_of_the_callee),
        cmocka_unit_test(kept_messages_leave_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
