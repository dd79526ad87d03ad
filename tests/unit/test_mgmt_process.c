/*
 * Processes as JSON and by name; the order of the tree against what it must be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/runtime.h"
#include "mgmt/process_json.h"
#include "mgmt/process_tree.h"
#include "tests/unit/codec_gen.h"

static void test_pid_text(void **state)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "1",
                                      "1.2",
                                      "1.2.",
                                      "1.2.3.",
                                      "1.2.3 ",
                                      "256.1.1",
                                      "1.16777216.1",
                                      "1.1.4294967296",
                                      "-1.1.1",
                                      "1..1",
                                      "a.1.1",
                                      "99999999999999999999999.1.1"};
    char text[PID_TEXT_SIZE];
    proc_id pid;

    (void)state;
    assert_string_equal(pid_text(0x0102000003000004, text), "1.131072.50331652");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (pid_parse(bad[i], &pid))
            fail_msg("taken: '%s'", bad[i]);
    }
    gen_seed("mgmt_process");
    for (unsigned i = 0; i < 1000; i++) {
        proc_id from = gen_number();

        assert_true(pid_parse(pid_text(from, text), &pid));
        assert_true(pid == from);
    }
}

static void test_parked(void **state)
{
    static const char text[] =
        "{\"n_children\":3,\"children\":["
        "{\"id\":\"up\",\"state\":\"up\",\"pid\":7,\"restarts\":0},"
        "{\"id\":\"queue:/:q\",\"state\":\"parked\",\"pid\":0,\"restarts\":5,"
        "\"last_crash\":\"crash: why\"},"
        "{\"id\":\"bare\",\"state\":\"parked\"},{\"state\":\"parked\"},7]}";
    json_t *parked = process_parked_json(text, strlen(text), 1), *first;

    (void)state;
    assert_int_equal(json_array_size(parked), 2);
    first = json_array_get(parked, 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "queue:/:q");
    assert_string_equal(json_string_value(json_object_get(first, "state")), "parked");
    assert_string_equal(json_string_value(json_object_get(first, "last_crash")), "crash: why");
    assert_string_equal(json_string_value(json_object_get(first, "parent")), "0.0.1");
    assert_int_equal(json_integer_value(json_object_get(first, "restarts")), 5);
    assert_true(json_is_null(json_object_get(first, "pid")));
    assert_true(json_is_null(json_object_get(json_array_get(parked, 1), "last_crash")));
    json_decref(parked);
    assert_null(process_parked_json("{}", 2, 1));
    assert_null(process_parked_json("no json", 7, 1));
    assert_null(process_parked_json("{\"children\":[]}", 15, 1));
}

static void test_find(void **state)
{
    struct proc_info row[] = {{.pid = 1, .name = "root"},
                              {.pid = 2, .name = "0.0.1"},
                              {.pid = 3, .name = "q"},
                              {.pid = 4, .name = "q"}};
    struct proc_listing l = {.n = 4, .row = row};

    (void)state;
    assert_ptr_equal(process_find(&l, "q"), &row[2]);
    assert_ptr_equal(process_find(&l, "0.0.4"), &row[3]);
    assert_ptr_equal(process_find(&l, "0.0.1"), &row[0]); /* a pid first */
    assert_null(process_find(&l, "0.0.5"));
    assert_null(process_find(&l, "nobody"));
}

enum { MAX_ROWS = 700 };

/*
 * A forest in which each process is younger than its parent, listed in any order. Some parents are
 * not listed.
 */
static size_t random_listing(struct proc_info *row)
{
    size_t n = gen_below(MAX_ROWS);

    for (size_t i = 0; i < n; i++) {
        row[i] = (struct proc_info){.pid = i + 1};
        row[i].parent = i && gen_below(20) ? gen_below(i) + 1 : gen_below(2) * 100000;
    }
    for (size_t i = n; i > 1; i--) {
        size_t j = gen_below(i);
        struct proc_info other = row[j];

        row[j] = row[i - 1];
        row[i - 1] = other;
    }
    return n;
}

/* Walks with a stack of open rows: the parent of each must be the innermost one. */
static void check_walk(const struct process_tree *t, size_t n)
{
    static proc_id open[MAX_ROWS];
    bool seen[MAX_ROWS + 1] = {false};
    size_t depth = 0, n_seen = 0;
    unsigned closed;

    for (uint32_t at = 0; (at = process_tree_next(t, at, &closed)); n_seen++) {
        const struct proc_info *p = &t->row[at - 1];

        assert_true(closed <= depth);
        depth -= closed;
        assert_false(seen[p->pid]);
        seen[p->pid] = true;
        if (depth)
            assert_int_equal(p->parent, open[depth - 1]);
        else
            assert_true(p->parent == 0 || p->parent == 100000);
        open[depth++] = p->pid;
    }
    assert_int_equal(closed, depth);
    assert_int_equal(n_seen, n);
}

static void test_tree(void **state)
{
    static struct proc_info row[MAX_ROWS];

    (void)state;
    gen_seed("mgmt_process");
    for (unsigned round = 0; round < 200; round++) {
        size_t n = random_listing(row);
        struct process_tree t;

        process_tree_init(&t, row, (uint32_t)n, rt_realloc, rt_free);
        while (!process_tree_build(&t))
            continue;
        check_walk(&t, n);
        process_tree_fini(&t);
    }
}

/* Siblings stand in the order of the listing. */
static void test_siblings(void **state)
{
    struct proc_info row[] = {
        {.pid = 5, .parent = 9}, {.pid = 9}, {.pid = 4, .parent = 9}, {.pid = 7, .parent = 9}};
    static const uint32_t want[] = {2, 1, 3, 4, 0};
    struct process_tree t;
    uint32_t at = 0;
    unsigned closed;

    (void)state;
    process_tree_init(&t, row, 4, rt_realloc, rt_free);
    while (!process_tree_build(&t))
        continue;
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        at = process_tree_next(&t, at, &closed);
        assert_int_equal(at, want[i]);
    }
    assert_int_equal(closed, 2);
    process_tree_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pid_text), cmocka_unit_test(test_parked),
        cmocka_unit_test(test_find),     cmocka_unit_test(test_tree),
        cmocka_unit_test(test_siblings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
