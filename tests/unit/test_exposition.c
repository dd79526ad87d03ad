/*
 * Metrics as text: the lines, and labels that clients choose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mgmt/exposition.h"

static struct text out;

static void check(const char *wanted)
{
    assert_int_equal(text_len(&out), strlen(wanted));
    assert_memory_equal(out.p, wanted, strlen(wanted));
    text_fini(&out);
}

static void test_lines(void **state)
{
    struct exposition e = {.out = &out};

    (void)state;
    metric_begin(&e, "rabbitmq_", "queues", "gauge", "Queues available");
    metric_value(&e, 18446744073709551615u);
    metric_begin(&e, "", "t", "histogram", "x");
    sample_begin(&e, "_bucket");
    sample_label_str(&e, "protocol", "amqp091");
    sample_label_str(&e, "le", "+Inf");
    sample_end(&e, 3);
    sample_begin(&e, "_sum");
    sample_end_real(&e, 0.25);
    check("# TYPE rabbitmq_queues gauge\n"
          "# HELP rabbitmq_queues Queues available\n"
          "rabbitmq_queues 18446744073709551615\n"
          "# TYPE t histogram\n"
          "# HELP t x\n"
          "t_bucket{protocol=\"amqp091\",le=\"+Inf\"} 3\n"
          "t_sum 0.25\n");
}

static void check_label(const void *value, size_t len, const char *wanted)
{
    struct exposition e = {.out = &out, .prefix = "", .name = "x"};
    char line[256];

    sample_begin(&e, "");
    sample_label(&e, "queue", value, len);
    sample_end(&e, 1);
    snprintf(line, sizeof(line), "x{queue=\"%s\"} 1\n", wanted);
    check(line);
}

static void test_labels(void **state)
{
    (void)state;
    check_label("", 0, "");
    check_label("plain name", 10, "plain name");
    check_label("a\"b\\c\nd\re", 9, "a\\\"b\\\\c\\nd\re");
    check_label("\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x87", 9, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x87");
    check_label("a\xff"
                "b\xc3",
                4,
                "a\xef\xbf\xbd"
                "b\xef\xbf\xbd");
    check_label("a\0b", 3,
                "a\xef\xbf\xbd"
                "b");
    check_label("\"} 1\nevil 2", 11, "\\\"} 1\\nevil 2");
}

static void test_reals(void **state)
{
    struct exposition e = {.out = &out, .prefix = "", .name = "x"};
    const double values[] = {0, 1e9 + 0.5, 1 / 0.0, -1 / 0.0};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        sample_begin(&e, "");
        sample_end_real(&e, values[i]);
    }
    check("x 0\nx 1000000000.5\nx +Inf\nx -Inf\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_reals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
