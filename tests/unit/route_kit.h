/*
 * Cells without processes, for tests of routing: exchanges with their routes, queues, and bindings
 * between them. Everything runs as the test world's root process, because tables want a scheduler.
 */
#ifndef TESTS_UNIT_ROUTE_KIT_H
#define TESTS_UNIT_ROUTE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "amqp/codec/table.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "queues/route.h"
#include "queues/routes.h"

enum { KIT_CELLS = 512 };

static struct {
    struct vhost_tables tables;
    struct cell *cell[KIT_CELLS]; /* by id - 1 */
    unsigned n;
} kit;

static struct cell *kit_cell(enum cell_kind kind, enum exchange_type type, const char *name,
                             struct blob *args)
{
    struct cell_spec spec = {.kind = kind,
                             .id = kit.n + 1,
                             .type = type,
                             .args = args,
                             .vhost = "/",
                             .vhost_len = 1,
                             .name = name,
                             .name_len = (uint8_t)strlen(name)};
    struct cell *c = cell_new(&spec);

    assert_true(kit.n < KIT_CELLS);
    kit.cell[kit.n++] = c;
    if (kind == CELL_EXCHANGE)
        c->routes = routes_open("/", spec.id);
    table_put(kind == CELL_QUEUE ? kit.tables.queues : kit.tables.exchanges, name, strlen(name),
              cell_ref(c));
    return c;
}

__attribute__((unused)) static struct cell *kit_queue(const char *name)
{
    return kit_cell(CELL_QUEUE, EXCHANGE_DIRECT, name, NULL);
}

__attribute__((unused)) static struct cell *kit_exchange(enum exchange_type type, const char *name,
                                                         struct blob *args)
{
    return kit_cell(CELL_EXCHANGE, type, name, args);
}

static struct blob *kit_blob(struct amqp_bytes b)
{
    return b.len ? blob_copy(b.p, b.len) : NULL;
}

/* Whether the routes changed. Key and arguments are copied. */
static bool kit_change(const struct cell *x, struct cell *dest, struct amqp_bytes key,
                       struct amqp_bytes args, bool remove)
{
    struct binding b = {.dest = dest, .key = kit_blob(key), .args = kit_blob(args)};
    bool changed = routes_change(x, &b, remove);

    blob_unref(b.key);
    blob_unref(b.args);
    return changed;
}

__attribute__((unused)) static bool kit_bind(const struct cell *x, struct cell *dest,
                                             const char *key)
{
    return kit_change(x, dest, amqp_str(key), amqp_bytes(NULL, 0), false);
}

__attribute__((unused)) static bool kit_unbind(const struct cell *x, struct cell *dest,
                                               const char *key)
{
    return kit_change(x, dest, amqp_str(key), amqp_bytes(NULL, 0), true);
}

/* Whether a message goes to exactly these cells (by id - 1), each once. */
__attribute__((unused)) static bool kit_goes_to(const struct route_query *q, const bool *want)
{
    struct routed to;
    bool got[KIT_CELLS] = {0}, is_right = true;

    route(&kit.tables, q, &to, proc_realloc, proc_free);
    for (uint32_t i = 0; i < to.queues.n; i++) {
        uint64_t id = routed_queue(&to, i)->id;

        is_right = is_right && !got[id - 1];
        got[id - 1] = true;
    }
    for (unsigned i = 0; i < kit.n; i++)
        is_right = is_right && got[i] == want[i];
    routed_fini(&to);
    return is_right;
}

/* How many queues a message with this key reaches. */
__attribute__((unused)) static uint32_t kit_count(const struct cell *x, const char *key)
{
    struct route_query q = {.exchange = x, .key = amqp_str(key)};
    struct routed to;
    uint32_t n;

    route(&kit.tables, &q, &to, proc_realloc, proc_free);
    n = to.queues.n;
    routed_fini(&to);
    return n;
}

static void kit_open(void *arg)
{
    (void)arg;
    vhost_tables_open("/", &kit.tables);
}

/* Runs fn as a process with no cells yet; what it asserts must be asserted by CHECK. */
static void kit_run(void (*fn)(void *arg), void *arg)
{
    memset(&kit, 0, sizeof(kit));
    tw_start(tw_seed());
    tw_do(kit_open, NULL);
    tw_do(fn, arg);
    assert_string_equal(tw.last_crash.why.text, "");
    tw_stop();
    for (unsigned i = 0; i < kit.n; i++) {
        kit.cell[i]->routes = NULL; /* it went with all tables */
        cell_unref(kit.cell[i]);
    }
}

#endif
