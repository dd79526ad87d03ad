/*
 * What a policy may say, by table; how two become one, by table and against a naive model.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "queues/policy_keys.h"
#include "queues/table_json.h"

static char why[300];

static int check(const char *text, unsigned flags)
{
    json_t *o = json_loads(text, 0, NULL);
    int r;

    assert_non_null(o);
    why[0] = '\0';
    r = policy_check(o, flags, why, sizeof(why));
    json_decref(o);
    return r;
}

static void test_check(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        const char *words; /* NULL: it is right */
    } cases[] = {
        {"{\"pattern\":\"\",\"definition\":{\"max-length\":0}}", 0, NULL},
        {"{\"pattern\":\"a\",\"definition\":{\"ha-mode\":\"all\"},\"apply-to\":\"streams\"}", 0,
         NULL},
        {"{\"pattern\":\"a\",\"definition\":{\"delivery-limit\":-1}}", POLICY_OPERATOR, NULL},
        {"{\"pattern\":\"a\",\"definition\":{\"delivery-limit\":-2}}", 0, "delivery limit"},
        {"{\"pattern\":\"a\",\"definition\":{\"overflow\":\"reject-publish\"}}", POLICY_OPERATOR,
         NULL},
        {"{\"pattern\":\"a\",\"definition\":{\"queue-mode\":\"lazy\"}}", POLICY_OPERATOR,
         "not recognised"},
        {"{\"pattern\":\"a\",\"definition\":{\"x\":1}}", 0, "not recognised"},
        {"{\"pattern\":\"a\",\"definition\":{\"x\":1}}", POLICY_ANY_KEYS, NULL},
        {"{\"pattern\":\"a\",\"definition\":{\"x\":1,\"expires\":0}}", POLICY_ANY_KEYS, "expiry"},
        {"{\"pattern\":\"a\",\"definition\":[]}", 0, "no policy"},
        {"{\"pattern\":\"a\"}", 0, "no policy"},
        {"{\"definition\":{\"expires\":1}}", 0, "binary"},
        {"{\"pattern\":\"[\",\"definition\":{\"expires\":1}}", 0, "regular expression"},
        {"{\"pattern\":\"\",\"definition\":{\"expires\":1},\"apply-to\":7}", 0, "apply-to"},
        {"{\"pattern\":\"\",\"definition\":{\"expires\":1},\"priority\":1.5}", 0, "priority"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = check(cases[i].text, cases[i].flags);

        if ((r == 0) != !cases[i].words || (cases[i].words && !strstr(why, cases[i].words)))
            fail_msg("%s: %d %s", cases[i].text, r, why);
    }
}

static size_t table(const char *text, uint8_t *buf, size_t cap)
{
    json_t *o = json_loads(text, 0, NULL);
    ssize_t n = table_of_json(o, buf, cap);

    json_decref(o);
    assert_true(n >= 0 && (size_t)n <= cap);
    return (size_t)n;
}

static struct amqp_bytes merged(const char *a, const char *b, uint8_t *buf, size_t cap)
{
    uint8_t x[512], y[512];
    size_t n = table(a, x, sizeof(x)), m = table(b, y, sizeof(y));

    assert_true(n + m <= cap);
    return amqp_bytes(buf, policy_merge(amqp_bytes(x, n), amqp_bytes(y, m), buf, n + m));
}

static void test_merge(void **state)
{
    static const struct {
        const char *policy, *by_operator, *want;
    } cases[] = {
        {"{}", "{}", "{}"},
        {"{\"max-length\":5}", "{}", "{\"max-length\":5}"},
        {"{}", "{\"max-length\":5}", "{\"max-length\":5}"},
        {"{\"max-length\":5}", "{\"max-length\":9}", "{\"max-length\":5}"},
        {"{\"max-length\":9}", "{\"max-length\":5}", "{\"max-length\":5}"},
        {"{\"delivery-limit\":-1}", "{\"delivery-limit\":5}", "{\"delivery-limit\":5}"},
        {"{\"delivery-limit\":5}", "{\"delivery-limit\":-1}", "{\"delivery-limit\":5}"},
        {"{\"overflow\":\"drop-head\"}", "{\"overflow\":\"reject-publish\"}",
         "{\"overflow\":\"reject-publish\"}"},
        {"{\"queue-version\":1}", "{\"queue-version\":2}", "{\"queue-version\":2}"},
        {"{\"a\":1,\"expires\":7}", "{\"message-ttl\":3}",
         "{\"a\":1,\"expires\":7,\"message-ttl\":3}"},
    };
    uint8_t buf[1024], want[512];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct amqp_bytes got = merged(cases[i].policy, cases[i].by_operator, buf, sizeof(buf));
        size_t n = table(cases[i].want, want, sizeof(want));

        if (!ftable_equal(got, amqp_bytes(want, n)))
            fail_msg("%s and %s are not %s", cases[i].policy, cases[i].by_operator, cases[i].want);
    }
}

/* Any limits: each is the smaller of those that are there. */
static void test_merge_any(void **state)
{
    static const char *const limits[] = {"max-length", "message-ttl", "expires",
                                         "max-length-bytes"};
    unsigned seed =
        getenv("WARREN_SEED") ? (unsigned)atoi(getenv("WARREN_SEED")) : (unsigned)time(NULL);
    uint8_t buf[1024];

    (void)state;
    print_message("WARREN_SEED=%u\n", seed);
    for (int round = 0; round < 1000; round++) {
        json_t *a = json_object(), *b = json_object();
        int64_t want[4], got;
        char *x, *y;

        for (int k = 0; k < 4; k++) {
            int64_t in_a = rand_r(&seed) % 5 ? rand_r(&seed) % 100 : -1;
            int64_t in_b = rand_r(&seed) % 5 ? rand_r(&seed) % 100 : -1;

            if (in_a >= 0)
                json_object_set_new(a, limits[k], json_integer(in_a));
            if (in_b >= 0)
                json_object_set_new(b, limits[k], json_integer(in_b));
            want[k] = in_a < 0 || (in_b >= 0 && in_b < in_a) ? in_b : in_a;
        }
        x = json_dumps(a, 0);
        y = json_dumps(b, 0);
        for (int k = 0; k < 4; k++) {
            struct amqp_bytes all = merged(x, y, buf, sizeof(buf));

            assert_int_equal(ftable_get_int(all, limits[k], &got), want[k] >= 0);
            if (want[k] >= 0)
                assert_int_equal(got, want[k]);
        }
        free(x);
        free(y);
        json_decref(a);
        json_decref(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_merge),
                                       cmocka_unit_test(test_merge_any)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
