/*
 * Saying a line: formatting it where it is said, and sending it to the process that writes it.
 */
#include "broker/core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/config.h"
#include "broker/core/log_msg.h"
#include "broker/core/log_output.h"
#include "broker/core/stats.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/runtime.h"

atomic_uchar log_threshold[LOG_CATEGORIES] = {LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO,
                                              LOG_LEVEL_INFO, LOG_LEVEL_INFO};
_Atomic uint64_t log_behind, log_dropped;

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};

    return names[level];
}

const char *log_category_name(enum log_category category)
{
    static const char *const names[] = {"default", "connection", "queue", "access", "management"};

    return names[category];
}

static unsigned lower(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

void log_set_thresholds(void)
{
    unsigned least = LOG_LEVEL_NONE, own;

    for (enum log_sink sink = 0; sink < LOG_SINKS; sink++)
        least = lower(least, log_output_level(sink));
    for (size_t i = 0; i < LOG_CATEGORIES; i++) {
        own = (unsigned)config()->log_category[i];
        atomic_store_explicit(&log_threshold[i], (unsigned char)(own > least ? own : least),
                              memory_order_relaxed);
    }
}

void log_mute(void)
{
    for (size_t i = 0; i < LOG_CATEGORIES; i++)
        atomic_store_explicit(&log_threshold[i], LOG_LEVEL_NONE, memory_order_relaxed);
}

static int64_t wall_ms_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* No process runs here, or no log process stands: the line goes out at once. */
static void write_directly(enum log_level level, const char *text, size_t len)
{
    char line[LOG_LINE_MAX + 64];
    size_t n;

    n = log_format_head(line, 64, wall_ms_now(), level);
    memcpy(line + n, text, len);
    line[n + len] = '\n';
    if (write(STDERR_FILENO, line, n + len + 1) < 0)
        return; /* nobody is left to be told */
}

struct msg *log_line_new(enum log_category category, enum log_level level, int64_t wall_ms,
                         const char *text, size_t len)
{
    struct msg_log_line *m = msg_new(LOG_LINE, sizeof(*m) + len, NULL);

    atomic_fetch_add_explicit(&log_behind, 1, memory_order_relaxed);
    m->wall_ms = wall_ms;
    m->level = level;
    m->category = category;
    m->len = len;
    memcpy(m->text, text, len);
    return &m->hdr;
}

void log_at(enum log_category category, enum log_level level, const char *fmt, ...)
{
    char text[LOG_LINE_MAX];
    proc_id log;
    va_list args;
    size_t len;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    log = proc_self() ? proc_whereis("log") : 0;
    if (!log)
        write_directly(level, text, len);
    else if (atomic_load_explicit(&log_behind, memory_order_relaxed) >= LOG_BEHIND_MAX)
        atomic_fetch_add_explicit(&log_dropped, 1, memory_order_relaxed);
    else
        proc_send(log, log_line_new(category, level, proc_wall_ms(), text, len));
}

void log_outside(const char *text)
{
    proc_id log = proc_whereis("log");

    if (LOG_LEVEL_INFO < atomic_load_explicit(&log_threshold[LOG_DEFAULT], memory_order_relaxed))
        return;
    if (log)
        rt_send(log, log_line_new(LOG_DEFAULT, LOG_LEVEL_INFO, wall_ms_now(), text, strlen(text)));
    else
        write_directly(LOG_LEVEL_INFO, text, strlen(text));
}

void log_after_all(const char *text)
{
    size_t len = strlen(text);
    struct log_event *e = rt_zalloc(sizeof(*e) + len);
    struct log_output o;

    e->wall_ms = wall_ms_now();
    e->level = LOG_LEVEL_INFO;
    e->len = (uint32_t)len;
    memcpy(e->text, text, len);
    for (enum log_sink sink = 0; sink < LOG_SINKS; sink++) {
        log_output_init(&o, sink);
        if (log_output_level(sink) <= LOG_LEVEL_INFO && log_output_open(&o) == 0)
            log_output_write(&o, e);
        log_output_fini(&o);
    }
    rt_free(e);
}

void log_crash(const struct crash_report *report)
{
    struct msg_log_crash *m;
    proc_id log = proc_whereis("log");
    char text[256];

    crash_stats_add(report->kind, report->why.kind);
    if (!log || log == report->pid) {
        snprintf(text, sizeof(text), "crash of %s: %s", report->name, report->why.text);
        write_directly(LOG_LEVEL_ERROR, text, strlen(text));
        return;
    }
    m = msg_new(LOG_CRASH, sizeof(*m), NULL);
    m->wall_ms = proc_wall_ms();
    m->pid = report->pid;
    snprintf(m->kind, sizeof(m->kind), "%s", report->kind);
    snprintf(m->name, sizeof(m->name), "%s", report->name);
    m->why = report->why;
    m->msg_type = report->msg_type;
    m->mailbox_len = report->mailbox_len;
    m->age_us = report->age_us;
    m->heap_bytes = report->heap_bytes;
    m->leaked = report->leaked;
    m->n_frames = report->n_frames < LOG_FRAMES_MAX ? report->n_frames : LOG_FRAMES_MAX;
    memcpy(m->frame, report->frames, (size_t)m->n_frames * sizeof(void *));
    PROC_SEND(log, m);
}

const char *log_quote(char *out, size_t size, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    size_t n = 0;

    for (size_t i = 0; i < len && n + 5 < size; i++) {
        if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
            out[n++] = (char)p[i];
            continue;
        }
        out[n++] = '\\';
        out[n++] = 'x';
        out[n++] = hex[p[i] >> 4];
        out[n++] = hex[p[i] & 15];
    }
    out[n] = 0;
    return out;
}
