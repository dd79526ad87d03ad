/*
 * Saying a line: formatting it where it is said, and sending it to the process that writes it.
 */
#include "broker/core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/log_msg.h"
#include "broker/runtime/runtime.h"

enum log_level log_threshold = LOG_LEVEL_INFO;
_Atomic uint64_t log_behind, log_dropped;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

size_t log_format_head(char *out, size_t size, int64_t wall_ms, enum log_level level)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(out + n, size - n, ".%03d [%s] ", (int)(wall_ms % 1000),
                          level_names[level]);
    return n;
}

/* No process runs here, or no log process stands: the line goes out at once. */
static void write_directly(enum log_level level, const char *text, size_t len)
{
    char line[LOG_LINE_MAX + 64];
    struct timespec now;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    n = log_format_head(line, 64, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, level);
    memcpy(line + n, text, len);
    line[n + len] = '\n';
    if (write(STDERR_FILENO, line, n + len + 1) < 0)
        return; /* nobody is left to be told */
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char text[LOG_LINE_MAX];
    struct msg_log_line *m;
    proc_id log;
    va_list args;
    size_t len;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    log = proc_self() ? proc_whereis("log") : 0;
    if (!log) {
        write_directly(level, text, len);
        return;
    }
    if (atomic_load_explicit(&log_behind, memory_order_relaxed) >= LOG_BEHIND_MAX) {
        atomic_fetch_add_explicit(&log_dropped, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&log_behind, 1, memory_order_relaxed);
    m = msg_new(LOG_LINE, sizeof(*m) + len, NULL);
    m->wall_ms = proc_wall_ms();
    m->level = level;
    m->len = len;
    memcpy(m->text, text, len);
    PROC_SEND(log, m);
}

void log_crash(const struct crash_report *report)
{
    struct msg_log_crash *m;
    proc_id log = proc_whereis("log");
    char text[256];

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
