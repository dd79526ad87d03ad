/*
 * connection_channels.c - a connection and the channels under it.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/channel.h"
#include "amqp/connection_internal.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"

struct chan *connection_find(struct connection *c, uint16_t number)
{
    uint64_t *found;

    if (c->last && c->last->number == number)
        return c->last;
    found = u64map_get(&c->channels, number);
    if (!found)
        return NULL;
    c->last = (struct chan *)(uintptr_t)*found;
    return c->last;
}

struct chan *connection_sender(struct connection *c, const struct msg *m)
{
    struct chan *ch = connection_find(c, ((const struct msg_of_channel *)(const void *)m)->number);

    return ch && ch->pid == m->from ? ch : NULL;
}

static struct chan *find_by_pid(struct connection *c, proc_id pid)
{
    uint64_t number, value;
    uint32_t at = 0;

    while (u64map_next(&c->channels, &at, &number, &value))
        if (((struct chan *)(uintptr_t)value)->pid == pid)
            return (struct chan *)(uintptr_t)value;
    return NULL;
}

static struct blob *channel_arg_new(struct connection *c, uint16_t number)
{
    uint8_t *bytes;
    struct blob *b = blob_new(sizeof(struct channel_arg), &bytes);
    struct channel_arg *arg = (struct channel_arg *)(void *)bytes;

    arg->connection = proc_self();
    arg->number = number;
    arg->cancel_notify = c->cancel_notify;
    arg->spec_qos = c->spec_qos;
    arg->vhost_len = (uint8_t)strlen(c->vhost);
    arg->user_len = (uint8_t)strlen(c->user);
    memcpy(arg->vhost, c->vhost, arg->vhost_len + 1u);
    memcpy(arg->user, c->user, arg->user_len + 1u);
    return b;
}

void connection_open_channel(struct connection *c, uint16_t number)
{
    struct chan *ch;
    char name[sizeof(c->name) + 16];

    if (c->n_channels >= c->channel_max) {
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CHANNEL_OPEN,
                        "number of channels opened (%u) has reached the negotiated channel_max "
                        "(%u)",
                        c->n_channels, c->channel_max);
        return;
    }
    ch = proc_zalloc(sizeof(*ch));
    ch->number = number;
    snprintf(name, sizeof(name), "%s (%u)", c->name, number);
    ch->pid = proc_spawn(&(struct spawn){.ops = &channel_ops,
                                         .name = name,
                                         .arg = channel_arg_new(c, number),
                                         .flags = PROC_LINK | PROC_MONITOR,
                                         .scheduler = SCHED_SAME});
    u64map_put(&c->channels, number, (uintptr_t)ch);
    c->last = ch;
    c->n_channels++;
    c->n_living++;
}

static void unstuff(struct connection *c, struct chan *ch)
{
    if (ch->is_stuffed)
        c->n_stuffed--;
    ch->is_stuffed = false;
}

void connection_drop_input(struct connection *c, struct chan *ch)
{
    unstuff(c, ch);
    if (ch->gather)
        msg_drop(&ch->gather->hdr);
    ch->gather = NULL;
    if (ch->is_guarded)
        proc_at_exit_cancel((void (*)(void *))record_unref, ch->record);
    ch->is_guarded = false;
    /* The framer may be about to read into this body: then its bytes go nowhere. */
    if (ch->record && c->framer.in_body && c->framer.channel == ch->number)
        c->framer.body = NULL;
    if (ch->record)
        c->unfilled -= ch->room - (record_body_len(ch->record) - ch->body_left);
    record_unref(ch->record);
    ch->record = NULL;
    proc_free(ch->saved);
    ch->saved = NULL;
    ch->expect = EXPECT_METHOD;
}

/* Its process has ended, or will not be heard of again. */
static void has_ended(struct connection *c, struct chan *ch)
{
    if (ch->pid != 0)
        c->n_living--;
    ch->pid = 0;
}

static void leave_list(struct chan **at, struct chan *ch, bool dirty)
{
    while (*at && *at != ch)
        at = dirty ? &(*at)->next_dirty : &(*at)->next_owed;
    if (*at)
        *at = dirty ? ch->next_dirty : ch->next_owed;
}

void connection_forget(struct connection *c, struct chan *ch)
{
    connection_drop_input(c, ch);
    has_ended(c, ch);
    if (ch->is_dirty)
        leave_list(&c->dirty, ch, true);
    if (ch->is_owed)
        leave_list(&c->owed, ch, false);
    if (c->last == ch)
        c->last = NULL;
    (void)u64map_del(&c->channels, ch->number, NULL); /* it is there: that is how ch was found */
    c->n_channels--;
    proc_free(ch);
}

static void tell_close(struct chan *ch, bool by_client)
{
    struct msg_channel_close *m;

    if (ch->pid == 0)
        return;
    if (ch->gather)
        PROC_SEND(ch->pid, ch->gather);
    m = MSG_NEW(CHANNEL_CLOSE, struct msg_channel_close);
    m->by_client = by_client;
    PROC_SEND(ch->pid, m);
}

void connection_close_channels(struct connection *c, bool by_client)
{
    uint64_t number, value;
    uint32_t at = 0;

    while (u64map_next(&c->channels, &at, &number, &value)) {
        struct chan *ch = (struct chan *)(uintptr_t)value;

        /* What came before the end of the stream still counts. */
        tell_close(ch, by_client);
        connection_drop_input(c, ch);
        if (ch->state != CHAN_ENDING)
            ch->state = CHAN_CLOSED;
    }
}

void connection_recheck_channels(struct connection *c)
{
    uint64_t number, value;
    uint32_t at = 0;

    while (u64map_next(&c->channels, &at, &number, &value))
        proc_send(((const struct chan *)(uintptr_t)value)->pid,
                  MSG_NEW(CHANNEL_RECHECK, struct msg));
}

void connection_fail_channels(struct connection *c, const struct failure *f)
{
    uint64_t number, value;
    uint32_t at = 0;

    while (u64map_next(&c->channels, &at, &number, &value)) {
        struct chan *ch = (struct chan *)(uintptr_t)value;

        if (ch->state == CHAN_CLOSED || ch->state == CHAN_ENDING)
            continue;
        tell_close(ch, false);
        connection_drop_input(c, ch);
        connection_put_close(c, ch->number, f);
        ch->state = CHAN_CLOSED;
    }
}

static void put_simple(struct connection *c, uint16_t number, uint32_t id)
{
    struct amqp_method m = {.id = id};

    connection_put_method(c, number, &m);
}

static void answer_closes(struct connection *c, struct chan *ch)
{
    for (unsigned n = 1u + ch->more_closes; n > 0; n--)
        put_simple(c, ch->number, AMQP_CHANNEL_CLOSE_OK);
    ch->more_closes = 0;
}

bool connection_channel_method(struct connection *c, struct chan *ch, const struct amqp_method *m)
{
    if (m->id == AMQP_CHANNEL_OPEN) { /* also where our close was not answered yet */
        connection_fail(c, AMQP_CODE_CHANNEL_ERROR, m->id, "second 'channel.open' seen");
        return true;
    }
    if (m->id == AMQP_CHANNEL_CLOSE && ch->state != CHAN_CLOSED && ch->state != CHAN_ENDING) {
        tell_close(ch, true);
        connection_drop_input(c, ch);
        ch->state = CHAN_ENDING;
        return true;
    }
    if (m->id == AMQP_CHANNEL_CLOSE && ch->state == CHAN_ENDING && ch->more_closes < UINT8_MAX) {
        ch->more_closes++; /* each is answered, once the channel has ended */
        return true;
    }
    if (m->id == AMQP_CHANNEL_CLOSE && ch->state == CHAN_CLOSED) {
        put_simple(c, ch->number, AMQP_CHANNEL_CLOSE_OK); /* it crosses ours */
        return true;
    }
    if (m->id == AMQP_CHANNEL_CLOSE_OK && ch->state == CHAN_CLOSED) {
        /* The number is free at once; a process that still lives is known by its pid alone. */
        connection_forget(c, ch);
        return true;
    }
    return false;
}

void connection_on_grant(struct connection *c, struct msg *m)
{
    const struct msg_channel_count *g = MSG_OF(struct msg_channel_count, m);
    struct chan *ch = connection_sender(c, m);

    if (!ch)
        return;
    ch->granted_n = g->n;
    ch->granted_bytes = g->bytes;
    if (ch->input_n - ch->granted_n <= INPUT_WINDOW_COMMANDS / 2 &&
        ch->input_bytes - ch->granted_bytes <= INPUT_WINDOW_BYTES / 2)
        unstuff(c, ch);
}

/* The channel found an error of its client and has ended its work. */
void connection_on_fail(struct connection *c, struct msg *m)
{
    const struct msg_conn_fail *f = MSG_OF(struct msg_conn_fail, m);
    struct chan *ch = connection_sender(c, m);
    char quoted[400];

    c->has_exclusive |= f->has_exclusive;
    if (!ch)
        return;
    if (conn_state(c) != CONN_RUNNING || ch->state == CHAN_CLOSED)
        return;
    /* 541 is about this channel alone, though the standard has it as a connection's error. */
    if (amqp_code_is_hard(f->failure.code) && f->failure.code != AMQP_CODE_INTERNAL_ERROR) {
        connection_fail_with(c, &f->failure);
        return;
    }
    log_info("%s: channel %u closed with %u: %s", c->name, ch->number, f->failure.code,
             log_quote(quoted, sizeof(quoted), f->failure.text, strlen(f->failure.text)));
    connection_drop_input(c, ch);
    connection_put_close(c, ch->number, &f->failure);
    if (ch->state == CHAN_ENDING) /* the client's own close came behind its error */
        answer_closes(c, ch);
    ch->state = CHAN_CLOSED;
}

/* A channel's process has ended, as it should or not. */
static void on_ended(struct connection *c, struct chan *ch, bool crashed)
{
    has_ended(c, ch);
    connection_drop_input(c, ch);
    if (ch->state == CHAN_ENDING) {
        if (conn_state(c) == CONN_RUNNING)
            answer_closes(c, ch);
        connection_forget(c, ch);
    } else if (ch->state != CHAN_CLOSED && crashed && conn_state(c) == CONN_RUNNING) {
        const struct failure f = {.code = AMQP_CODE_INTERNAL_ERROR,
                                  .text = "the channel's process ended unexpectedly"};

        ch->state = CHAN_CLOSED;
        connection_put_close(c, ch->number, &f);
    }
    connection_check_end(c);
}

void connection_on_done(struct connection *c, struct msg *m)
{
    struct chan *ch = connection_sender(c, m);

    c->has_exclusive |= MSG_OF(struct msg_channel_done, m)->has_exclusive;
    if (ch)
        on_ended(c, ch, false);
}

void connection_on_down(struct connection *c, struct msg *m)
{
    struct chan *ch = find_by_pid(c, m->from);

    if (!ch)
        return;
    if (!exit_is_normal(&MSG_OF(struct msg_exit, m)->why))
        c->has_exclusive = true; /* nobody can say any more */
    on_ended(c, ch, true);
}
