/*
 * An exchange: owns its routing structure and shows it in the shared tables.
 *
 * Duties: carries out the registry's binds and unbinds, O(key) each (routes.h). Channels never ask
 * it anything; they route in its table, which serves on while this process is being restarted.
 * Messages in: EXCHANGE_SET (call). Out: EXCHANGE_HELLO, REGISTRY_CELL_UP to the registry.
 * It monitors the registry's name only by saying HELLO again when it appears anew.
 *
 * Invariants
 *   1. It is the only writer of its routes.
 *   2. EXCHANGE_DONE leaves after the change is in the table.
 */
#include <stdio.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "broker/runtime/u64map.h"
#include "queues/invariant.h"
#include "queues/registry.h"
#include "queues/registry_hash.h"
#include "queues/routes.h"

struct exchange {
    struct cell *cell; /* a reference */
    char registry[272];
};

static void unref_cell(void *cell)
{
    cell_unref(cell);
}

static void exchange_init(void *state, const void *arg)
{
    struct exchange *x = state;

    x->cell = cell_ref(((const struct exchange_arg *)arg)->cell);
    proc_at_exit(unref_cell, x->cell);
    proc_set_name(cell_name(x->cell));
    snprintf(x->registry, sizeof(x->registry), "registry:%s", cell_vhost(x->cell));
    registry_cell_up(x->cell, epoch_next());
    (void)proc_await(x->registry);
}

/* The name is there, perhaps for the second time: this registry does not know of us yet. */
static void on_registry(struct exchange *x, struct msg *m)
{
    struct msg_exchange_hello *hello = MSG_NEW(EXCHANGE_HELLO, struct msg_exchange_hello);

    hello->exchange_id = x->cell->id;
    proc_monitor(m->from);
    PROC_SEND(m->from, hello);
}

static void apply(struct exchange *x, const struct exchange_change *c)
{
    struct binding b = {.dest = c->dest, .key = c->key, .args = c->args, .durable = c->durable};

    (void)routes_change(x->cell, &b, c->remove); /* said twice after a reset, done once */
}

/*
 * A reset brings what should be there; everything is compared by adding what is missing first and
 * removing what is too much after, so that no binding that stays is ever out of sight.
 */
struct surplus {
    struct u64map wanted; /* by registry_binding_hash */
    struct msg_exchange_set *remove;
};

static uint64_t hash_of(struct cell *dest, struct blob *key, struct blob *args)
{
    return registry_binding_hash(0, dest->id, key, args);
}

static void find_surplus(void *ctx, const struct binding *b)
{
    struct surplus *s = ctx;

    if (!u64map_get(&s->wanted, hash_of(b->dest, b->key, b->args)))
        exchange_set_add(&s->remove, b, true);
}

static void remove_surplus(struct exchange *x, const struct msg_exchange_set *should)
{
    struct surplus s = {.remove = exchange_set_new(8)};

    u64map_init(&s.wanted, proc_realloc, proc_free);
    for (uint32_t i = 0; i < should->n; i++) {
        const struct exchange_change *c = &should->change[i];

        u64map_put(&s.wanted, hash_of(c->dest, c->key, c->args), 1);
    }
    routes_each(x->cell, find_surplus, &s);
    for (uint32_t i = 0; i < s.remove->n; i++)
        apply(x, &s.remove->change[i]);
    msg_drop(&s.remove->hdr);
    u64map_fini(&s.wanted);
}

static void on_set(struct exchange *x, struct msg_exchange_set *m)
{
    for (uint32_t i = 0; i < m->n && (m->reset || queue_plant != PLANT_FORGET_BIND); i++)
        apply(x, &m->change[i]);
    if (m->reset)
        remove_surplus(x, m);
    proc_reply(&m->hdr, MSG_NEW(EXCHANGE_DONE, struct msg));
}

static void exchange_handle(void *state, struct msg *m)
{
    struct exchange *x = state;

    switch (m->type) {
    case EXCHANGE_SET:
        on_set(x, MSG_OF(struct msg_exchange_set, m));
        return;
    case MSG_NAMED:
        on_registry(x, m);
        return;
    case MSG_DOWN: /* the registry */
        (void)proc_await(x->registry);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t exchange_inspect(const void *state, char *out, size_t size)
{
    const struct exchange *x = state;
    int n = snprintf(out, size, "{\"id\":%llu,\"keys\":%zu}", (unsigned long long)x->cell->id,
                     table_count(x->cell->routes));

    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

const struct proc_ops exchange_ops = {
    .kind = "exchange",
    .state_size = sizeof(struct exchange),
    .init = exchange_init,
    .handle = exchange_handle,
    .inspect = exchange_inspect,
};
