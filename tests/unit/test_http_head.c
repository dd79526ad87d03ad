/*
 * test_http_head.c - heads of requests that all readers understand alike, and others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <sys/queue.h>

#include "mgmt/http_head.h"

enum { MAX_LINES = 4 };

struct head {
    const char *line[MAX_LINES][2];
    bool is_clear; /* as HTTP/1.1 */
};

static const struct head heads[] = {
    {{{"Host", "x"}}, true},
    {{{"hOST", ""}, {"X!#$%&'*+-.^_`|~1", " any\x80 \t"}}, true},
    {{{"Host", "x"}, {"Content-Length", "2"}, {"Authorization", "a"}}, true},
    {{{"Host", "x"}, {"Transfer-Encoding", "CHUNKED"}}, true},
    {{{NULL, NULL}}, false},
    {{{"Host", "x"}, {"host", "x"}}, false},
    {{{"Host", "x"}, {"Authorization", "a"}, {"authorization", "a"}}, false},
    {{{"Host", "x"}, {"", "a"}}, false},
    {{{"Host", "x"}, {"A B", "a"}}, false},
    {{{"Host", "x"}, {"A ", "a"}}, false},
    {{{"Host", "x"}, {"A\x80", "a"}}, false},
    {{{"Host", "x"}, {"Content-Length", ""}}, false},
    {{{"Host", "x"}, {"Content-Length", " 2"}}, false},
    {{{"Host", "x"}, {"Content-Length", "+2"}}, false},
    {{{"Host", "x"}, {"Content-Length", "2, 2"}}, false},
    {{{"Host", "x"}, {"Content-Length", "2"}, {"content-length", "2"}}, false},
    {{{"Host", "x"}, {"Content-Length", "2"}, {"Transfer-Encoding", "chunked"}}, false},
    {{{"Host", "x"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, false},
    {{{"Host", "x"}, {"Transfer-Encoding", "gzip, chunked"}}, false},
    {{{"Host", "x"}, {"Transfer-Encoding", "\vchunked"}}, false},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        struct evkeyval line[MAX_LINES];
        struct evkeyvalq q;

        TAILQ_INIT(&q);
        for (int n = 0; n < MAX_LINES && heads[i].line[n][0]; n++) {
            line[n].key = (char *)heads[i].line[n][0];
            line[n].value = (char *)heads[i].line[n][1];
            TAILQ_INSERT_TAIL(&q, &line[n], next);
        }
        if (http_head_is_clear(&q, true) != heads[i].is_clear)
            fail_msg("head %zu", i);
    }
}

static void test_old_version(void **state)
{
    struct evkeyvalq q;

    (void)state;
    TAILQ_INIT(&q);
    assert_true(http_head_is_clear(&q, false));
    assert_false(http_head_is_clear(&q, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_old_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
