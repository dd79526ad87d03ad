/*
 * limits.c - places by kind and name, in lines by hash under one lock.
 */
#include "broker/core/limits.h"

#include <pthread.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/proc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/world.h"

enum { N_LINES = 1024, TELL_NS = 1000 * 1000 * 1000 };

struct limit_place { /* all places of one kind and name */
    struct limit_place *next;
    int64_t n;
    uint64_t tell_ns; /* when the next refusal may be told */
    enum limit_kind kind;
    size_t len;
    uint8_t name[];
};

/* A fact of the program like the tables: it outlives every process that is counted. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct limit_place *lines[N_LINES];

static struct limit_place **line_of(enum limit_kind kind, const void *name, size_t len)
{
    const uint8_t *p = name;
    uint32_t h = 2166136261u ^ (uint32_t)kind; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return &lines[(h ^ h >> 16) % N_LINES];
}

static struct limit_place *find(enum limit_kind kind, const void *name, size_t len)
{
    struct limit_place *p = *line_of(kind, name, len);

    while (p && (p->kind != kind || p->len != len || (len && memcmp(p->name, name, len) != 0)))
        p = p->next;
    return p;
}

static struct limit_place *find_or_add(enum limit_kind kind, const void *name, size_t len)
{
    struct limit_place *p = find(kind, name, len), **line = line_of(kind, name, len);

    if (p)
        return p;
    p = rt_zalloc(sizeof(*p) + len);
    p->kind = kind;
    p->len = len;
    if (len)
        memcpy(p->name, name, len);
    p->next = *line;
    *line = p;
    return p;
}

static void forget(struct limit_place *p)
{
    struct limit_place **at = line_of(p->kind, p->name, p->len);

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    rt_free(p);
}

static void give(void *place)
{
    struct limit_place *p = place;

    pthread_mutex_lock(&lock);
    if (--p->n == 0)
        forget(p);
    pthread_mutex_unlock(&lock);
}

static struct limit_place *take(enum limit_kind kind, const void *name, size_t len, int64_t most)
{
    RUNTIME_REGION();
    struct limit_place *p = NULL;

    pthread_mutex_lock(&lock);
    if (most > 0) {
        p = find_or_add(kind, name, len);
        if (p->n < most)
            p->n++;
        else
            p = NULL;
    }
    pthread_mutex_unlock(&lock);
    return p;
}

struct limit_place *limit_take(enum limit_kind kind, const void *name, size_t len, int64_t most)
{
    struct limit_place *p = take(kind, name, len, most);

    if (p)
        proc_at_exit(give, p);
    return p;
}

void limit_give(struct limit_place *place)
{
    RUNTIME_REGION();

    if (!place)
        return;
    proc_at_exit_cancel(give, place);
    give(place);
}

bool limit_may_tell(enum limit_kind kind, const void *name, size_t len)
{
    RUNTIME_REGION();
    uint64_t now = world()->now_ns();
    struct limit_place *p;
    bool may = true;

    pthread_mutex_lock(&lock);
    p = find(kind, name, len); /* there is none where none may be taken */
    if (p) {
        may = now >= p->tell_ns;
        p->tell_ns = may ? now + TELL_NS : p->tell_ns;
    }
    pthread_mutex_unlock(&lock);
    return may;
}

int64_t limit_count(enum limit_kind kind, const void *name, size_t len)
{
    RUNTIME_REGION();
    const struct limit_place *p;
    int64_t n;

    pthread_mutex_lock(&lock);
    p = find(kind, name, len);
    n = p ? p->n : 0;
    pthread_mutex_unlock(&lock);
    return n;
}
