/*
 * supervisor_requests.c - what others ask of a supervisor, on both sides of the wire.
 */
#include "broker/runtime/supervisor_requests.h"

#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor_children.h"

static void start_drop(struct msg *m)
{
    blob_unref(MSG_OF(struct msg_sup_start, m)->spec.arg);
    msg_free(m);
}

static struct msg *start_new(const struct child_spec *child)
{
    size_t len = strlen(child->id) + 1;
    struct msg_sup_start *m = msg_new(SUP_START, sizeof(*m) + len, start_drop);

    memcpy(m->id, child->id, len);
    m->spec = *child;
    m->spec.id = m->id;
    m->spec.arg = blob_ref(child->arg);
    return &m->hdr;
}

static struct msg *name_new(uint32_t type, const char *id)
{
    size_t len = strlen(id) + 1;
    struct msg_sup_name *m = msg_new(type, sizeof(*m) + len, NULL);

    memcpy(m->id, id, len);
    return &m->hdr;
}

proc_ref sup_start_child(proc_id sup, const struct child_spec *child, uint64_t timeout_us)
{
    return proc_call(sup, start_new(child), timeout_us);
}

proc_ref sup_stop_child(proc_id sup, const char *id, uint64_t timeout_us)
{
    return proc_call(sup, name_new(SUP_STOP, id), timeout_us);
}

proc_ref sup_restart_child(proc_id sup, const char *id, uint64_t timeout_us)
{
    return proc_call(sup, name_new(SUP_AGAIN, id), timeout_us);
}

proc_ref sup_await(proc_id sup, uint64_t timeout_us)
{
    return proc_call(sup, MSG_NEW(SUP_AWAIT, struct msg), timeout_us);
}

void sup_watch(proc_id sup)
{
    proc_send(sup, MSG_NEW(SUP_WATCH, struct msg));
}

void sup_cast_start_child(proc_id sup, const struct child_spec *child)
{
    proc_send(sup, start_new(child));
}

void sup_cast_stop_child(proc_id sup, const char *id)
{
    proc_send(sup, name_new(SUP_STOP, id));
}

struct blob *sup_new_arg(const struct sup_spec *spec, const void *ctx, size_t ctx_size)
{
    uint8_t *at;
    struct blob *b = blob_new(sizeof(*spec) + ctx_size, &at);

    memcpy(at, spec, sizeof(*spec));
    MSG_OF(struct sup_spec, at)->ctx_size = ctx_size;
    if (ctx_size)
        memcpy(at + sizeof(*spec), ctx, ctx_size);
    return b;
}

static struct msg *reply_new(int err, proc_id child)
{
    struct msg_sup_reply *reply = MSG_NEW(MSG_SUP_REPLY, struct msg_sup_reply);

    reply->err = err;
    reply->child = child;
    return &reply->hdr;
}

void sup_answer(struct msg *request, int err, proc_id child)
{
    if (request->flags & MSG_F_ASKS)
        proc_reply(request, reply_new(err, child));
}

void sup_wait(struct waiter **list, struct msg *request, bool wants_gone)
{
    struct waiter *w;

    if (!(request->flags & MSG_F_ASKS))
        return;
    w = proc_alloc(sizeof(*w));
    *w = (struct waiter){.next = *list, .to = proc_defer(request), .wants_gone = wants_gone};
    *list = w;
}

void sup_answer_waiters(struct waiter **list, bool wants_gone, int err, proc_id child)
{
    struct waiter **at = list;

    while (*at) {
        struct waiter *w = *at;

        if (w->wants_gone != wants_gone) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        proc_reply_to(w->to, reply_new(err, child));
        proc_free(w);
    }
}
