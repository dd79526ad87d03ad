/*
 * test_fsm.c - states, moves, timeouts, and postponed messages in their order.
 */
#include "broker/runtime/fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

/* A door: work is done only when it is open, and comes numbered. */
enum { CLOSED, OPEN, AJAR, N_STATES };
enum { WORK = MSG_USER + 1, GO, PASS_ON };

struct msg_work {
    struct msg hdr;
    int n;
};

struct door {
    uint64_t before; /* so that the fsm's offset is not 0 */
    struct fsm fsm;
};

static char trace[32768];
static proc_id door;
static int n_dropped;

static void note(const char *fmt, ...)
{
    size_t len = strlen(trace);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(trace + len, sizeof(trace) - len, fmt, ap); /* cut: the comparison fails */
    va_end(ap);
}

static const char *take_trace(void)
{
    static char text[sizeof(trace)];

    memcpy(text, trace, sizeof(text));
    trace[0] = '\0';
    return text;
}

static void drop_work(struct msg *m)
{
    n_dropped++;
    msg_free(m);
}

static struct fsm *fsm_of(void *state)
{
    return &((struct door *)state)->fsm;
}

static void common(void *state, struct msg *m)
{
    if (m->type == GO)
        fsm_move(fsm_of(state), state, (unsigned)MSG_OF(struct msg_work, m)->n);
    else if (fsm_is_state_timeout(fsm_of(state), m))
        note(" timeout:%s", fsm_state_name(fsm_of(state)));
    else if (m->type == MSG_TIMEOUT)
        note(" stray");
}

static void closed_handle(void *state, struct msg *m)
{
    if (m->type == WORK || m->type == PASS_ON)
        fsm_postpone(fsm_of(state), m);
    else
        common(state, m);
}

static void open_handle(void *state, struct msg *m)
{
    if (m->type == WORK)
        note(" %d", MSG_OF(struct msg_work, m)->n);
    else if (m->type == PASS_ON)
        PROC_SEND(tw.root, m);
    else
        common(state, m);
    /* The third piece of work makes it close, if it came so. */
    if (m && m->type == WORK && MSG_OF(struct msg_work, m)->n == 103)
        fsm_move(fsm_of(state), state, CLOSED);
}

/* Even work only; 104 opens it wide. */
static void ajar_handle(void *state, struct msg *m)
{
    bool is_last = m->type == WORK && MSG_OF(struct msg_work, m)->n == 104;

    if (m->type == WORK && MSG_OF(struct msg_work, m)->n % 2)
        fsm_postpone(fsm_of(state), m);
    else
        open_handle(state, m);
    if (is_last)
        fsm_move(fsm_of(state), state, OPEN);
}

static void closed_enter(void *state)
{
    note(" [closed");
    fsm_state_timeout(fsm_of(state), 1000000);
}

static void open_enter(void *state)
{
    (void)state;
    note(" [open");
}

static void check_door(const void *state)
{
    CHECK(((const struct door *)state)->before == 42);
}

static const struct fsm_state states[N_STATES] = {
    [CLOSED] = {"closed", 1 << OPEN | 1 << AJAR, closed_enter, closed_handle},
    [OPEN] = {"open", 1 << CLOSED, open_enter, open_handle},
    [AJAR] = {"ajar", 1 << CLOSED | 1 << OPEN | 1 << AJAR, NULL, ajar_handle},
};

static const struct fsm_spec spec = {
    .states = states,
    .n_states = N_STATES,
    .fsm_offset = offsetof(struct door, fsm),
    .invariant = check_door,
};

static void door_init(void *state, const void *arg)
{
    struct door *d = state;

    (void)arg;
    d->before = 42;
    fsm_init(&d->fsm, d, &spec, CLOSED);
}

static void door_handle(void *state, struct msg *m)
{
    fsm_handle(fsm_of(state), state, m);
}

static const struct proc_ops door_ops = {
    .kind = "door", .state_size = sizeof(struct door), .init = door_init, .handle = door_handle};

static void spawn_door(void *arg)
{
    struct spawn s = {.ops = &door_ops, .flags = PROC_MONITOR};

    (void)arg;
    door = proc_spawn(&s);
}

static void start(void)
{
    tw_start(1);
    trace[0] = '\0';
    n_dropped = 0;
    tw_do(spawn_door, NULL);
    assert_string_equal(take_trace(), " [closed");
}

static void stop(void)
{
    rt_signal(door, EXIT_KILL, "the test is over");
    tw_run_us(0);
    tw_stop();
}

static void post(uint32_t type, int n)
{
    struct msg_work *m = msg_new(type, sizeof(*m), drop_work);

    m->n = n;
    rt_send(door, &m->hdr);
}

static void deliver(uint32_t type, int n)
{
    post(type, n);
    tw_run_us(0);
}

static void test_postponed_come_first_and_in_order(void **state)
{
    (void)state;
    start();
    for (int i = 1; i <= 5; i++)
        post(WORK, i);
    post(GO, OPEN);
    post(WORK, 6);
    tw_run_us(0);
    assert_string_equal(take_trace(), " [open 1 2 3 4 5 6");
    assert_int_equal(n_dropped, 7);
    stop();
}

static void test_postponed_again_keeps_its_place(void **state)
{
    (void)state;
    start();
    for (int i = 1; i <= 6; i++)
        post(WORK, i);
    deliver(GO, AJAR);
    assert_string_equal(take_trace(), " 2 4 6");
    deliver(WORK, 7);
    deliver(WORK, 8);
    deliver(GO, OPEN);
    assert_string_equal(take_trace(), " 8 [open 1 3 5 7");
    stop();
}

/* A move while the postponed are tried: those not yet tried wait for the next one. */
static void test_move_in_the_middle(void **state)
{
    (void)state;
    start();
    for (int i = 101; i <= 106; i++)
        post(WORK, i);
    deliver(GO, OPEN);
    assert_string_equal(take_trace(), " [open 101 102 103 [closed");
    deliver(WORK, 107);
    deliver(GO, OPEN);
    assert_string_equal(take_trace(), " [open 104 105 106 107");
    stop();
}

/* A move while the postponed are tried begins again at the first: 5 before 7. */
static void test_move_in_the_middle_begins_again(void **state)
{
    (void)state;
    start();
    post(WORK, 5);
    post(WORK, 104);
    post(WORK, 7);
    deliver(GO, AJAR);
    assert_string_equal(take_trace(), " 104 [open 5 7");
    stop();
}

/* Moving to where it is tries them again, too; odd ones stay, in order. */
static void test_move_to_itself(void **state)
{
    (void)state;
    start();
    for (int i = 1; i <= 4; i++)
        post(WORK, i);
    post(GO, AJAR);
    post(GO, AJAR);
    post(GO, OPEN);
    tw_run_us(0);
    assert_string_equal(take_trace(), " 2 4 [open 1 3");
    assert_int_equal(n_dropped, 7);
    stop();
}

/* A postponed message may be sent on: it then is no longer the door's to drop. */
static void test_postponed_is_sent_on(void **state)
{
    (void)state;
    start();
    deliver(PASS_ON, 1);
    assert_null(tw_find(PASS_ON, 0));
    deliver(GO, OPEN);
    assert_non_null(tw_find(PASS_ON, 0));
    assert_int_equal(n_dropped, 2); /* by the root, and the GO */
    stop();
}

/* Whoever asked gets exactly one answer: DOWN, when the door dies with the request postponed. */
static proc_ref asked;

static void ask(void *arg)
{
    (void)arg;
    asked = proc_call(door, msg_new(WORK, sizeof(struct msg_work), drop_work), PROC_NO_TIMEOUT);
}

static void test_death_answers_postponed_requests(void **state)
{
    (void)state;
    start();
    tw_do(ask, NULL);
    assert_null(tw_answer(asked));
    rt_signal(door, EXIT_KILL, "now");
    tw_run_us(0);
    assert_int_equal(tw_answer(asked)->type, MSG_DOWN);
    assert_int_equal(n_dropped, 1);
    stop();
}

/* When it is handled and nobody answered, the asker hears so then. */
static void test_postponed_request_is_dropped_after_handling(void **state)
{
    (void)state;
    start();
    tw_do(ask, NULL);
    deliver(GO, OPEN);
    assert_string_equal(take_trace(), " [open 0");
    assert_int_equal(tw_answer(asked)->type, MSG_DOWN);
    assert_int_equal(tw_answer(asked)->why.kind, EXIT_NOREPLY);
    stop();
}

static void test_state_timeout(void **state)
{
    (void)state;
    start();
    tw_run_us(999000);
    assert_string_equal(take_trace(), "");
    tw_run_us(2000);
    assert_string_equal(take_trace(), " timeout:closed");
    tw_run_us(5000000);
    assert_string_equal(take_trace(), ""); /* once */
    stop();
}

static void test_leaving_cancels_the_timeout(void **state)
{
    (void)state;
    start();
    tw_run_us(500000);
    deliver(GO, OPEN);
    tw_run_us(5000000);
    assert_string_equal(take_trace(), " [open");
    deliver(GO, CLOSED);
    tw_run_us(1001000);
    assert_string_equal(take_trace(), " [closed timeout:closed");
    stop();
}

static void test_illegal_move_is_a_crash(void **state)
{
    (void)state;
    start();
    deliver(GO, CLOSED);
    assert_int_equal(tw.n_crashes, 1);
    assert_non_null(strstr(tw.last_crash.why.text, "closed may not be followed by closed"));
    stop();
}

static void test_move_to_nowhere_is_a_crash(void **state)
{
    (void)state;
    start();
    deliver(GO, 17);
    assert_int_equal(tw.n_crashes, 1);
    stop();
}

/* Random moves and work against the rule: at the end all work was done once, in order of arrival
 * among what the same states admit (odd work waits for OPEN, even work for AJAR or OPEN). */
static void test_random(void **state)
{
    uint64_t seed = tw_seed();

    (void)state;
    start();
    tw.seed = seed | 1;
    for (int n = 0, now = CLOSED; n < 2000; n++) {
        int to = (int)(tw_random() % N_STATES);

        if (tw_random() % 4 == 0 && (states[now].next >> to & 1)) {
            post(GO, to);
            now = to;
        } else {
            post(WORK, 1000 + n);
        }
        if (tw_random() % 8 == 0)
            tw_run_us(0);
        if (n == 1999 && now != OPEN)
            post(GO, OPEN);
    }
    tw_run_us(0);
    {
        char *at = trace, *word;
        int last[2] = {0, 0}, n_done = 0;

        while ((word = strtok_r(at, " ", &at))) {
            int n = atoi(word);

            if (n < 1000)
                continue;
            assert_true(n > last[n % 2]);
            last[n % 2] = n;
            n_done++;
        }
        assert_true(n_done > 100);
    }
    assert_int_equal(tw.n_crashes, 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_postponed_come_first_and_in_order),
        cmocka_unit_test(test_postponed_again_keeps_its_place),
        cmocka_unit_test(test_move_in_the_middle),
        cmocka_unit_test(test_move_in_the_middle_begins_again),
        cmocka_unit_test(test_move_to_itself),
        cmocka_unit_test(test_postponed_is_sent_on),
        cmocka_unit_test(test_death_answers_postponed_requests),
        cmocka_unit_test(test_postponed_request_is_dropped_after_handling),
        cmocka_unit_test(test_state_timeout),
        cmocka_unit_test(test_leaving_cancels_the_timeout),
        cmocka_unit_test(test_illegal_move_is_a_crash),
        cmocka_unit_test(test_move_to_nowhere_is_a_crash),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
