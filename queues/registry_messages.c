/*
 * Messages of the registry and the exchanges: making them, and giving back what they carry.
 */
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "queues/registry.h"
#include "queues/route_set.h"

static void drop_declare(struct msg *msg)
{
    struct msg_registry_declare *m = MSG_OF(struct msg_registry_declare, msg);

    blob_unref(m->name);
    blob_unref(m->type);
    blob_unref(m->args);
    msg_free(msg);
}

struct msg_registry_declare *registry_declare_new(uint32_t type, const void *name, size_t len)
{
    struct msg_registry_declare *m = msg_new(type, sizeof(*m), drop_declare);

    m->name = len ? blob_copy(name, len) : NULL;
    return m;
}

static void drop_delete(struct msg *msg)
{
    blob_unref(MSG_OF(struct msg_registry_delete, msg)->name);
    msg_free(msg);
}

struct msg_registry_delete *registry_delete_new(uint32_t type, const void *name, size_t len)
{
    struct msg_registry_delete *m = msg_new(type, sizeof(*m), drop_delete);

    m->name = len ? blob_copy(name, len) : NULL;
    return m;
}

static void drop_bind(struct msg *msg)
{
    struct msg_registry_bind *m = MSG_OF(struct msg_registry_bind, msg);

    blob_unref(m->source);
    blob_unref(m->dest);
    blob_unref(m->key);
    blob_unref(m->args);
    msg_free(msg);
}

struct msg_registry_bind *registry_bind_new(uint32_t type)
{
    return msg_new(type, sizeof(struct msg_registry_bind), drop_bind);
}

void registry_reply_drop(struct msg *msg)
{
    cell_unref(MSG_OF(struct msg_registry_reply, msg)->cell);
    msg_free(msg);
}

static void drop_watch(struct msg *msg)
{
    cell_unref(MSG_OF(struct msg_registry_watch, msg)->cell);
    msg_free(msg);
}

struct msg_registry_watch *registry_watch_new(struct cell *cell, proc_id dead)
{
    struct msg_registry_watch *m = msg_new(REGISTRY_WATCH, sizeof(*m), drop_watch);

    m->cell = cell_ref(cell);
    m->dead = dead;
    return m;
}

void registry_cell_up(struct cell *cell, uint64_t epoch)
{
    struct msg_registry_cell_up *m;
    char name[272];
    proc_id registry;

    cell_set(cell, proc_self(), epoch, CELL_UP, NULL);
    snprintf(name, sizeof(name), "registry:%s", cell_vhost(cell));
    registry = proc_whereis(name);
    if (!registry)
        return; /* it looks at all cells before it takes its name */
    m = MSG_NEW(REGISTRY_CELL_UP, struct msg_registry_cell_up);
    m->id = cell->id;
    PROC_SEND(registry, m);
}

static void drop_set(struct msg *msg)
{
    struct msg_exchange_set *m = MSG_OF(struct msg_exchange_set, msg);

    for (uint32_t i = 0; i < m->n; i++) {
        cell_unref(m->change[i].dest);
        blob_unref(m->change[i].key);
        blob_unref(m->change[i].args);
    }
    msg_free(msg);
}

struct msg_exchange_set *exchange_set_new(uint32_t cap)
{
    struct msg_exchange_set *m =
        msg_new(EXCHANGE_SET, sizeof(*m) + cap * sizeof(struct exchange_change), drop_set);

    m->cap = cap;
    return m;
}

void exchange_set_add(struct msg_exchange_set **at, const struct binding *b, bool remove)
{
    struct msg_exchange_set *m = *at;

    if (m->n == m->cap) {
        struct msg_exchange_set *larger = exchange_set_new(m->cap * 2 + 8);

        larger->reset = m->reset;
        larger->n = m->n;
        memcpy(larger->change, m->change, m->n * sizeof(m->change[0]));
        m->n = 0; /* its references have moved */
        msg_drop(&m->hdr);
        *at = m = larger;
    }
    m->change[m->n++] = (struct exchange_change){
        .remove = remove,
        .durable = b->durable,
        .dest = cell_ref(b->dest),
        .key = blob_ref(b->key),
        .args = blob_ref(b->args),
    };
}
