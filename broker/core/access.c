/*
 * The access process: takes facts into the tables, and answers logins.
 *
 * Messages in: ACCESS_BEGIN, ACCESS_SET, ACCESS_SWEEP, ACCESS_SYNC from node; ACCESS_LOGIN from
 * anybody; answers of access_hash.
 * Out: ACCESS_SWEPT, ACCESS_LOGGED; ACCESS_HASH to access_hash; ACCESS_UPGRADE to node.
 *
 * The tables outlive a restart of this process. What node told a dead run may be lost: node sees
 * its end and tells all again.
 *
 * Invariants
 * 1. Only this process writes the tables.
 * 2. A fact that is not well formed changes nothing.
 */
#define LOG_CATEGORY LOG_ACCESS

#include "broker/core/access.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/access_impl.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"

struct access {
    uint32_t mark; /* of the facts set since the last BEGIN */
    struct logins logins;
};

static void drop_set(struct msg *m)
{
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        rt_free(MSG_OF(struct msg_access_set, m)->fact.pattern[i]);
    msg_free(m);
}

struct msg_access_set *access_set_new(void)
{
    return msg_new(ACCESS_SET, sizeof(struct msg_access_set), drop_set);
}

static void drop_login(struct msg *m)
{
    struct msg_access_login *in = MSG_OF(struct msg_access_login, m);

    OPENSSL_cleanse(in->text, in->user_len + in->password_len);
    msg_free(m);
}

struct msg_access_login *access_login_new(uint32_t type, size_t user_len, size_t password_len)
{
    struct msg_access_login *m = msg_new(type, sizeof(*m) + user_len + password_len, drop_login);

    m->user_len = user_len;
    m->password_len = password_len;
    return m;
}

proc_ref access_ask_login(const struct access_login *login)
{
    struct msg_access_login *m =
        access_login_new(ACCESS_LOGIN, login->user_len, login->password_len);

    m->origin = login->origin;
    m->is_loopback = login->is_loopback;
    m->protocol = login->protocol;
    m->is_vouched_for = login->is_vouched_for;
    memcpy(m->text, login->user, login->user_len);
    if (login->password_len)
        memcpy(m->text + login->user_len, login->password, login->password_len);
    return proc_call(proc_whereis("access"), &m->hdr, PROC_NO_TIMEOUT);
}

uint64_t access_origin(const struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *six = (const void *)address;
    const struct sockaddr_in *four = (const void *)address;
    uint64_t high = 0;

    if (address->ss_family == AF_INET) {
        high = four->sin_addr.s_addr;
    } else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        uint32_t mapped;

        memcpy(&mapped, six->sin6_addr.s6_addr + 12, sizeof(mapped));
        high = mapped;
    } else if (address->ss_family == AF_INET6) {
        memcpy(&high, six->sin6_addr.s6_addr, sizeof(high));
    }
    return high ? high : 1;
}

static void on_set(struct access *a, const struct msg_access_set *m)
{
    char why[256], user[256];

    if (facts_set(&m->fact, a->mark, why, sizeof(why)) < 0)
        log_error("permission of user %s: %s",
                  log_quote(user, sizeof(user), m->fact.user, strlen(m->fact.user)), why);
    if (m->fact.kind == ACCESS_FACT_USER && m->fact.password.kind == PASSWORD_CRYPT)
        a->logins.has_slow_user = true;
}

static void on_sweep(struct access *a, struct msg *m)
{
    unsigned n = facts_sweep(a->mark);

    if (n > 0)
        log_info("access: %u facts were no longer true", n);
    a->logins.has_slow_user = facts_have_slow_user();
    logins_on_told(&a->logins);
    proc_reply(m, msg_new(ACCESS_SWEPT, sizeof(struct msg), NULL));
}

static void access_init(void *state, const void *arg)
{
    struct access *a = state;

    (void)arg;
    a->mark = (uint32_t)proc_random(); /* another than what a run before may have left */
    logins_init(&a->logins, facts_have_users());
    a->logins.has_slow_user = facts_have_slow_user();
    CHECK(proc_register("access") == 0);
}

static void access_handle(void *state, struct msg *m)
{
    struct access *a = state;

    switch (m->type) {
    case ACCESS_SET:
        on_set(a, MSG_OF(struct msg_access_set, m));
        break;
    case ACCESS_BEGIN:
        a->mark++;
        break;
    case ACCESS_SWEEP:
        on_sweep(a, m);
        break;
    case ACCESS_SYNC:
        proc_reply(m, msg_new(ACCESS_SWEPT, sizeof(struct msg), NULL));
        break;
    case ACCESS_LOGIN:
        logins_on_ask(&a->logins, m);
        break;
    case ACCESS_HASHED:
    case MSG_DOWN:
    case MSG_NAMED:
    case MSG_TIMEOUT:
        (void)logins_on_answer(&a->logins, m); /* of one that is over: nobody waits */
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t access_inspect(const void *state, char *out, size_t size)
{
    const struct access *a = state;
    int n = snprintf(out, size,
                     "{\"right\":%llu,\"wrong\":%llu,\"refused\":%llu,\"waiting\":%u,"
                     "\"known\":%u,\"origins\":%u}",
                     (unsigned long long)a->logins.n_right, (unsigned long long)a->logins.n_wrong,
                     (unsigned long long)a->logins.n_refused, a->logins.n_tries, a->logins.known.n,
                     a->logins.origins.n);

    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

const struct proc_ops access_ops = {
    .kind = "access",
    .state_size = sizeof(struct access),
    .init = access_init,
    .handle = access_handle,
    .inspect = access_inspect,
};
