/*
 * node_policies.c - policies as they are stored, to the tables and the registries.
 */
#include <stdio.h>
#include <string.h>

#include "queues/node_impl.h"
#include "queues/policies.h"
#include "queues/registry.h"

void node_show_policies(struct node *n, const char *vhost)
{
    struct policy_text *v = proc_alloc((n->stored->n + 1) * sizeof(*v));
    size_t n_found = 0;

    for (size_t i = 0; i < n->stored->n; i++) {
        const struct definition *d = &n->stored->v[i];

        if (d->policy != DEFINITION_NO_POLICY && strcmp(d->vhost, vhost) == 0)
            v[n_found++] = (struct policy_text){d->text, d->policy == DEFINITION_OPERATOR_POLICY};
    }
    policies_show(vhost, v, n_found);
    proc_free(v);
}

static proc_id registry_of(const char *vhost)
{
    char name[300];

    snprintf(name, sizeof(name), "registry:%s", vhost);
    return proc_whereis(name);
}

void node_show_all_policies(struct node *n)
{
    for (size_t i = 0; i < n->stored->n; i++) {
        const struct definition *d = &n->stored->v[i];

        if (d->kind != DEFINITION_FACT || d->fact.kind != ACCESS_FACT_VHOST)
            continue;
        node_show_policies(n, d->fact.vhost);
        proc_send(registry_of(d->fact.vhost), MSG_NEW(REGISTRY_POLICIES, struct msg));
    }
}

void node_note_policy(struct node_change *c, const struct definition *d)
{
    if (d->policy == DEFINITION_NO_POLICY)
        return;
    for (size_t i = 0; i < c->n_policed; i++)
        if (strcmp(c->policed[i].text, d->vhost) == 0)
            return;
    c->policed = proc_realloc(c->policed, (c->n_policed + 1) * sizeof(c->policed[0]));
    snprintf(c->policed[c->n_policed++].text, sizeof(c->policed[0].text), "%s", d->vhost);
}

bool node_apply_policies(struct node *n)
{
    struct node_change *c = &n->change;

    for (size_t i = 0; i < c->n_policed; i++) {
        proc_id registry = registry_of(c->policed[i].text);

        node_show_policies(n, c->policed[i].text);
        if (registry) /* else it looks when it starts */
            u64map_put(&c->applying,
                       proc_call(registry, MSG_NEW(REGISTRY_POLICIES, struct msg), PROC_NO_TIMEOUT),
                       1);
    }
    return c->applying.n > 0;
}
