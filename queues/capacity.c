#include "queues/capacity.h"

/* Bit 0: is able; 20 bits: the mean; the rest: the time in 16 us, enough for four years. */
enum { MEAN_BITS = 20, MEAN_ONE = (1 << MEAN_BITS) - 1, TIME_AT = 1 + MEAN_BITS, GRAIN_US = 16 };

/* What is left of one after so many seconds, halved in each: 2^-s, to four digits. */
static double left_after(double s)
{
    int whole = s < 30 ? (int)s : 30;
    double part = s < 30 ? s - whole : 0;

    return (1 - part * (0.69315 - part * (0.24023 - part * (0.05550 - part * 0.00962)))) /
           (double)(1 << whole);
}

static double mean_now(const struct capacity *c, uint64_t now_us)
{
    double to = c->is_able ? 1 : 0;
    double left = left_after(now_us > c->at_us ? (double)(now_us - c->at_us) / 1e6 : 0);

    return to + (c->mean - to) * left;
}

uint64_t capacity_set(struct capacity *c, bool is_able, uint64_t now_us)
{
    *c = (struct capacity){mean_now(c, now_us), now_us, is_able};
    return now_us / GRAIN_US << TIME_AT | (uint64_t)(c->mean * MEAN_ONE + 0.5) << 1 | is_able;
}

double capacity_read(uint64_t word, uint64_t now_us)
{
    const struct capacity c = {.mean = (double)(word >> 1 & MEAN_ONE) / MEAN_ONE,
                               .at_us = (word >> TIME_AT) * GRAIN_US,
                               .is_able = word & 1};

    return mean_now(&c, now_us);
}
