/*
 * slice_audit.c - calm, and the audit in it.
 *
 * Calm: nobody disturbs, every client is told all that is to be told and leaves, and the broker
 * goes on until nothing is under way. Audit: a client of its own asks for every name, publishes
 * through every binding, and takes everything out of every queue without keeping it.
 *
 * Invariants, by the names under which they fail:
 * 1. "answers": in a calm each question is answered and each publish confirmed or refused.
 * 2. "silence is noticed": a client that says nothing any more is cut off.
 * 3. "topology lasts": what was declared is there, what was deleted is not.
 */
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

enum {
    CALM_LIMIT = 400000,
    ANSWER_LIMIT = 100000,
};

#define AUDITOR (&slice.client[N_CLIENTS - 1])

static void all_talk(void)
{
    for (int i = 0; i < N_CLIENTS; i++) {
        struct client *c = &slice.client[i];

        if (c->phase == CLIENT_SILENT && sim_is_planted("wire-beat"))
            client_beat(c);
        if (c->phase == CLIENT_NONE || c->phase == CLIENT_SILENT)
            continue;
        client_write(c, true);
        client_read(c, true);
        client_write(c, true);
    }
}

void slice_pass(uint64_t us, void (*talk)(void))
{
    uint64_t until = sim_now_us() + us;
    uint32_t n = 0;

    while (sim_now_us() < until) {
        talk();
        if (!slice_step())
            sim_pass_us(10000); /* nothing is to come: neither a message nor a timer */
        if (n++ == CALM_LIMIT)
            sim_fail("answers", "there is no end of doing in a calm");
    }
    talk();
}

static void check_channel(const struct chan_end *ch)
{
    if (ch->phase == CHAN_NONE)
        return;
    if (ch->op)
        sim_fail("answers", "channel %u still waits for the answer to %s of %s", ch->uid,
                 amqp_method_name(ch->op), ch->op_queue >= 0 ? slice_queue(ch->op_queue) : "-");
    if (ch->phase == CHAN_CLOSING)
        sim_fail("answers", "channel %u still waits for close-ok", ch->uid);
    if (ch->n_waiting > 0)
        sim_fail("answers", "channel %u still waits for %u confirms", ch->uid, ch->n_waiting);
}

static void check_answered(struct client *c)
{
    if (c->phase == CLIENT_NONE || c->phase == CLIENT_SILENT)
        return;
    if (c->phase == CLIENT_CLOSING || c->phase != CLIENT_RUNNING)
        sim_fail("answers", "client %u is still in phase %d", c->uid, c->phase);
    for (int i = 0; i < N_CHANNELS; i++)
        check_channel(&c->channel[i]);
}

/* In a calm the acks of whoever is still there have become durable. */
static void acks_are_durable(struct chan_end *ch)
{
    for (uint32_t i = 0; i < ch->n_acked; i++)
        if (ack_is_safe(&ch->acked[i]))
            model_settled_for_good(ch->acked[i].uid, ch->acked[i].queue);
    ch->n_acked = 0;
    ch->calm_failures = slice.failures;
}

static void all_leave(void)
{
    for (int i = 0; i < N_CLIENTS; i++) {
        struct client *c = &slice.client[i];

        if (c->phase == CLIENT_NONE)
            continue;
        for (int k = 0; k < N_CHANNELS; k++)
            acks_are_durable(&c->channel[k]);
        if (sim_chance(SIM_DRIVER, 400000))
            client_drop(c, sim_chance(SIM_DRIVER, 500000));
        else
            client_close(c);
    }
}

/* Whoever is silent has been found out by now. */
static void check_silent(void)
{
    for (int i = 0; i < N_CLIENTS; i++) {
        struct client *c = &slice.client[i];

        if (c->phase != CLIENT_SILENT)
            continue;
        client_read(c, true);
        if (c->phase != CLIENT_NONE)
            sim_fail("silence is noticed", "client %u is still served", c->uid);
    }
}

void slice_calm(void)
{
    slice.in_calm = true;
    slice.did.calms++;
    sim_note("calm", slice.did.calms, 0, 0);
    slice_pass(SLICE_CALM_US, all_talk);
    check_silent();
    for (int i = 0; i < N_CLIENTS; i++)
        check_answered(&slice.client[i]);
    all_leave();
    slice_pass(SLICE_CALM_US, all_talk);
    for (int i = 0; i < N_CLIENTS; i++)
        if (slice.client[i].phase != CLIENT_NONE)
            sim_fail("answers", "client %u waits for close-ok", slice.client[i].uid);
    facts_of_calm();
    slice_crash_rates();
}

/* Steps until the auditor's channel is in this phase and has no question open. */
static void wait_for(struct chan_end *ch, enum channel_phase phase)
{
    for (uint32_t n = 0; ch->phase != phase || ch->op || ch->n_waiting > 0 || ch->in.id; n++) {
        if (n == ANSWER_LIMIT)
            sim_fail("answers", "the auditor waits for ever, asking %s of %s",
                     amqp_method_name(ch->op), ch->op_queue >= 0 ? slice_queue(ch->op_queue) : "-");
        all_talk();
        (void)slice_step();
        if (ch->phase == CHAN_NONE && phase != CHAN_NONE)
            return;
    }
}

static struct chan_end *auditor_channel(void)
{
    struct chan_end *ch = &AUDITOR->channel[0];

    for (uint32_t n = 0; AUDITOR->phase != CLIENT_RUNNING; n++) {
        if (n == ANSWER_LIMIT)
            sim_fail("ready", "the auditor cannot connect");
        if (AUDITOR->phase == CLIENT_NONE)
            client_connect(AUDITOR);
        all_talk();
        (void)slice_step();
    }
    if (ch->phase == CHAN_NONE)
        channel_open(AUDITOR, 0);
    wait_for(ch, CHAN_READY);
    return ch;
}

/* Asks for a name; whether it is there. What the model knew has to be so. */
static bool ask_for(int dest)
{
    struct chan_end *ch = auditor_channel();
    const struct fact *f =
        dest < N_QUEUES ? &slice.queue[dest].fact : &slice.exchange[dest - N_QUEUES].fact;
    enum existence was = sim_is_planted("slice-undeleted") ? GONE : f->state;
    const char *name = dest < N_QUEUES ? slice_queue(dest) : slice_exchanges[dest - N_QUEUES].name;
    bool is_there;

    if (dest < N_QUEUES)
        act_declare_queue(AUDITOR, ch, dest, true);
    else
        act_declare_exchange(AUDITOR, ch, dest - N_QUEUES, true);
    wait_for(ch, CHAN_READY);
    is_there = ch->phase == CHAN_READY;
    if (was != UNKNOWN && is_there != (was == EXISTS))
        sim_fail("topology lasts", "%s is %s", name, is_there ? "there, and was deleted" : "gone");
    return is_there;
}

static void audit_queue_name(int queue)
{
    bool is_there;

    is_there = *slice_queue(queue) && ask_for(queue);
    if (is_there && queue >= EXCLUSIVE_QUEUE)
        sim_fail("what is unused goes", "%s is there, and its owner is not", slice_queue(queue));
    if (is_there && slice.queue[queue].is_unused)
        sim_fail("what is unused goes", "%s has no consumers any more", slice_queue(queue));
    topology_found(queue, is_there);
    if (is_there)
        return;
    facts_audit_begin();
    facts_audit_end(queue);
}

/* Many messages through each exchange; where they came is seen when the queues are looked through.
 */
static void audit_bindings(void)
{
    struct amqp_method confirm = {.id = AMQP_CONFIRM_SELECT};
    struct chan_end *ch = auditor_channel();

    if (!ch->confirming)
        channel_ask(AUDITOR, ch, &confirm);
    wait_for(ch, CHAN_READY);
    for (int x = 0; x < N_EXCHANGES; x++) {
        bool is_headers = slice_exchanges[x].type == EX_HEADERS;
        int n = x == 0 ? N_QUEUES : is_headers ? N_HEADERS : N_KEYS;

        if (x && (!model_is_exchange_there(x) || slice_exchanges[x].internal))
            continue;
        for (int k = 0; k < n; k++) {
            struct message like = {.persistent = true,
                                   .exchange = (uint8_t)x,
                                   .key = is_headers ? 0 : (uint8_t)k,
                                   .headers = is_headers ? (uint8_t)k : 0,
                                   .cc = -1,
                                   .bcc = -1};

            if (x || model_is_there(k))
                act_publish(AUDITOR, ch, &like);
        }
        wait_for(ch, CHAN_READY);
    }
}

static void audit_queue(int queue)
{
    struct chan_end *ch = auditor_channel();
    uint32_t before;

    facts_audit_begin();
    do {
        before = ch->n_unacked;
        act_get(AUDITOR, ch, queue, false);
        wait_for(ch, CHAN_READY);
        if (ch->phase != CHAN_READY)
            sim_fail("topology lasts", "queue %s is gone", slice_queue(queue));
        if (ch->n_unacked > before)
            facts_audit_found(queue, ch->unacked[before].uid);
        if (ch->n_unacked > before && sim_is_planted("slice-twice"))
            facts_audit_found(queue, ch->unacked[before].uid);
    } while (ch->n_unacked > before);
    facts_audit_end(queue);
}

void slice_audit(void)
{
    slice_calm();
    slice.is_auditing = true;
    for (int q = 0; q < N_QUEUES; q++)
        audit_queue_name(q);
    for (int x = 2; x < N_EXCHANGES; x++)
        topology_found(N_QUEUES + x, ask_for(N_QUEUES + x));
    audit_bindings();
    for (int q = 0; q < N_QUEUES; q++)
        if (slice.queue[q].fact.state == EXISTS)
            audit_queue(q);
    slice.did.audits++;
    client_close(AUDITOR);
    slice_pass(1000000, all_talk);
    if (AUDITOR->phase != CLIENT_NONE)
        sim_fail("answers", "the auditor waits for close-ok");
    slice.is_auditing = false;
    facts_of_calm();
    slice_look_inside();
    sim_note("audited", slice.did.audits, slice.did.found, slice.n_messages);
}
