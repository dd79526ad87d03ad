/*
 * Random inputs for the codec's property tests: a seeded generator, and field tables made with it.
 * The seed is printed; WARREN_SEED replays one.
 */
#ifndef TESTS_UNIT_CODEC_GEN_H
#define TESTS_UNIT_CODEC_GEN_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "amqp/codec/table.h"

static uint64_t gen_state;

static inline void gen_seed(const char *test)
{
    const char *given = getenv("WARREN_SEED");
    struct timespec now;
    uint64_t seed;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000007u + now.tv_nsec;
    printf("%s: WARREN_SEED=%llu\n", test, (unsigned long long)seed);
    gen_state = seed * 2 + 1; /* never 0 */
}

static inline uint64_t gen_u64(void)
{
    gen_state ^= gen_state << 13;
    gen_state ^= gen_state >> 7;
    gen_state ^= gen_state << 17;
    return gen_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 .. n - 1 */
static inline size_t gen_below(size_t n)
{
    return (size_t)((gen_u64() >> 16) % n);
}

/* Numbers near the edges of their types as often as any others. */
static inline uint64_t gen_number(void)
{
    static const uint64_t edges[] = {
        0,          1,          0x7f,       0x80,      0xff,      0x7fff,     0x8000, 0xffff,
        0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, INT64_MIN, UINT64_MAX, 1000,   1000000};

    return gen_below(2) ? edges[gen_below(sizeof(edges) / sizeof(edges[0]))] : gen_u64();
}

static inline void gen_fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)gen_u64();
}

/* Bytes of one static pool, valid for ever: letters, so that they are UTF-8. */
static inline struct amqp_bytes gen_text(size_t max_len)
{
    static uint8_t pool[4096];

    if (!pool[0])
        for (size_t i = 0; i < sizeof(pool); i++)
            pool[i] = (uint8_t)('a' + i * 7 % 26);
    return amqp_bytes(pool + gen_below(sizeof(pool) - max_len), gen_below(max_len + 1));
}

static inline void gen_scalar(struct ftable_value *v)
{
    static const char types[] = "tbBsuIilfdDSxTV";

    *v = (struct ftable_value){.type = types[gen_below(sizeof(types) - 1)]};
    switch (v->type) {
    case 't':
        v->b = gen_below(2);
        break;
    case 'b':
        v->i = (int8_t)gen_number();
        break;
    case 'B':
        v->i = (uint8_t)gen_number();
        break;
    case 's':
        v->i = (int16_t)gen_number();
        break;
    case 'u':
        v->i = (uint16_t)gen_number();
        break;
    case 'i':
        v->i = (uint32_t)gen_number();
        break;
    case 'I':
    case 'D':
        v->i = (int32_t)gen_number();
        v->scale = v->type == 'D' ? (uint8_t)gen_number() : 0;
        break;
    case 'f':
        v->d = (double)((float)(int32_t)gen_number() / 16);
        break;
    case 'd':
        v->d = (double)(int64_t)gen_number() / 16;
        break;
    case 'S':
    case 'x':
        v->bytes = gen_text(20);
        break;
    default: /* l and T; V has none */
        v->i = (int64_t)gen_number();
        break;
    }
}

/* Adds up to 6 entries to what is open in b, nested ones down to `depth` levels. */
static inline void gen_entries(struct ftable_builder *b, bool in_array, unsigned depth)
{
    char key[24];

    for (size_t n = gen_below(7); n > 0; n--) {
        struct ftable_value v;

        (void)snprintf(key, sizeof(key), "k%zu", gen_below(1000));
        if (depth == 0 || gen_below(4)) {
            gen_scalar(&v);
            ftable_put(b, in_array ? NULL : key, &v);
            continue;
        }
        if (gen_below(2)) {
            ftable_open_array(b, in_array ? NULL : key);
            gen_entries(b, true, depth - 1);
        } else {
            ftable_open_table(b, in_array ? NULL : key);
            gen_entries(b, false, depth - 1);
        }
        ftable_end(b);
    }
}

/* A random table in buf; empty when it would not fit. */
static inline struct amqp_bytes gen_table(uint8_t *buf, size_t cap, unsigned depth)
{
    struct amqp_bytes ret = {.p = buf};
    struct ftable_builder b;

    ftable_build(&b, buf, cap);
    gen_entries(&b, false, depth);
    if (ftable_finish(&b, &ret) != 0)
        ret.len = 0;
    return ret;
}

#endif
