/*
 * registry.c - names of processes. They are seldom changed, so one lock will do; but there are some
 * for each vhost, and each of a vhost's queues and exchanges may wait for one at the same time.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

struct name {
    struct name *next;
    proc_id pid;
    char text[];
};

struct awaiter { /* somebody who waits for a name */
    struct awaiter *next;
    proc_id pid;
    proc_ref ref;
    char text[];
};

enum { NAME_LINES = 1024, AWAITER_LINES = 8192 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct name *names[NAME_LINES];          /* by text */
static struct awaiter *awaiters[AWAITER_LINES]; /* by who waits */

static struct name **line_of_text(const char *text)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return &names[(h ^ h >> 16) % NAME_LINES];
}

static struct awaiter **line_of_pid(proc_id pid)
{
    return &awaiters[(pid * 0x9e3779b97f4a7c15ull >> 32) % AWAITER_LINES];
}

static struct name **find(const char *text)
{
    struct name **at = line_of_text(text);

    while (*at && strcmp((*at)->text, text))
        at = &(*at)->next;
    return at;
}

static void named_send(proc_id to, proc_ref ref, proc_id named)
{
    struct msg *m = msg_make(MSG_NAMED, sizeof(*m), NULL);

    m->ref = ref;
    m->flags |= MSG_F_ANSWERS;
    m->from = named;
    msg_route(to, m);
}

/* Moves those who wait for this name from one list to another. */
static void take_awaiters(struct awaiter **at, const char *text, struct awaiter **to)
{
    while (*at) {
        struct awaiter *a = *at;

        if (strcmp(a->text, text)) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        a->next = *to;
        *to = a;
    }
}

static void tell_awaiters(struct awaiter *a, proc_id named)
{
    while (a) {
        struct awaiter *next = a->next;

        named_send(a->pid, a->ref, named);
        rt_free(a);
        a = next;
    }
}

proc_ref proc_await(const char *text)
{
    RUNTIME_REGION();
    struct proc *p = self();
    size_t size = strlen(text) + 1;
    struct awaiter *a = rt_alloc(sizeof(*a) + size);
    proc_ref ref = ref_new(rt_me, REF_NAME);
    const struct name *n;
    proc_id named;

    pairs_put(&p->refs, ref, NULL_TIMER);
    a->pid = p->id;
    a->ref = ref;
    memcpy(a->text, text, size);
    pthread_mutex_lock(&lock);
    n = *find(text);
    named = n ? n->pid : 0;
    if (!named) {
        a->next = *line_of_pid(p->id);
        *line_of_pid(p->id) = a;
        p->has_awaited = true; /* so that registry_forget looks for it */
    }
    pthread_mutex_unlock(&lock);
    if (named) {
        rt_free(a);
        named_send(p->id, ref, named);
    }
    return ref;
}

int proc_register(const char *text)
{
    RUNTIME_REGION();
    struct proc *p = self();
    size_t size = strlen(text) + 1;
    struct name *n = rt_alloc(sizeof(*n) + size);
    struct awaiter *told = NULL;
    bool taken;

    n->pid = p->id;
    memcpy(n->text, text, size);
    pthread_mutex_lock(&lock);
    taken = *find(text);
    if (!taken) {
        n->next = *line_of_text(text);
        *line_of_text(text) = n;
        p->n_names++;
        for (int i = 0; i < AWAITER_LINES; i++)
            take_awaiters(&awaiters[i], text, &told);
    }
    pthread_mutex_unlock(&lock);
    if (taken)
        rt_free(n);
    tell_awaiters(told, p->id);
    return taken ? -EEXIST : 0;
}

proc_id proc_whereis(const char *text)
{
    RUNTIME_REGION();
    proc_id pid = 0;
    const struct name *n;

    pthread_mutex_lock(&lock);
    n = *find(text);
    if (n)
        pid = n->pid;
    pthread_mutex_unlock(&lock);
    return pid;
}

static void forget_names(struct name **at, proc_id pid)
{
    while (*at) {
        struct name *n = *at;

        if (n->pid != pid) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        rt_free(n);
    }
}

static void forget_awaiters(struct awaiter **at, proc_id pid)
{
    while (*at) {
        struct awaiter *a = *at;

        if (a->pid != pid) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        rt_free(a);
    }
}

void registry_forget(struct proc *p)
{
    if (!p->n_names && !p->has_awaited)
        return;
    pthread_mutex_lock(&lock);
    for (int i = 0; p->n_names > 0 && i < NAME_LINES; i++)
        forget_names(&names[i], p->id);
    forget_awaiters(line_of_pid(p->id), p->id);
    pthread_mutex_unlock(&lock);
    p->n_names = 0;
    p->has_awaited = false;
}
