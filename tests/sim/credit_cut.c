/*
 * credit_cut.c - a conversation that is cut off behind each of its bytes, in both directions and in
 * each way in which connections end; behind each cut the broker is as it was before.
 *
 * The conversation: handshake, declare, two publishes, their confirms, consume, one ack, close.
 * What is in the queue behind it is taken out by another client.
 *
 * Invariants, by the names under which they fail:
 * 1. "whole after a cut": processes, messages, descriptors and blobs are those of before.
 * 2. "neighbours": another connection is served on, and stays.
 * 3. "confirmed lasts": what was confirmed and not acked is there; what was sent as a whole to a
 *    client that still listened, too.
 * 4. "cut off": what was not sent as a whole is not there; nor is what was acked by such a client.
 */
#include <errno.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

enum {
    MIB = 1 << 20,
    QUEUE = 5,
    STRIDE = 4, /* a seed tries each so many bytes */
    N = 2,      /* messages */
    PATIENCE_US = 60 * 1000 * 1000,
    BUFFER = 4096,
};

enum way { CLOSED, RESET, HALF_CLOSED, WAYS };

static struct {
    struct sim_peer peer;
    bool is_over, is_cut;
    uint32_t at, sent, received; /* bytes: put so far, taken by the socket, come */
    uint32_t asked;
    uint32_t uid[N], whole_at[N]; /* whole_at: what has to be sent for it; 0: not put */
    uint32_t acked_at;
    uint64_t n_confirmed;
    uint32_t n_delivered;
} talk;

static struct {
    uint64_t procs, msgs, blobs;
    unsigned fds;
} before;

static const struct lane_spec talk_spec = {.to = QUEUE};
static struct lane talk_lane = {.spec = &talk_spec};

#define NEIGHBOUR (&credit.party[0])
#define COLLECTOR (&credit.party[1])

static void setup(void)
{
    static const struct lane_spec neighbour = {
        .to = 0, .n_from = 1, .from = {0}, .count = 20, .ahead = 10, .size = 900};
    static const struct lane_spec collector = {
        .to = NO_QUEUE, .n_from = 1, .from = {QUEUE}, .prefetch = 10};

    (void)credit_add_party(READS_ALL, 131072, 1, &neighbour); /* found in credit, as both are */
    (void)credit_add_party(READS_ALL, 131072, 1, &collector);
}

static void put(uint16_t channel, const struct amqp_method *m)
{
    uint32_t n = talk.peer.n_out;

    sim_peer_put_method(&talk.peer, channel, m);
    talk.at += talk.peer.n_out - n;
    talk.asked = m->id;
}

static void put_id(uint32_t id)
{
    put(1, &(struct amqp_method){.id = id});
}

static void put_publish(int i)
{
    struct amqp_method m = {.id = AMQP_BASIC_PUBLISH};
    uint8_t props[256];
    uint32_t size = sim_below(SIM_DRIVER, 300), n;

    m.u.basic_publish.routing_key = amqp_str(credit_queue_name(QUEUE));
    put(1, &m);
    talk_lane.published++;
    talk.uid[i] = credit_published(&talk_lane, size, 0);
    n = talk.peer.n_out;
    sim_peer_put_content(
        &talk.peer, 1,
        amqp_bytes(props, credit_props(talk.uid[i], &credit.message[talk.uid[i]], props, 256)),
        talk.uid[i], size);
    talk.at += talk.peer.n_out - n;
    talk.whole_at[i] = talk.at;
}

static void put_declare(void)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DECLARE};

    m.u.queue_declare =
        (struct amqp_queue_declare){.queue = amqp_str(credit_queue_name(QUEUE)), .durable = true};
    put(1, &m);
}

static void put_consume(void)
{
    struct amqp_method m = {.id = AMQP_BASIC_CONSUME};

    m.u.basic_consume.queue = amqp_str(credit_queue_name(QUEUE));
    put(1, &m);
}

static void put_ack_and_close(void)
{
    struct amqp_method ack = {.id = AMQP_BASIC_ACK}, close = {.id = AMQP_CHANNEL_CLOSE};

    ack.u.basic_ack.delivery_tag = 1;
    put(1, &ack);
    talk.acked_at = talk.at;
    close.u.channel_close =
        (struct amqp_channel_close){.reply_code = 200, .reply_text = amqp_str("done")};
    put(1, &close);
}

static void put_close(void)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_CLOSE};

    m.u.connection_close =
        (struct amqp_connection_close){.reply_code = 200, .reply_text = amqp_str("done")};
    put(0, &m);
}

static void on_confirm(uint64_t tag)
{
    talk.n_confirmed = tag;
    if (tag == N)
        put_consume();
}

static void on_method(const struct amqp_method *m)
{
    uint32_t n = talk.peer.n_out;

    switch (m->id) {
    case AMQP_CONNECTION_START:
        sim_peer_put_start_ok(&talk.peer);
        talk.at += talk.peer.n_out - n;
        break;
    case AMQP_CONNECTION_TUNE:
        sim_peer_put_tune_ok(&talk.peer, &m->u.connection_tune, 0);
        talk.at += talk.peer.n_out - n;
        break;
    case AMQP_CONNECTION_OPEN_OK:
        put_id(AMQP_CHANNEL_OPEN);
        break;
    case AMQP_CHANNEL_OPEN_OK:
        put_id(AMQP_CONFIRM_SELECT);
        break;
    case AMQP_CONFIRM_SELECT_OK:
        put_declare();
        break;
    case AMQP_QUEUE_DECLARE_OK:
        for (int i = 0; i < N; i++)
            put_publish(i);
        break;
    case AMQP_BASIC_ACK:
        on_confirm(m->u.basic_ack.delivery_tag);
        break;
    case AMQP_BASIC_DELIVER:
        if (++talk.n_delivered == N)
            put_ack_and_close();
        break;
    case AMQP_CHANNEL_CLOSE_OK:
        put_close();
        break;
    case AMQP_CONNECTION_CLOSE_OK:
    case AMQP_BASIC_CONSUME_OK:
        break;
    default:
        sim_fail("errors", "the conversation is told %s", amqp_method_name(m->id));
    }
}

static void on_frame(void *arg, const struct amqp_frame *f)
{
    struct amqp_method m;

    (void)arg;
    if (f->type == AMQP_FRAME_METHOD && amqp_method_decode(f->payload, &m) == 0)
        on_method(&m);
}

static void cut(enum way how)
{
    sim_note("cut", how, talk.sent, talk.received);
    talk.is_cut = true;
    if (how == HALF_CLOSED) {
        sim_shutdown(talk.peer.fd);
        return;
    }
    sim_peer_end(&talk.peer, how == RESET);
    talk.is_over = true;
}

/* Reads at most so many bytes. */
static void hear(uint32_t most)
{
    ssize_t r = most > 0 ? sim_peer_read(&talk.peer, most < BUFFER ? most : BUFFER) : -EAGAIN;

    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        sim_peer_end(&talk.peer, false);
        talk.is_over = true;
        return;
    }
    talk.received += (uint32_t)r;
    sim_peer_take(&talk.peer, on_frame, NULL);
}

/* A conversation of which k bytes go out, or come in. */
static void converse(uint32_t k, bool is_out, enum way how)
{
    uint64_t until = sim_now_us() + PATIENCE_US;
    uint32_t turns = 0;

    talk = (__typeof__(talk)){.peer = talk.peer};
    talk.peer.frame_max = 4096;
    talk_lane.uid = ++credit.next_lane;
    talk_lane.published = 0;
    while (!sim_peer_connect(&talk.peer, slice.port))
        credit_pump();
    talk.at = talk.peer.n_out;
    while (!talk.is_over) {
        uint32_t out = is_out ? k - talk.sent : UINT32_MAX;

        if (!talk.is_cut && talk.peer.n_out > 0) {
            ssize_t r = sim_peer_write(&talk.peer, out);

            talk.sent += r > 0 ? (uint32_t)r : 0;
        }
        hear(is_out || talk.is_cut ? BUFFER : k - talk.received);
        if (!talk.is_over && !talk.is_cut && (is_out ? talk.sent : talk.received) == k)
            cut(how);
        credit_pump();
        if (sim_now_us() > until && turns++ > 1000)
            sim_fail("no deadlock", "the conversation does not end; %u out, %u in", talk.sent,
                     talk.received);
    }
}

static bool is_as_before(void)
{
    return rt_live_procs() == before.procs && rt_live_msgs() == before.msgs &&
           sim_net_broker_fds() == before.fds && blob_total_bytes() == before.blobs;
}

static void wait_for_whole(void)
{
    uint64_t until = sim_now_us() + PATIENCE_US;

    while (before.procs > 0 && !is_as_before()) {
        credit_pump();
        if (sim_now_us() > until)
            sim_fail("whole after a cut",
                     "%llu processes, %llu messages, %u descriptors, %llu bytes in blobs; before "
                     "%llu, %llu, %u, %llu",
                     (unsigned long long)rt_live_procs(), (unsigned long long)rt_live_msgs(),
                     sim_net_broker_fds(), (unsigned long long)blob_total_bytes(),
                     (unsigned long long)before.procs, (unsigned long long)before.msgs, before.fds,
                     (unsigned long long)before.blobs);
    }
}

static void collect(void)
{
    COLLECTOR->is_off = false;
    credit_finish();
    credit_pass(100000);
    credit_finish();
    COLLECTOR->is_off = true;
    party_close(COLLECTOR);
    while (COLLECTOR->phase != PARTY_NONE)
        credit_pump();
}

static void check_message(int i, enum way how)
{
    bool is_found = talk.uid[i] > 0 && credit.message[talk.uid[i]].is_settled;
    bool is_whole = talk.whole_at[i] > 0 && talk.sent >= talk.whole_at[i];
    bool is_heard = !talk.is_cut || how == HALF_CLOSED; /* all that was sent */
    bool is_acked = i == 0 && talk.acked_at > 0 && talk.sent >= talk.acked_at;
    bool is_due = (talk.n_confirmed > (uint64_t)i || (is_whole && is_heard)) && !is_acked;

    if (sim_is_planted("cut-forget") && is_due)
        is_found = false;
    if (sim_is_planted("cut-invent"))
        is_found = true;
    if (is_due && !is_found)
        sim_fail("confirmed lasts", "message %d, %u bytes sent, %u received", i, talk.sent,
                 talk.received);
    if (is_found && (!is_whole || (is_acked && is_heard)))
        sim_fail("cut off", "message %d is there, %u bytes sent, %u received", i, talk.sent,
                 talk.received);
}

static void try_one(uint32_t k, bool is_out, enum way how)
{
    uint32_t neighbour = NEIGHBOUR->uid;

    NEIGHBOUR->lane[0].left += 2;
    converse(k, is_out, how);
    if (sim_is_planted("cut-leak"))
        (void)blob_copy("lost", 4);
    credit_finish();
    collect();
    for (int i = 0; i < N; i++)
        check_message(i, how);
    wait_for_whole();
    if (sim_is_planted("cut-neighbour"))
        party_drop(NEIGHBOUR, true);
    if (NEIGHBOUR->uid != neighbour || NEIGHBOUR->phase != PARTY_RUNNING)
        sim_fail("neighbours", "the connection of another client has ended");
}

static void calm(void)
{
    bool is_out = sim_chance(SIM_DRIVER, 500000);
    enum way how = (enum way)sim_below(SIM_DRIVER, WAYS);
    uint32_t k;

    COLLECTOR->is_off = true;
    party_close(COLLECTOR);
    before.procs = 0;
    for (int i = 0; i < 2; i++) /* whole ones: after them all is there that stays */
        try_one(UINT32_MAX, is_out, how);
    credit_pass(15000000);
    before = (__typeof__(before)){rt_live_procs(), rt_live_msgs(), blob_total_bytes(),
                                  sim_net_broker_fds()};
    for (k = sim_below(SIM_DRIVER, STRIDE); k < 4000; k += STRIDE) {
        try_one(k, is_out, how);
        if (!talk.is_cut)
            break;
    }
    sim_peer_free(&talk.peer);
    talk.peer = (struct sim_peer){0};
}

void credit_cut_run(void)
{
    static const struct credit_case what = {.setup = setup, .calm = calm, .memory = 4 * MIB};

    credit_run(&what);
}
