#include "queues/policy_keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/access_pattern.h"

enum value_kind { VALUE_ANY, VALUE_TEXT, VALUE_COUNT, VALUE_POSITIVE, VALUE_LIMIT, VALUE_WORD };

struct key {
    const char *name, *what; /* what: as a refusal calls its value */
    enum value_kind kind;
    bool by_operator;     /* an operator's policy may have it */
    const char *words[4]; /* of VALUE_WORD */
};

static const struct key keys[] = {
    {"alternate-exchange", "alternate exchange name", VALUE_TEXT, false, {0}},
    {"consumer-disconnected-timeout", "consumer disconnected timeout", VALUE_POSITIVE, false, {0}},
    {"consumer-timeout", "consumer timeout", VALUE_POSITIVE, false, {0}},
    {"dead-letter-exchange", "dead letter exchange name", VALUE_TEXT, false, {0}},
    {"dead-letter-routing-key", "dead letter routing key", VALUE_TEXT, false, {0}},
    {"dead-letter-strategy",
     "dead letter strategy",
     VALUE_WORD,
     false,
     {"at-most-once", "at-least-once"}},
    {"delayed-retry-max", "delayed retry maximum", VALUE_COUNT, false, {0}},
    {"delayed-retry-min", "delayed retry minimum", VALUE_COUNT, false, {0}},
    {"delayed-retry-type",
     "delayed retry type",
     VALUE_WORD,
     false,
     {"disabled", "all", "failed", "returned"}},
    {"delivery-limit", "delivery limit", VALUE_LIMIT, true, {0}},
    {"expires", "queue expiry", VALUE_POSITIVE, true, {0}},
    {"federation-upstream", "federation upstream", VALUE_TEXT, false, {0}},
    {"federation-upstream-pattern", "federation upstream pattern", VALUE_TEXT, false, {0}},
    {"federation-upstream-set", "federation upstream set", VALUE_ANY, false, {0}},
    {"ha-mode", "ha-mode", VALUE_ANY, false, {0}},
    {"ha-params", "ha-params", VALUE_ANY, false, {0}},
    {"ha-promote-on-failure", "ha-promote-on-failure", VALUE_ANY, false, {0}},
    {"ha-promote-on-shutdown", "ha-promote-on-shutdown", VALUE_ANY, false, {0}},
    {"ha-sync-batch-size", "ha-sync-batch-size", VALUE_ANY, false, {0}},
    {"ha-sync-mode", "ha-sync-mode", VALUE_ANY, false, {0}},
    {"initial-cluster-size", "initial cluster size", VALUE_POSITIVE, false, {0}},
    {"max-age", "max age", VALUE_TEXT, false, {0}},
    {"max-in-memory-bytes", "maximum memory in bytes", VALUE_COUNT, true, {0}},
    {"max-in-memory-length", "maximum memory length", VALUE_COUNT, true, {0}},
    {"max-length", "maximum length", VALUE_COUNT, true, {0}},
    {"max-length-bytes", "maximum length in bytes", VALUE_COUNT, true, {0}},
    {"message-ttl", "message TTL", VALUE_COUNT, true, {0}},
    {"overflow",
     "overflow value",
     VALUE_WORD,
     true,
     {"drop-head", "reject-publish", "reject-publish-dlx"}},
    {"queue-leader-locator",
     "queue leader locator",
     VALUE_WORD,
     false,
     {"client-local", "balanced", "least-leaders", "random"}},
    {"queue-master-locator", "queue-master-locator value", VALUE_TEXT, false, {0}},
    {"queue-mode", "queue-mode value", VALUE_WORD, false, {"default", "lazy"}},
    {"queue-version", "queue-version value", VALUE_POSITIVE, true, {0}},
    {"stream-filter-size-bytes", "stream filter size", VALUE_POSITIVE, false, {0}},
    {"stream-max-segment-size-bytes", "maximum segment size in bytes", VALUE_POSITIVE, false, {0}},
    {"target-group-size", "target group size", VALUE_POSITIVE, true, {0}},
};
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

static const struct key *key_of(struct amqp_bytes name)
{
    for (int i = 0; i < N_KEYS; i++)
        if (amqp_bytes_is(name, keys[i].name))
            return &keys[i];
    return NULL;
}

static bool is_word(const struct key *k, const char *text)
{
    for (int i = 0; i < 4 && k->words[i]; i++)
        if (strcmp(k->words[i], text) == 0)
            return true;
    return false;
}

static bool is_right(const struct key *k, const json_t *v)
{
    switch (k->kind) {
    case VALUE_TEXT:
        return json_is_string(v);
    case VALUE_COUNT:
        return json_is_integer(v) && json_integer_value(v) >= 0;
    case VALUE_POSITIVE:
        return json_is_integer(v) && json_integer_value(v) > 0;
    case VALUE_LIMIT: /* -1: without end */
        return json_is_integer(v) && json_integer_value(v) >= -1;
    case VALUE_WORD:
        return json_is_string(v) && is_word(k, json_string_value(v));
    default:
        return true;
    }
}

__attribute__((format(printf, 3, 4))) static int refuse(char *out, size_t size, const char *fmt,
                                                        ...)
{
    int n = snprintf(out, size, "Validation failed\n\n");
    va_list args;

    va_start(args, fmt);
    if (n > 0 && (size_t)n < size)
        vsnprintf(out + n, size - (size_t)n, fmt, args);
    va_end(args);
    return -EINVAL;
}

static void value_text(const json_t *v, char *out, size_t size)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

    snprintf(out, size, json_is_string(v) ? "<<%.100s>>" : "%.100s", text ? text : "");
    free(text);
}

static int check_definition(const json_t *definition, unsigned flags, char *out, size_t size)
{
    const char *name;
    char value[128];
    json_t *v;

    if (!json_is_object(definition) || json_object_size(definition) == 0)
        return refuse(out, size, "no policy provided\n");
    json_object_foreach((json_t *)(uintptr_t)definition, name, v) {
        const struct key *k = key_of(amqp_str(name));

        value_text(v, value, sizeof(value));
        if ((!k && !(flags & POLICY_ANY_KEYS)) ||
            (k && (flags & POLICY_OPERATOR) && !k->by_operator))
            return refuse(out, size, "[{<<\"%.100s\">>,%s}] are not recognised policy settings\n",
                          name, value);
        if (k && !is_right(k, v))
            return refuse(out, size, "%s is not a valid %s\n", value, k->what);
    }
    return 0;
}

static int check_pattern(const json_t *v, char *out, size_t size)
{
    struct pattern *p;
    char value[128];

    value_text(v, value, sizeof(value));
    if (!json_is_string(v))
        return refuse(out, size, "pattern should be a binary but was %s\n", value);
    if (pattern_new(json_string_value(v), &p, value, sizeof(value)) < 0)
        return refuse(out, size, "pattern should be regular expression but is invalid: %s\n",
                      value);
    pattern_free(p);
    return 0;
}

int policy_apply_to_of(const char *text, enum policy_apply_to *ret)
{
    static const char *const names[] = {[POLICY_ALL] = "all",
                                        [POLICY_QUEUES] = "queues",
                                        [POLICY_EXCHANGES] = "exchanges",
                                        [POLICY_CLASSIC_QUEUES] = "classic_queues",
                                        [POLICY_QUORUM_QUEUES] = "quorum_queues",
                                        [POLICY_STREAMS] = "streams"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (text && strcmp(text, names[i]) != 0)
            continue;
        *ret = (enum policy_apply_to)i;
        return 0;
    }
    return -EINVAL;
}

int policy_check(const json_t *policy, unsigned flags, char *ret_text, size_t size)
{
    const json_t *priority = json_object_get(policy, "priority");
    const json_t *apply_to = json_object_get(policy, "apply-to");
    enum policy_apply_to to;
    char value[128];
    int r = check_pattern(json_object_get(policy, "pattern"), ret_text, size);

    if (r < 0)
        return r;
    value_text(apply_to, value, sizeof(value));
    if (apply_to &&
        (!json_is_string(apply_to) || policy_apply_to_of(json_string_value(apply_to), &to) < 0))
        return refuse(ret_text, size,
                      "apply-to %s unrecognised; should be one of: all, queues, exchanges, "
                      "classic_queues, quorum_queues, streams\n",
                      value);
    value_text(priority, value, sizeof(value));
    if (priority && !json_is_integer(priority))
        return refuse(ret_text, size, "priority should be a number, actually was %s\n", value);
    return check_definition(json_object_get(policy, "definition"), flags, ret_text, size);
}

bool policy_is_limit(struct amqp_bytes key)
{
    const struct key *k = key_of(key);

    return k && k->by_operator && k->kind != VALUE_WORD && !amqp_bytes_is(key, "queue-version");
}

/* -1, without end, is more than any number. */
static bool is_less(const struct ftable_value *a, const struct ftable_value *b)
{
    return ftable_is_int(a) && ftable_is_int(b) && a->i >= 0 && (b->i < 0 || a->i < b->i);
}

size_t policy_merge(struct amqp_bytes policy, struct amqp_bytes by_operator, uint8_t *buf,
                    size_t cap)
{
    struct ftable_iter it = ftable_begin(policy);
    struct ftable_value v, other;
    struct ftable_builder b;
    struct amqp_bytes key, ret = {0};

    ftable_build(&b, buf, cap);
    while (ftable_next(&it, &key, &v) == 1) {
        bool both = ftable_lookup_bytes(by_operator, key, &other) == 1;

        if (both && !(policy_is_limit(key) && is_less(&v, &other)))
            v = other;
        ftable_put_entry(&b, key, &v);
    }
    it = ftable_begin(by_operator);
    while (ftable_next(&it, &key, &v) == 1)
        if (ftable_lookup_bytes(policy, key, &other) != 1)
            ftable_put_entry(&b, key, &v);
    return ftable_finish(&b, &ret) < 0 ? 0 : ret.len;
}
