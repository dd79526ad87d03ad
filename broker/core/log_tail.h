/*
 * log_tail.h - the end of the log, in memory, for those who look at a running broker.
 *
 * The process "log_tail" keeps the last lines and, apart from them, the last crash reports.
 */
#ifndef BROKER_CORE_LOG_TAIL_H
#define BROKER_CORE_LOG_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/log.h"

struct blob;

enum {
    LOG_TAIL_ASK = 0x508, /* call */
    LOG_TAIL_LINES,       /* reply */
};

enum {
    LOG_TAIL_AT_ONCE = 256, /* lines in one reply, at most */
    LOG_TAIL_CRASHES = 64,  /* that are kept */
};

struct msg_log_tail_ask {
    struct msg hdr;
    /*
     * Lines that came later than this one, oldest first; 0: all that are kept. Where there are none
     * the answer comes with the next line. Numbers only grow, also from one start to the next.
     */
    uint64_t after;
    uint32_t last;     /* not 0: the last so many of them, at once */
    bool only_crashes; /* the crash reports instead, at once */
};

struct log_tail_line {
    uint64_t id;       /* never 0 */
    struct blob *body; /* a struct log_event; a reference of its own */
};

struct msg_log_tail_lines { /* drop unrefs the bodies */
    struct msg hdr;
    uint32_t n;
    struct log_tail_line line[];
};

/* What a line of a reply says; lent. */
const struct log_event *log_tail_event(const struct log_tail_line *line);

/* The process, a child of the log's supervisor. */
extern const struct proc_ops log_tail_ops;

#endif
