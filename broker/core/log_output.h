/*
 * log_output.h - where lines go: formats and files. Plain code for the sinks, each of which has one
 * of these, and for the last line of a program. What it does may wait for a disk.
 */
#ifndef BROKER_CORE_LOG_OUTPUT_H
#define BROKER_CORE_LOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/log.h"
#include "broker/runtime/proc.h"

struct config;

enum log_sink { LOG_TO_CONSOLE, LOG_TO_FILE, LOG_TO_JOURNAL, LOG_SINKS };

enum { LOG_PATH_MAX = 1100 };

struct log_output {
    enum log_sink sink;
    int fd;              /* -1: not open */
    bool is_stuck;       /* the last write waited in vain: the next one does not wait */
    uint64_t size_bytes; /* of the file */
    uint64_t lost;       /* lines since the last that could be written */
    int error;           /* why */
    char *buffer;        /* the line as it goes out */
    size_t room;
};

/* The lowest level that this sink writes; LOG_LEVEL_NONE: it is off. By config(). */
unsigned log_output_level(enum log_sink sink);
/* The path of the log's file; false: there is none. */
bool log_output_path(const struct config *c, char ret[LOG_PATH_MAX]);

void log_output_init(struct log_output *o, enum log_sink sink);
void log_output_fini(struct log_output *o);
/* Opens it, anew if it is open. 0 or -errno. */
int log_output_open(struct log_output *o);
/* Writes an event. What can't be written is counted, and told of when something can be again. */
void log_output_write(struct log_output *o, const struct log_event *e);
/* Says that so many lines never came here. */
void log_output_skipped(struct log_output *o, uint64_t n, int64_t wall_ms);

/* "2026-11-22 15:04:05.678 [info] " before a line; returns its length. */
size_t log_format_head(char *out, size_t size, int64_t wall_ms, enum log_level level);
/* The most bytes that a format makes of an event, and the formats: the length of what was put. */
size_t log_format_room(const struct log_event *e);
size_t log_format_text(char *out, const struct log_event *e);
size_t log_format_json(char *out, const struct log_event *e);
size_t log_format_journal(char *out, const struct log_event *e);

/* By enum log_sink: the processes. */
extern const struct proc_ops log_sink_ops[LOG_SINKS];

#endif
