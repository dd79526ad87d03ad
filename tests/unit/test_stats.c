/*
 * Slots and sums: what is listed is gathered once, what ends leaves the list, and what was counted
 * stays counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/stats.h"
#include "broker/runtime/alloc.h"

#include "tests/unit/test_world.h"

enum { HOLDERS = 300 };

static unsigned n_freed, n_closed;
static proc_id holder[HOLDERS];
static struct stat_slot *shown[2]; /* of the last holder */

static void free_slot(struct stat_slot *s)
{
    n_freed++;
    rt_free(s);
}

static void count_closed(struct stat_slot *s)
{
    (void)s;
    n_closed++;
}

/* Shows two slots; a message hides the second, another one crashes it. */
static void holder_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    for (uint64_t i = 0; i < 2; i++) {
        shown[i] = stat_slot_new(sizeof(*shown[i]), STAT_CONSUMER, i, free_slot);
        shown[i]->closed = count_closed;
        stat_slot_show(shown[i]);
    }
    stat_add(&node_stats()->churn[CHANNELS_OPENED], 1);
}

static void holder_handle(void *state, struct msg *m)
{
    (void)state, (void)m;
    CHECK(shown[1]);
    stat_slot_hide(shown[1]);
    shown[1] = NULL;
}

static const struct proc_ops holder_ops = {
    .kind = "holder", .state_size = 1, .init = holder_init, .handle = holder_handle};

static void start(void *arg)
{
    (void)arg;
    for (int i = 0; i < HOLDERS; i++)
        holder[i] = proc_spawn(&(struct spawn){.ops = &holder_ops});
}

static void poke_last(void *arg)
{
    struct msg *m = MSG_NEW(MSG_USER, struct msg);

    (void)arg;
    PROC_SEND(holder[HOLDERS - 1], m);
}

static void kill_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < HOLDERS; i++)
        proc_signal(holder[i], EXIT_KILL, 0, "over");
}

static struct stat_slots gathered;

static void gather(void *arg)
{
    (void)arg;
    while (stat_slots_gather(&gathered, STAT_CONSUMER))
        continue;
}

static void sum(void *ret)
{
    node_stats_sum(ret);
}

static uint64_t opened(void)
{
    struct node_sums sums;

    tw_do(sum, &sums);
    return sums.churn[CHANNELS_OPENED];
}

static void check_each_once(void)
{
    for (size_t i = 0; i < gathered.n; i++) {
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(gathered.slot[i], gathered.slot[j]);
    }
}

static void test_lists(void **state)
{
    struct stat_slot *s;
    uint64_t before;

    (void)state;
    tw_start(tw_seed());
    tw.is_fifo = true;
    before = opened();
    tw_do(start, NULL);
    assert_int_equal(opened(), before + HOLDERS);
    assert_int_equal(stat_slots_count(STAT_CONSUMER), 2 * HOLDERS);
    tw_do(gather, NULL);
    assert_int_equal(gathered.n, 2 * HOLDERS);
    check_each_once();
    s = stat_slot_find(STAT_CONSUMER, holder[7], 1);
    assert_non_null(s);
    assert_int_equal(s->owner, holder[7]);
    assert_int_equal(s->number, 1);
    stat_slot_unref(s);
    assert_null(stat_slot_find(STAT_CONSUMER, holder[7], 2));
    assert_null(stat_slot_find(STAT_CHANNEL, holder[7], 1));

    tw_do(poke_last, NULL);
    assert_int_equal(stat_slots_count(STAT_CONSUMER), 2 * HOLDERS - 1);
    assert_int_equal(n_closed, 1);
    assert_int_equal(n_freed, 0); /* the gathering still refers to it */
    tw_do(poke_last, NULL);       /* it crashes */
    assert_int_equal(stat_slots_count(STAT_CONSUMER), 2 * HOLDERS - 2);
    tw_do(kill_all, NULL);
    assert_int_equal(stat_slots_count(STAT_CONSUMER), 0);
    assert_int_equal(n_closed, 2 * HOLDERS);
    assert_int_equal(n_freed, 0);
    stat_slots_fini(&gathered);
    assert_int_equal(n_freed, 2 * HOLDERS);
    assert_int_equal(opened(), before + HOLDERS);
    tw_stop();
}

static void count_sizes(void *arg)
{
    struct node_stats *s = node_stats();

    (void)arg;
    node_stats_size(s, 0);
    node_stats_size(s, 100);
    node_stats_size(s, 101);
    node_stats_size(s, 100000000);
    node_stats_size(s, 100000001);
}

static void test_sizes(void **state)
{
    struct node_sums sums;

    (void)state;
    tw_start(tw_seed());
    tw_do(count_sizes, NULL);
    tw_do(sum, &sums);
    assert_int_equal(sums.sizes[0], 2);
    assert_int_equal(sums.sizes[1], 1);
    assert_int_equal(sums.sizes[MESSAGE_SIZES - 2], 1);
    assert_int_equal(sums.sizes[MESSAGE_SIZES - 1], 1);
    assert_int_equal(sums.size_sum, 200000202);
    tw_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
