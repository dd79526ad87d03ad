/*
 * slice_facts.c - what a failure, a calm or an audit says of all messages and names at once.
 *
 * Invariants, by the names under which they fail:
 * 1. "confirmed lasts": what was confirmed, and that nobody asked to end, is found by the audit.
 * 2. "order": what one channel published lies in a queue in its order, whatever happened to it.
 * 3. what must be gone is not found; a copy is found once.
 */
#include <string.h>

#include "tests/sim/slice.h"
#include "tests/sim/sim.h"

static struct { /* of the queue that is being looked through */
    struct order order[4096];
    uint32_t n;
} seen;

static void forget_soft(struct copy *c)
{
    if (c->duty == DUTY_SOFT)
        c->duty = DUTY_NONE;
    if (c->gone_softly)
        c->gone_at = 0;
    c->gone_softly = false;
}

/* A process that may hold messages has failed: what lay in memory alone may be lost. */
void facts_of_queue_loss(void)
{
    for (uint32_t i = 1; i <= slice.n_messages; i++)
        for (int q = 0; q < N_QUEUES; q++)
            forget_soft(&slice.message[i].copy[q]);
    for (int q = 0; q < N_QUEUES; q++)
        slice.queue[q].is_unused = false; /* it may have forgotten that it had consumers */
}

static void all_over(void)
{
    for (uint32_t i = 1; i <= slice.n_messages; i++)
        slice.message[i].is_over = true;
}

static void queue_is_lost(int queue)
{
    slice.queue[queue].deleted_at = slice.queue[queue].changed_at = slice.stamp;
    for (uint32_t i = 1; i <= slice.n_messages; i++) {
        struct copy *c = &slice.message[i].copy[queue];

        c->duty = DUTY_NONE;
        if (c->is_possible && !c->gone_at) {
            c->gone_at = slice.stamp;
            c->gone = "deleted stays deleted";
        }
    }
}

void facts_of_program_loss(void)
{
    slice.stamp++;
    facts_of_queue_loss();
    all_over();
    for (int q = 0; q < N_QUEUES; q++) {
        if (!slice_is_durable(q))
            queue_is_lost(q);
        slice.queue[q].is_leaking = false;
        slice.queue[q].is_new = true;
    }
    topology_program_loss();
}

/* Nothing is under way any more, in the broker or to it. */
void facts_of_calm(void)
{
    all_over();
    for (uint32_t i = 1; i <= slice.n_messages; i++)
        for (int q = 0; q < N_QUEUES; q++)
            slice.message[i].copy[q].gone_softly = false;
    for (int q = 0; q < N_QUEUES; q++) {
        slice.queue[q].is_leaking = false;
        slice.queue[q].is_new = true; /* all connections are closed */
    }
    topology_calm();
}

void facts_audit_begin(void)
{
    slice.audit++;
    seen.n = 0;
}

static void check_place(int queue, const struct message *m)
{
    for (uint32_t i = 0; i < seen.n; i++) {
        if (seen.order[i].channel != m->channel)
            continue;
        if (seen.order[i].number >= m->number)
            sim_fail("order", "%s has number %u of channel %u behind %u", slice_queue(queue),
                     m->number, m->channel, seen.order[i].number);
        seen.order[i].number = m->number + (sim_is_planted("slice-overtake") ? 9 : 0);
        return;
    }
    if (seen.n == sizeof(seen.order) / sizeof(seen.order[0]))
        sim_fail("simulation", "too many channels");
    seen.order[seen.n++] = (struct order){m->channel, m->number};
}

/* Called for each message that the queue gives, in its order; model_delivered came before. */
void facts_audit_found(int queue, uint32_t uid)
{
    struct message *m = &slice.message[uid];
    struct copy *c = &m->copy[queue];

    if (c->found == slice.audit)
        sim_fail("one of each", "%s has message %u twice", slice_queue(queue), uid);
    c->found = slice.audit;
    check_place(queue, m);
    slice.did.found++;
}

/* All that the queue has was given: the rest is not there. From here on the model knows it all. */
void facts_audit_end(int queue)
{
    slice.stamp++;
    for (uint32_t i = 1; i <= slice.n_messages; i++) {
        struct message *m = &slice.message[i];
        struct copy *c = &m->copy[queue];

        if (c->found == slice.audit) {
            c->is_settled = false;
            c->is_sure = true;
            c->duty =
                m->persistent && slice_is_durable(queue) && !c->is_loose ? DUTY_HARD : DUTY_SOFT;
            continue;
        }
        if (c->duty != DUTY_NONE)
            sim_fail("confirmed lasts", "message %u (number %u of channel %u, %s) is not in %s", i,
                     m->number, m->channel, m->persistent ? "persistent" : "transient",
                     slice_queue(queue));
        c->is_sure = false;
        if (c->is_possible && !c->gone_at) {
            c->gone_at = slice.stamp;
            c->gone = "gone stays gone";
        }
    }
}
