/*
 * The log: a supervisor, its event manager, the server that receives lines, and the sinks.
 *
 * Duties: takes lines and crash reports from everybody, makes them text (addresses of a crash
 * report become names here, not on the thread that crashed), and publishes them to the sinks.
 * Messages in: LOG_LINE, LOG_CRASH. Out: events to the manager "log_events", whose kind is the
 * level. Sinks subscribe to the manager; one that dies or is parked hurts nobody.
 *
 *   log_sup (one_for_one; its end is the program's)
 *     log_events   event manager
 *     log          the server
 *     log_stderr   a sink, blocking, with a budget of its own
 */
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/log_msg.h"
#include "broker/core/log_tree.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/event_manager.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"

enum { SINK_BEHIND_MAX = 1000 };

struct log_server {
    uint64_t dropped_told; /* how many dropped lines the log has admitted */
};

static void publish(int64_t wall_ms, enum log_level level, const char *text, size_t len)
{
    char head[64];
    uint8_t *out;
    size_t n = log_format_head(head, sizeof(head), wall_ms, level);
    struct blob *line = blob_new(n + len + 1, &out);

    memcpy(out, head, n);
    memcpy(out + n, text, len);
    out[n + len] = '\n';
    event_notify(proc_whereis("log_events"), (uint32_t)level, line);
}

static void on_line(struct log_server *s, struct msg_log_line *m)
{
    uint64_t dropped = atomic_load_explicit(&log_dropped, memory_order_relaxed);
    char text[64];

    atomic_fetch_sub_explicit(&log_behind, 1, memory_order_relaxed);
    publish(m->wall_ms, m->level, m->text, m->len);
    if (dropped == s->dropped_told)
        return;
    snprintf(text, sizeof(text), "%llu lines were dropped: too many at once",
             (unsigned long long)(dropped - s->dropped_told));
    publish(m->wall_ms, LOG_LEVEL_WARNING, text, strlen(text));
    s->dropped_told = dropped;
}

/* Appends the frames' names; backtrace_symbols allocates, so in a region of the runtime's. */
static size_t put_frames(char *out, size_t size, const struct msg_log_crash *m)
{
    RUNTIME_REGION();
    char **names = backtrace_symbols(m->frame, m->n_frames);
    size_t n = 0;

    for (int i = 0; names && i < m->n_frames && n + 160 < size; i++)
        n += (size_t)snprintf(out + n, size - n, "\n    %.150s", names[i]);
    free(names);
    return n;
}

static void on_crash(struct msg_log_crash *m)
{
    size_t size = 8192, n;
    char *text = proc_alloc(size);

    n = (size_t)snprintf(
        text, size,
        "crash of %s (%s, pid %u.%u.%u): %s: %s%s%s:%d; code %d, handling message 0x%x, age %.3f s,"
        " heap %zu bytes, %u messages waiting%s",
        m->name, m->kind, (unsigned)(m->pid >> 56), (unsigned)(m->pid >> 32) & 0xffffff,
        (unsigned)m->pid, exit_kind_name(m->why.kind), m->why.text, m->why.file ? " at " : "",
        m->why.file ? m->why.file : "", m->why.line, m->why.code, m->msg_type,
        (double)m->age_us / 1e6, m->heap_bytes, m->mailbox_len,
        m->leaked ? "; its heap was damaged, the rest of it is leaked" : "");
    n += put_frames(text + n, size - n, m);
    publish(m->wall_ms, LOG_LEVEL_ERROR, text, n);
    proc_free(text);
}

static void log_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register("log") == 0);
}

static void log_handle(void *state, struct msg *m)
{
    switch (m->type) {
    case LOG_LINE:
        on_line(state, MSG_OF(struct msg_log_line, m));
        return;
    case LOG_CRASH:
        on_crash(MSG_OF(struct msg_log_crash, m));
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

const struct proc_ops log_ops = {
    .kind = "log",
    .state_size = sizeof(struct log_server),
    .init = log_init,
    .handle = log_handle,
};

struct sink {
    proc_id manager;
};

/* The manager may be a new one: a subscription is with the one that has the name now. */
static void sink_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    (void)proc_await("log_events");
}

static void sink_handle(void *state, struct msg *m)
{
    struct sink *s = state;
    struct msg_event *e = MSG_OF(struct msg_event, m);

    switch (m->type) {
    case MSG_NAMED:
        s->manager = m->from;
        proc_monitor(m->from);
        event_subscribe(m->from, SINK_BEHIND_MAX);
        return;
    case MSG_DOWN:
        (void)proc_await("log_events");
        return;
    case MSG_EVENT:
        /* A closed stderr is not this process's failure. */
        (void)!write(STDERR_FILENO, blob_bytes(e->body), blob_size(e->body));
        event_ack(s->manager);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static const struct proc_ops stderr_sink_ops = {
    .kind = "log_stderr",
    .state_size = sizeof(struct sink),
    .flags = PROC_OPS_BLOCKING,
    .init = sink_init,
    .handle = sink_handle,
};

/* An event manager that also has the name that sinks await. */
static void events_init(void *state, const void *arg)
{
    event_manager_ops.init(state, arg);
    CHECK(proc_register("log_events") == 0);
}

static void log_build(const void *ctx)
{
    static struct proc_ops events_ops; /* event_manager_ops, but for its init */

    (void)ctx;
    events_ops = event_manager_ops;
    events_ops.kind = "log_events";
    events_ops.init = events_init;
    sup_add(&(struct child_spec){
        .id = "log_events", .ops = &events_ops, .shutdown_ms = 1000, .scheduler = SCHED_SAME});
    sup_add(&(struct child_spec){
        .id = "log", .ops = &log_ops, .shutdown_ms = 1000, .scheduler = SCHED_SAME});
    sup_add(&(struct child_spec){.id = "log_stderr",
                                 .ops = &stderr_sink_ops,
                                 .shutdown_ms = 1000,
                                 .own_budget = true,
                                 .scheduler = SCHED_SAME});
}

struct blob *log_sup_arg(void)
{
    struct sup_spec spec = {.strategy = ONE_FOR_ONE, .build = log_build};

    return sup_new_arg(&spec, NULL, 0);
}
