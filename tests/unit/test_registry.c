/*
 * The registry with a real supervisor and real exchanges, a store and queues that are played:
 * random declares, deletes, binds and unbinds by several drivers, of queues and of exchanges of
 * several types, auto-delete and bound to each other, while registry, exchanges and store are
 * killed. What was answered must be what the tables say, and nothing of a deleted queue may be
 * left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "persistence/store.h"
#include "queues/queue.h"
#include "queues/registry.h"
#include "queues/route.h"
#include "queues/vhost.h"

#include "tests/unit/registry_kit.h"
#include "tests/unit/test_world.h"

enum { N_DRIVERS = 3, N_NAMES = 4, N_KEYS = 3 };

/*
 * Drivers: each has names of its own and says one thing at a time, again until it is answered. It
 * binds its queues and exchanges to its exchanges and to two that all share.
 */
enum verb { DECLARE, DELETE, BIND, UNBIND };

enum { N_SHARED = 2, N_OWN = 4, N_SOURCES = N_SHARED + N_OWN, N_DESTS = N_NAMES + N_OWN };

static const char *const shared[N_SHARED] = {"amq.direct", "amq.topic"};
static const char *const types[N_OWN] = {"direct", "topic", "fanout", "topic"};

struct driver {
    unsigned number, left;
    enum verb verb;
    unsigned dest;   /* of a binding, or what is declared: queues first, then exchanges */
    unsigned source; /* of a binding: shared ones first */
    unsigned key;
    proc_ref ref;
};

static struct model { /* what each driver was told */
    bool is_there[N_DESTS];
    bool bound[N_SOURCES][N_DESTS][N_KEYS];
    unsigned done;
} model[N_DRIVERS];

static bool is_queue(unsigned dest)
{
    return dest < N_NAMES;
}

/* The last of a driver's exchanges goes with its last binding. */
static bool is_auto_delete(unsigned dest)
{
    return dest == N_DESTS - 1;
}

static void dest_name(char out[32], const struct driver *d, unsigned dest)
{
    snprintf(out, 32, "%s-%u-%u", is_queue(dest) ? "q" : "x", d->number, dest);
}

static void source_name(char out[32], const struct driver *d, unsigned source)
{
    if (source < N_SHARED)
        snprintf(out, 32, "%s", shared[source]);
    else
        dest_name(out, d, source - N_SHARED + N_NAMES);
}

static bool is_topic(unsigned source)
{
    return !strcmp(source < N_SHARED ? shared[source] + 4 : types[source - N_SHARED], "topic");
}

/* Key 0 is a literal one, the others are patterns where that means something. */
static void key_text(char out[32], const struct driver *d, unsigned source, unsigned key)
{
    snprintf(out, 32, key && is_topic(source) ? "k-%u-%u.#" : "k-%u-%u", d->number, key);
}

static struct msg *declare_request(const struct driver *d, const char *name)
{
    struct msg_registry_declare *m;

    if (is_queue(d->dest)) {
        m = registry_declare_new(REGISTRY_QUEUE_DECLARE, name, strlen(name));
    } else {
        const char *type = types[d->dest - N_NAMES];

        m = registry_declare_new(REGISTRY_EXCHANGE_DECLARE, name, strlen(name));
        m->type = blob_copy(type, strlen(type));
        m->flags = is_auto_delete(d->dest) ? CELL_AUTO_DELETE : 0;
    }
    m->flags |= d->dest % 2 ? CELL_DURABLE : 0;
    return &m->hdr;
}

static struct msg *request_of(const struct driver *d)
{
    uint32_t delete = is_queue(d->dest) ? REGISTRY_QUEUE_DELETE : REGISTRY_EXCHANGE_DELETE;
    struct msg_registry_bind *bind;
    char name[32], source[32], key[32];

    dest_name(name, d, d->dest);
    source_name(source, d, d->source);
    key_text(key, d, d->source, d->key);
    if (d->verb == DELETE)
        return &registry_delete_new(delete, name, strlen(name))->hdr;
    if (d->verb == DECLARE)
        return declare_request(d, name);
    bind = registry_bind_new(d->verb == BIND ? REGISTRY_BIND : REGISTRY_UNBIND);
    bind->to_exchange = !is_queue(d->dest);
    bind->source = blob_copy(source, strlen(source));
    bind->dest = blob_copy(name, strlen(name));
    bind->key = blob_copy(key, strlen(key));
    return &bind->hdr;
}

static void ask(struct driver *d)
{
    proc_id registry = proc_whereis("registry:/");

    if (!registry) {
        d->ref = 0;
        (void)proc_await("registry:/");
        return;
    }
    d->ref = proc_call(registry, request_of(d), PROC_NO_TIMEOUT);
}

static void next(struct driver *d)
{
    uint64_t r = proc_random();

    if (d->left == 0)
        proc_exit(EXIT_NORMAL, 0, "done");
    d->left--;
    d->verb = (enum verb)(r % 16 < 5 ? DECLARE : r % 16 < 6 ? DELETE : r % 16 < 12 ? BIND : UNBIND);
    d->dest = (unsigned)(r >> 8) % N_DESTS;
    d->source = (unsigned)(r >> 16) % N_SOURCES;
    d->key = (unsigned)(r >> 24) % N_KEYS;
    ask(d);
}

static bool has_source(const struct model *m, unsigned source)
{
    return source < N_SHARED || m->is_there[source - N_SHARED + N_NAMES];
}

static bool is_source_of_any(const struct model *m, unsigned source)
{
    for (unsigned i = 0; i < N_DESTS * N_KEYS; i++) {
        if (m->bound[source][i / N_KEYS][i % N_KEYS])
            return true;
    }
    return false;
}

static void learn_gone(struct model *m, unsigned dest);

/* A binding of this source has gone. */
static void learn_unbound(struct model *m, unsigned source)
{
    unsigned dest = source - N_SHARED + N_NAMES;

    if (source >= N_SHARED && is_auto_delete(dest) && m->is_there[dest] &&
        !is_source_of_any(m, source))
        learn_gone(m, dest);
}

static void learn_gone(struct model *m, unsigned dest)
{
    bool lost[N_SOURCES] = {false};

    m->is_there[dest] = false;
    if (!is_queue(dest))
        memset(m->bound[dest - N_NAMES + N_SHARED], 0, sizeof(m->bound[0]));
    for (unsigned s = 0; s < N_SOURCES; s++) {
        for (unsigned k = 0; k < N_KEYS; k++) {
            lost[s] = lost[s] || m->bound[s][dest][k];
            m->bound[s][dest][k] = false;
        }
    }
    for (unsigned s = 0; s < N_SOURCES; s++) {
        if (lost[s])
            learn_unbound(m, s);
    }
}

static void learn(const struct driver *d, const struct msg_registry_reply *reply)
{
    struct model *m = &model[d->number];
    bool *bound = &m->bound[d->source][d->dest][d->key], was_bound = *bound;

    m->done++;
    if (d->verb == BIND && (!m->is_there[d->dest] || !has_source(m, d->source))) {
        CHECK(reply->code == 404);
        return;
    }
    CHECK(reply->code == 0);
    if (d->verb == DECLARE) {
        m->is_there[d->dest] = true;
    } else if (d->verb == DELETE) {
        learn_gone(m, d->dest);
    } else {
        *bound = d->verb == BIND;
        if (was_bound && !*bound)
            learn_unbound(m, d->source);
    }
}

/* What the model says a message to this source with this key reaches. */
static void reach(const struct model *m, unsigned source, unsigned key, bool *seen, bool *queues)
{
    bool is_fanout = source >= N_SHARED && !strcmp(types[source - N_SHARED], "fanout");

    if (seen[source])
        return;
    seen[source] = true;
    for (unsigned i = 0; i < N_DESTS * N_KEYS; i++) {
        unsigned dest = i / N_KEYS;

        if (!m->bound[source][dest][i % N_KEYS] || (!is_fanout && i % N_KEYS != key))
            continue;
        if (is_queue(dest))
            queues[dest] = true;
        else
            reach(m, dest - N_NAMES + N_SHARED, key, seen, queues);
    }
}

static void check_routes(const struct driver *d, const struct vhost_tables *t, unsigned source,
                         unsigned key)
{
    const struct model *m = &model[d->number];
    bool seen[N_SOURCES] = {false}, want[N_DESTS] = {false};
    char name[32], text[32];
    struct routed to;
    struct cell *x;

    source_name(name, d, source);
    x = vhost_find_exchange(t, name, strlen(name));
    CHECK(!has_source(m, source) || x);
    if (!has_source(m, source))
        return;
    snprintf(text, sizeof(text), "k-%u-%u", d->number, key);
    reach(m, source, key, seen, want);
    route(t, &(struct route_query){.exchange = x, .key = amqp_str(text)}, &to, proc_realloc,
          proc_free);
    for (uint32_t i = 0; i < to.queues.n; i++)
        CHECK(cell_at(routed_queue(&to, i))->state != CELL_DELETED);
    for (unsigned q = 0; q < N_NAMES; q++) {
        bool got = false;

        dest_name(name, d, q);
        for (uint32_t i = 0; i < to.queues.n; i++)
            got = got || !strcmp(cell_name(routed_queue(&to, i)), name);
        CHECK(got == want[q]);
    }
    routed_fini(&to);
}

/* What was answered is visible at once, to everybody. */
static void check_visible(const struct driver *d)
{
    const struct model *m = &model[d->number];
    struct vhost_tables t;
    char name[32];

    vhost_tables_open("/", &t);
    for (unsigned i = 0; i < N_DESTS; i++) {
        dest_name(name, d, i);
        if (is_queue(i))
            CHECK(!vhost_find_queue(&t, name, strlen(name)) == !m->is_there[i]);
        else if (m->is_there[i] || !is_auto_delete(i)) /* its end may be under way */
            CHECK(!vhost_find_exchange(&t, name, strlen(name)) == !m->is_there[i]);
    }
    check_routes(d, &t, d->source, d->key);
    check_routes(d, &t, (unsigned)(proc_random() % N_SOURCES), 0);
}

static void driver_init(void *state, const void *arg)
{
    struct driver *d = state;

    memcpy(d, arg, sizeof(*d));
    next(d);
}

static void driver_handle(void *state, struct msg *m)
{
    struct driver *d = state;

    if (m->type == MSG_NAMED || m->type == MSG_DOWN) {
        ask(d);
        return;
    }
    CHECK(m->type == REGISTRY_REPLY && m->ref == d->ref);
    learn(d, MSG_OF(struct msg_registry_reply, m));
    check_visible(d);
    next(d);
}

static const struct proc_ops driver_ops = {
    .kind = "driver",
    .state_size = sizeof(struct driver),
    .init = driver_init,
    .handle = driver_handle,
};

static void start_vhost(void *arg)
{
    struct child_spec spec;
    struct spawn spawn = {.ops = &supervisor_ops,
                          .name = "vhost",
                          .flags = PROC_LINK | PROC_SUPERVISOR | PROC_TRAP_EXIT};

    (void)arg;
    vhost_child_spec("/", "/nowhere", &spec);
    spawn.arg = spec.arg;
    *(proc_id *)arg = proc_spawn(&spawn);
}

static void start_drivers(void *arg)
{
    for (unsigned i = 0; i < N_DRIVERS; i++) {
        struct driver d = {.number = i, .left = *(unsigned *)arg};
        struct spawn spawn = {.ops = &driver_ops, .arg = blob_copy(&d, sizeof(d))};

        proc_spawn(&spawn);
    }
}

static void stop_vhost(void *arg)
{
    proc_unlink(*(proc_id *)arg);
    proc_signal(*(proc_id *)arg, EXIT_KILL, 0, "over");
}

static void kill_one(void *arg)
{
    static const char *const names[] = {"registry:/", "store:/"};
    uint64_t r = tw_random();
    struct vhost_tables t;
    struct cell *x;

    (void)arg;
    if (r % 3 < 2) {
        proc_signal(proc_whereis(names[r % 3]), EXIT_KILL, 0, "for the test");
        return;
    }
    vhost_tables_open("/", &t);
    for (unsigned i = 0; i < 20; i++) { /* some exchange that is there */
        char name[32];
        struct driver d = {.number = (unsigned)(tw_random() % N_DRIVERS)};

        source_name(name, &d, (unsigned)(tw_random() % N_SOURCES));
        x = vhost_find_exchange(&t, name, strlen(name));
        if (!x || !cell_at(x)->pid)
            continue;
        proc_signal(cell_at(x)->pid, EXIT_KILL, 0, "for the test");
        return;
    }
}

static void run(unsigned n_ops, bool with_kills)
{
    proc_id vhost;
    unsigned done = 0;

    memset(model, 0, sizeof(model));
    disk_next_id = 1;
    tw_start(tw_seed());
    tw_do(start_vhost, &vhost);
    tw_run_us(1000000);
    tw_do(start_drivers, &n_ops);
    for (unsigned i = 0; i < 4000 && done < n_ops * N_DRIVERS; i++) {
        if (with_kills && i % 50 == 49)
            tw_do(kill_one, NULL);
        tw_run_us(50000);
        done = 0;
        for (unsigned d = 0; d < N_DRIVERS; d++)
            done += model[d].done;
    }
    if (!with_kills || done != n_ops * N_DRIVERS)
        assert_string_equal(tw.last_crash.why.text, "");
    assert_int_equal(done, n_ops * N_DRIVERS);
    tw_do(stop_vhost, &vhost);
    tw_stop();
    for (int i = 0; i < N_ROWS; i++) {
        if (disk[i].used)
            disk_free(&disk[i]);
    }
}

static void test_quiet(void **state)
{
    (void)state;
    run(300, false);
}

static void test_with_kills(void **state)
{
    (void)state;
    run(2000, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_with_kills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
