#include "broker/core/access_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

enum {
    TEXT_MAX = 8192,
    STEPS_MAX = 200000, /* some milliseconds */
    HEAP_MAX_KIB = 1024,
};

struct pattern {
    pcre2_code *code; /* NULL: matches all or nothing */
    bool is_all;
};

int pattern_new(const char *text, struct pattern **ret, char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct pattern *p;
    pcre2_code *code = NULL;
    PCRE2_UCHAR why[128];
    PCRE2_SIZE at;
    int error;

    if (strlen(text) > TEXT_MAX) {
        snprintf(ret_text, size, "the expression is longer than %d bytes", TEXT_MAX);
        return -EINVAL;
    }
    if (*text && strcmp(text, ".*")) {
        code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C,
                             &error, &at, NULL);
        if (!code) {
            pcre2_get_error_message(error, why, sizeof(why));
            snprintf(ret_text, size, "expression '%.100s', character %zu: %s", text, at + 1, why);
            return -EINVAL;
        }
    }
    p = rt_zalloc(sizeof(*p));
    p->code = code;
    p->is_all = !code && *text;
    *ret = p;
    return 0;
}

void pattern_free(struct pattern *p)
{
    RUNTIME_REGION();

    if (!p)
        return;
    if (p->code)
        pcre2_code_free(p->code);
    rt_free(p);
}

bool pattern_matches(const struct pattern *p, const void *bytes, size_t len)
{
    RUNTIME_REGION();
    pcre2_match_context *limits;
    pcre2_match_data *match;
    int r;

    if (!p->code)
        return p->is_all;
    limits = pcre2_match_context_create(NULL);
    match = pcre2_match_data_create(1, NULL);
    pcre2_set_match_limit(limits, STEPS_MAX);
    pcre2_set_heap_limit(limits, HEAP_MAX_KIB);
    r = pcre2_match(p->code, bytes, len, 0, 0, match, limits);
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    return r >= 0;
}
