/*
 * rt_ledger.c - the numbered messages of each pair of actors, and the calls they belong to.
 */
#include "tests/sim/rt_ledger.h"

#include <string.h>

#include "broker/runtime/u64map.h"
#include "tests/sim/rt_model.h"

struct pair {
    uint32_t from, to;
    uint32_t seen;
    uint32_t n, cap;
    uint32_t *call; /* of message number i + 1: the call it answers, 0: none */
};

static struct {
    struct u64map index; /* from, to -> place in pair */
    struct pair *pair;
    uint32_t n_pairs, cap_pairs;
    struct call **call;
    uint32_t n_calls, cap_calls;
} le;

void ledger_init(void)
{
    memset(&le, 0, sizeof(le));
    u64map_init(&le.index, realloc, free);
}

void ledger_fini(void)
{
    for (uint32_t i = 0; i < le.n_pairs; i++)
        free(le.pair[i].call);
    for (uint32_t i = 0; i < le.n_calls; i++)
        free(le.call[i]);
    free(le.pair);
    free(le.call);
    u64map_fini(&le.index);
    memset(&le, 0, sizeof(le));
}

static struct pair *pair_of(uint32_t from, uint32_t to)
{
    uint64_t key = (uint64_t)from << 32 | to;
    uint64_t *at = u64map_get(&le.index, key);

    if (at)
        return &le.pair[*at];
    GROW(le.pair, le.n_pairs, le.cap_pairs);
    le.pair[le.n_pairs] = (struct pair){.from = from, .to = to};
    u64map_put(&le.index, key, le.n_pairs);
    return &le.pair[le.n_pairs++];
}

uint32_t model_sent(uint32_t from, uint32_t to, uint32_t call)
{
    struct pair *p = pair_of(from, to);

    GROW(p->call, p->n, p->cap);
    p->call[p->n++] = call;
    return p->n;
}

uint32_t ledger_count(uint32_t from, uint32_t to)
{
    return pair_of(from, to)->n;
}

uint32_t ledger_seen(uint32_t from, uint32_t to)
{
    return pair_of(from, to)->seen;
}

static void check_pair(struct pair *p, uint32_t through, const char *invariant)
{
    for (uint32_t seq = p->seen + 1; seq <= through; seq++) {
        uint32_t call = p->call[seq - 1];

        if (call == 0 || !model_call(call)->finished)
            sim_fail(invariant, "message %u from %u to %u is missing", seq, p->from, p->to);
    }
}

void ledger_check_through(uint32_t from, uint32_t to, uint32_t seq)
{
    struct pair *p = pair_of(from, to);

    check_pair(p, seq < p->n ? seq : p->n, "order");
}

void ledger_check_all(void)
{
    for (uint32_t i = 0; i < le.n_pairs; i++)
        if (!model_actor(le.pair[i].to)->gone)
            check_pair(&le.pair[i], le.pair[i].n, "all arrives");
}

void model_seen(uint32_t from, uint32_t to, uint32_t seq)
{
    struct pair *p = pair_of(from, to);

    if (seq <= p->seen || seq > p->n)
        sim_fail("order", "message %u from %u to %u comes after %u", seq, from, to, p->seen);
    check_pair(p, seq - 1, "order");
    p->seen = seq;
}

uint32_t model_new_call(uint32_t caller, uint32_t callee)
{
    struct call *c = calloc(1, sizeof(*c));

    if (!c)
        sim_fail("simulation", "no memory");
    GROW(le.call, le.n_calls, le.cap_calls);
    le.call[le.n_calls++] = c;
    *c = (struct call){.caller = caller, .holder = callee};
    return le.n_calls;
}

struct call *model_call(uint32_t call)
{
    if (call == 0 || call > le.n_calls)
        sim_fail("simulation", "no call %u", call);
    return le.call[call - 1];
}
