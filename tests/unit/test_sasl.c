/*
 * test_sasl.c - responses of clients that log in, and the limits that they ask for.
 */
#include "amqp/sasl.h"

#include <errno.h>

#include "tests/unit/front_end_kit.h"

#define BYTES(s) amqp_bytes((s), sizeof(s) - 1)

static void test_plain(void **state)
{
    struct credentials c;

    (void)state;
    assert_int_equal(sasl_parse_plain(BYTES("\0guest\0secret"), &c), 0);
    assert_true(amqp_bytes_is(c.user, "guest"));
    assert_true(amqp_bytes_is(c.password, "secret"));
    assert_int_equal(sasl_parse_plain(BYTES("other\0u\0"), &c), -EBADMSG);
    assert_int_equal(sasl_parse_plain(BYTES("u\0u\0"), &c), 0);
    assert_true(amqp_bytes_is(c.user, "u"));
    assert_int_equal(c.password.len, 0);
    assert_int_equal(sasl_parse_plain(BYTES(""), &c), -EBADMSG);
    assert_int_equal(sasl_parse_plain(BYTES("guest"), &c), -EBADMSG);
    assert_int_equal(sasl_parse_plain(BYTES("\0"), &c), -EBADMSG);
    assert_int_equal(sasl_parse_plain(BYTES("\0guest"), &c), -EBADMSG);
}

static void test_amqplain(void **state)
{
    struct credentials c;

    (void)state;
    assert_int_equal(sasl_parse_amqplain(BYTES("\5LOGINS\0\0\0\5guest\10PASSWORDS\0\0\0\3abc"), &c),
                     0);
    assert_true(amqp_bytes_is(c.user, "guest"));
    assert_true(amqp_bytes_is(c.password, "abc"));
    assert_int_equal(sasl_parse_amqplain(BYTES("\5LOGINS\0\0\0\5guest"), &c), -EBADMSG);
    assert_int_equal(sasl_parse_amqplain(BYTES("\5LOGINS\0\0\0\377guest"), &c), -EBADMSG);
    assert_int_equal(sasl_parse_amqplain(BYTES("\5LOGINt\1\10PASSWORDt\1"), &c), -EBADMSG);
    assert_int_equal(sasl_parse_amqplain(BYTES(""), &c), -EBADMSG);
}

static void test_tune(void **state)
{
    static const struct {
        struct tune_limits ours, asked;
        int r;
    } cases[] = {
        {{2047, 131072}, {2047, 131072}, 0},
        {{2047, 131072}, {1, 4096}, 0},
        {{2047, 131072}, {0, 131072}, -ERANGE},
        {{2047, 131072}, {2048, 131072}, -ERANGE},
        {{2047, 131072}, {10, 0}, -ERANGE},
        {{2047, 131072}, {10, 4095}, -ERANGE},
        {{2047, 131072}, {10, 131073}, -ERANGE},
        {{0, 0}, {0, 0}, 0},
        {{0, 0}, {65535, 4096}, 0},
        {{0, 0}, {1, 100}, -ERANGE},
    };
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(tune_check(&cases[i].ours, &cases[i].asked, text, sizeof(text)),
                         cases[i].r);
    assert_int_equal(tune_check(&cases[3].ours, &cases[3].asked, text, sizeof(text)), -ERANGE);
    assert_string_equal(text, "negotiated channel_max = 2048 is higher than the maximum allowed "
                              "value (2047)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_amqplain),
        cmocka_unit_test(test_tune),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
