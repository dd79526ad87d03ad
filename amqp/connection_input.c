/*
 * connection_input.c - from bytes to commands: what a connection reads, and for whom.
 *
 * Contents are put together for each channel apart, as their frames may be mixed. What one read
 * brings for a channel is gathered into one message and sent before the handler ends.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/props.h"
#include "amqp/connection_internal.h"
#include "broker/core/alarms.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"

enum {
    GATHER_MAX = 128,      /* commands in one message */
    SMALLEST_COMMAND = 21, /* bytes of a basic.ack frame */
    UNFILLED_MAX = 8 * 1024 * 1024,
    ROOM_FACTOR = 4,
};

uint16_t connection_code_of(int error)
{
    switch (error) {
    case AMQP_ERR_UNKNOWN_CLASS:
    case AMQP_ERR_UNKNOWN_METHOD:
        return AMQP_CODE_COMMAND_INVALID;
    case AMQP_ERR_HEARTBEAT_CHANNEL:
    case AMQP_ERR_HEADER_WEIGHT:
        return AMQP_CODE_UNEXPECTED_FRAME;
    case AMQP_ERR_TABLE_DEPTH:
    case AMQP_ERR_TABLE_SIZE:
        return AMQP_CODE_SYNTAX_ERROR;
    default:
        return AMQP_CODE_FRAME_ERROR;
    }
}

static void mark_dirty(struct connection *c, struct chan *ch)
{
    if (ch->is_dirty)
        return;
    ch->is_dirty = true;
    ch->next_dirty = c->dirty;
    c->dirty = ch;
}

static void send_gathered(struct connection *c, struct chan *ch)
{
    struct msg_channel_input *in = ch->gather;

    ch->gather = NULL;
    if (!in)
        return;
    if (ch->input_n - ch->granted_n >= INPUT_WINDOW_COMMANDS ||
        ch->input_bytes - ch->granted_bytes >= INPUT_WINDOW_BYTES) {
        if (!ch->is_stuffed)
            c->n_stuffed++;
        ch->is_stuffed = true;
    }
    PROC_SEND(ch->pid, in);
}

/* The next command for a channel; the caller fills it and calls count_command. */
static struct command *next_command(struct connection *c, struct chan *ch)
{
    if (ch->gather && ch->gather->n == ch->gather->cap)
        send_gathered(c, ch);
    if (!ch->gather) {
        size_t most = c->read_size / SMALLEST_COMMAND + 1;

        ch->gather = channel_input_new((uint16_t)(most < GATHER_MAX ? most : GATHER_MAX));
        mark_dirty(c, ch);
    }
    return &ch->gather->command[ch->gather->n];
}

static void count_command(struct chan *ch, const struct command *cmd)
{
    ch->gather->n++;
    ch->input_n++;
    ch->input_bytes += command_window_bytes(cmd);
}

/* The channel's own error, found here: told in order with its other input, of which no more comes.
 */
static int doom(struct connection *c, struct chan *ch, uint16_t code, uint32_t method,
                const char *text)
{
    struct failure *f = rt_zalloc(sizeof(*f));
    struct command *cmd = next_command(c, ch);

    *f = (struct failure){.code = code, .method = method};
    snprintf(f->text, sizeof(f->text), "%s", text);
    *cmd = (struct command){.kind = COMMAND_FAIL, .len = sizeof(*f), .payload = (uint8_t *)f};
    count_command(ch, cmd);
    ch->state = CHAN_DOOMED;
    ch->expect = EXPECT_METHOD;
    return 0;
}

static void add_method(struct connection *c, struct chan *ch, struct amqp_bytes payload)
{
    struct command *cmd = next_command(c, ch);

    *cmd = (struct command){.kind = COMMAND_METHOD, .len = payload.len};
    cmd->payload = rt_alloc(payload.len);
    memcpy(cmd->payload, payload.p, payload.len);
    count_command(ch, cmd);
}

static void add_settle(struct connection *c, struct chan *ch, const struct amqp_method *m)
{
    struct command *cmd = next_command(c, ch);

    if (m->id == AMQP_BASIC_ACK)
        *cmd = (struct command){.kind = COMMAND_ACK,
                                .tag = m->u.basic_ack.delivery_tag,
                                .multiple = m->u.basic_ack.multiple};
    else if (m->id == AMQP_BASIC_NACK)
        *cmd = (struct command){.kind = COMMAND_NACK,
                                .tag = m->u.basic_nack.delivery_tag,
                                .multiple = m->u.basic_nack.multiple,
                                .requeue = m->u.basic_nack.requeue};
    else
        *cmd = (struct command){.kind = COMMAND_REJECT,
                                .tag = m->u.basic_reject.delivery_tag,
                                .requeue = m->u.basic_reject.requeue};
    count_command(ch, cmd);
}

/* A content's last byte was read (or it has none). */
static void end_content(struct connection *c, struct chan *ch)
{
    struct command *cmd = next_command(c, ch);

    *cmd = (struct command){.kind = COMMAND_PUBLISH,
                            .mandatory = ch->mandatory,
                            .immediate = ch->immediate,
                            .record = ch->record};
    if (ch->is_guarded)
        proc_at_exit_cancel((void (*)(void *))record_unref, ch->record);
    ch->is_guarded = false;
    ch->record = NULL;
    ch->expect = EXPECT_METHOD;
    count_command(ch, cmd);
}

static void on_publish(struct connection *c, struct chan *ch, const struct amqp_basic_publish *p)
{
    if (alarms_now())
        connection_block(c);
    mark_dirty(c, ch);
    ch->exchange = p->exchange;
    ch->key = p->routing_key;
    ch->mandatory = p->mandatory;
    ch->immediate = p->immediate;
    ch->expect = EXPECT_HEADER;
}

/* A content that is not whole is the fault of its basic.publish, whatever came instead. */
static int unexpected(struct connection *c, const struct chan *ch, const char *got)
{
    uint32_t method = ch->expect == EXPECT_METHOD ? 0 : AMQP_BASIC_PUBLISH;
    static const char *const wanted[] = {
        [EXPECT_METHOD] = "a method",
        [EXPECT_HEADER] = "content header for class 60",
        [EXPECT_BODY] = "content body",
    };

    connection_fail(c, AMQP_CODE_UNEXPECTED_FRAME, method, "expected %s, got %s instead",
                    wanted[ch->expect], got);
    return 0;
}

/* What a closed channel still hears, and nothing else. */
static int on_closed_channel(struct connection *c, struct chan *ch, struct amqp_bytes payload)
{
    uint32_t id = amqp_method_peek(payload);
    struct amqp_method m;

    if ((id == AMQP_CHANNEL_CLOSE || id == AMQP_CHANNEL_CLOSE_OK || id == AMQP_CHANNEL_OPEN) &&
        amqp_method_decode(payload, &m) == 0)
        (void)connection_channel_method(c, ch, &m);
    return 0;
}

static int on_channel_method(struct connection *c, struct chan *ch, struct amqp_bytes payload)
{
    struct amqp_method m;
    int r;

    if (ch->state != CHAN_OPEN)
        return on_closed_channel(c, ch, payload);
    if (ch->expect != EXPECT_METHOD)
        return unexpected(c, ch, "a method");
    r = amqp_method_decode(payload, &m);
    if (r < 0) {
        connection_fail(c, connection_code_of(r), amqp_method_peek(payload), "%s",
                        amqp_error_text(r));
        return 0;
    }
    switch (m.id) {
    case AMQP_BASIC_PUBLISH:
        on_publish(c, ch, &m.u.basic_publish);
        return 0;
    case AMQP_BASIC_ACK:
    case AMQP_BASIC_NACK:
    case AMQP_BASIC_REJECT:
        add_settle(c, ch, &m);
        return 0;
    }
    if (connection_channel_method(c, ch, &m))
        return 0;
    if (!amqp_method_is_from_client(m.id) || amqp_class_of(m.id) == AMQP_CLASS_CONNECTION)
        connection_fail(c, AMQP_CODE_COMMAND_INVALID, m.id, "unimplemented method");
    else
        add_method(c, ch, payload);
    return 0;
}

static int refuse_size(struct connection *c, struct chan *ch, uint64_t size)
{
    struct failure f;

    if (size > RECORD_BODY_MAX) {
        connection_fail(c, AMQP_CODE_FRAME_ERROR, AMQP_BASIC_PUBLISH,
                        "content of %llu bytes is larger than any may be",
                        (unsigned long long)size);
        return 0;
    }
    snprintf(f.text, sizeof(f.text), "message size %llu is larger than configured max size %llu",
             (unsigned long long)size, (unsigned long long)config()->max_message_size);
    return doom(c, ch, AMQP_CODE_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH, f.text);
}

static int on_header(struct connection *c, struct chan *ch, struct amqp_bytes payload)
{
    struct amqp_content_header h;
    int r;

    if (ch->state != CHAN_OPEN)
        return 0;
    if (ch->expect != EXPECT_HEADER)
        return unexpected(c, ch, "a content header");
    r = content_header_parse(payload, &h);
    if (r == 0 && h.class_id != AMQP_CLASS_BASIC) {
        connection_fail(c, AMQP_CODE_UNEXPECTED_FRAME, AMQP_BASIC_PUBLISH,
                        "expected content header for class 60, got one for class %u instead",
                        h.class_id);
        return 0;
    }
    if (r == 0)
        r = props_validate(h.props);
    if (r < 0) {
        connection_fail(c, connection_code_of(r), AMQP_BASIC_PUBLISH, "content header: %s",
                        amqp_error_text(r));
        return 0;
    }
    if (h.body_size > RECORD_BODY_MAX || h.body_size > config()->max_message_size)
        return refuse_size(c, ch, h.body_size);
    mark_dirty(c, ch);
    ch->record = record_begin(&(struct record_parts){ch->exchange, ch->key, h.props},
                              (size_t)h.body_size, &ch->body);
    CHECK(ch->record); /* all lengths were checked */
    ch->room = ch->body ? h.body_size : 0;
    c->unfilled += ch->room;
    proc_free(ch->saved);
    ch->saved = NULL;
    ch->body_left = h.body_size;
    ch->expect = EXPECT_BODY;
    if (h.body_size == 0)
        end_content(c, ch);
    return 0;
}

static int on_frame(void *ctx, const struct amqp_frame *f)
{
    struct connection *c = ctx;
    struct amqp_method m;
    struct chan *ch;
    int r;

    if (f->type == AMQP_FRAME_HEARTBEAT || conn_state(c) > CONN_CLOSING)
        return 0;
    if (conn_state(c) == CONN_CLOSING && f->channel != 0)
        return 0;
    if (f->channel == 0) {
        r = f->type == AMQP_FRAME_METHOD ? amqp_method_decode(f->payload, &m) : 1;
        if (r == 0)
            connection_on_method(c, &m);
        else if (r < 0)
            connection_fail(c, connection_code_of(r), amqp_method_peek(f->payload), "%s",
                            amqp_error_text(r));
        else
            connection_fail(c, AMQP_CODE_UNEXPECTED_FRAME, 0, "content frame on channel 0");
        return 0;
    }
    if (conn_state(c) != CONN_RUNNING) {
        connection_fail(c, AMQP_CODE_UNEXPECTED_FRAME, 0, "frame on channel %u before open",
                        f->channel);
        return 0;
    }
    ch = connection_find(c, f->channel);
    if (ch)
        return f->type == AMQP_FRAME_METHOD ? on_channel_method(c, ch, f->payload)
                                            : on_header(c, ch, f->payload);
    if (f->type == AMQP_FRAME_METHOD && amqp_method_peek(f->payload) == AMQP_CHANNEL_OPEN)
        connection_open_channel(c, f->channel);
    else if (f->type == AMQP_FRAME_METHOD)
        connection_fail(c, AMQP_CODE_CHANNEL_ERROR, amqp_method_peek(f->payload),
                        "expected 'channel.open'");
    else
        connection_fail(c, AMQP_CODE_UNEXPECTED_FRAME, 0, "content frame on an unopened channel");
    return 0;
}

/*
 * Memory for the next `size` bytes of a large body. A size is easily declared and many never come:
 * what a connection has beyond what has come stays within a bound, or a few times that.
 */
static void make_room(struct connection *c, struct chan *ch, uint32_t size)
{
    uint64_t whole = record_body_len(ch->record), have = whole - ch->body_left;
    uint64_t room = (have + size) * ROOM_FACTOR;

    if (have + size <= ch->room)
        return;
    if (room > whole || c->unfilled + (whole - ch->room) <= UNFILLED_MAX)
        room = whole;
    ch->body = record_make_room(ch->record, have, room) + have;
    c->unfilled += room - ch->room;
    ch->room = room;
}

static int on_body(void *ctx, uint16_t number, uint32_t size, uint8_t **ret_at)
{
    struct connection *c = ctx;
    struct chan *ch = NULL;

    if (conn_state(c) > CONN_RUNNING)
        return 0;
    if (conn_state(c) == CONN_RUNNING && number != 0)
        ch = connection_find(c, number);
    if (!ch) {
        connection_fail(c, AMQP_CODE_UNEXPECTED_FRAME, 0, "content frame on channel %u", number);
        return 0;
    }
    if (ch->state != CHAN_OPEN)
        return 0;
    if (ch->expect != EXPECT_BODY)
        return unexpected(c, ch, "a content body");
    if (size > ch->body_left) {
        connection_fail(c, AMQP_CODE_FRAME_ERROR, AMQP_BASIC_PUBLISH,
                        "content body frame exceeds remaining content size");
        return 0;
    }
    mark_dirty(c, ch);
    make_room(c, ch, size);
    c->unfilled -= size;
    *ret_at = ch->body;
    ch->body += size;
    ch->body_left -= size;
    return 0;
}

static int on_body_end(void *ctx, uint16_t number)
{
    struct connection *c = ctx;
    struct chan *ch = conn_state(c) == CONN_RUNNING ? connection_find(c, number) : NULL;

    if (ch && ch->state == CHAN_OPEN && ch->expect == EXPECT_BODY && ch->body_left == 0)
        end_content(c, ch);
    return 0;
}

const struct framer_ops connection_framer_ops = {
    .frame = on_frame,
    .body = on_body,
    .body_end = on_body_end,
};

/* The read is over: its bytes are gone, so what is half done gets a place of its own. */
static void settle_chan(struct connection *c, struct chan *ch)
{
    send_gathered(c, ch);
    if (ch->expect == EXPECT_HEADER && !ch->saved) {
        ch->saved = proc_alloc((size_t)ch->exchange.len + ch->key.len + 1);
        ch->exchange.p = memcpy(ch->saved, ch->exchange.p, ch->exchange.len);
        ch->key.p = memcpy(ch->saved + ch->exchange.len, ch->key.p, ch->key.len);
    }
    if (ch->record && !ch->is_guarded) {
        proc_at_exit((void (*)(void *))record_unref, ch->record);
        ch->is_guarded = true;
    }
}

static void settle_read(struct connection *c)
{
    while (c->dirty) {
        struct chan *ch = c->dirty;

        c->dirty = ch->next_dirty;
        ch->is_dirty = false;
        settle_chan(c, ch);
    }
}

/* The first bytes: how many of them belong to the protocol header. */
static size_t take_header(struct connection *c, const uint8_t *p, size_t n)
{
    size_t take = sizeof(c->header) - c->header_len;

    if (take > n)
        take = n;
    memcpy(c->header + c->header_len, p, take);
    c->header_len += (uint8_t)take;
    connection_on_header(c);
    return take;
}

static void end_feed(struct connection *c, int r)
{
    if (r < 0) {
        c->deaf = true;
        connection_fail(c, connection_code_of(r), 0, "%s", amqp_error_text(r));
        /* A close that was sent before waits for an answer that cannot be understood any more. */
        c->half_close = true;
    }
    settle_read(c);
    framer_release(&c->framer);
}

static void feed(struct connection *c, const uint8_t *scratch, size_t n)
{
    int r;

    if (conn_state(c) == CONN_HEADER) {
        size_t took = take_header(c, scratch, n);

        scratch += took;
        n -= took;
    }
    if (c->deaf || n == 0 || conn_state(c) > CONN_CLOSING)
        return;
    c->read_size = n;
    r = framer_feed(&c->framer, &connection_framer_ops, c, scratch, n);
    end_feed(c, r);
}

void connection_resume(struct connection *c)
{
    c->read_size = c->framer.n_held;
    end_feed(c, framer_resume(&c->framer, &connection_framer_ops, c));
}

static ssize_t receive(struct connection *c, struct iovec *places, int n)
{
    return c->front ? connection_read_front(c, places, n) : io_readv(c->io, places, n);
}

void connection_read(struct connection *c)
{
    size_t size;
    uint8_t *scratch = io_scratch(&size);
    struct iovec places[2];
    ssize_t n;

    if (!c->io || c->eof || c->framer.hold ||
        ((c->n_stuffed > 0 || c->is_blocked) && conn_state(c) == CONN_RUNNING))
        return;
    if (c->deaf || conn_state(c) == CONN_LINGER)
        n = receive(c, &(struct iovec){scratch, size}, 1);
    else
        n = receive(c, places, framer_places(&c->framer, scratch, size, places));
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n <= 0) {
        c->eof = true;
        connection_end(c, false);
        return;
    }
    c->has_read = true;
    c->n_reads++;
    c->read_bytes += (uint64_t)n;
    feed(c, scratch, (size_t)n);
    if (connection_front_is_over(c)) {
        c->eof = true;
        connection_end(c, false);
    }
}
