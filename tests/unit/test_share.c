/*
 * test_share.c - permits of a shared prefetch: by example, and random operations against plain
 * sums.
 */
#include "amqp/share.h"

#include "tests/unit/front_end_kit.h"

enum { MEMBERS = 5 };

/* One round, as a channel makes it at the end of a turn; what each member got. */
static uint32_t give_all(struct share *s, struct share_member *m, uint32_t got[MEMBERS])
{
    struct share_member *to;
    uint32_t n, sum = 0;

    memset(got, 0, MEMBERS * sizeof(got[0]));
    for (uint32_t left = s->n_wanting; left > 0 && (to = share_give(s, left, &n)); left--) {
        assert_true(n > 0);
        assert_int_equal(got[to - m], 0); /* once in a round */
        got[to - m] = n;
        sum += n;
    }
    return sum;
}

static void test_equal_parts(void **state)
{
    struct share_member m[MEMBERS] = {0};
    struct share s = {0};
    uint32_t got[MEMBERS];

    (void)state;
    share_want(&s, &m[0]);
    assert_false(m[0].wants); /* without a limit nobody needs any */
    share_set_limit(&s, 10);
    for (int i = 0; i < 3; i++)
        share_want(&s, &m[i]);
    assert_int_equal(give_all(&s, m, got), 10);
    assert_int_equal(got[0], 4);
    assert_int_equal(got[1], 3);
    assert_int_equal(got[2], 3);
    assert_int_equal(give_all(&s, m, got), 0);
}

/* Single permits go round, whoever came first. */
static void test_turns(void **state)
{
    struct share_member m[MEMBERS] = {0};
    struct share s = {0};
    uint32_t got[MEMBERS];

    (void)state;
    share_set_limit(&s, 1);
    for (int i = 0; i < 3; i++)
        share_want(&s, &m[i]);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(give_all(&s, m, got), 1);
        assert_int_equal(got[i % 3], 1);
        share_drew(&s, &m[i % 3]);
        share_use(&s);
        assert_int_equal(give_all(&s, m, got), 0);
        share_release(&s);
    }
}

static void test_limit_moves(void **state)
{
    struct share_member m[MEMBERS] = {0};
    struct share s = {0};
    uint32_t got[MEMBERS];

    (void)state;
    for (int i = 0; i < 4; i++)
        share_use(&s); /* delivered before there was a limit */
    share_set_limit(&s, 3);
    share_want(&s, &m[0]);
    assert_int_equal(give_all(&s, m, got), 0);
    share_release(&s);
    assert_int_equal(give_all(&s, m, got), 0);
    share_release(&s);
    assert_int_equal(give_all(&s, m, got), 1);
    share_set_limit(&s, 5);
    assert_int_equal(give_all(&s, m, got), 2);
    share_forget(&s, &m[0]); /* its queue has died with three */
    assert_int_equal(s.out, 0);
    assert_int_equal(s.n_wanting, 0);
    share_want(&s, &m[1]);
    share_set_limit(&s, 0);
    assert_false(m[1].wants);
    assert_null(s.turn);
}

/* What the random run believes. */
struct model {
    struct share s;
    struct share_member m[MEMBERS];
    uint32_t out[MEMBERS], passed_over[MEMBERS], used, limit;
    bool wants[MEMBERS];
};

static void check(const struct model *t)
{
    uint32_t out = 0, wanting = 0;

    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(t->m[i].out, t->out[i]);
        assert_int_equal(t->m[i].wants, t->wants[i]);
        out += t->out[i];
        wanting += t->wants[i];
    }
    assert_int_equal(t->s.out, out);
    assert_int_equal(t->s.used, t->used);
    assert_int_equal(t->s.n_wanting, wanting);
    assert_int_equal(t->s.turn != NULL, wanting > 0);
}

static void play_give(struct model *t)
{
    uint32_t busy = t->used, got[MEMBERS], wanting = t->s.n_wanting, free_now, sum;

    for (int i = 0; i < MEMBERS; i++)
        busy += t->out[i];
    free_now = busy < t->limit ? t->limit - busy : 0;
    sum = give_all(&t->s, t->m, got);
    assert_int_equal(sum, wanting ? free_now : 0);
    for (int i = 0; i < MEMBERS; i++) {
        t->out[i] += got[i];
        if (!t->wants[i] || sum == 0 || got[i] > 0)
            t->passed_over[i] = 0;
        else
            t->passed_over[i] += sum;
        assert_true(got[i] == 0 || t->wants[i]);
        /* While it waits, no more is given to others than one permit each in between. */
        assert_true(t->passed_over[i] < 2 * MEMBERS);
    }
}

static void play(struct model *t, int i, uint32_t dice)
{
    uint32_t n;

    switch (dice % 8) {
    case 0:
        share_want(&t->s, &t->m[i]);
        t->wants[i] = t->limit > 0;
        t->passed_over[i] = 0;
        break;
    case 1:
        n = t->out[i];
        share_back(&t->s, &t->m[i], n);
        t->out[i] = 0;
        t->wants[i] = false;
        break;
    case 2:
        if (dice % 5)
            break;
        share_forget(&t->s, &t->m[i]);
        t->out[i] = 0;
        t->wants[i] = false;
        break;
    case 3:
        if (dice % 7)
            break;
        t->limit = dice / 64 % 6 * 3;
        share_set_limit(&t->s, t->limit);
        for (int k = 0; k < MEMBERS && t->limit == 0; k++)
            t->wants[k] = false;
        break;
    case 4:
    case 5:
        if (t->out[i] == 0)
            break;
        share_drew(&t->s, &t->m[i]);
        share_use(&t->s);
        t->out[i]--;
        t->used++;
        break;
    case 6:
        if (t->used == 0)
            break;
        share_release(&t->s);
        t->used--;
        break;
    default:
        play_give(t);
    }
}

static void test_random(void **state)
{
    uint64_t seed = seed_new();
    struct model t = {0};

    (void)state;
    for (int step = 0; step < 200000; step++) {
        play(&t, (int)below(&seed, MEMBERS), below(&seed, UINT32_MAX));
        check(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_parts),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_limit_moves),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
