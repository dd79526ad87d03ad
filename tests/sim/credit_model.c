/*
 * credit_model.c - the messages of all parties, and what is due of them.
 */
#include <string.h>

#include "amqp/codec/props.h"
#include "amqp/codec/table.h"
#include "broker/runtime/blob.h"
#include "tests/sim/credit.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

uint32_t credit_published(struct lane *l, uint32_t size, uint32_t props)
{
    struct credit_message *m;

    if (credit.n_messages == 0)
        credit.n_messages = 1;
    while (credit.n_messages >= credit.cap_messages)
        GROW(credit.message, credit.cap_messages, credit.cap_messages);
    m = &credit.message[credit.n_messages];
    *m = (struct credit_message){.size = size,
                                 .props = props,
                                 .lane = l->uid,
                                 .number = l->published,
                                 .queue = l->spec->is_unroutable ? NO_QUEUE : l->spec->to,
                                 .persistent = !l->spec->is_transient};
    return credit.n_messages++;
}

static void set_duty(struct credit_message *m, enum duty duty)
{
    if (m->queue >= 0)
        credit.due[m->queue] += (uint32_t)(duty != DUTY_NONE) - (uint32_t)(m->duty != DUTY_NONE);
    m->duty = duty;
}

void credit_confirmed(struct lane *l, uint32_t uid, bool nack)
{
    struct credit_message *m = &credit.message[uid];

    sim_note(nack ? "nacked" : "confirmed", uid, l->uid, 0);
    credit.did.confirms++;
    credit.progress_us = sim_now_us();
    if (nack && slice.failures == l->failures)
        sim_fail("nack has a cause", "message %u", uid);
    if (nack || m->queue < 0 || m->is_settled)
        return;
    if (m->persistent && m->queue < CREDIT_DURABLE)
        set_duty(m, DUTY_HARD);
    else if (slice.failures == l->failures)
        set_duty(m, DUTY_SOFT);
}

void credit_note_failures(void)
{
    credit.failures_seen = slice.failures;
    for (uint32_t i = 1; i < credit.n_messages; i++)
        if (credit.message[i].duty == DUTY_SOFT)
            set_duty(&credit.message[i], DUTY_NONE);
}

static void check_order(struct lane *l, uint8_t consumer, const struct credit_message *m)
{
    for (uint32_t i = 0; i < l->n_seen; i++) {
        struct lane_seen *s = &l->seen[i];

        if (s->lane != m->lane || s->consumer != consumer)
            continue;
        if (s->number >= m->number)
            sim_fail("order", "lane %u is given number %u of lane %u after %u", l->uid, m->number,
                     m->lane, s->number);
        s->number = m->number;
        return;
    }
    GROW(l->seen, l->n_seen, l->cap_seen);
    l->seen[l->n_seen++] = (struct lane_seen){m->lane, m->number, consumer};
}

void credit_delivered(struct lane *l, uint8_t consumer, uint32_t uid, bool redelivered)
{
    struct credit_message *m = &credit.message[uid];

    sim_note(redelivered ? "redelivered" : "delivered", uid, l->uid, consumer);
    credit.did.deliveries++;
    if (sim_is_planted("credit-hoard"))
        blob_count(16 << 20);
    credit.progress_us = sim_now_us();
    if (m->queue != l->spec->from[consumer])
        sim_fail("routing", "message %u comes from %s", uid,
                 credit_queue_name(l->spec->from[consumer]));
    if (redelivered)
        return;
    if (m->n_unflagged++ > 0)
        sim_fail("redelivered flag", "message %u comes twice without it", uid);
    check_order(l, consumer, m);
}

void credit_settled(uint32_t uid)
{
    credit.message[uid].is_settled = true;
    set_duty(&credit.message[uid], DUTY_NONE);
}

uint32_t credit_props(uint32_t uid, const struct credit_message *m, uint8_t *out, uint32_t size)
{
    struct amqp_props p = {.flags = prop_flag(PROP_DELIVERY_MODE) | prop_flag(PROP_MESSAGE_ID),
                           .delivery_mode = m->persistent ? 2 : 1};
    uint8_t id[4], table[4096 + 64], value[4096];
    struct ftable_builder b;
    ssize_t n;

    put_u32(id, uid);
    p.message_id = amqp_bytes(id, sizeof(id));
    if (m->props > 0) {
        for (uint32_t i = 0; i < m->props; i++)
            value[i] = (uint8_t)('a' + (uid + i) % 26);
        ftable_build(&b, table, sizeof(table));
        ftable_put_bytes(&b, "h", amqp_bytes(value, m->props));
        if (ftable_finish(&b, &p.headers) < 0)
            sim_fail("simulation", "headers");
        p.flags |= prop_flag(PROP_HEADERS);
    }
    n = props_encode(&p, out, size);
    if (n < 0)
        sim_fail("simulation", "properties: %zd", n);
    return (uint32_t)n;
}
