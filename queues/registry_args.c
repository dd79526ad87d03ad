/*
 * What a declare may say.
 */
#include "queues/registry_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/runtime/blob.h"
#include "queues/headers.h"
#include "queues/topic.h"

uint16_t refuse(struct refusal *ret, uint16_t code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(ret->text, sizeof(ret->text), fmt, args);
    va_end(args);
    ret->code = code;
    return code;
}

bool is_name_empty(const struct blob *name)
{
    return !name || blob_size(name) == 0;
}

bool is_name_reserved(const struct blob *name)
{
    return blob_size(name) >= 4 && memcmp(blob_bytes(name), "amq.", 4) == 0;
}

const char *name_text(char out[256], const struct blob *name)
{
    size_t n = name ? blob_size(name) : 0;

    if (n > 255)
        n = 255;
    if (n)
        memcpy(out, blob_bytes(name), n);
    out[n] = 0;
    return out;
}

static struct amqp_bytes view(const struct blob *b)
{
    return b ? amqp_bytes(blob_bytes(b), blob_size(b)) : amqp_bytes(NULL, 0);
}

/* Each argument that RabbitMQ's queues know, and what its value may be. */
enum arg_kind { ARG_INT, ARG_STRING, ARG_BOOL, ARG_AGE, ARG_TYPE, ARG_OVERFLOW, ARG_MODE };

struct arg_rule {
    const char *name;
    enum arg_kind kind;
    int64_t min, max;
};

static const struct arg_rule arg_rules[] = {
    {"x-message-ttl", ARG_INT, 0, 4294967295000},
    {"x-expires", ARG_INT, 1, 4294967295000},
    {"x-max-length", ARG_INT, 0, INT64_MAX},
    {"x-max-length-bytes", ARG_INT, 0, INT64_MAX},
    {"x-max-priority", ARG_INT, 0, 255},
    {"x-delivery-limit", ARG_INT, -1, INT64_MAX},
    {"x-consumer-timeout", ARG_INT, 1, INT64_MAX},
    {"x-dead-letter-exchange", ARG_STRING, 0, 0},
    {"x-dead-letter-routing-key", ARG_STRING, 0, 0},
    {"x-single-active-consumer", ARG_BOOL, 0, 0},
    {"x-overflow", ARG_OVERFLOW, 0, 0},
    {"x-queue-type", ARG_TYPE, 0, 0},
    {"x-queue-mode", ARG_MODE, 0, 0},
    {"x-queue-version", ARG_INT, 1, 2},
    {"x-max-age", ARG_AGE, 0, 0},
};
enum { N_ARG_RULES = sizeof(arg_rules) / sizeof(*arg_rules) };

static bool is_string(const struct ftable_value *v, const char *text)
{
    return v->type == 'S' && v->bytes.len == strlen(text) &&
           memcmp(v->bytes.p, text, v->bytes.len) == 0;
}

static bool is_one_of(const struct ftable_value *v, const char *const *texts)
{
    for (; *texts; texts++) {
        if (is_string(v, *texts))
            return true;
    }
    return false;
}

/* One or more digits and one unit of YMDhms. */
static bool is_age(const struct ftable_value *v)
{
    uint32_t i = 0;

    if (v->type != 'S')
        return false;
    while (i < v->bytes.len && v->bytes.p[i] >= '0' && v->bytes.p[i] <= '9')
        i++;
    return i > 0 && i + 1 == v->bytes.len && strchr("YMDhms", v->bytes.p[i]) && v->bytes.p[i];
}

/* NULL when the value will do, else why not, in RabbitMQ's words. */
static const char *arg_fault(const struct arg_rule *rule, const struct ftable_value *v)
{
    static const char *const overflows[] = {"drop-head", "reject-publish", "reject-publish-dlx",
                                            NULL};
    static const char *const types[] = {"classic", "quorum", "stream", NULL};
    static const char *const modes[] = {"default", "lazy", NULL};

    switch (rule->kind) {
    case ARG_INT:
        if (!ftable_is_int(v))
            return "unacceptable_type";
        if (v->i >= rule->min && v->i <= rule->max)
            return NULL;
        return v->i > rule->max ? "value_too_large" : v->i == 0 ? "value_zero" : "value_negative";
    case ARG_STRING:
        return v->type == 'S' ? NULL : "unacceptable_type";
    case ARG_BOOL:
        return v->type == 't' ? NULL : "unacceptable_type";
    case ARG_AGE:
        return is_age(v) ? NULL : "invalid_max_age";
    case ARG_OVERFLOW:
        return is_one_of(v, overflows) ? NULL : "invalid_overflow";
    case ARG_TYPE:
        return is_one_of(v, types) ? NULL : "invalid_queue_type";
    case ARG_MODE:
        return is_one_of(v, modes) ? NULL : "invalid_queue_mode";
    }
    return NULL;
}

uint16_t check_queue_args(const char *vhost, const struct blob *name, const struct blob *args,
                          struct refusal *ret)
{
    struct amqp_bytes table = view(args), unused;
    struct ftable_value v;
    const char *fault;
    char text[256];

    if (ftable_validate(table) < 0)
        return refuse(ret, 501, "arguments are no field table");
    for (size_t i = 0; i < N_ARG_RULES; i++) {
        if (ftable_lookup(table, arg_rules[i].name, &v) != 1)
            continue;
        fault = arg_fault(&arg_rules[i], &v);
        if (fault)
            return refuse(ret, 406, "invalid arg '%s' for queue '%s' in vhost '%s': %s",
                          arg_rules[i].name, name_text(text, name), vhost, fault);
    }
    if (ftable_lookup(table, "x-queue-type", &v) == 1 && is_string(&v, "stream"))
        return refuse(ret, 540, "queue type 'stream' is not implemented");
    if (ftable_get_string(table, "x-dead-letter-routing-key", &unused) == 1 &&
        ftable_get_string(table, "x-dead-letter-exchange", &unused) != 1)
        return refuse(ret, 406,
                      "invalid arg 'x-dead-letter-routing-key' for queue '%s' in vhost '%s': "
                      "routing_key_but_no_dlx_defined",
                      name_text(text, name), vhost);
    return 0;
}

uint16_t check_queue_quorum(const char *vhost, const struct blob *name, const struct blob *args,
                            uint32_t flags, bool is_made, struct refusal *ret)
{
    const char *fault = flags & CELL_EXCLUSIVE     ? "exclusive-owner"
                        : flags & CELL_AUTO_DELETE ? "auto-delete"
                        : !(flags & CELL_DURABLE)  ? "non-durable"
                                                   : NULL;
    struct ftable_value v;
    char text[256];

    if (ftable_lookup(view(args), "x-queue-type", &v) != 1 || !is_string(&v, "quorum"))
        return 0;
    if (is_made)
        return refuse(ret, 406, "cannot declare a server-named queue of type quorum");
    if (!fault)
        return 0;
    return refuse(ret, 406, "invalid property '%s' for queue '%s' in vhost '%s'", fault,
                  name_text(text, name), vhost);
}

/* "arg 'durable' ...: received 'true' but current is 'false'", of queues and exchanges alike. */
static uint16_t inequivalent(struct refusal *ret, const struct cell *c, const char *arg,
                             const char *got, const char *is)
{
    return refuse(ret, 406,
                  "inequivalent arg '%s' for %s '%s' in vhost '%s': received '%s' but current is "
                  "'%s'",
                  arg, c->kind == CELL_QUEUE ? "queue" : "exchange", cell_name(c), cell_vhost(c),
                  got, is);
}

static uint16_t compare_flag(struct refusal *ret, const struct cell *c, uint32_t flags,
                             uint32_t flag, const char *arg)
{
    bool got = flags & flag, is = c->flags & flag;

    return got == is ? 0 : inequivalent(ret, c, arg, got ? "true" : "false", is ? "true" : "false");
}

static void value_text(char *out, size_t size, int found, const struct ftable_value *v)
{
    if (found != 1)
        snprintf(out, size, "none");
    else if (v->type == 'S')
        snprintf(out, size, "%.*s", (int)(v->bytes.len < 60 ? v->bytes.len : 60),
                 (const char *)v->bytes.p);
    else if (v->type == 't')
        snprintf(out, size, "%s", v->b ? "true" : "false");
    else if (ftable_is_int(v))
        snprintf(out, size, "%lld", (long long)v->i);
    else
        snprintf(out, size, "a value of type '%c'", v->type);
}

static uint16_t compare_arg(struct refusal *ret, const struct cell *c, const struct blob *args,
                            const char *name)
{
    struct ftable_value a, b;
    int has_a = ftable_lookup(view(args), name, &a), has_b = ftable_lookup(view(c->args), name, &b);
    char got[64], is[64];

    if (has_a != 1 && has_b != 1)
        return 0;
    if (!strcmp(name, "x-queue-type")) { /* a missing one means classic */
        if ((has_a != 1 && is_string(&b, "classic")) || (has_b != 1 && is_string(&a, "classic")))
            return 0;
    }
    if (has_a == 1 && has_b == 1 && ftable_value_equal(&a, &b))
        return 0;
    value_text(got, sizeof(got), has_a, &a);
    value_text(is, sizeof(is), has_b, &b);
    return inequivalent(ret, c, name, got, is);
}

uint16_t check_queue_equivalence(const struct cell *q, uint32_t flags, const struct blob *args,
                                 struct refusal *ret)
{
    uint16_t code;

    /* Durable and exclusive is exclusive; either durable flag agrees with it. */
    if (!(flags & CELL_EXCLUSIVE && q->flags & CELL_EXCLUSIVE)) {
        code = compare_flag(ret, q, flags, CELL_DURABLE, "durable");
        if (code)
            return code;
    }
    code = compare_flag(ret, q, flags, CELL_EXCLUSIVE, "exclusive");
    if (!code)
        code = compare_flag(ret, q, flags, CELL_AUTO_DELETE, "auto_delete");
    for (size_t i = 0; i < N_ARG_RULES && !code; i++)
        code = compare_arg(ret, q, args, arg_rules[i].name);
    return code;
}

static const char *const type_names[] = {"direct", "fanout", "topic", "headers"};

const char *exchange_type_name(enum exchange_type type)
{
    return type_names[type];
}

uint16_t exchange_type_of(const struct blob *name, enum exchange_type *ret_type,
                          struct refusal *ret)
{
    char text[256];

    name_text(text, name);
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, type_names[i]))
            continue;
        *ret_type = (enum exchange_type)i;
        return 0;
    }
    return refuse(ret, 406, "unknown exchange type '%s'", text);
}

uint16_t check_exchange_equivalence(const struct cell *x, enum exchange_type type, uint32_t flags,
                                    const struct blob *args, struct refusal *ret)
{
    uint16_t code;

    if (x->type != type)
        return inequivalent(ret, x, "type", type_names[type], type_names[x->type]);
    code = compare_flag(ret, x, flags, CELL_DURABLE, "durable");
    if (!code)
        code = compare_flag(ret, x, flags, CELL_AUTO_DELETE, "auto_delete");
    if (!code)
        code = compare_flag(ret, x, flags, CELL_INTERNAL, "internal");
    if (!code)
        code = compare_arg(ret, x, args, "alternate-exchange");
    return code;
}

uint16_t check_exchange_args(const char *vhost, const struct blob *name, const struct blob *args,
                             struct refusal *ret)
{
    struct ftable_value v;
    char text[256];

    if (ftable_validate(view(args)) < 0)
        return refuse(ret, 501, "arguments are no field table");
    if (ftable_lookup(view(args), "alternate-exchange", &v) == 1 && v.type != 'S')
        return refuse(ret, 406,
                      "invalid arg 'alternate-exchange' for exchange '%s' in vhost '%s': its value "
                      "is no string",
                      name_text(text, name), vhost);
    return 0;
}

uint16_t check_binding(const struct cell *source, const struct blob *key, const struct blob *args,
                       struct refusal *ret)
{
    enum headers_mode mode;

    if (key && blob_size(key) > TOPIC_KEY_MAX)
        return refuse(ret, 406, "binding key is longer than %d bytes", TOPIC_KEY_MAX);
    if (source->type == EXCHANGE_HEADERS && !headers_mode_of(view(args), &mode))
        return refuse(ret, 406,
                      "invalid arg 'x-match' for binding to exchange '%s' in vhost '%s': expected "
                      "all, any, all-with-x or any-with-x",
                      cell_name(source), cell_vhost(source));
    return 0;
}
