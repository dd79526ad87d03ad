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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct name *names;

static struct name **find(const char *text)
{
    struct name **at = &names;

    while (*at && strcmp((*at)->text, text))
        at = &(*at)->next;
    return at;
}

int proc_register(const char *text)
{
    RUNTIME_REGION();
    struct proc *p = self();
    size_t size = strlen(text) + 1;
    struct name *n = rt_alloc(sizeof(*n) + size);
    bool taken;

    n->pid = p->id;
    memcpy(n->text, text, size);
    pthread_mutex_lock(&lock);
    taken = *find(text);
    if (!taken) {
        n->next = names;
        names = n;
        p->n_names++;
    }
    pthread_mutex_unlock(&lock);
    if (taken)
        rt_free(n);
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
    pthread_mutex_unlock(&lock);
    p->n_names = 0;
}
