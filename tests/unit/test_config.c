/*
 * Configuration: each key's bounds, and that a file's errors name their line.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/config.h"

static char text[512];

static int set(const char *key, const char *value)
{
    *text = 0;
    return config_set(key, value, text, sizeof(text));
}

static void test_defaults(void **state)
{
    (void)state;
    config_reset();
    assert_int_equal(config()->amqp_port, 5672);
    assert_int_equal(config()->mgmt_port, 15672);
    assert_int_equal(config()->frame_max, 131072);
    assert_true(config()->guest_from_loopback_only);
    assert_false(config()->debug_crash);
    assert_string_equal(config()->log_level, "info");
}

static void test_values(void **state)
{
    static const struct {
        const char *key, *value;
        int r;
    } table[] = {
        {"listeners.tcp.default", "0", 0},
        {"listeners.tcp.default", "65535", 0},
        {"listeners.tcp.default", "65536", -EINVAL},
        {"listeners.tcp.default", "-1", -EINVAL},
        {"listeners.tcp.default", "", -EINVAL},
        {"listeners.tcp.default", "5672x", -EINVAL},
        {"listeners.tcp.default", "99999999999999999999", -EINVAL},
        {"frame_max", "4095", -EINVAL},
        {"frame_max", "4096", 0},
        {"channel_max", "0", -EINVAL},
        {"loopback_users.guest", "false", 0},
        {"loopback_users.guest", "no", -EINVAL},
        {"log.level", "warning", 0},
        {"log.level", "loud", -EINVAL},
        {"no.such.key", "1", -EINVAL},
    };

    (void)state;
    config_reset();
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        assert_int_equal(set(table[i].key, table[i].value), table[i].r);
        assert_int_equal(*text != 0, table[i].r != 0);
    }
    assert_int_equal(config()->frame_max, 4096);
    assert_int_equal(config()->amqp_port, 65535);
}

static int read_text(const char *contents)
{
    char path[] = "/tmp/test-config-XXXXXX";
    int fd = mkstemp(path), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, contents, strlen(contents)), strlen(contents));
    close(fd);
    config_reset();
    r = config_read_file(path, text, sizeof(text));
    unlink(path);
    return r;
}

static void test_file(void **state)
{
    (void)state;
    assert_int_equal(read_text("# a comment\n\n  heartbeat = 30\nlog.level='error'\n"), 0);
    assert_int_equal(config()->heartbeat_s, 30);
    assert_string_equal(config()->log_level, "error");
    assert_int_equal(read_text("heartbeat = 30\nheartbeet = 3\n"), -EINVAL);
    assert_non_null(strstr(text, ":2: unknown key 'heartbeet'"));
    assert_int_equal(read_text("heartbeat\n"), -EINVAL);
    assert_non_null(strstr(text, ":1: expected"));
    assert_int_equal(config_read_file("/nonexistent/file", text, sizeof(text)), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
