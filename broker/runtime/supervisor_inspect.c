/*
 * supervisor_inspect.c - a supervisor's children as JSON, for the management API.
 *
 * A supervisor may have a hundred thousand children and the text is bounded: the counts are always
 * there, then those that are not up, then the others while there is room.
 */
#include "broker/runtime/supervisor_children.h"

#include <stdarg.h>
#include <stdio.h>

/* Room for what closes the text. */
enum { TAIL_SIZE = 32 };

struct out {
    char *at, *end;
    bool is_full; /* something did not fit; nothing more is written */
    bool has_children;
};

/* All or nothing. */
__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (o->is_full)
        return;
    va_start(ap, fmt);
    n = vsnprintf(o->at, (size_t)(o->end - o->at), fmt, ap);
    va_end(ap);
    if (n < 0 || n >= o->end - o->at)
        o->is_full = true;
    else
        o->at += n;
}

static void put_string(struct out *o, const char *s)
{
    put(o, "\"");
    for (; *s && !o->is_full; s++) {
        unsigned char ch = (unsigned char)*s;

        if (ch == '"' || ch == '\\')
            put(o, "\\%c", ch);
        else if (ch < 0x20)
            put(o, "\\u%04x", ch);
        else
            put(o, "%c", ch);
    }
    put(o, "\"");
}

static const char *phase_name(unsigned phase)
{
    static const char *const name[N_PHASES] = {
        [PHASE_WAITING] = "waiting",   [PHASE_STARTING] = "starting", [PHASE_UP] = "up",
        [PHASE_STOPPING] = "stopping", [PHASE_PARKED] = "parked",     [PHASE_RESTING] = "ended",
    };

    return name[phase];
}

static void put_child(struct out *o, const struct child *c)
{
    char *before = o->at;

    put(o, "%s{\"id\":", o->has_children ? "," : "");
    put_string(o, c->id);
    put(o, ",\"state\":\"%s\",\"pid\":%llu,\"restarts\":%u", phase_name(c->phase),
        (unsigned long long)c->pid, c->launch ? c->launch->restarts : 0);
    if (c->launch && c->launch->last_crash) {
        put(o, ",\"last_crash\":");
        put_string(o, c->launch->last_crash);
    }
    put(o, "}");
    if (o->is_full)
        o->at = before; /* a child is whole or not there */
    else
        o->has_children = true;
}

static void put_statics(struct out *o, const struct children *cs, bool up)
{
    const struct child *c;

    TAILQ_FOREACH(c, &cs->statics, link)
        if ((c->phase == PHASE_UP) == up)
            put_child(o, c);
}

static void put_dynamics(struct out *o, const struct children *cs, enum child_phase phase)
{
    const struct child *c;

    TAILQ_FOREACH(c, &cs->dynamics[phase], link) {
        put_child(o, c);
        if (o->is_full)
            return;
    }
}

size_t children_inspect(const struct children *cs, const char *strategy, char *out, size_t size)
{
    struct out o = {.at = out, .end = out + size - TAIL_SIZE};
    bool is_cut;

    if (size < 2 * TAIL_SIZE)
        return 0;
    put(&o, "{\"strategy\":\"%s\",\"n_children\":%u", strategy, cs->n);
    for (unsigned i = 0; i < N_PHASES; i++)
        if (cs->n_in[i])
            put(&o, ",\"n_%s\":%u", phase_name(i), cs->n_in[i]);
    put(&o, ",\"children\":[");
    if (o.is_full)
        return 0;
    put_statics(&o, cs, false);
    put_dynamics(&o, cs, PHASE_PARKED);
    for (unsigned i = 0; i < N_PHASES; i++)
        if (i != PHASE_PARKED && i != PHASE_UP)
            put_dynamics(&o, cs, i);
    put_statics(&o, cs, true);
    put_dynamics(&o, cs, PHASE_UP);
    is_cut = o.is_full;
    o.end += TAIL_SIZE;
    o.is_full = false;
    put(&o, "]%s}", is_cut ? ",\"truncated\":true" : "");
    return (size_t)(o.at - out);
}
