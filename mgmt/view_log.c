/*
 * The end of the log: a stream of its lines as they come, and the last crash reports.
 *
 *   api/warren/log?since=ID          event "line" for each that is kept behind ID, and each new one
 *   api/warren/log?last=N            no stream, but the last N lines, at most 256
 *   api/warren/crashes?process=NAME  crash reports, newest first; of all processes without a name
 */
#include <string.h>

#include "broker/core/log_tail.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/views.h"

/* A stream ends after so many lines or as long without one, so that its login is checked again. */
enum { LINES_MAX = 100 * 1000 };
static const uint64_t patience_us = 60 * 1000 * 1000;

struct tail_view {
    uint64_t after;
    bool is_asked;
};

static json_t *line_json(const struct log_tail_line *line)
{
    const struct log_event *e = log_tail_event(line);
    json_t *ret = json_object();

    json_add_count(ret, "id", line->id);
    json_add_count(ret, "time", (uint64_t)e->wall_ms);
    json_add_text(ret, "level", log_level_name(e->level));
    json_add_text(ret, "category", log_category_name(e->category));
    json_add(ret, "text", json_text(e->text, e->len));
    return ret;
}

static void ask_lines(struct request *r)
{
    struct tail_view *v = r->state;
    struct msg_log_tail_ask *m = MSG_NEW(LOG_TAIL_ASK, struct msg_log_tail_ask);

    v->is_asked = true;
    m->after = v->after;
    r->asked = proc_call(proc_whereis("log_tail"), &m->hdr, patience_us);
}

static void start_last(struct request *r, int64_t last)
{
    struct msg_log_tail_ask *m;

    if (last < 1 || last > LOG_TAIL_AT_ONCE)
        request_fail(r, 400, "last is a number from 1 to 256");
    m = MSG_NEW(LOG_TAIL_ASK, struct msg_log_tail_ask);
    m->last = (uint32_t)last;
    r->asked = proc_call(proc_whereis("log_tail"), &m->hdr, patience_us);
}

static json_t *last_json(const struct msg_log_tail_lines *m)
{
    RUNTIME_REGION();
    json_t *ret = json_array();

    for (uint32_t i = 0; i < m->n; i++) /* fails only without memory: not shown */
        (void)json_array_append_new(ret, line_json(&m->line[i]));
    return ret;
}

static void handle_last(struct request *r, struct msg *m)
{
    CHECK(m->ref == r->asked);
    if (m->type == MSG_DOWN)
        again_by_name(r, "log_tail");
    if (m->type != LOG_TAIL_LINES)
        request_fail(r, 503, "the process that keeps the last lines is down");
    request_finish_json(r, last_json(MSG_OF(const struct msg_log_tail_lines, m)));
}

static void start_log(struct request *r)
{
    struct tail_view *v = proc_zalloc(sizeof(*v));
    int64_t since = request_param_int(r, "since", 0), last = request_param_int(r, "last", 0);

    if (since < 0)
        request_fail(r, 400, "since is the id of a line");
    if (last != 0) {
        start_last(r, last);
        return;
    }
    v->after = (uint64_t)since;
    r->state = v;
    request_stream(r, "text/event-stream");
    ask_lines(r);
}

static void write_lines(struct request *r, const struct msg_log_tail_lines *m)
{
    RUNTIME_REGION();
    struct tail_view *v = r->state;
    struct text *out = &r->foreign->out;

    for (uint32_t i = 0; i < m->n; i++) {
        text_add_str(out, "event: line\ndata: ");
        text_add_json(out, line_json(&m->line[i]));
        text_add_str(out, "\n\n");
        v->after = m->line[i].id;
    }
    r->at += m->n;
}

/* The next lines are asked for when there is room for them. */
static void handle_log(struct request *r, struct msg *m)
{
    struct tail_view *v = r->state;

    if (!v)
        handle_last(r, m);
    if (m->type == LOG_TAIL_LINES) {
        v->is_asked = false;
        write_lines(r, MSG_OF(const struct msg_log_tail_lines, m));
        request_stream(r, "text/event-stream");
    } else if (m->type == MSG_DOWN || m->type == MSG_TIMEOUT) {
        proc_exit(EXIT_NORMAL, 0, "no lines for long, or from nobody");
    }
    if (r->at > LINES_MAX)
        proc_exit(EXIT_NORMAL, 0, "the stream has lasted long enough");
    if (!v->is_asked && request_stream_has_room(r))
        ask_lines(r);
}

static void start_crashes(struct request *r)
{
    struct msg_log_tail_ask *m;

    r->state = (void *)(uintptr_t)request_param(r, "process");
    m = MSG_NEW(LOG_TAIL_ASK, struct msg_log_tail_ask);
    m->only_crashes = true;
    r->asked = proc_call(proc_whereis("log_tail"), &m->hdr, patience_us);
}

/* Whether a crash report is of the process of this name; NULL: of any. */
static bool is_of(const struct log_event *e, const char *name)
{
    return !name || (strlen(name) == e->crash_name_len &&
                     !memcmp(e->text + strlen(LOG_CRASH_HEAD), name, e->crash_name_len));
}

static json_t *crash_json(const struct log_tail_line *line)
{
    const struct log_event *e = log_tail_event(line);
    json_t *ret = line_json(line);

    json_add(ret, "process", json_text(e->text + strlen(LOG_CRASH_HEAD), e->crash_name_len));
    return ret;
}

static json_t *crashes_json(const struct msg_log_tail_lines *m, const char *name)
{
    RUNTIME_REGION();
    json_t *ret = json_array();

    for (uint32_t i = m->n; i > 0; i--) {
        if (is_of(log_tail_event(&m->line[i - 1]), name)) /* fails only without memory: not shown */
            (void)json_array_append_new(ret, crash_json(&m->line[i - 1]));
    }
    return ret;
}

static void handle_crashes(struct request *r, struct msg *m)
{
    CHECK(m->ref == r->asked);
    if (m->type == MSG_DOWN)
        again_by_name(r, "log_tail");
    if (m->type != LOG_TAIL_LINES)
        request_fail(r, 503, "the process that keeps crash reports is down");
    request_finish_json(r, crashes_json(MSG_OF(const struct msg_log_tail_lines, m), r->state));
}

const struct view views_log[] = {
    {"api/warren/log", HTTP_GET, VIEW_MONITORING, 0, start_log, handle_log},
    {"api/warren/crashes", HTTP_GET, VIEW_MONITORING, 0, start_crashes, handle_crashes},
    {0},
};
