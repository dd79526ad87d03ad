/*
 * Processes as the API shows and names them.
 */
#include "mgmt/process_json.h"

#include <stdio.h>
#include <string.h>

#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "mgmt/json.h"

const char *pid_text(proc_id pid, char out[PID_TEXT_SIZE])
{
    snprintf(out, PID_TEXT_SIZE, "%u.%u.%u", (unsigned)(pid >> 56),
             (unsigned)(pid >> 32) & 0xFFFFFFU, (unsigned)pid);
    return out;
}

/* Digits up to `end`, at most `max`; what follows them, or NULL. */
static const char *take_number(const char *s, char end, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;
    const char *at = s;

    for (; *at >= '0' && *at <= '9' && n <= max; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    if (at == s || *at != end || n > max)
        return NULL;
    *ret = n;
    return end ? at + 1 : at;
}

bool pid_parse(const char *text, proc_id *ret)
{
    uint64_t scheduler, slot, generation;

    text = take_number(text, '.', 0xFF, &scheduler);
    if (text)
        text = take_number(text, '.', 0xFFFFFF, &slot);
    if (text)
        text = take_number(text, '\0', UINT32_MAX, &generation);
    if (!text)
        return false;
    *ret = scheduler << 56 | slot << 32 | generation;
    return true;
}

static json_t *pid_json(proc_id pid)
{
    char text[PID_TEXT_SIZE];

    return pid ? json_string(pid_text(pid, text)) : json_null();
}

bool process_is_supervisor(const struct proc_info *p)
{
    return p->is_supervisor || !strcmp(p->kind, "supervisor");
}

json_t *process_json(const struct proc_info *p)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    json_add_text(ret, "name", p->name);
    json_add_text(ret, "kind", p->kind);
    json_add(ret, "pid", pid_json(p->pid));
    json_add(ret, "parent", pid_json(p->parent));
    json_add_text(ret, "state", p->state);
    json_add_count(ret, "mailbox", p->mailbox_len);
    json_add_count(ret, "heap", p->heap_bytes);
    json_add_count(ret, "messages_handled", p->handled);
    json_add_count(ret, "restarts", p->restarts);
    json_add_text(ret, "last_crash", p->last_crash);
    json_add_count(ret, "age_ms", p->age_us / 1000);
    json_add_bool(ret, "supervisor", process_is_supervisor(p));
    return ret;
}

/* A member of the supervisor's own text as it is; null when it is missing. */
static void add_member(json_t *to, const char *key, json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);

    json_add(to, key, value ? json_incref(value) : json_null());
}

/* Kind, pid and age are a run's, and it has none. */
static json_t *parked_json(json_t *child, proc_id supervisor)
{
    json_t *ret = json_object();

    add_member(ret, "name", child, "id");
    json_add_text(ret, "kind", NULL);
    json_add(ret, "pid", pid_json(0));
    json_add(ret, "parent", pid_json(supervisor));
    json_add_text(ret, "state", "parked");
    json_add_count(ret, "mailbox", 0);
    json_add_count(ret, "heap", 0);
    json_add_count(ret, "messages_handled", 0);
    add_member(ret, "restarts", child, "restarts");
    add_member(ret, "last_crash", child, "last_crash");
    json_add_bool(ret, "supervisor", false);
    return ret;
}

static bool is_parked(const json_t *child)
{
    const char *state = json_string_value(json_object_get(child, "state"));

    return state && !strcmp(state, "parked") && json_object_get(child, "id");
}

json_t *process_parked_json(const char *inspect, size_t len, proc_id supervisor)
{
    RUNTIME_REGION();
    json_t *all = json_loadb(inspect, len, 0, NULL), *child, *ret = NULL;
    size_t i;

    json_array_foreach(json_object_get(all, "children"), i, child) {
        if (!is_parked(child))
            continue;
        if (!ret)
            ret = json_array();
        (void)json_array_append_new(ret, parked_json(child, supervisor)); /* only shown */
    }
    json_decref(all);
    return ret;
}

static const struct proc_info *find_pid(const struct proc_listing *l, proc_id pid)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->row[i].pid == pid)
            return &l->row[i];
    }
    return NULL;
}

const struct proc_info *process_find(const struct proc_listing *l, const char *name)
{
    proc_id pid;

    if (pid_parse(name, &pid))
        return find_pid(l, pid);
    for (size_t i = 0; i < l->n; i++) {
        if (!strcmp(l->row[i].name, name))
            return &l->row[i];
    }
    pid = proc_whereis(name);
    return pid ? find_pid(l, pid) : NULL;
}
