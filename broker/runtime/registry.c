/*
 * registry.c - names of processes. Few and seldom changed, so one lock and one list will do.
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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct name *names;
static struct awaiter *awaiters;

static struct name **find(const char *text)
{
    struct name **at = &names;

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

/* Takes those who wait for this name out of the list; called with the lock held. */
static struct awaiter *take_awaiters(const char *text)
{
    struct awaiter *taken = NULL;

    for (struct awaiter **at = &awaiters; *at;) {
        struct awaiter *a = *at;

        if (strcmp(a->text, text)) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        a->next = taken;
        taken = a;
    }
    return taken;
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
        a->next = awaiters;
        awaiters = a;
        p->n_names++; /* so that registry_forget looks for it */
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
        n->next = names;
        names = n;
        p->n_names++;
        told = take_awaiters(text);
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

void registry_forget(struct proc *p)
{
    if (!p->n_names)
        return;
    pthread_mutex_lock(&lock);
    for (struct name **at = &names; *at;) {
        struct name *n = *at;

        if (n->pid != p->id) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        rt_free(n);
    }
    for (struct awaiter **at = &awaiters; *at;) {
        struct awaiter *a = *at;

        if (a->pid != p->id) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        rt_free(a);
    }
    pthread_mutex_unlock(&lock);
    p->n_names = 0;
}
