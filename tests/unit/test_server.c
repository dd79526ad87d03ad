/*
 * test_server.c - which callback gets which message.
 */
#include "broker/runtime/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

enum { ASK = MSG_USER + 1, TELL, ANSWER, ORDER };

/* The server under test does as it is ordered, and notes what it got: one letter each. */
static char got[64];
static proc_id server, partner;
static bool answers_later;
static struct reply_to later;
static proc_ref timer_ref, call_ref;

static void note(char letter)
{
    size_t len = strlen(got);

    if (len + 1 < sizeof(got)) {
        got[len] = letter;
        got[len + 1] = '\0';
    }
}

static void on_call(void *state, struct msg *request)
{
    (void)state;
    note('c');
    if (answers_later)
        later = proc_defer(request);
    else
        proc_reply(request, MSG_NEW(ANSWER, struct msg));
}

/* A cast makes it call its partner, watch it, and set a timer. */
static void on_cast(void *state, struct msg *m)
{
    (void)state;
    note('t');
    if (m->type != ORDER)
        return;
    (void)proc_monitor(partner);
    call_ref = proc_call(partner, MSG_NEW(ASK, struct msg), 1000000);
    timer_ref = proc_timer(500000);
}

static void on_reply(void *state, struct msg *m)
{
    (void)state;
    note(m->type == MSG_DOWN ? 'D' : m->type == MSG_TIMEOUT ? 'T' : 'R');
    if (m->ref != call_ref)
        note('!');
}

static void on_info(void *state, struct msg *m)
{
    (void)state;
    note(m->type == MSG_DOWN      ? 'd'
         : m->type == MSG_TIMEOUT ? 'i'
         : m->type == MSG_EXIT    ? 'x'
                                  : 'o');
}

static const struct server_ops *ops_in_use;
static const struct server_ops all = {on_call, on_cast, on_reply, on_info};

static void handle(void *state, struct msg *m)
{
    server_handle(ops_in_use, state, m);
}

static const struct proc_ops server_ops = {.kind = "server", .state_size = 8, .handle = handle};

/* The partner answers, stays silent, or dies. */
enum behaviour { ANSWERS, SILENT, DIES };
static enum behaviour behaviour;

static void partner_handle(void *state, struct msg *m)
{
    (void)state;
    if (behaviour == DIES)
        proc_exit(EXIT_CRASH, 0, "as planned");
    if (behaviour == SILENT)
        proc_keep(m);
    else
        proc_reply(m, MSG_NEW(ANSWER, struct msg));
}

static const struct proc_ops partner_ops = {
    .kind = "partner", .state_size = 8, .handle = partner_handle};

static void spawn_both(void *arg)
{
    struct spawn spec = {.ops = &server_ops, .flags = PROC_TRAP_EXIT | PROC_MONITOR};

    (void)arg;
    server = proc_spawn(&spec);
    spec.ops = &partner_ops;
    spec.flags = 0;
    partner = proc_spawn(&spec);
}

static void start(const struct server_ops *ops)
{
    tw_start(1);
    ops_in_use = ops;
    got[0] = '\0';
    answers_later = false;
    behaviour = ANSWERS;
    tw_do(spawn_both, NULL);
}

static void stop(void)
{
    rt_signal(server, EXIT_KILL, "the test is over");
    rt_signal(partner, EXIT_KILL, "the test is over");
    tw_run_us(0);
    tw_stop();
}

static proc_ref asked;

static void ask(void *arg)
{
    (void)arg;
    asked = proc_call(server, MSG_NEW(ASK, struct msg), PROC_NO_TIMEOUT);
}

static void send_type(void *arg)
{
    proc_send(server, MSG_NEW(*(uint32_t *)arg, struct msg));
}

static void tell(uint32_t type)
{
    tw_do(send_type, &type);
}

static void test_call_and_cast(void **state)
{
    (void)state;
    start(&all);
    tw_do(ask, NULL);
    tell(TELL);
    assert_string_equal(got, "ct");
    assert_int_equal(tw_answer(asked)->type, ANSWER);
    stop();
}

static void answer_later(void *arg)
{
    (void)arg;
    /* Whoever holds the duty may answer; here the test does so in the root. */
    proc_reply_to(later, MSG_NEW(ANSWER, struct msg));
}

static void test_deferred_answer(void **state)
{
    (void)state;
    start(&all);
    answers_later = true;
    tw_do(ask, NULL);
    assert_null(tw_answer(asked));
    rt_signal(server, EXIT_KILL, "it owes an answer");
    tw_run_us(0);
    assert_int_equal(tw_answer(asked)->type, MSG_DOWN);
    tw_do(answer_later, NULL); /* too late: dropped unseen */
    assert_int_equal(tw_answer(asked)->type, MSG_DOWN);
    stop();
}

static void test_reply_is_reply_and_timer_is_info(void **state)
{
    (void)state;
    start(&all);
    tell(ORDER);
    assert_string_equal(got, "tR");
    tw_run_us(2000000);
    assert_string_equal(got, "tRi");
    stop();
}

static void test_timeout_of_a_call_is_reply(void **state)
{
    (void)state;
    start(&all);
    behaviour = SILENT;
    tell(ORDER);
    tw_run_us(2000000);
    assert_string_equal(got, "tiT"); /* the timer's after 0.5 s, the call's after 1 s */
    stop();
}

static void test_down_of_a_call_is_reply_and_of_a_monitor_info(void **state)
{
    (void)state;
    start(&all);
    behaviour = DIES;
    tell(ORDER);
    assert_int_equal(strlen(got), 3);
    assert_non_null(strchr(got, 'D'));
    assert_non_null(strchr(got, 'd'));
    stop();
}

static void test_exit_is_info(void **state)
{
    (void)state;
    start(&all);
    rt_signal(server, EXIT_SHUTDOWN, "it traps this");
    tw_run_us(0);
    assert_string_equal(got, "x");
    stop();
}

/* It got what it cannot know: it ends, and says why. */
static void test_missing_callback_is_a_crash(void **state)
{
    static const struct server_ops only_calls = {.call = on_call};

    (void)state;
    start(&only_calls);
    tell(TELL);
    assert_int_equal(tw.n_crashes, 1);
    assert_non_null(strstr(tw.last_crash.why.text, "no cast callback"));
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_and_cast),
        cmocka_unit_test(test_deferred_answer),
        cmocka_unit_test(test_reply_is_reply_and_timer_is_info),
        cmocka_unit_test(test_timeout_of_a_call_is_reply),
        cmocka_unit_test(test_down_of_a_call_is_reply_and_of_a_monitor_info),
        cmocka_unit_test(test_exit_is_info),
        cmocka_unit_test(test_missing_callback_is_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
