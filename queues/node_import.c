/*
 * node_import.c - exchanges, queues and bindings of a definitions file: declared at the registries,
 * as any client would; kinds in this order, many at once.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/access.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "queues/node_impl.h"
#include "queues/registry.h"
#include "queues/vhost_state.h"

enum { CALLS_MAX = 4096, ROUNDS_MAX = 5 };

static struct blob *blob_of(const void *bytes, size_t len)
{
    return len ? blob_copy(bytes, len) : NULL;
}

static struct msg *declare_of(const struct definition *d)
{
    bool is_queue = d->kind == DEFINITION_QUEUE;
    struct msg_registry_declare *m = registry_declare_new(
        is_queue ? REGISTRY_QUEUE_DECLARE : REGISTRY_EXCHANGE_DECLARE, d->name, strlen(d->name));

    m->flags = (d->durable ? CELL_DURABLE : 0U) | (d->auto_delete ? CELL_AUTO_DELETE : 0U) |
               (d->internal ? CELL_INTERNAL : 0U);
    m->owner = proc_self();
    m->type = is_queue ? NULL : blob_copy(d->type, strlen(d->type));
    m->args = blob_of(d->args, d->args_len);
    return &m->hdr;
}

static struct msg *bind_of(const struct definition *d)
{
    struct msg_registry_bind *m = registry_bind_new(REGISTRY_BIND);

    m->to_exchange = d->to_exchange;
    m->owner = proc_self();
    m->source = blob_copy(d->name, strlen(d->name));
    m->dest = blob_copy(d->dest, strlen(d->dest));
    m->key = blob_copy(d->routing_key, strlen(d->routing_key));
    m->args = blob_of(d->args, d->args_len);
    return &m->hdr;
}

static void complain(struct node *n, size_t at, const char *why)
{
    const struct definition *d = &n->import.from->v[at];
    char name[300], vhost[300];

    if (n->import.n_failed++ == 0)
        snprintf(n->import.failure, sizeof(n->import.failure), "%.10s '%.200s': %.240s", d->section,
                 d->name, why);
    log_error("definitions: %s: %s in vhost %s: %s", d->section,
              log_quote(name, sizeof(name), d->name, strlen(d->name)),
              log_quote(vhost, sizeof(vhost), d->vhost, strlen(d->vhost)), why);
}

static void warn(const struct definition *d, const char *what, const char *why)
{
    char name[300], vhost[300];

    log_warn("definitions: %s: %s in vhost %s %s: %s", d->section,
             log_quote(name, sizeof(name), d->name, strlen(d->name)),
             log_quote(vhost, sizeof(vhost), d->vhost, strlen(d->vhost)), what, why);
}

/* What is asked is idempotent, so the registry's next run may be asked for it again. */
static void lose(struct node *n, size_t at)
{
    struct node_import *i = &n->import;
    const char *vhost = i->from->v[at].vhost, *down = vhost_down_reason(vhost);

    if (!access_has_vhost(vhost, strlen(vhost)))
        down = "there is no such vhost";
    if (down || i->n_rounds == ROUNDS_MAX) {
        complain(n, at, down ? down : "its vhost's registry is not there");
        return;
    }
    i->lost = proc_realloc(i->lost, (i->n_lost + 1) * sizeof(i->lost[0]));
    i->lost[i->n_lost++] = at;
    settle_await(n, vhost);
}

static void ask(struct node *n, size_t at)
{
    const struct definition *d = &n->import.from->v[at];
    char name[300];
    proc_id registry;

    snprintf(name, sizeof(name), "registry:%s", d->vhost);
    registry = proc_whereis(name);
    if (registry)
        u64map_put(&n->import.calls,
                   proc_call(registry, d->kind == DEFINITION_BINDING ? bind_of(d) : declare_of(d),
                             PROC_NO_TIMEOUT),
                   at);
    else
        lose(n, at);
}

static void ask_again(struct node *n)
{
    struct node_import *i = &n->import;
    size_t *lost = i->lost, n_lost = i->n_lost;

    if (n_lost == 0)
        return;
    i->n_rounds++;
    i->lost = NULL;
    i->n_lost = 0;
    for (size_t k = 0; k < n_lost; k++)
        ask(n, lost[k]);
    proc_free(lost);
}

void import_begin(struct node *n, struct definitions *from)
{
    struct node_import *i = &n->import;

    i->from = from;
    i->phase = DEFINITION_EXCHANGE;
    i->at = 0;
    i->n_done = i->n_failed = 0;
    i->n_rounds = 0;
    i->failure[0] = '\0';
    for (size_t k = 0; k < from->n; k++)
        if (from->v[k].kind == DEFINITION_SKIPPED)
            warn(&from->v[k], "was left out", from->v[k].why);
}

bool import_run(struct node *n)
{
    struct node_import *i = &n->import;

    if (!i->from)
        return true;
    ask_again(n);
    while (i->phase <= DEFINITION_BINDING) {
        for (; i->at < i->from->n && i->calls.n < CALLS_MAX && i->n_lost == 0; i->at++)
            if (i->from->v[i->at].kind == i->phase)
                ask(n, i->at);
        if (i->calls.n > 0 || i->n_lost > 0)
            return false;
        if (i->at == i->from->n) {
            i->phase++;
            i->at = 0;
        }
    }
    if (i->n_done + i->n_failed > 0)
        log_info("definitions: %llu exchanges, queues and bindings, %llu failed",
                 (unsigned long long)i->n_done, (unsigned long long)i->n_failed);
    i->from = NULL;
    return true;
}

/*
 * Its definition was found right before, so what is there under that name is another one. As in
 * RabbitMQ an import makes what is missing, and changes no queue or exchange that is there.
 */
static bool is_other(const struct definition *d, const struct msg_registry_reply *reply)
{
    return d->kind != DEFINITION_BINDING &&
           (reply->code == 405 ||
            (reply->code == 406 && strncmp(reply->text, "inequivalent ", 13) == 0));
}

bool import_on_answer(struct node *n, struct msg *m)
{
    const struct msg_registry_reply *reply = MSG_OF(struct msg_registry_reply, m);
    uint64_t at;

    if (!u64map_del(&n->import.calls, m->ref, &at))
        return false;
    if (m->type != REGISTRY_REPLY)
        lose(n, at);
    else if (is_other(&n->import.from->v[at], reply))
        warn(&n->import.from->v[at], "is there already and stays as it is", reply->text);
    else if (reply->code != 0)
        complain(n, at, reply->text);
    else
        n->import.n_done++;
    return true;
}
