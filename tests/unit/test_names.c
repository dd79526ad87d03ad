/* Names that the broker makes: every bit counts, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/names.h"

static void test_form(void **state)
{
    uint64_t none[2] = {0}, all[2] = {UINT64_MAX, UINT64_MAX};
    char out[64];

    (void)state;
    assert_int_equal(name_of_bits(out, "amq.gen-", none), 30);
    assert_string_equal(out, "amq.gen-AAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(name_of_bits(out, "", all), 22);
    assert_string_equal(out, "_____________________D");
}

static void test_each_bit(void **state)
{
    char none[64], out[64];

    (void)state;
    (void)name_of_bits(none, "", (uint64_t[2]){0});
    for (unsigned i = 0; i < 128; i++) {
        uint64_t bits[2] = {i < 64 ? 1ULL << i : 0, i < 64 ? 0 : 1ULL << (i - 64)};
        unsigned n_differs = 0;

        (void)name_of_bits(out, "", bits);
        for (unsigned k = 0; k < NAME_OF_BITS; k++)
            n_differs += out[k] != none[k];
        assert_int_equal(n_differs, 1);
        assert_true(out[i / 6] != none[i / 6]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_each_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
