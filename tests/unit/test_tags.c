/*
 * test_tags.c - delivery tags: by table, and random operations against an array.
 */
#include "amqp/tags.h"

#include "tests/unit/front_end_kit.h"

static char a_link;

static uint64_t add(struct tags *t, uint64_t seq)
{
    struct tag_entry *e = tags_add(t);

    e->link = &a_link;
    e->seq = seq;
    return e->tag;
}

static void test_from_one(void **state)
{
    struct tags t;

    (void)state;
    tags_init(&t, count_realloc, count_free);
    assert_null(tags_first(&t));
    assert_null(tags_find(&t, 1));
    assert_int_equal(tags_skip(&t), 1);
    assert_null(tags_find(&t, 1));
    assert_int_equal(add(&t, 10), 2);
    assert_int_equal(add(&t, 11), 3);
    assert_int_equal(tags_skip(&t), 4);
    assert_int_equal(add(&t, 12), 5);
    assert_int_equal(tags_find(&t, 5)->seq, 12);
    assert_null(tags_find(&t, 4));
    assert_null(tags_find(&t, 6));
    tags_take(&t, tags_find(&t, 3));
    assert_null(tags_find(&t, 3));
    assert_int_equal(tags_first(&t)->tag, 2);
    assert_int_equal(tags_next(&t, tags_first(&t))->tag, 5);
    assert_null(tags_next(&t, tags_find(&t, 5)));
    tags_fini(&t);
    assert_int_equal(n_blocks, 0);
}

/* One message held for hours does not keep the places of those that came after it. */
static void test_one_held_costs_itself(void **state)
{
    struct tags t;

    (void)state;
    tags_init(&t, count_realloc, count_free);
    (void)add(&t, 1);
    for (uint64_t i = 2; i < 100000; i++) {
        uint64_t tag = add(&t, i);

        tags_take(&t, tags_find(&t, tag));
    }
    assert_true(t.cap <= 16);
    assert_int_equal(tags_first(&t)->seq, 1);
    tags_fini(&t);
}

static void test_trim(void **state)
{
    struct tags t;
    struct tag_entry *e;

    (void)state;
    tags_init(&t, count_realloc, count_free);
    for (uint64_t i = 0; i < 1000; i++)
        (void)add(&t, i);
    tags_trim(&t);
    assert_int_equal(t.n, 1000);
    while ((e = tags_first(&t)))
        tags_take(&t, e);
    tags_trim(&t);
    assert_int_equal(n_blocks, 0);
    assert_int_equal(add(&t, 7), 1001);
    tags_fini(&t);
}

enum { MODEL_MAX = 5000 };
struct model {
    uint64_t seq[MODEL_MAX]; /* by tag; 0: not there */
    uint64_t last;
    uint32_t n;
};

static void check(struct tags *t, const struct model *m, uint64_t tag)
{
    struct tag_entry *e = tags_find(t, tag);
    uint64_t first = tag;

    assert_int_equal(t->n, m->n);
    if (tag > m->last || m->seq[tag] == 0) {
        assert_null(e);
    } else {
        assert_non_null(e);
        assert_int_equal(e->seq, m->seq[tag]);
        assert_int_equal(e->tag, tag);
    }
    while (tag <= m->last && m->seq[tag] == 0)
        tag++;
    e = tags_from(t, first);
    assert_true(tag > m->last ? e == NULL : e && e->tag == tag);
}

static void check_order(struct tags *t, const struct model *m)
{
    struct tag_entry *e = tags_first(t);

    for (uint64_t tag = 1; tag <= m->last; tag++) {
        if (m->seq[tag] == 0)
            continue;
        assert_non_null(e);
        assert_int_equal(e->tag, tag);
        e = tags_next(t, e);
    }
    assert_null(e);
}

static void test_random(void **state)
{
    uint64_t seed = seed_new();
    struct model *m = calloc(1, sizeof(*m));
    struct tags t;

    (void)state;
    tags_init(&t, count_realloc, count_free);
    while (m->last < MODEL_MAX - 1) {
        uint64_t tag = 1 + below(&seed, (uint32_t)m->last + 2);
        struct tag_entry *e;

        switch (below(&seed, 5)) {
        case 0:
            m->last = tags_skip(&t);
            break;
        case 1:
        case 2:
            m->last = add(&t, m->last + 100);
            m->seq[m->last] = m->last - 1 + 100;
            m->n++;
            break;
        default:
            e = tags_find(&t, tag);
            check(&t, m, tag);
            if (!e)
                break;
            tags_take(&t, e);
            m->seq[tag] = 0;
            m->n--;
        }
        if (below(&seed, 100) == 0)
            check_order(&t, m);
        tags_trim(&t);
    }
    tags_fini(&t);
    free(m);
    assert_int_equal(n_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_one),
        cmocka_unit_test(test_one_held_costs_itself),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
