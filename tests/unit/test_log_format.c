/*
 * Formats of a line: whatever the text holds, JSON stays JSON and the journal's length is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/log_output.h"

static struct log_event *event(const char *text, size_t len)
{
    struct log_event *e = malloc(sizeof(*e) + len);

    assert_non_null(e);
    *e = (struct log_event){.wall_ms = 1000000000123,
                            .level = LOG_LEVEL_WARNING,
                            .category = LOG_QUEUE,
                            .len = (uint32_t)len};
    memcpy(e->text, text, len);
    return e;
}

/* The text of an event in a format; the caller frees. */
static char *format(size_t (*put)(char *, const struct log_event *), const char *text, size_t len,
                    size_t *ret_len)
{
    struct log_event *e = event(text, len);
    char *out = malloc(log_format_room(e) + 1);

    assert_non_null(out);
    *ret_len = put(out, e);
    assert_true(*ret_len <= log_format_room(e));
    out[*ret_len] = 0;
    free(e);
    return out;
}

static void test_text(void **state)
{
    size_t len;
    char *out = format(log_format_text, "a line", 6, &len);

    (void)state;
    assert_string_equal(out, "2001-09-09 01:46:40.123 [warning] a line\n");
    free(out);
}

static void test_json(void **state)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"a line", "a line"},
        {"a \"b\" \\ c\nd\te", "a \\u0022b\\u0022 \\u005c c\\nd\\u0009e"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x87", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x87"},
        {"\xc3", "\\ufffd"},
        {"\xc0\x80\xff", "\\ufffd\\ufffd\\ufffd"},            /* overlong, and never a byte */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},            /* a surrogate */
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* beyond the last one */
        {"\x01\x7f", "\\u0001\x7f"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t len;
        char want[256], *out = format(log_format_json, rows[i].text, strlen(rows[i].text), &len);

        snprintf(want, sizeof(want),
                 "{\"time\":\"2001-09-09T01:46:40.123Z\",\"level\":\"warning\",\"category\":"
                 "\"queue\",\"msg\":\"%s\"}\n",
                 rows[i].json);
        assert_string_equal(out, want);
        free(out);
    }
}

/* The worst that a text can become fits into what log_format_room says. */
static void test_room(void **state)
{
    char all[4096];
    size_t len;

    (void)state;
    memset(all, 1, sizeof(all));
    free(format(log_format_json, all, sizeof(all), &len));
    assert_true(len > 6 * sizeof(all));
    memset(all, 0xff, sizeof(all));
    free(format(log_format_json, all, sizeof(all), &len));
    free(format(log_format_json, all, 0, &len));
    free(format(log_format_journal, all, 0, &len));
}

static void test_journal(void **state)
{
    static const char head[] =
        "PRIORITY=4\nSYSLOG_IDENTIFIER=warren\nWARREN_CATEGORY=queue\nMESSAGE\n"
        "\x03\0\0\0\0\0\0\0"
        "a\nb\n";
    size_t len;
    char *out = format(log_format_journal, "a\nb", 3, &len);

    (void)state;
    assert_int_equal(len, sizeof(head) - 1);
    assert_memory_equal(out, head, len);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
