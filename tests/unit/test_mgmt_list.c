/*
 * The parts of listings that are pure: sorting in steps against qsort, names, columns; and message
 * properties to JSON and back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "amqp/codec/props.h"
#include "broker/runtime/alloc.h"
#include "mgmt/columns.h"
#include "mgmt/list_sort.h"
#include "mgmt/props_json.h"
#include "queues/table_json.h"

static int compare(const void *ctx, const struct list_row *a, const struct list_row *b)
{
    (void)ctx;
    return list_row_compare_keys(a, b);
}

/* What keeps the order of those that compare alike can be told by their items. */
static int compare_for_qsort(const void *a, const void *b)
{
    const struct list_row *x = a, *y = b;
    int r = list_row_compare_keys(x, y);

    return r ? r
             : ((uintptr_t)x->item > (uintptr_t)y->item) -
                   ((uintptr_t)x->item < (uintptr_t)y->item);
}

static void check_sort(size_t n, unsigned range)
{
    struct list_row *row = rt_zalloc((n + 1) * sizeof(*row));
    struct list_row *want = rt_zalloc((n + 1) * sizeof(*row));
    struct list_sort sort = {0};

    for (size_t i = 0; i < n; i++) {
        row[i].item = (void *)(i + 1);
        row[i].number = (double)((unsigned)rand() % range);
        want[i] = row[i];
    }
    qsort(want, n, sizeof(*want), compare_for_qsort);
    while (!list_sort_step(&sort, &row, n, 1 + (size_t)rand() % 50, compare, NULL))
        ;
    for (size_t i = 0; i < n; i++)
        assert_ptr_equal(row[i].item, want[i].item);
    list_sort_fini(&sort);
    rt_free(row);
    rt_free(want);
}

static void test_sort(void **state)
{
    (void)state;
    srand(1);
    for (size_t n = 0; n < 70; n++)
        check_sort(n, 5);
    for (unsigned range = 1; range < 2000; range = range * 3 + 1)
        check_sort(1000 + (size_t)rand() % 1000, range);
}

static struct list_row key_of(const char *json)
{
    struct list_row row = {0};
    json_t *value = json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL;

    list_row_set_key(&row, value);
    json_decref(value);
    return row;
}

/* Each sorts before the next; NULL: there is no such member, which counts as 0. */
static void test_keys(void **state)
{
    static const char *const order[] = {"-1.5", NULL, "0.5",  "7",     "1e30",  "false",
                                        "true", "[]", "\"\"", "\"A\"", "\"a\"", "\"ab\""};
    enum { N = sizeof(order) / sizeof(*order) };

    (void)state;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            struct list_row a = key_of(order[i]), b = key_of(order[j]);
            int r = list_row_compare_keys(&a, &b);

            assert_true(i < j ? r < 0 : i > j ? r > 0 : r == 0);
            rt_free(a.text);
            rt_free(b.text);
        }
    }
}

static void test_ids(void **state)
{
    const struct list_id a = {"a", "z", 1, 1}, b = {"b", "a", 1, 1}, none = {0};
    const struct list_id longer = {"a", "zz", 1, 2};

    (void)state;
    assert_true(list_compare_ids(&a, &b) < 0);
    assert_true(list_compare_ids(&longer, &a) > 0);
    assert_true(list_compare_ids(&none, &a) < 0);
    assert_int_equal(list_compare_ids(&a, &a), 0);
    assert_true(list_name_contains("My-Queue", 8, "y-qUE"));
    assert_true(list_name_contains("x", 1, ""));
    assert_false(list_name_contains("My-Queue", 8, "queues"));
    assert_false(list_name_contains("", 0, "x"));
}

static void check_columns(const char *json, const char *columns, const char *want)
{
    json_t *value = columns_pick(json_loads(json, JSON_DECODE_ANY, NULL), columns);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    assert_string_equal(text, want);
    free(text);
    json_decref(value);
}

static void test_columns(void **state)
{
    static const char one[] = "{\"a\":1,\"b\":{\"c\":2,\"d\":{\"e\":3}},\"f\":[4]}";
    json_t *value = json_loads(one, 0, NULL);

    (void)state;
    check_columns(one, "a", "{\"a\":1}");
    check_columns(one, "a,b.c", "{\"a\":1,\"b\":{\"c\":2}}");
    check_columns(one, "b.d.e,b.c", "{\"b\":{\"d\":{\"e\":3},\"c\":2}}");
    check_columns(one, "b,b.c", "{\"b\":{\"c\":2,\"d\":{\"e\":3}}}");
    check_columns(one, "x,a.b,f.x,.,,", "{}");
    check_columns("[{\"a\":1,\"b\":2},5]", "a", "[{\"a\":1},5]");
    check_columns("7", "a", "7");
    assert_int_equal(json_integer_value(columns_get(value, "b.d.e")), 3);
    assert_null(columns_get(value, "b.d.x"));
    assert_null(columns_get(value, "a.b"));
    assert_null(columns_get(value, ""));
    json_decref(value);
}

static int read_props(const char *json, struct props_bytes *ret)
{
    json_t *object = json_loads(json, 0, NULL);
    char why[256];
    int r;

    assert_non_null(object);
    r = props_of_json(object, ret, why, sizeof(why));
    json_decref(object);
    return r;
}

/* What is set comes back as it was. */
static void test_props(void **state)
{
    static const char all[] =
        "{\"content_type\":\"t\",\"content_encoding\":\"e\",\"headers\":{\"h\":[1,{\"n\":null}]},"
        "\"delivery_mode\":2,\"priority\":255,\"correlation_id\":\"c\",\"reply_to\":\"r\","
        "\"expiration\":\"60\",\"message_id\":\"m\",\"timestamp\":9223372036854775807,"
        "\"type\":\"ty\",\"user_id\":\"u\",\"app_id\":\"a\",\"cluster_id\":\"cl\"}";
    static const char *const wrong[] = {
        "{\"priority\":256}",   "{\"priority\":-1}",  "{\"priority\":1.5}",
        "{\"priority\":\"x\"}", "{\"timestamp\":-1}", "{\"headers\":[1]}",
        "{\"headers\":5}",      "{\"app_id\":5}",     "{\"app_id\":[\"x\"]}"};
    struct props_bytes bytes;
    json_t *back;
    char *text;

    (void)state;
    assert_int_equal(read_props(all, &bytes), 0);
    assert_int_equal(props_validate(amqp_bytes(bytes.p, bytes.len)), 0);
    back = props_json(amqp_bytes(bytes.p, bytes.len));
    text = json_dumps(back, JSON_COMPACT);
    assert_string_equal(text, all);
    free(text);
    json_decref(back);
    rt_free(bytes.p);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(read_props(wrong[i], &bytes), -EINVAL);
    assert_int_equal(read_props("{\"x\":1,\"app_id\":null,\"headers\":[]}", &bytes), 0);
    rt_free(bytes.p);
}

static void test_tables_too_deep(void **state)
{
    json_t *value = json_object(), *outer;

    (void)state;
    for (int i = 0; i < 300; i++) {
        outer = json_object();
        json_object_set_new(outer, "a", value);
        value = outer;
    }
    assert_true(table_of_json(value, NULL, 0) < 0);
    json_decref(value);
    value = json_object();
    assert_int_equal(table_of_json(value, NULL, 0), 0);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),  cmocka_unit_test(test_keys),
        cmocka_unit_test(test_ids),   cmocka_unit_test(test_columns),
        cmocka_unit_test(test_props), cmocka_unit_test(test_tables_too_deep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
