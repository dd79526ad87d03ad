/*
 * tls.c - the process `certificates`, which keeps the TLS contexts.
 *
 * Duties: makes contexts of the configured files and shows them; makes new ones when a file has
 * changed, or when it is asked to.
 * In:  TLS_RELOAD, TLS_WATCH, timer.
 * Out: TLS_CHANGED.
 * Links and monitors: none.
 * Invariants:
 *   1. What the table shows was right as a whole. Files that are not are told of in the log once,
 *      and looked at again when one of them changes.
 *   2. It runs where it may block, because it reads files.
 */
#include "broker/core/tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/table.h"

enum {
    DAY_S = 86400,
    SOON_S = 14 * DAY_S,
    LOOK_US = 5 * 1000 * 1000,
    WATCHERS_MAX = 16,
    LISTED_MAX = 64, /* certificates; the rest of a long list of trusted ones is not told of */
};

struct listed {
    enum tls_service service;
    char name[256], path[TLS_PATH_SIZE];
    struct tls_certificate c; /* its pointers are to the two above */
};

/* What the table holds, under the empty key. Immutable. */
struct shown {
    uint64_t generation;
    SSL_CTX *ctx[TLS_SERVICES]; /* NULL: no listener with TLS */
    unsigned n_listed;
    struct listed *listed;
};

struct certificates {
    uint64_t seen; /* what the files looked like when they were last read */
    proc_ref timer;
    unsigned n_watchers;
    struct reply_to watcher[WATCHERS_MAX];
};

static const char *const prefixes[TLS_SERVICES] = {
    [TLS_AMQP] = "ssl_options.",
    [TLS_MGMT] = "management.ssl.",
    [TLS_PROMETHEUS] = "prometheus.ssl.",
};

static const char *const protocols[TLS_SERVICES] = {
    [TLS_AMQP] = "amqp/ssl",
    [TLS_MGMT] = "https",
    [TLS_PROMETHEUS] = "https/prometheus",
};

static void shown_free(void *p)
{
    struct shown *s = p;

    for (unsigned i = 0; i < TLS_SERVICES; i++)
        SSL_CTX_free(s->ctx[i]);
    rt_free(s->listed);
    rt_free(s);
}

static struct table *facts(void)
{
    return table_open("tls", shown_free);
}

static const struct shown *present(void)
{
    return table_get(facts(), "", 0);
}

uint64_t tls_generation(void)
{
    const struct shown *s = present();

    return s ? s->generation : 0;
}

SSL_CTX *tls_context(enum tls_service service)
{
    RUNTIME_REGION();
    const struct shown *s = present();

    if (!s || !s->ctx[service])
        return NULL;
    (void)SSL_CTX_up_ref(s->ctx[service]); /* cannot fail in OpenSSL 3 */
    return s->ctx[service];
}

void tls_each_certificate(void (*fn)(void *arg, const char *protocol,
                                     const struct tls_certificate *c),
                          void *arg)
{
    const struct shown *s = present();

    for (unsigned i = 0; s && i < s->n_listed; i++)
        fn(arg, protocols[s->listed[i].service], &s->listed[i].c);
}

struct lister {
    struct shown *s;
    enum tls_service service;
};

static void list(void *arg, const struct tls_certificate *c)
{
    struct lister *l = arg;
    struct listed *at = &l->s->listed[l->s->n_listed];

    if (l->s->n_listed == LISTED_MAX)
        return;
    l->s->n_listed++;
    at->service = l->service;
    at->c = *c;
    snprintf(at->name, sizeof(at->name), "%s", c->name);
    snprintf(at->path, sizeof(at->path), "%s", c->path);
    at->c.name = at->name;
    at->c.path = at->path;
}

const struct tls_settings *tls_settings_of(enum tls_service service)
{
    const struct config *c = config();
    bool has = service == TLS_AMQP ? c->ssl.n > 0 : *c->tls[service].certfile != '\0';

    return has ? &c->tls[service] : NULL;
}

bool tls_is_used(void)
{
    for (unsigned i = 0; i < TLS_SERVICES; i++)
        if (tls_settings_of((enum tls_service)i))
            return true;
    return false;
}

static int load_one(struct shown *s, enum tls_service service, char *ret_text, size_t size)
{
    const struct tls_settings *settings = tls_settings_of(service);
    struct lister l = {s, service};
    int r;

    if (!settings)
        return 0;
    r = tls_context_new(settings, prefixes[service], &s->ctx[service], ret_text, size);
    if (r < 0)
        return r;
    tls_context_each(s->ctx[service], settings, list, &l);
    if (*settings->cacertfile)
        (void)tls_file_each(settings->cacertfile, list, &l); /* it was read before, if it counts */
    return 0;
}

/* All or nothing. */
static int load(struct shown **ret, char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct shown *s = rt_zalloc(sizeof(*s));
    int r = 0;

    s->listed = rt_zalloc(LISTED_MAX * sizeof(*s->listed));
    for (unsigned i = 0; r == 0 && i < TLS_SERVICES; i++)
        r = load_one(s, (enum tls_service)i, ret_text, size);
    if (r < 0)
        shown_free(s);
    else
        *ret = s;
    return r;
}

int tls_probe(char *ret_text, size_t size)
{
    struct shown *s;
    int r = load(&s, ret_text, size);

    if (r == 0)
        shown_free(s);
    return r;
}

static void add_file(uint64_t *sum, const char *path)
{
    struct stat st = {0};

    if (!*path)
        return;
    (void)stat(path, &st); /* a file that is not there looks like nothing else */
    *sum = *sum * 0x100000001b3u ^ (uint64_t)st.st_mtim.tv_sec;
    *sum = *sum * 0x100000001b3u ^ (uint64_t)st.st_mtim.tv_nsec;
    *sum = *sum * 0x100000001b3u ^ (uint64_t)st.st_ino;
    *sum = *sum * 0x100000001b3u ^ (uint64_t)st.st_size;
}

/* A number that is another one once a file has changed. */
static uint64_t look(void)
{
    uint64_t sum = 0xcbf29ce484222325u;
    char path[TLS_PATH_SIZE];
    struct config_pair p;

    for (unsigned i = 0; i < TLS_SERVICES; i++) {
        const struct tls_settings *s = tls_settings_of((enum tls_service)i);

        if (!s)
            continue;
        add_file(&sum, s->cacertfile);
        add_file(&sum, s->crlfile);
        add_file(&sum, s->certfile);
        add_file(&sum, s->keyfile);
        for (const char *at = s->names; config_pair_next(&at, &p);) {
            snprintf(path, sizeof(path), "%.*s", p.value_len, p.value);
            add_file(&sum, path);
        }
    }
    return sum;
}

static void tell_watchers(struct certificates *c)
{
    for (unsigned i = 0; i < c->n_watchers; i++)
        proc_reply_to(c->watcher[i], msg_new(TLS_CHANGED, sizeof(struct msg), NULL));
    c->n_watchers = 0;
}

static void warn_of_end(const struct shown *s)
{
    int64_t now = proc_wall_ms() / 1000;

    for (unsigned i = 0; i < s->n_listed; i++) {
        const struct tls_certificate *c = &s->listed[i].c;

        if (c->not_after < now)
            log_warn("certificates: %s in %s has expired", c->subject, c->path);
        else if (c->not_after < now + SOON_S)
            log_warn("certificates: %s in %s expires in %lld days", c->subject, c->path,
                     (long long)((c->not_after - now) / DAY_S));
    }
}

static void take_in(struct certificates *c)
{
    uint64_t generation = tls_generation();
    char text[1024];
    struct shown *s;

    c->seen = look(); /* before they are read: a change meanwhile is seen the next time */
    if (load(&s, text, sizeof(text)) < 0) {
        log_error("certificates: %s; those in use stay", text);
        return;
    }
    s->generation = generation + 1;
    table_put(facts(), "", 0, s);
    log_info("certificates: %u read", s->n_listed);
    warn_of_end(s);
    tell_watchers(c);
}

static void certificates_init(void *state, const void *arg)
{
    struct certificates *c = state;

    (void)arg;
    take_in(c);
    c->timer = proc_timer(LOOK_US);
    CHECK(proc_register("certificates") == 0);
}

proc_ref tls_watch(uint64_t seen)
{
    struct msg_tls_watch *m = MSG_NEW(TLS_WATCH, struct msg_tls_watch);

    m->seen = seen;
    return proc_call(proc_whereis("certificates"), &m->hdr, PROC_NO_TIMEOUT);
}

static void on_watch(struct certificates *c, struct msg *m)
{
    if (c->n_watchers == WATCHERS_MAX)
        tell_watchers(c); /* most of them are gone; the others ask again */
    c->watcher[c->n_watchers++] = proc_defer(m);
    if (MSG_OF(struct msg_tls_watch, m)->seen != tls_generation())
        tell_watchers(c);
}

void tls_reload(void)
{
    rt_send(proc_whereis("certificates"), msg_new(TLS_RELOAD, sizeof(struct msg), NULL));
}

static void certificates_handle(void *state, struct msg *m)
{
    struct certificates *c = state;

    switch (m->type) {
    case TLS_RELOAD:
        take_in(c);
        break;
    case TLS_WATCH:
        on_watch(c, m);
        break;
    case MSG_TIMEOUT:
        if (look() != c->seen)
            take_in(c);
        c->timer = proc_timer(LOOK_US);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t certificates_inspect(const void *state, char *out, size_t size)
{
    const struct shown *s = present();
    int n = snprintf(out, size, "{\"generation\":%llu,\"certificates\":%u}",
                     (unsigned long long)(s ? s->generation : 0), s ? s->n_listed : 0);

    (void)state;
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

const struct proc_ops tls_ops = {
    .kind = "certificates",
    .state_size = sizeof(struct certificates),
    .flags = PROC_OPS_BLOCKING,
    .init = certificates_init,
    .handle = certificates_handle,
    .inspect = certificates_inspect,
};
