/*
 * channel_asks.c - what a channel asks of the registry: several requests at once.
 *
 * A client may send declares, binds and deletes one behind the other, with or without waiting for
 * each answer. Those that are asked of the registry alone go on while others are under way, so that
 * one commit of the store carries many of them; all other commands wait until none is under way.
 * The registry decides them in order, and carries out none behind one that it refused. The client
 * is answered in order too, whichever the registry answered first.
 *
 * When the registry has died, its next one is asked again for all that has no answer, in order: all
 * requests are idempotent.
 */
#include <string.h>

#include "amqp/channel_internal.h"
#include "queues/vhost_state.h"

enum {
    MOST = 1024, /* under way at once */
    MOST_BYTES = 1024 * 1024,
    MANY_TRIES = 3,
    PAUSE_US = 20 * 1000,
    REGISTRY_US = 30 * 1000 * 1000,
};

enum ask_state { ASK_SENT, ASK_LOST, ASK_COUNTS, ASK_ANSWERED };

struct ask {
    TAILQ_ENTRY(ask) link;
    proc_ref ref;      /* of the call under way */
    struct msg *reply; /* the registry's, kept; NULL: none yet */
    struct queue_counts counts;
    uint8_t state; /* enum ask_state */
    uint32_t len;
    uint8_t payload[]; /* of the method */
};

static void decode(const struct ask *a, struct amqp_method *ret)
{
    CHECK(amqp_method_decode(amqp_bytes(a->payload, a->len), ret) == 0); /* once before */
}

void asks_init(struct asks *as)
{
    TAILQ_INIT(&as->list);
}

/*
 * Rights on the keys of a topic exchange cannot be checked before the exchange is there, so a bind
 * does not follow its declare.
 */
bool asks_may_follow(struct channel *ch, const struct command *cmd)
{
    const struct asks *as = &ch->asks;
    struct amqp_method m;

    if (as->n == 0)
        return true;
    if (as->n >= MOST || as->bytes + cmd->len > MOST_BYTES || as->again != 0 ||
        vhost_down_reason(ch->vhost))
        return false;
    CHECK(amqp_method_decode(amqp_bytes(cmd->payload, cmd->len), &m) == 0); /* once before */
    if (as->n_exchanges > 0 && m.id != AMQP_EXCHANGE_DECLARE)
        return false;
    return topology_is_of_registry(&m) && topology_may_follow(ch, &m);
}

static void ask_free(struct asks *as, struct ask *a)
{
    TAILQ_REMOVE(&as->list, a, link);
    as->n--;
    as->bytes -= a->len;
    if (a->reply)
        msg_drop(a->reply);
    proc_free(a);
}

static void forget_timers(struct asks *as)
{
    if (as->again)
        proc_cancel(as->again);
    if (as->give_up)
        proc_cancel(as->give_up);
    as->again = as->give_up = 0;
    as->tries = 0;
}

void asks_drop(struct channel *ch)
{
    struct ask *a;

    while ((a = TAILQ_FIRST(&ch->asks.list)) != NULL) {
        proc_cancel(a->ref);
        ask_free(&ch->asks, a);
    }
    ch->asks.n_exchanges = 0;
    forget_timers(&ch->asks);
}

static void check_vhost(struct channel *ch)
{
    const char *down = vhost_down_reason(ch->vhost);

    if (down)
        channel_fail(ch, AMQP_CODE_INTERNAL_ERROR, 0, "%s", down);
}

/*
 * All that is under way was asked of one run of the registry, also where that has died and another
 * has its name by now. Its home says so behind its last answers; whom the name does not lead to is
 * told dead at once, before them, and what they answer would be done twice.
 */
void asks_start(struct channel *ch, const struct amqp_method *m, const struct command *cmd)
{
    struct asks *as = &ch->asks;
    proc_id registry = as->n > 0 ? as->registry : channel_registry(ch);
    struct msg *request;
    struct ask *a;

    check_vhost(ch);
    request = topology_request(ch, m);
    if (ch->is_closing && !ch->by_client) { /* nobody is left to hear the answer */
        proc_cancel(proc_call(registry, request, PROC_NO_TIMEOUT));
        return;
    }
    a = proc_zalloc(sizeof(*a) + cmd->len);
    a->len = cmd->len;
    memcpy(a->payload, cmd->payload, cmd->len);
    a->ref = proc_call(registry, request, PROC_NO_TIMEOUT);
    as->registry = registry;
    as->n++;
    as->bytes += a->len;
    as->n_exchanges += m->id == AMQP_EXCHANGE_DECLARE;
    TAILQ_INSERT_TAIL(&as->list, a, link);
}

/* The registry has died: all that it did not answer is asked again. */
static void lose(struct channel *ch)
{
    struct asks *as = &ch->asks;
    struct ask *a;

    TAILQ_FOREACH(a, &as->list, link) {
        if (a->state != ASK_SENT)
            continue;
        proc_cancel(a->ref);
        a->state = ASK_LOST;
    }
    if (as->tries < UINT8_MAX)
        as->tries++;
    as->again = as->tries > MANY_TRIES ? proc_timer(PAUSE_US) : channel_await_registry(ch);
    if (!as->give_up)
        as->give_up = proc_timer(REGISTRY_US);
}

static void ask_again(struct channel *ch)
{
    struct asks *as = &ch->asks;
    struct amqp_method m;
    struct ask *a;

    as->again = 0;
    check_vhost(ch);
    as->registry = channel_registry(ch);
    TAILQ_FOREACH(a, &as->list, link) {
        if (a->state != ASK_LOST)
            continue;
        decode(a, &m);
        a->ref = proc_call(as->registry, topology_request(ch, &m), PROC_NO_TIMEOUT);
        a->state = ASK_SENT;
    }
}

/* The counts of a queue that was declared are its own to tell. */
static void ask_counts(struct ask *a, const struct amqp_method *m)
{
    const struct msg_registry_reply *reply = MSG_OF(struct msg_registry_reply, a->reply);
    const struct cell *cell = reply->cell;
    const struct cell_at *at;

    a->state = ASK_ANSWERED;
    if (reply->code != 0 || m->id != AMQP_QUEUE_DECLARE || m->u.queue_declare.nowait)
        return;
    at = cell_at(cell);
    a->counts.messages = atomic_load(&cell->stats.ready);
    a->counts.consumers = atomic_load(&cell->stats.consumers);
    a->ref = proc_call(at->pid, &queue_ask_new(QUEUE_STAT, at->epoch)->hdr, PROC_NO_TIMEOUT);
    a->state = ASK_COUNTS;
}

static void take_answer(struct channel *ch, struct ask *a, struct msg *m)
{
    const struct msg_queue_reply *stat;
    struct amqp_method method;

    if (a->state == ASK_COUNTS) {
        a->state = ASK_ANSWERED;
        stat = MSG_OF(struct msg_queue_reply, m);
        if (m->type == QUEUE_REPLY && stat->code == 0) /* else the cell's last ones must do */
            a->counts = (struct queue_counts){stat->messages, stat->consumers};
    } else if (m->type == MSG_DOWN) {
        lose(ch);
    } else {
        proc_keep(m);
        a->reply = m;
        decode(a, &method);
        ask_counts(a, &method);
    }
}

/* Answers the client as far as there are answers; whether there were any. */
static bool conclude(struct channel *ch)
{
    struct asks *as = &ch->asks;
    struct ask *a = TAILQ_FIRST(&as->list);
    struct amqp_method m;
    bool any = false;

    for (; a && a->state == ASK_ANSWERED; a = TAILQ_FIRST(&as->list), any = true) {
        decode(a, &m);
        topology_conclude(ch, &m, MSG_OF(struct msg_registry_reply, a->reply), &a->counts);
        as->n_exchanges -= m.id == AMQP_EXCHANGE_DECLARE;
        ask_free(as, a);
    }
    return any;
}

static struct ask *ask_by_ref(struct asks *as, proc_ref ref)
{
    struct ask *a;

    TAILQ_FOREACH(a, &as->list, link) {
        if (a->ref == ref && a->state != ASK_ANSWERED && a->state != ASK_LOST)
            break;
    }
    return a;
}

bool asks_on_answer(struct channel *ch, struct msg *m)
{
    struct asks *as = &ch->asks;
    struct ask *a;

    if (as->n == 0 || m->ref == 0)
        return false;
    if (m->ref == as->give_up)
        channel_fail(ch, AMQP_CODE_INTERNAL_ERROR, 0, "vhost '%s' is down", ch->vhost);
    if (m->ref == as->again) {
        ask_again(ch);
        return true;
    }
    a = ask_by_ref(as, m->ref);
    if (!a)
        return false;
    take_answer(ch, a, m);
    if (!conclude(ch))
        return true;
    if (!as->again)
        forget_timers(as);
    if (as->n == 0)
        channel_tell_rest(ch);
    channel_run(ch);
    return true;
}
