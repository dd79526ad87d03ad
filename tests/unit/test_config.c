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
#include "broker/core/log.h"

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
    assert_int_equal(config()->tcp.n, 1);
    assert_int_equal(config()->tcp.at[0].port, 5672);
    assert_int_equal(config()->mgmt_port, 15672);
    assert_int_equal(config()->frame_max, 131072);
    assert_true(config_is_loopback_user("guest"));
    assert_false(config_is_loopback_user("other"));
    assert_false(config()->debug_crash);
    assert_int_equal(config()->log_level, LOG_LEVEL_INFO);
}

static const struct {
    const char *key, *value;
    int r;
} values[] = {
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
    {"listeners.tcp.default", "127.0.0.1:5672", 0},
    {"listeners.tcp.local", "[::1]:5673", 0},
    {"listeners.tcp.other", "::1:5674", 0},
    {"listeners.tcp.default", "127.0.0.1:", -EINVAL},
    {"listeners.tcp.default", ":5672", -EINVAL},
    {"listeners.tcp.default", "nowhere at all:5672", -EINVAL},
    {"listeners.tcp", "5672", -EINVAL},
    {"listeners.tcp.", "5672", -EINVAL},
    {"listeners.tcpx", "5672", -EINVAL},
    {"loopback_users.other", "true", 0},
    {"loopback_users.other", "", -EINVAL},
    {"loopback_users", "true", -EINVAL},
    {"handshake_timeout", "5s", 0},
    {"handshake_timeout", "99", -EINVAL},
    {"handshake_timeout", "11m", -EINVAL},
    {"heartbeat", "2m", 0},
    {"heartbeat", "1500ms", -EINVAL},
    {"heartbeat", "65536", -EINVAL},
    {"disk_free_limit.absolute", "2GiB", 0},
    {"disk_free_limit.absolute", "2 GiB", -EINVAL},
    {"disk_free_limit.absolute", "99999999999TB", -EINVAL},
    {"vm_memory_high_watermark.relative", "1.5", -EINVAL},
    {"vm_memory_high_watermark.relative", "nan", -EINVAL},
    {"vm_memory_high_watermark.relative", "0.25", 0},
    {"debug.crash", "on", 0},
    {"num_acceptors.tcp", "10", 0},
    {"auth_backends.1", "ldap", -EINVAL},
    {"listeners.tcp.default", "65535", 0},
    {"no.such.key", "1", -EINVAL},
};

static void test_values(void **state)
{
    (void)state;
    config_reset();
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        assert_int_equal(set(values[i].key, values[i].value), values[i].r);
        assert_int_equal(*text != 0, values[i].r != 0);
    }
    assert_int_equal(config()->frame_max, 4096);
    assert_int_equal(config()->handshake_timeout_ms, 5000);
    assert_int_equal(config()->heartbeat_s, 120);
    assert_int_equal(config()->disk_free_limit, 2ull << 30);
    assert_true(config()->memory_relative == 0.25);
    assert_true(config_is_loopback_user("other"));
    assert_false(config_is_loopback_user("guest"));
    assert_int_equal(config()->tcp.n, 3);
    assert_string_equal(config()->tcp.at[1].address, "::1");
    assert_string_equal(config()->tcp.at[2].address, "::1");
    assert_int_equal(config()->tcp.at[2].port, 5674);
    assert_int_equal(config()->tcp.at[0].port, 65535);
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
    assert_int_equal(config()->log_level, LOG_LEVEL_ERROR);
    assert_int_equal(read_text("heartbeat = 30\nheartbeet = 3\n"), -EINVAL);
    assert_non_null(strstr(text, ":2: unknown key 'heartbeet'"));
    assert_int_equal(read_text("heartbeat\n"), -EINVAL);
    assert_non_null(strstr(text, ":1: expected"));
    assert_int_equal(config_read_file("/nonexistent/file", text, sizeof(text)), -ENOENT);
}

/* Lists: the first that is set takes the default's place; none empties. */
static void test_lists(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    char key[64];

    (void)state;
    config_reset();
    assert_int_equal(set("listeners.tcp.1", "127.0.0.1:7000"), 0);
    assert_int_equal(config()->tcp.n, 1);
    assert_string_equal(config()->tcp.at[0].name, "1");
    assert_int_equal(set("listeners.tcp", "none"), 0);
    assert_int_equal(config()->tcp.n, 0);
    for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++) {
        snprintf(key, sizeof(key), "listeners.tcp.%s", names[i]);
        assert_int_equal(set(key, "1"), 0);
        assert_int_equal(set(key, "2"), 0);
    }
    assert_int_equal(config()->tcp.n, CONFIG_LISTENERS_MAX);
    assert_int_equal(config()->tcp.at[7].port, 2);
    assert_int_equal(set("listeners.tcp.more", "1"), -EINVAL);
    assert_int_equal(set("loopback_users", "none"), 0);
    assert_false(config_is_loopback_user("guest"));
}

/* Comments, quotes and includes. */
static void test_files(void **state)
{
    char dir[] = "/tmp/test-config-XXXXXX", path[64], other[64];
    FILE *f;

    (void)state;
    assert_int_equal(read_text("default_user = me # a comment\ndefault_pass = 'a#b' # another\n"),
                     0);
    assert_string_equal(config()->default_user, "me");
    assert_string_equal(config()->default_pass, "a#b");
    assert_int_equal(read_text("default_pass = 'it's' # so\ndefault_user = 'u' # it's u\n"), 0);
    assert_string_equal(config()->default_pass, "it's");
    assert_string_equal(config()->default_user, "u");
    assert_int_equal(set("default_pass", "a\nb"), -EINVAL);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/10.conf", dir);
    snprintf(other, sizeof(other), "%s/20.conf", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("heartbeat = 10\nframe_max = 8192\ninclude nothing*.conf\n", f);
    fclose(f);
    f = fopen(other, "w");
    assert_non_null(f);
    fputs("heartbeat = 20\nchannel_max = much\n", f);
    fclose(f);
    config_reset();
    assert_int_equal(config_read_file(path, text, sizeof(text)), 0);
    assert_int_equal(config()->heartbeat_s, 10);
    assert_int_equal(config_read_file(dir, text, sizeof(text)), -EINVAL);
    assert_non_null(strstr(text, "20.conf:2: channel_max"));
    assert_int_equal(config()->heartbeat_s, 20);
    f = fopen(other, "w");
    fputs("include 20.conf\n", f); /* itself */
    fclose(f);
    assert_int_equal(config_read_file(other, text, sizeof(text)), -EINVAL);
    assert_non_null(strstr(text, "too many files"));
    unlink(path);
    unlink(other);
    rmdir(dir);
    config_reset();
}

static void count(void *ctx, const char *warning)
{
    assert_non_null(strstr(warning, ":2: 'num_acceptors.tcp' has no meaning here"));
    (*(int *)ctx)++;
}

static void test_warnings(void **state)
{
    int n = 0;

    (void)state;
    assert_int_equal(read_text("heartbeat = 30\nnum_acceptors.tcp = 128\n"), 0);
    config_each_warning(count, &n);
    assert_int_equal(n, 1);
    config_reset();
}

/* Each name once, in the order in which it was set last; what does not fit changes nothing. */
static void test_pairs(void **state)
{
    static const char *const want[] = {"1 PLAIN", "3 EXTERNAL", "2 x=y"};
    char got[64], longer[CONFIG_TEXT_MAX];
    struct config_pair p;
    const char *at;
    unsigned n = 0;

    (void)state;
    config_reset();
    at = config()->auth_mechanisms;
    assert_false(config_pair_next(&at, &p));
    assert_int_equal(set("auth_mechanisms.1", "PLAIN"), 0);
    assert_int_equal(set("auth_mechanisms.2", "AMQPLAIN"), 0);
    assert_int_equal(set("auth_mechanisms.3", "EXTERNAL"), 0);
    assert_int_equal(set("auth_mechanisms.2", "x=y"), 0);
    assert_int_equal(set("auth_mechanisms", "PLAIN"), -EINVAL);
    assert_int_equal(set("auth_mechanisms.", "PLAIN"), -EINVAL);
    assert_int_equal(set("auth_mechanisms.4", ""), -EINVAL);
    assert_int_equal(set("auth_mechanisms.4", "a\nb"), -EINVAL);
    memset(longer, 'a', sizeof(config()->auth_mechanisms));
    longer[sizeof(config()->auth_mechanisms)] = '\0';
    assert_int_equal(set("auth_mechanisms.4", longer), -EINVAL);
    for (at = config()->auth_mechanisms; config_pair_next(&at, &p); n++) {
        snprintf(got, sizeof(got), "%.*s %.*s", p.name_len, p.name, p.value_len, p.value);
        assert_string_equal(got, want[n]);
    }
    assert_int_equal(n, 3);
    assert_true(config_is_set("auth_mechanisms"));
    assert_false(config_is_set("management.tcp.port"));
    assert_int_equal(set("auth_mechanisms", "none"), 0);
    assert_string_equal(config()->auth_mechanisms, "");
    config_reset();
}

/* What --print-config says is a configuration that means the same. */
static void test_print(void **state)
{
    char *printed = NULL, *again = NULL;
    size_t len;
    FILE *f;

    (void)state;
    assert_int_equal(read_text("listeners.tcp.1 = [::1]:7\nloopback_users.x = true\n"
                               "vm_memory_high_watermark.relative = 0.3\nlog.level = notice\n"
                               "load_definitions = /a b#c\nhandshake_timeout = 5s\n"
                               "ssl_options.sni.*.a.b.certfile = /c d\n"),
                     0);
    f = open_memstream(&printed, &len);
    assert_non_null(f);
    config_print(f);
    fclose(f);
    assert_null(strstr(printed, "default_pass = 'guest'"));
    assert_non_null(strstr(printed, "\nlisteners.tcp.1 = [::1]:7\n"));
    assert_int_equal(read_text(printed), 0);
    assert_int_equal(config()->log_level, LOG_LEVEL_WARNING);
    f = open_memstream(&again, &len);
    assert_non_null(f);
    config_print(f);
    fclose(f);
    for (char *a = strstr(printed, "here from"), *b = strstr(again, "here from"); a && b;
         a = strstr(a + 1, "here from"), b = strstr(b + 1, "here from")) {
        char *end_a = strstr(a, "\n\n"), *end_b = strstr(b, "\n\n");

        a = strchr(a, '\n');
        b = strchr(b, '\n');
        assert_int_equal(end_a == NULL, end_b == NULL);
        if (end_a) {
            assert_int_equal(end_a - a, end_b - b);
            assert_memory_equal(a, b, (size_t)(end_a - a));
        }
    }
    free(printed);
    free(again);
    config_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
        cmocka_unit_test(test_file),     cmocka_unit_test(test_lists),
        cmocka_unit_test(test_pairs),    cmocka_unit_test(test_files),
        cmocka_unit_test(test_warnings), cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
