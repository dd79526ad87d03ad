/*
 * supervisor_policy.c - restart or not, and how often.
 */
#include "broker/runtime/supervisor_policy.h"

bool sup_budget_take(struct sup_budget *b, uint64_t now_us)
{
    uint64_t oldest;

    if (b->limit == 0)
        return false;
    if (b->n < b->limit) {
        b->when[(b->head + b->n++) % b->limit] = now_us;
        return true;
    }
    oldest = b->when[b->head];
    b->when[b->head] = now_us;
    b->head = (b->head + 1) % b->limit;
    return now_us - oldest > b->period_us;
}

uint64_t sup_backoff_us(unsigned times)
{
    return (times < 6 ? UINT64_C(1) << times : 60) * 1000000;
}

static bool is_restarted(const struct sup_end *end)
{
    switch (end->restart) {
    case PERMANENT:
        return true;
    case TRANSIENT:
        return end->kind != EXIT_NORMAL && end->kind != EXIT_SHUTDOWN;
    default:
        return false;
    }
}

enum sup_verdict sup_judge(const struct sup_end *end, struct sup_budget *common,
                           struct sup_budget *own, uint64_t now_us)
{
    if (!is_restarted(end)) {
        if (end->is_significant)
            return SUP_END;
        return end->is_dynamic || end->restart == TEMPORARY ? SUP_FORGET : SUP_REST;
    }
    if (end->kind == EXIT_MOVED)
        return SUP_RESTART; /* planned: nobody's failure */
    if (!end->has_own_budget)
        return sup_budget_take(common, now_us) ? SUP_RESTART : SUP_GIVE_UP;
    if (end->is_on_probation || !sup_budget_take(own, now_us))
        return SUP_PARK;
    return SUP_RESTART;
}
