/*
 * log_msg.h - the messages of the log, between log.c (who says) and log_server.c (who writes).
 */
#ifndef BROKER_CORE_LOG_MSG_H
#define BROKER_CORE_LOG_MSG_H

#include <stdatomic.h>

#include "broker/core/log.h"
#include "broker/runtime/proc.h"

enum { LOG_LINE = 0x500, LOG_CRASH };

enum { LOG_LINE_MAX = 1000, LOG_FRAMES_MAX = 32, LOG_BEHIND_MAX = 10000 };

struct msg_log_line {
    struct msg hdr;
    int64_t wall_ms;
    enum log_level level;
    enum log_category category;
    size_t len;
    char text[];
};

struct msg_log_crash { /* a copy of what struct crash_report lends */
    struct msg hdr;
    int64_t wall_ms;
    proc_id pid;
    char kind[32], name[128];
    struct exit_reason why;
    uint32_t msg_type, mailbox_len;
    uint64_t age_us;
    size_t heap_bytes;
    bool leaked;
    int n_frames;
    void *frame[LOG_FRAMES_MAX];
};

/* Lines under way to the log process, and lines dropped because there were too many. */
extern _Atomic uint64_t log_behind, log_dropped;

/* A LOG_LINE; counts it as under way. */
struct msg *log_line_new(enum log_category category, enum log_level level, int64_t wall_ms,
                         const char *text, size_t len);

#endif
