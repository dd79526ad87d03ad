/*
 * slice_names.c - the names that clients use, what bindings and messages look like, and which of
 * them match: by the rules of the protocol (0-9-1 3.1.3) as plainly as they can be said, and with
 * nothing of the broker's.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/codec/props.h"
#include "amqp/codec/table.h"
#include "tests/sim/sim.h"
#include "tests/sim/slice.h"

static const char *const queue_names[N_QUEUES] = {"d0", "d1", "d2", "d3", "t0", "t1", "a0", "e0"};

/* Alternates make a ring with bindings between exchanges, and one may be missing. */
const struct exchange_spec slice_exchanges[N_EXCHANGES] = {
    {.name = "", .type = EX_DIRECT, .durable = true},
    {.name = "amq.direct", .type = EX_DIRECT, .durable = true},
    {.name = "xd", .type = EX_DIRECT, .durable = true, .alternate = 4},
    {.name = "xt", .type = EX_DIRECT},
    {.name = "xf", .type = EX_FANOUT, .durable = true},
    {.name = "xp", .type = EX_TOPIC, .durable = true, .alternate = 3},
    {.name = "xh", .type = EX_HEADERS, .durable = true, .alternate = 2},
    {.name = "xi", .type = EX_FANOUT, .durable = true, .internal = true},
    {.name = "xa", .type = EX_TOPIC, .auto_delete = true},
    {.name = "xb", .type = EX_DIRECT, .durable = true, .auto_delete = true},
};

const char *const slice_types[] = {"direct", "fanout", "topic", "headers"};
const char *const slice_keys[N_KEYS] = {"k0", "k1", "k0.k1", "k1.k0.k1", "", "k1."};
static const char *const topics[N_PATTERNS] = {"k0", "*.k1", "#", "k1.#", "#.k1", "*"};

/* The arguments of bindings to headers exchanges; bits as those of messages. */
enum { HAS_A = 1, HAS_B = 2, HAS_X = 4 };
static const struct {
    const char *x_match; /* NULL: not said */
    uint8_t wants;
} arguments[N_PATTERNS] = {
    {NULL, 0},      {"all", HAS_A | HAS_B},        {"any", HAS_A | HAS_B},
    {"any", HAS_X}, {"all-with-x", HAS_A | HAS_X}, {"any-with-x", HAS_B | HAS_X},
};

const char *slice_queue(int queue)
{
    return queue == SERVER_NAMED_QUEUE ? slice.server_name[slice.n_server_names]
                                       : queue_names[queue];
}

const char *slice_key_of(const struct message *m, int key)
{
    if (m->exchange != 0)
        return slice_keys[key];
    return key == SERVER_NAMED_QUEUE ? slice.server_name[m->name] : queue_names[key];
}

const char *slice_pattern(int exchange, int pattern)
{
    return slice_exchanges[exchange].type == EX_TOPIC ? topics[pattern] : slice_keys[pattern];
}

/* Words are what lies between dots; no text has no words. */
static bool topic_matches(const char *pattern, const char *key)
{
    size_t n = pattern ? strcspn(pattern, ".") : 0, k = key ? strcspn(key, ".") : 0;
    const char *next = pattern && pattern[n] ? pattern + n + 1 : NULL;
    const char *rest = key && key[k] ? key + k + 1 : NULL;

    if (!pattern)
        return !key;
    if (n == 1 && *pattern == '#')
        return topic_matches(next, key) || (key && topic_matches(pattern, rest));
    if (!key)
        return false;
    if (n == 1 && *pattern == '*')
        return topic_matches(next, rest);
    return n == k && strncmp(pattern, key, n) == 0 && topic_matches(next, rest);
}

static bool headers_match(int pattern, uint8_t headers)
{
    const char *how = arguments[pattern].x_match ? arguments[pattern].x_match : "all";
    uint8_t wants = arguments[pattern].wants;

    if (!strstr(how, "-with-x"))
        wants &= (uint8_t)~HAS_X;
    return strncmp(how, "any", 3) == 0 ? (wants & headers) != 0 : (wants & headers) == wants;
}

static bool key_matches(enum slice_type type, int pattern, const char *key)
{
    if (type == EX_TOPIC)
        return topic_matches(topics[pattern], *key ? key : NULL);
    return type == EX_FANOUT || strcmp(slice_keys[pattern], key) == 0;
}

/* Whether any of the message's keys does, or its headers. */
bool slice_matches(enum slice_type type, int pattern, const struct message *m)
{
    if (type == EX_HEADERS)
        return headers_match(pattern, m->headers);
    return key_matches(type, pattern, slice_key_of(m, m->key)) ||
           (m->cc >= 0 && key_matches(type, pattern, slice_key_of(m, m->cc))) ||
           (m->bcc >= 0 && key_matches(type, pattern, slice_key_of(m, m->bcc)));
}

static void put_three(struct ftable_builder *b, uint8_t which)
{
    if (which & HAS_A)
        ftable_put_int(b, "a", 1);
    if (which & HAS_B)
        ftable_put_string(b, "b", "x");
    if (which & HAS_X)
        ftable_put_bool(b, "x-y", true);
}

static struct amqp_bytes finish(struct ftable_builder *b)
{
    struct amqp_bytes table;

    if (ftable_finish(b, &table) < 0)
        sim_fail("simulation", "a table");
    return table;
}

struct amqp_bytes slice_binding_args(int exchange, int pattern, uint8_t buf[PROPS_MAX])
{
    struct ftable_builder b;

    ftable_build(&b, buf, PROPS_MAX);
    if (slice_exchanges[exchange].type == EX_HEADERS) {
        if (arguments[pattern].x_match)
            ftable_put_string(&b, "x-match", arguments[pattern].x_match);
        put_three(&b, arguments[pattern].wants);
    }
    return finish(&b);
}

struct amqp_bytes slice_exchange_args(int exchange, uint8_t buf[PROPS_MAX])
{
    struct ftable_builder b;

    ftable_build(&b, buf, PROPS_MAX);
    if (slice_exchanges[exchange].alternate)
        ftable_put_string(&b, "alternate-exchange",
                          slice_exchanges[slice_exchanges[exchange].alternate].name);
    return finish(&b);
}

static void put_keys(struct ftable_builder *b, const char *name, const char *key)
{
    ftable_open_array(b, name);
    ftable_put_string(b, NULL, key);
    ftable_end(b);
}

/* The message's number is its id. Who gets it does not see BCC; one that is returned has it. */
uint32_t slice_props(const struct message *m, bool with_bcc, uint8_t out[PROPS_MAX])
{
    uint8_t id[4], table[PROPS_MAX];
    struct amqp_props p = {.flags = prop_flag(PROP_DELIVERY_MODE) | prop_flag(PROP_MESSAGE_ID),
                           .delivery_mode = m->persistent ? 2 : 1,
                           .message_id = amqp_bytes(id, sizeof(id))};
    struct ftable_builder b;
    ssize_t n;

    put_u32(id, m->uid);
    ftable_build(&b, table, sizeof(table));
    put_three(&b, m->headers);
    if (m->cc >= 0)
        put_keys(&b, "CC", slice_key_of(m, m->cc));
    if (m->bcc >= 0 && with_bcc)
        put_keys(&b, "BCC", slice_key_of(m, m->bcc));
    p.headers = finish(&b);
    if (m->headers || m->cc >= 0 || m->bcc >= 0)
        p.flags |= prop_flag(PROP_HEADERS);
    n = props_encode(&p, out, PROPS_MAX);
    if (n < 0)
        sim_fail("simulation", "properties: %zd", n);
    return (uint32_t)n;
}
