/*
 * A durable queue under random publishers, consumers and crashes of all three kinds of process,
 * with its invariants checked after every message. What the channels saw must keep the promises:
 * what was confirmed and is persistent is delivered until it is acked, nothing comes twice without
 * its flag, first deliveries come in order, and every tag is confirmed at most once. Each planted
 * bug must show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "queues/registry.h"
#include "tests/unit/queue_kit.h"

enum { STEPS = 600, MAX_VALUE = STEPS * 8 + 1, PUBLISHER = 0 };

static struct model {
    uint32_t next_value;
    bool is_durable; /* the queue */
    bool persistent[MAX_VALUE];
    bool may_go[MAX_VALUE];        /* need not last, and the queue has died since */
    bool seen[MAX_VALUE];          /* delivered to somebody */
    bool settled[MAX_VALUE];       /* an ack of it was sent; it may still come back, flagged */
    bool sync[MAX_VALUE];          /* and a commit came after it with nobody dying between */
    uint32_t looked[N_CHANNELS];   /* how many deliveries of each channel were looked at */
    uint32_t last_new[N_CHANNELS]; /* the newest value that came unflagged */
    uint64_t consumer_epoch[N_CHANNELS];
    uint32_t n_held[N_CHANNELS];
    struct seen held[N_CHANNELS][MAX_GOT];
    const char *broken; /* the first promise that was not kept */
    uint32_t crashes;   /* that the queue ended by its own invariants */
} model;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(tw_random() % n);
}

static void broken(const char *what)
{
    if (!model.broken)
        model.broken = what;
}

/* Looks at what came since the last time. */
static void look(int i)
{
    struct chan *c = &chans[i];

    for (; model.looked[i] < c->n_seen; model.looked[i]++) {
        const struct seen *s = &c->seen[model.looked[i]];

        if (s->value >= model.next_value)
            broken("a message that nobody published");
        if (!s->redelivered && model.seen[s->value])
            broken("delivered again without its flag");
        if (!s->redelivered && s->value < model.last_new[i])
            broken("first deliveries out of order");
        if (model.sync[s->value])
            broken("came back after its ack was durable");
        if (!s->redelivered)
            model.last_new[i] = s->value;
        model.seen[s->value] = true;
        model.held[i][model.n_held[i]++] = *s;
    }
}

static void look_all(void)
{
    for (int i = 0; i < N_CHANNELS; i++)
        look(i);
    for (uint32_t v = 1; v < model.next_value; v++) {
        if (chans[PUBLISHER].confirmed[v] > 1)
            broken("confirmed twice");
    }
}

static bool is_queue_alive(void)
{
    return kit_is_up() && tw.n_crashes == 0;
}

static void do_random_publish(void)
{
    const struct chan *c = &chans[PUBLISHER];
    uint64_t left = c->credit_messages - c->published;
    uint32_t n = 1 + below(8);
    bool persistent = below(4) > 0;

    if (left < n || model.next_value + n >= MAX_VALUE)
        return;
    for (uint32_t i = 0; i < n; i++)
        model.persistent[model.next_value + i] = persistent;
    kit_publish(PUBLISHER, model.next_value, n, persistent);
    model.next_value += n;
}

static void do_random_settle(int i)
{
    uint32_t at = model.n_held[i] ? below(model.n_held[i]) : 0;
    enum settle_how how = below(3) ? SETTLE_ACK : SETTLE_REQUEUE;
    struct seen s;

    if (model.n_held[i] == 0)
        return;
    s = model.held[i][at];
    memmove(&model.held[i][at], &model.held[i][at + 1],
            (--model.n_held[i] - at) * sizeof(struct seen));
    if (how == SETTLE_ACK)
        model.settled[s.value] = true;
    kit_settle(i, how, s.seq);
}

static void do_random_consume(int i)
{
    if (model.consumer_epoch[i] == kit_epoch())
        return;
    model.consumer_epoch[i] = kit_epoch();
    kit_consume(i, kit_consumer(1, false, (uint16_t)below(20)));
}

struct attach {
    uint32_t n;
    const struct seen *held;
};

static void send_attach(struct chan *c, void *arg)
{
    const struct attach *in = arg;
    struct msg_queue_attach *m = queue_attach_new(0, kit_epoch(), 1, in->n);

    (void)c;
    m->consumers[0] = kit_consumer(1, false, 0);
    for (uint32_t i = 0; i < in->n; i++)
        m->held[i] = (struct held){in->held[i].seq, 1};
    (void)proc_call(kit.queue, &m->hdr, PROC_NO_TIMEOUT);
}

/* The queue crashes, or the store and it; channels with a consumer come back with what they hold.
 */
static void crash_queue(bool store_too)
{
    uint64_t old = kit_epoch();

    if (store_too)
        kit_kill(kit.store);
    for (uint32_t v = 1; v < model.next_value; v++)
        model.may_go[v] = !model.is_durable || !model.persistent[v];
    kit_restart_queue();
    if (store_too)
        tw_do(spawn_store, NULL);
    for (int i = 0; i < N_CHANNELS; i++) {
        struct attach a = {model.n_held[i], model.held[i]};

        if (model.consumer_epoch[i] != old) {
            model.n_held[i] = 0; /* void */
            continue;
        }
        model.consumer_epoch[i] = kit_epoch();
        chan_do(i, send_attach, &a);
    }
    tw_run_us(1100000);
}

static void crash_channel(int i)
{
    look(i);
    kit_kill(chans[i].pid);
    tw_do(spawn_chan, &i);
    model.n_held[i] = model.looked[i] = 0;
    model.consumer_epoch[i] = 0;
}

/* Commits all, and with nobody dying between, what was acked is gone for good. */
static void settle_disk(void)
{
    kit_commit();
    for (uint32_t v = 1; v < model.next_value; v++)
        model.sync[v] = model.sync[v] || (model.settled[v] && is_queue_alive());
}

static void step(void)
{
    int i = 1 + (int)below(N_CHANNELS - 1);

    switch (below(100)) {
    case 0:
        kit_kill(kit.store);
        tw_do(spawn_store, NULL);
        break;
    case 1:
        crash_queue(false);
        break;
    case 95:
        crash_queue(true);
        break;
    case 2:
        crash_channel(i);
        break;
    case 3:
        (void)kit_ask(i, QUEUE_DETACH);
        model.n_held[i] = 0;
        model.consumer_epoch[i] = 0;
        break;
    case 4 ... 14:
        kit_commit();
        break;
    case 15 ... 24:
        do_random_consume(i);
        break;
    case 25 ... 60:
        do_random_settle(i);
        break;
    default:
        do_random_publish();
    }
}

/*
 * All that is left is delivered and acked: what was confirmed, unless it was acked, or need not
 * last and the queue has died.
 */
static void drain(void)
{
    static bool came[MAX_VALUE];

    memset(came, 0, sizeof(came));
    tw_run_us(1100000);
    for (int i = 1; i < N_CHANNELS; i++)
        crash_channel(i);
    kit_commit();
    kit_consume(1, kit_consumer(1, false, 0));
    for (uint32_t i = 0; i < chans[1].n_seen; i++)
        came[chans[1].seen[i].value] = true;
    look_all();
    for (uint32_t v = 1; v < model.next_value; v++) {
        if (!model.may_go[v] && chans[PUBLISHER].confirmed[v] && !model.settled[v] && !came[v])
            broken("confirmed and lost");
    }
    while (model.n_held[1] > 0)
        kit_settle(1, SETTLE_ACK, model.held[1][--model.n_held[1]].seq);
    settle_disk();
    for (uint32_t s = 0; s < MAX_SEQ; s++) {
        if (kit.disk[s])
            broken("left on disk");
    }
}

/* The queue's own checks end it; the world then tells. */
static bool has_crashed_itself(void)
{
    return tw.n_crashes > 0 && tw.last_crash.why.kind != EXIT_KILLED;
}

static void run(uint64_t seed, enum queue_plant plant)
{
    memset(&model, 0, sizeof(model));
    model.next_value = 1;
    model.is_durable = seed % 3 > 0;
    kit_start(seed, model.is_durable ? CELL_DURABLE : 0);
    kit.commits = false;
    queue_plant = plant;
    /* Often no more than a few messages stay in memory. */
    if (below(4) > 0)
        queue_limits = (struct queue_limits){.resident_bytes = below(3) * 60,
                                             .run_messages = 1 + below(10),
                                             .run_bytes = below(2) ? 1 : 1 << 20};
    if (below(2)) {
        queue_limits.page_above = 1;
        queue_limits.page_keep = below(4) * 60;
    }
    for (int n = 0; n < STEPS && !model.broken && !has_crashed_itself(); n++) {
        step();
        look_all();
    }
    if (!model.broken && !has_crashed_itself())
        drain();
    if (has_crashed_itself()) {
        if (plant == PLANT_NONE)
            print_error("%s:%d: %s\n", tw.last_crash.why.file, tw.last_crash.why.line,
                        tw.last_crash.why.text);
        broken("an invariant of the queue");
        tw.n_crashes = 0;
    }
    queue_plant = PLANT_NONE;
    kit_stop();
}

static void test_promises(void **state)
{
    uint64_t seed = tw_seed();

    (void)state;
    for (uint64_t i = 0; i < 30; i++) {
        run(seed + i * 1000003, PLANT_NONE);
        if (model.broken)
            print_error("WARREN_SEED=%llu: %s\n", (unsigned long long)(seed + i * 1000003),
                        model.broken);
        assert_null(model.broken);
        assert_true(model.next_value > 100);
    }
}

/* All that a store had has gone, then it and the queue die: what channels hold is not mistaken for
   what came later. */
static void test_kept_seeds(void **state)
{
    static const uint64_t seeds[] = {7910719, 12892687};

    (void)state;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        run(seeds[i], PLANT_NONE);
        assert_null(model.broken);
    }
}

static void test_plants_show(void **state)
{
    static const char *const names[] = {"requeue-unflagged", "confirm-early", "lose-on-down",
                                        "double-ready", "page-unasked"};
    uint64_t seed = tw_seed();

    (void)state;
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        const char *shown = NULL;

        for (uint64_t i = 0; i < 100 && !shown; i++) {
            assert_true(queue_plant_set(names[k]));
            run(seed + i, queue_plant);
            shown = model.broken;
        }
        print_message("%s: %s\n", names[k], shown ? shown : "not noticed");
        assert_non_null(shown);
    }
    assert_false(queue_plant_set("no such bug"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_kept_seeds),
        cmocka_unit_test(test_plants_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
