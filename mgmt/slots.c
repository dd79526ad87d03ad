/*
 * Gathering slots.
 */
#include "mgmt/slots.h"

#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/request.h"
#include "mgmt/walk.h"
#include "queues/stats.h"

struct slots { /* a view's state */
    struct walk walk;
    slots_filter *is_wanted;
    void (*then)(struct request *r, const struct stat_slot *s);
    bool is_for_one;
};

bool slots_may_see(const struct request *r, const struct connection_stats *c)
{
    return c && (request_has_tag(r, VIEW_MONITORING) || !strcmp(c->user, r->user));
}

static const struct connection_stats *connection_of(const struct stat_slot *s)
{
    switch (s->kind) {
    case STAT_CONNECTION:
        return (const struct connection_stats *)s;
    case STAT_CHANNEL:
        return ((const struct channel_stats *)s)->connection;
    default:
        return ((const struct consumer_stats *)s)->channel->connection;
    }
}

/* Consumers are of a vhost, whoever's they are: the list looks at that. */
static bool is_wanted(struct request *r, const struct stat_slot *s)
{
    const struct slots *state = r->state;

    if (s->kind != STAT_CONSUMER && !slots_may_see(r, connection_of(s)))
        return false;
    return connection_of(s) && (!state->is_wanted || state->is_wanted(r, s));
}

static void on_slot(struct walk *w, struct stat_slot *s)
{
    const struct slots *state = w->ctx;

    if (!is_wanted(w->request, s))
        return;
    if (state->then)
        state->then(w->request, s);
    else
        list_add(w->request, stat_slot_ref(s));
}

static void go_on(struct request *r)
{
    struct slots *state = r->state;

    if (!walk_go_on(&state->walk))
        return;
    if (!state->then)
        list_run(r);
    else if (state->is_for_one)
        request_fail_not_found(r);
    else
        state->then(r, NULL);
}

static void begin(struct request *r, enum stat_kind kind, const struct slots *spec)
{
    struct slots *state = proc_alloc(sizeof(*state));

    *state = *spec;
    walk_init(&state->walk, r, state);
    walk_only(&state->walk, "");
    walk_add_kind(&state->walk, kind);
    state->walk.on_slot = on_slot;
    r->state = state;
    go_on(r);
}

void slot_list_start(struct request *r, enum stat_kind kind, const struct list_ops *ops,
                     slots_filter *wanted)
{
    list_begin(r, ops);
    begin(r, kind, &(struct slots){.is_wanted = wanted});
}

void slot_list_find(struct request *r, enum stat_kind kind, slots_filter *wanted,
                    void (*then)(struct request *r, const struct stat_slot *s))
{
    begin(r, kind, &(struct slots){.is_wanted = wanted, .then = then, .is_for_one = true});
}

void slot_list_each(struct request *r, enum stat_kind kind, slots_filter *wanted,
                    void (*then)(struct request *r, const struct stat_slot *s))
{
    begin(r, kind, &(struct slots){.is_wanted = wanted, .then = then});
}

void slot_list_handle(struct request *r, struct msg *m)
{
    CHECK(m->type == MSG_CONTINUE);
    go_on(r);
}
