/*
 * log.h - everything is logged; an operator reads it later.
 *
 * A line is formatted where it is said and sent to the `log` process, whose sinks write it. Before
 * that process stands, and from threads that run no process, it goes straight to stderr. Never logs
 * what a client sent as it is: callers quote with log_quote. A line is of the category that the
 * build gives its room (LOG_CATEGORY), unless it names another one.
 */
#ifndef BROKER_CORE_LOG_H
#define BROKER_CORE_LOG_H

#include <stdatomic.h>
#include <stddef.h>

#include "broker/runtime/proc.h"

struct crash_report;

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_NONE,   /* of no line: above all of them */
    LOG_LEVEL_OF_ALL, /* only in the configuration: what log.level says */
};

enum log_category {
    LOG_DEFAULT,
    LOG_CONNECTION,
    LOG_QUEUE,
    LOG_ACCESS, /* users and rights, and the audit of changes */
    LOG_MANAGEMENT,
    LOG_CATEGORIES,
};

#ifndef LOG_CATEGORY
#define LOG_CATEGORY LOG_DEFAULT
#endif

/* How the text of a crash report begins. */
#define LOG_CRASH_HEAD "crash of "

/* What subscribers of "log_events" (event_manager.h) get as the body of an event. */
struct log_event {
    int64_t wall_ms;
    enum log_level level;
    enum log_category category;
    uint32_t len;
    uint32_t
        crash_name_len; /* of a crash report: the process's name, behind LOG_CRASH_HEAD; else 0 */
    char text[];        /* not terminated; of a crash report several lines */
};

const char *log_level_name(enum log_level level);
const char *log_category_name(enum log_category category);

/* Below this level nothing is formatted; by category. */
extern atomic_uchar log_threshold[LOG_CATEGORIES];
/* Takes the thresholds from config(): at the start, and by the process `config`. */
void log_set_thresholds(void);
/* Nothing is said any more; for tests. */
void log_mute(void);

/* One line, without its newline; cut at 1000 bytes. From process code or any thread. */
__attribute__((format(printf, 3, 4))) void log_at(enum log_category category, enum log_level level,
                                                  const char *fmt, ...);

#define log_of(CATEGORY, LEVEL, ...)                                                         \
    do {                                                                                     \
        if ((LEVEL) >= atomic_load_explicit(&log_threshold[CATEGORY], memory_order_relaxed)) \
            log_at((CATEGORY), (LEVEL), __VA_ARGS__);                                        \
    } while (0)
#define log_debug(...) log_of(LOG_CATEGORY, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_of(LOG_CATEGORY, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_of(LOG_CATEGORY, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_of(LOG_CATEGORY, LOG_LEVEL_ERROR, __VA_ARGS__)

/* A line at level info from a thread that is no scheduler, to the log process while it stands. */
void log_outside(const char *text);
/* The same once no process is left: written here and now, to each output that is on. */
void log_after_all(const char *text);

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
