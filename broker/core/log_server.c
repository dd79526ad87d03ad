/*
 * The log: a supervisor, its event manager, the server that gets lines; log_sink.c has the sinks.
 *
 * Duties: takes lines and crash reports from everybody, makes them text (addresses of a crash
 * report become names here, not on the thread that crashed), and publishes them to the sinks.
 * Messages in: LOG_LINE, LOG_CRASH. Out: events to the manager "log_events", whose kind is the
 * level. Sinks subscribe to the manager; one that dies or is parked hurts nobody.
 *
 *   log_sup (one_for_one; its end is the program's)
 *     log_console, log_file, log_journal   the sinks, blocking, each with a budget of its own
 *     log_events                           event manager
 *     log                                  the server
 *     log_tail                             the last lines, for who looks (log_tail.c)
 */
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/log_msg.h"
#include "broker/core/log_output.h"
#include "broker/core/log_tail.h"
#include "broker/core/log_tree.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/event_manager.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"

struct log_server {
    uint64_t dropped_told; /* how many dropped lines the log has admitted */
};

static void publish(const struct log_event *head, const char *text)
{
    uint8_t *bytes;
    struct blob *body = blob_new(sizeof(*head) + head->len, &bytes);

    memcpy(bytes, head, sizeof(*head));
    memcpy(bytes + offsetof(struct log_event, text), text, head->len);
    event_notify(proc_whereis("log_events"), (uint32_t)head->level, body);
}

static void on_line(struct log_server *s, struct msg_log_line *m)
{
    uint64_t dropped = atomic_load_explicit(&log_dropped, memory_order_relaxed);
    struct log_event e = {
        .wall_ms = m->wall_ms, .level = m->level, .category = m->category, .len = (uint32_t)m->len};
    char text[64];

    atomic_fetch_sub_explicit(&log_behind, 1, memory_order_relaxed);
    publish(&e, m->text);
    if (dropped == s->dropped_told)
        return;
    e.len = (uint32_t)snprintf(text, sizeof(text), "%llu lines were dropped: too many at once",
                               (unsigned long long)(dropped - s->dropped_told));
    e.level = LOG_LEVEL_WARNING;
    e.category = LOG_DEFAULT;
    publish(&e, text);
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
    struct log_event e = {.wall_ms = m->wall_ms, .level = LOG_LEVEL_ERROR};
    size_t size = 8192, n;
    char *text = proc_alloc(size);

    n = (size_t)snprintf(
        text, size,
        LOG_CRASH_HEAD
        "%s (%s, pid %u.%u.%u): %s: %s%s%s:%d; code %d, handling message 0x%x, age %.3f s,"
        " heap %zu bytes, %u messages waiting%s",
        m->name, m->kind, (unsigned)(m->pid >> 56), (unsigned)(m->pid >> 32) & 0xffffff,
        (unsigned)m->pid, exit_kind_name(m->why.kind), m->why.text, m->why.file ? " at " : "",
        m->why.file ? m->why.file : "", m->why.line, m->why.code, m->msg_type,
        (double)m->age_us / 1e6, m->heap_bytes, m->mailbox_len,
        m->leaked ? "; its heap was damaged, the rest of it is leaked" : "");
    n += put_frames(text + n, size - n, m);
    e.len = (uint32_t)n;
    e.crash_name_len = (uint32_t)strlen(m->name);
    publish(&e, text);
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

/* An event manager that also has the name that sinks await. */
static void events_init(void *state, const void *arg)
{
    event_manager_ops.init(state, arg);
    CHECK(proc_register("log_events") == 0);
}

static void log_build(const void *ctx)
{
    static struct proc_ops events_ops; /* event_manager_ops, but for its init */
    const bool *with_tail = ctx;

    events_ops = event_manager_ops;
    events_ops.kind = "log_events";
    events_ops.init = events_init;
    /* What ends last stands first: the sinks write what the others said until their own end. */
    for (size_t i = 0; i < LOG_SINKS; i++)
        sup_add(&(struct child_spec){.id = log_sink_ops[i].kind,
                                     .ops = &log_sink_ops[i],
                                     .shutdown_ms = 2000,
                                     .own_budget = true,
                                     .scheduler = SCHED_SAME});
    sup_add(&(struct child_spec){
        .id = "log_events", .ops = &events_ops, .shutdown_ms = 1000, .scheduler = SCHED_SAME});
    if (*with_tail)
        sup_add(&(struct child_spec){.id = "log_tail",
                                     .ops = &log_tail_ops,
                                     .shutdown_ms = 1000,
                                     .own_budget = true,
                                     .scheduler = SCHED_SAME});
    sup_add(&(struct child_spec){
        .id = "log", .ops = &log_ops, .shutdown_ms = 1000, .scheduler = SCHED_SAME});
}

struct blob *log_sup_arg(bool with_tail)
{
    struct sup_spec spec = {.strategy = ONE_FOR_ONE, .build = log_build};

    return sup_new_arg(&spec, &with_tail, sizeof(with_tail));
}
