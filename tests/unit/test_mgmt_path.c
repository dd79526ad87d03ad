/*
 * Paths and queries of requests, by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mgmt/path.h"

static void check_segment(const struct path *path, unsigned i, const char *bytes, size_t len)
{
    assert_true(i < path->n);
    assert_int_equal(path->segment[i].len, len);
    assert_memory_equal(path->segment[i].p, bytes, len + 1);
}

static void test_split(void **state)
{
    struct path path;

    (void)state;
    assert_true(path_split("/api/queues/%2F/a%2fb+c%25", &path));
    assert_int_equal(path.n, 4);
    check_segment(&path, 0, "api", 3);
    check_segment(&path, 1, "queues", 6);
    check_segment(&path, 2, "/", 1);
    check_segment(&path, 3, "a/b+c%", 6);
    assert_true(path_split("/a//b/", &path));
    assert_int_equal(path.n, 3);
    check_segment(&path, 1, "", 0);
    check_segment(&path, 2, "b", 1);
    assert_true(path_split("/", &path));
    assert_int_equal(path.n, 0);
    assert_true(path_split("/%00x/%ff%4", &path));
    check_segment(&path, 0, "\0x", 2);
    check_segment(&path, 1, "\xff%4", 3);
}

static void test_split_bounds(void **state)
{
    char raw[PATH_SIZE + 1];
    struct path path;

    (void)state;
    assert_false(path_split("", &path));
    assert_false(path_split("api", &path));
    assert_false(path_split("*", &path));
    assert_true(path_split("/1/2/3/4/5/6/7/8", &path));
    assert_true(path_split("/1/2/3/4/5/6/7/8/", &path));
    assert_false(path_split("/1/2/3/4/5/6/7/8/9", &path));
    memset(raw, 'a', sizeof(raw));
    raw[0] = '/';
    raw[PATH_SIZE] = '\0';
    assert_false(path_split(raw, &path));
    raw[PATH_SIZE - PATH_SEGMENTS - 1] = '\0';
    assert_true(path_split(raw, &path));
    check_segment(&path, 0, raw + 1, strlen(raw + 1));
}

static bool matches(const char *raw, const char *pattern)
{
    struct path path;

    assert_true(path_split(raw, &path));
    return path_matches(&path, pattern);
}

static void test_matches(void **state)
{
    (void)state;
    assert_true(matches("/api/queues", "api/queues"));
    assert_true(matches("/api/queues/", "api/queues"));
    assert_true(matches("/api/queues/%2F", "api/queues/x"));
    assert_true(matches("/api/queues/x/y", "api/queues/x/x"));
    assert_true(matches("/%61pi/queues", "api/queues"));
    assert_false(matches("/api/queues", "api/queues/x"));
    assert_false(matches("/api/queues/a/b", "api/queues/x"));
    assert_false(matches("/api/queuesx", "api/queues"));
    assert_false(matches("/api/queue", "api/queues"));
    assert_false(matches("/", "api/queues"));
    assert_false(matches("/api%2Fqueues", "api/queues"));
    assert_false(matches("/api%00/queues", "api/queues"));
}

/* What the parameter `name` of the query is, decoded; "-": there is none. */
static void check_query(const char *query, const char *name, const char *want)
{
    char value[64] = "-";
    size_t len;
    const char *raw = query_find(query, name, &len);

    if (raw) {
        len = query_decode(raw, len, value);
        assert_int_equal(len, strlen(value));
    }
    assert_string_equal(value, want);
}

static void test_query(void **state)
{
    (void)state;
    check_query("nested=true", "nested", "true");
    check_query("a=b&nested=true&c", "nested", "true");
    check_query("a=b&nested=true&c", "a", "b");
    check_query("a=b&nested=true&c", "c", "-");
    check_query("a=1&a=2", "a", "1");
    check_query("aa=1&a=2", "a", "2");
    check_query("a=", "a", "");
    check_query("a=b=c", "a", "b=c");
    check_query("a=x+y%20z%2B%26", "a", "x y z+&");
    check_query("a=%f&b", "a", "%f");
    check_query(NULL, "nested", "-");
    check_query("", "nested", "-");
    check_query("xnested=true", "nested", "-");
    check_query("&&&", "a", "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_bounds),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
