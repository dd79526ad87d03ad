/*
 * Views of processes: the live tree, one process, and (with debug.crash) making one crash.
 *
 * The tree is a flat list in which each child stands behind its parent and names it; with
 * ?nested=true children stand inside their parents. A listing knows the living; the parked are told
 * by their supervisors, which are asked a few at a time.
 */
#include <string.h>

#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "mgmt/json.h"
#include "mgmt/process_json.h"
#include "mgmt/process_tree.h"
#include "mgmt/views.h"

enum { MAX_ASKED = 32, INSPECT_US = 2 * 1000 * 1000 };

struct tree_view {
    bool is_nested;
    unsigned n_asked; /* supervisors that have not answered yet */
    bool is_built;
    uint32_t at; /* the row that was written last; 0: none */
    struct process_tree tree;
};

/* Asks supervisors, from row r->at on, while not too many are asked. */
static void ask_supervisors(struct request *r)
{
    const struct proc_listing *l = r->listing;
    struct tree_view *v = r->state;

    for (; r->at < l->n && v->n_asked < MAX_ASKED && request_may_go_on(r->at); r->at++) {
        if (!process_is_supervisor(&l->row[r->at]))
            continue;
        (void)rt_inspect(l->row[r->at].pid, INSPECT_US); /* answers are told apart by sender */
        v->n_asked++;
    }
    if (r->at < l->n ? v->n_asked < MAX_ASKED : !v->n_asked)
        proc_continue(); /* nobody else's answer would bring the next turn */
}

static void keep_parked(struct request *r, const struct msg_inspect *m)
{
    RUNTIME_REGION();
    struct foreign *f = r->foreign;
    json_t *parked = process_parked_json(m->text, m->len, m->hdr.from);
    char pid[PID_TEXT_SIZE];

    if (!parked)
        return;
    if (!f->parked)
        f->parked = json_object();
    json_add(f->parked, pid_text(m->hdr.from, pid), parked);
}

static const json_t *parked_of(const struct request *r, const struct proc_info *p)
{
    RUNTIME_REGION();
    char pid[PID_TEXT_SIZE];

    return json_object_get(r->foreign->parked, pid_text(p->pid, pid));
}

static void write_parked(struct request *r, const struct proc_info *p)
{
    RUNTIME_REGION();
    struct text *out = &r->foreign->out;
    const json_t *parked = parked_of(r, p);

    for (size_t i = 0; i < json_array_size(parked); i++) {
        text_add_comma(out);
        text_add_json(out, json_incref(json_array_get(parked, i)));
    }
}

static void write_row(struct request *r, const struct proc_info *p)
{
    const struct tree_view *v = r->state;
    struct text *out = &r->foreign->out;

    text_add_comma(out);
    if (v->is_nested) {
        text_add_open_object(out, process_json(p));
        text_add_str(out, ",\"children\":[");
    } else {
        text_add_json(out, process_json(p));
    }
    write_parked(r, p);
}

/* Writes what the turn has time for. */
static void write_tree(struct request *r)
{
    struct tree_view *v = r->state;
    struct text *out = &r->foreign->out;
    unsigned closed;

    while (request_may_write(r)) {
        v->at = process_tree_next(&v->tree, v->at, &closed);
        while (v->is_nested && closed--)
            text_add_str(out, "]}");
        if (!v->at) {
            text_add_str(out, "]");
            request_finish(r);
        }
        write_row(r, &v->tree.row[v->at - 1]);
    }
    request_continue(r);
}

static void start_tree(struct request *r)
{
    struct tree_view *v = proc_zalloc(sizeof(*v));

    v->is_nested = request_param_is_true(r, "nested");
    r->state = v;
    request_ask_processes(r);
}

static void take_listing(struct request *r)
{
    struct tree_view *v = r->state;

    process_tree_init(&v->tree, r->listing->row, (uint32_t)r->listing->n, proc_realloc, proc_free);
    text_add_str(&r->foreign->out, "[");
}

static void handle_tree(struct request *r, struct msg *m)
{
    struct tree_view *v = r->state;

    if (request_has_listing(r, m))
        take_listing(r);
    else if (m->type != MSG_CONTINUE)
        v->n_asked--; /* a supervisor that died or is late: its parked children are not shown */
    if (m->type == MSG_USER && &r->listing->hdr != m)
        keep_parked(r, MSG_OF(struct msg_inspect, m));
    if (r->at < r->listing->n) {
        ask_supervisors(r);
    } else if (!v->n_asked && !v->is_built) {
        v->is_built = process_tree_build(&v->tree);
        proc_continue();
    } else if (!v->n_asked) {
        write_tree(r);
    }
}

/* The process that the path names; answers with 404 when there is none. */
static const struct proc_info *find_or_fail(struct request *r, const char *name)
{
    const struct proc_info *p = process_find(r->listing, name);

    if (!p)
        request_fail_not_found(r);
    return p;
}

static void write_process(struct request *r, const struct proc_info *p, json_t *inspect)
{
    RUNTIME_REGION();
    json_t *json = process_json(p);

    json_add(json, "inspect", inspect);
    text_add_json(&r->foreign->out, json);
}

/* What is no JSON is shown as text. */
static json_t *inspect_json(const struct msg *m)
{
    RUNTIME_REGION();
    const struct msg_inspect *i = MSG_OF(const struct msg_inspect, m);
    json_t *ret = m->type == MSG_USER ? json_loadb(i->text, i->len, 0, NULL) : json_null();

    return ret ? ret : json_text(i->text, i->len);
}

static void handle_process(struct request *r, struct msg *m)
{
    const struct proc_info *p;

    if (request_has_listing(r, m)) {
        p = find_or_fail(r, r->path.segment[2].p);
        r->asked = rt_inspect(p->pid, INSPECT_US);
        return;
    }
    CHECK(m->ref == r->asked);
    if (m->type == MSG_DOWN)
        request_fail_not_found(r);
    p = find_or_fail(r, r->path.segment[2].p);
    write_process(r, p, inspect_json(m));
    request_finish(r);
}

struct crash_order {
    char process[256];
    enum rt_fault how;
};

static enum rt_fault fault_of(const char *how)
{
    static const char *const name[] = {
        [RT_FAULT_CHECK] = "check", [RT_FAULT_SEGV] = "segv", [RT_FAULT_LOOP] = "loop",
        [RT_FAULT_STACK] = "stack", [RT_FAULT_HANG] = "hang",
    };

    for (int i = RT_FAULT_CHECK; how && i <= RT_FAULT_HANG; i++) {
        if (!strcmp(how, name[i]))
            return (enum rt_fault)i;
    }
    return 0;
}

/* Whether the body is an order; what is longer than any name is no name. */
static bool read_order(const struct blob *body, struct crash_order *ret)
{
    RUNTIME_REGION();
    json_t *json =
        body ? json_loadb((const char *)blob_bytes(body), blob_size(body), 0, NULL) : NULL;
    const char *process = json_string_value(json_object_get(json, "process"));

    ret->how = fault_of(json_string_value(json_object_get(json, "how")));
    if (process && strlen(process) < sizeof(ret->process))
        strcpy(ret->process, process);
    json_decref(json);
    return ret->how && *ret->process;
}

static void start_crash(struct request *r)
{
    struct crash_order *order = proc_zalloc(sizeof(*order));

    if (!read_order(r->m->body, order))
        request_fail(r, 400,
                     "the body is {\"process\": name or pid, \"how\": "
                     "check, segv, loop, stack or hang}");
    r->state = order;
    request_ask_processes(r);
}

static void handle_crash(struct request *r, struct msg *m)
{
    const struct crash_order *order = r->state;

    CHECK(request_has_listing(r, m));
    rt_inject(find_or_fail(r, order->process)->pid, order->how);
    request_finish_empty(r);
}

/* The reason that a client gives, for the log: what is no plain text is left out. */
static const char *reason_of(const struct request *r, char out[104])
{
    const char *from = r->m->reason;
    size_t n = 0;

    for (; from && *from && n < 103; from++) {
        if (*from >= ' ' && *from < 0x7f)
            out[n++] = *from;
    }
    out[n] = '\0';
    return n ? out : "killed by the management API";
}

/* A process is its supervisor's to start again; the root's end is the program's. */
static void handle_kill(struct request *r, struct msg *m)
{
    const struct proc_info *p;
    char reason[104], who[REQUEST_WHO_SIZE], name[300];

    CHECK(request_has_listing(r, m));
    p = find_or_fail(r, r->path.segment[2].p);
    if (p->parent == 0)
        request_fail(r, 400, "the root cannot be killed");
    if (p->pid == proc_self() || p->pid == proc_parent())
        request_fail(r, 400, "this process answers the request");
    log_warn("audit: %s kills process %s '%s': %s", request_who(r, who), p->kind,
             log_quote(name, sizeof(name), p->name, strlen(p->name)), reason_of(r, reason));
    proc_signal(p->pid, EXIT_KILL, 0, reason_of(r, reason));
    request_finish_empty(r);
}

const struct view views_processes[] = {
    {"api/processes", HTTP_GET, VIEW_MONITORING, 0, start_tree, handle_tree},
    {"api/processes/x", HTTP_GET, VIEW_MONITORING, 0, request_ask_processes, handle_process},
    {"api/processes/x", HTTP_DELETE, VIEW_ADMINISTRATOR, 0, request_ask_processes, handle_kill},
    {"api/debug/crash", HTTP_POST, VIEW_ADMINISTRATOR, VIEW_DEBUG, start_crash, handle_crash},
    {0},
};
