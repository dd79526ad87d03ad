/*
 * The Authorization header and the peer's address, by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mgmt/auth.h"

static void check_good(const char *header, const char *user, const char *password,
                       size_t password_len)
{
    struct auth_basic who;

    assert_true(auth_parse_basic(header, &who));
    assert_int_equal(who.user_len, strlen(user));
    assert_memory_equal(who.text, user, who.user_len);
    assert_int_equal(who.password_len, password_len);
    assert_memory_equal(who.password, password, password_len);
}

static void test_good_headers(void **state)
{
    (void)state;
    check_good("Basic Z3Vlc3Q6Z3Vlc3Q=", "guest", "guest", 5);
    check_good("basic   Z3Vlc3Q6Z3Vlc3Q=", "guest", "guest", 5);
    check_good("BASIC Og==", "", "", 0);
    check_good("Basic YTo=", "a", "", 0);
    check_good("Basic YTpi", "a", "b", 1);
    check_good("Basic YTpiOmM=", "a", "b:c", 3); /* the first colon separates */
    check_good("Basic YTpiAA==", "a", "b\0", 2);
}

static void test_bad_headers(void **state)
{
    static const char *const bad[] = {
        "",
        "Basic",
        "Basic ",
        "Bearer Z3Vlc3Q6Z3Vlc3Q=",
        "Basic guest:guest",
        "Basic Z3Vlc3Q6Z3Vlc3Q",   /* no padding */
        "Basic Z3Vlc3Q6Z3Vlc3Q==", /* too much of it */
        "Basic Z3Vlc3Q6Z3Vlc3Q= ", /* something after it */
        "Basic Z3Vl=3Q6Z3Vlc3Q=",  /* in the middle */
        "Basic Z3Vl c3Q6Z3Vlc3Q=", /* a blank */
        "Basic ====",
        "Basic =",
        "Basic Z3Vlc3Q=", /* no colon */
        "Basic Z3Vlc3Q6Z3Vlc3\xff=",
        "Basic \xc3\xa9\xc3\xa9",
    };
    struct auth_basic who;

    (void)state;
    assert_false(auth_parse_basic(NULL, &who));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (auth_parse_basic(bad[i], &who))
            fail_msg("taken: '%s'", bad[i]);
    }
}

/* Exactly what fits, and one group of four more. */
static void test_long_header(void **state)
{
    enum { FITS = AUTH_TEXT_SIZE / 3 * 4 };
    char header[6 + FITS + 5] = "Basic ";
    struct auth_basic who;

    (void)state;
    memset(header + 6, 'A', FITS + 4);
    memcpy(header + 6, "YTpi", 4);
    header[6 + FITS] = '\0';
    assert_true(auth_parse_basic(header, &who));
    assert_int_equal(who.user_len + 1 + who.password_len, FITS / 4 * 3);
    header[6 + FITS] = 'A';
    header[6 + FITS + 4] = '\0';
    assert_false(auth_parse_basic(header, &who));
}

static void test_loopback(void **state)
{
    static const char *const ours[] = {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"};
    static const char *const others[] = {
        "",        "10.0.0.1",        "128.0.0.1", "::",           "::2",
        "fe80::1", "::ffff:10.0.0.1", "localhost", "127.0.0.1:80", "::127.0.0.1"};

    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
        assert_true(auth_is_loopback(ours[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_false(auth_is_loopback(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_long_header),
        cmocka_unit_test(test_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
