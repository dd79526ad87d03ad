/*
 * log_sink.c - the processes that write the log, one for each output.
 *
 * Duties: subscribes to "log_events" while its output is on; writes what it gets; opens its output
 * anew when the configuration was read again. Blocking: a disk or a pipe may keep it waiting.
 * In:  MSG_NAMED, MSG_DOWN (the event manager), MSG_EVENT, CONFIG_CHANGED.
 * Out: subscriptions and acknowledgements to the event manager.
 * Monitors the event manager, links to nobody.
 * Invariants:
 *   1. Subscribed if and only if the output is on and open, and the manager is known.
 *   2. An output that cannot be opened ends the process; its supervisor parks it and tries again.
 */
#include <string.h>

#include "broker/core/config_server.h"
#include "broker/core/log_output.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/event_manager.h"
#include "broker/runtime/region.h"

enum { BEHIND_MAX = 1000 };

struct sink {
    struct log_output *output; /* foreign; given back when the process ends */
    proc_id manager;           /* 0: awaited */
};

static void free_output(void *arg)
{
    log_output_fini(arg);
    rt_free(arg);
}

static int open_output(struct sink *s)
{
    RUNTIME_REGION();

    return log_output_open(s->output);
}

/* Follows the configuration. */
static void look_again(struct sink *s)
{
    bool is_on = log_output_level(s->output->sink) < LOG_LEVEL_NONE;
    int r = is_on ? open_output(s) : 0;

    if (r < 0)
        proc_exit(EXIT_CRASH, r, "the output cannot be opened: %s", strerror(-r));
    if (!s->manager)
        return;
    if (is_on)
        event_subscribe(s->manager, BEHIND_MAX);
    else
        event_unsubscribe(s->manager);
}

static void sink_init(struct sink *s, enum log_sink sink)
{
    s->output = rt_zalloc(sizeof(*s->output));
    log_output_init(s->output, sink);
    proc_at_exit(free_output, s->output);
    (void)proc_await("log_events"); /* it may be a new one, later */
    look_again(s);
}

static void write_event(struct sink *s, const struct msg_event *m)
{
    RUNTIME_REGION();
    const struct log_event *e = (const struct log_event *)(const void *)blob_bytes(m->body);

    if (m->skipped > 0)
        log_output_skipped(s->output, m->skipped, e->wall_ms);
    if (e->level >= log_output_level(s->output->sink))
        log_output_write(s->output, e);
}

static void on_named(struct sink *s, proc_id manager)
{
    s->manager = manager;
    proc_monitor(manager);
    if (log_output_level(s->output->sink) < LOG_LEVEL_NONE)
        event_subscribe(manager, BEHIND_MAX);
}

static void sink_handle(void *state, struct msg *m)
{
    struct sink *s = state;

    switch (m->type) {
    case MSG_NAMED:
        on_named(s, m->from);
        return;
    case MSG_DOWN:
        s->manager = 0;
        (void)proc_await("log_events");
        return;
    case MSG_EVENT:
        write_event(s, MSG_OF(struct msg_event, m));
        event_ack(s->manager);
        return;
    case CONFIG_CHANGED:
        look_again(s);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

/* The name is how `config` finds it. */
static void console_init(void *state, const void *arg)
{
    (void)arg;
    CHECK(proc_register("log_console") == 0);
    sink_init(state, LOG_TO_CONSOLE);
}

static void file_init(void *state, const void *arg)
{
    (void)arg;
    CHECK(proc_register("log_file") == 0);
    sink_init(state, LOG_TO_FILE);
}

static void journal_init(void *state, const void *arg)
{
    (void)arg;
    CHECK(proc_register("log_journal") == 0);
    sink_init(state, LOG_TO_JOURNAL);
}

#define SINK(KIND, INIT)                                                                           \
    {                                                                                              \
        .kind = KIND, .state_size = sizeof(struct sink), .flags = PROC_OPS_BLOCKING, .init = INIT, \
        .handle = sink_handle                                                                      \
    }

const struct proc_ops log_sink_ops[LOG_SINKS] = {
    [LOG_TO_CONSOLE] = SINK("log_console", console_init),
    [LOG_TO_FILE] = SINK("log_file", file_init),
    [LOG_TO_JOURNAL] = SINK("log_journal", journal_init),
};
