/*
 * Places of limits: as many as may be, of each name apart, given back by who gives or ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/limits.h"
#include "broker/runtime/blob.h"

#include "tests/unit/test_world.h"

static const enum limit_kind KIND = LIMIT_CONNECTIONS_OF_VHOST, OTHER = LIMIT_CONNECTIONS_OF_USER;

static unsigned n_refused;

/* Takes a place of the name and keeps it until it is killed. */
static void holder_init(void *state, const void *arg)
{
    (void)state;
    n_refused += limit_take(KIND, arg, strlen(arg), 3) == NULL;
}

static void holder_handle(void *state, struct msg *m)
{
    (void)state, (void)m;
    CHECK(!"the holder ends");
}

static const struct proc_ops holder_ops = {
    .kind = "holder", .state_size = 1, .init = holder_init, .handle = holder_handle};

static proc_id holder[8];

static void start(void *arg)
{
    for (int i = 0; i < 5; i++)
        holder[i] =
            proc_spawn(&(struct spawn){.ops = &holder_ops, .arg = blob_copy(arg, strlen(arg) + 1)});
}

static void poke(void *arg)
{
    struct msg *m = MSG_NEW(MSG_USER, struct msg);

    PROC_SEND(holder[*(int *)arg], m);
}

static void kill_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        proc_signal(holder[i], EXIT_KILL, 0, "over");
}

static void test_who_ends_gives_back(void **state)
{
    int first = 0;

    (void)state;
    n_refused = 0;
    tw_start(tw_seed());
    tw.is_fifo = true;
    tw_do(start, (void *)(uintptr_t) "one");
    assert_int_equal(n_refused, 2);
    assert_int_equal(limit_count(KIND, "one", 3), 3);
    assert_int_equal(limit_count(OTHER, "one", 3), 0);
    assert_int_equal(limit_count(KIND, "onf", 3), 0);
    assert_true(limit_may_tell(KIND, "one", 3));
    assert_false(limit_may_tell(KIND, "one", 3));
    tw_run_us(1000000);
    assert_true(limit_may_tell(KIND, "one", 3));
    tw_do(poke, &first);
    assert_int_equal(limit_count(KIND, "one", 3), 2);
    tw_do(kill_all, NULL);
    assert_int_equal(limit_count(KIND, "one", 3), 0);
    tw_stop();
}

static void take_and_give(void *arg)
{
    struct limit_place *places[3];

    (void)arg;
    CHECK(limit_take(KIND, "", 0, 0) == NULL); /* none may be */
    for (int i = 0; i < 3; i++) {
        places[i] = limit_take(KIND, "", 0, 3);
        CHECK(places[i]);
    }
    CHECK(!limit_take(KIND, "", 0, 3));
    CHECK(limit_take(KIND, "x", 1, 1) && !limit_take(KIND, "x", 1, 1));
    limit_give(places[1]);
    limit_give(NULL);
    CHECK(limit_take(KIND, "", 0, 3) && !limit_take(KIND, "", 0, 3));
    CHECK(limit_take(KIND, "", 0, LIMIT_NONE));
    CHECK(limit_count(KIND, "", 0) == 4);
}

static void test_give(void **state)
{
    (void)state;
    tw_start(tw_seed());
    tw_do(take_and_give, NULL);
    assert_string_equal(tw.last_crash.why.text, "");
    tw_stop();
    assert_int_equal(limit_count(KIND, "", 0), 0);
    assert_int_equal(limit_count(KIND, "x", 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_ends_gives_back),
        cmocka_unit_test(test_give),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
