/*
 * log.h - everything is logged; an operator reads it later.
 *
 * A line is formatted where it is said and sent to the `log` process, whose sinks write it. Before
 * that process stands, and from threads that run no process, it goes straight to stderr. Never logs
 * what a client sent as it is: callers quote with log_quote.
 */
#ifndef BROKER_CORE_LOG_H
#define BROKER_CORE_LOG_H

#include <stddef.h>

#include "broker/runtime/proc.h"

struct crash_report;

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_NONE
};

/* Below this level nothing is formatted. */
extern enum log_level log_threshold;

/* One line, without its newline; cut at 1000 bytes. From process code or any thread. */
__attribute__((format(printf, 2, 3))) void log_at(enum log_level level, const char *fmt, ...);

#define log_if(LEVEL, ...)                \
    do {                                  \
        if ((LEVEL) >= log_threshold)     \
            log_at((LEVEL), __VA_ARGS__); \
    } while (0)
#define log_debug(...) log_if(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_if(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_if(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_if(LOG_LEVEL_ERROR, __VA_ARGS__)

/* For rt_config.on_crash: a crash report is never dropped. */
void log_crash(const struct crash_report *report);

/*
 * Bytes of a client made harmless for a line: control characters and non-ASCII as \xNN, at most
 * size - 1 bytes, NUL-terminated. Returns out.
 */
const char *log_quote(char *out, size_t size, const void *bytes, size_t len);

/* The process, registered as "log": a supervisor's child of the root. */
extern const struct proc_ops log_ops;

#endif
