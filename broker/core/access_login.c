/*
 * access_login.c - tries to log in: who was right before, whose turn it is, and the pace of
 * refusals.
 *
 * A try that was right before (an HMAC, under a key of this start, over the user, the password and
 * what is stored of it) is answered at once. Each other one takes one of its origin's few slots, or
 * waits for one. A password that is checked slowly is given to access_hash. A right one is answered
 * as soon as it is known; a wrong one only when WRONG_US have passed since it got its slot, which
 * it holds so long: so a refusal tells nothing by its time, and guessing is slow.
 *
 * At a start clients come before node has told who there is: none of them gets a slot until it has,
 * or has taken too long.
 *
 * Invariants
 * 1. A try is in its origin's queue, or has a slot and is in by_ref; n_tries counts both.
 * 2. An origin is in the map as long as it has a try.
 */
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

#include "broker/core/access_impl.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

enum {
    SLOTS = 8,
    WAITING_MAX = 256, /* of one origin */
    TRIES_MAX = 16384,
    WRONG_US = 250 * 1000,
    HASH_US = 8 * 1000 * 1000,
    HOLD_US = 8 * 1000 * 1000, /* less than clients wait for an answer */
    PASSWORD_MAX = 4096,
    DEATHS_MAX = 3, /* of access_hash under one password: it may be the password's doing */
    MAC_LEN = 32,
};

struct attempt {
    struct attempt *next; /* in its origin's queue */
    struct origin *origin;
    struct msg *m;     /* kept */
    uint64_t wrong_us; /* when a refusal is due */
    unsigned n_deaths; /* of access_hash, which had the password */
};

struct origin {
    uint64_t key;
    struct attempt *first, **last; /* those that wait for a slot */
    uint32_t n_busy, n_waiting;
};

struct known {
    uint8_t mac[MAC_LEN];
};

static void *value_of(uint64_t v)
{
    return (void *)(uintptr_t)v;
}

void logins_init(struct logins *l, bool is_told)
{
    proc_secret(l->key, sizeof(l->key));
    u64map_init(&l->known, proc_realloc, proc_free);
    u64map_init(&l->origins, proc_realloc, proc_free);
    u64map_init(&l->by_ref, proc_realloc, proc_free);
    l->hold = is_told ? 0 : proc_timer(HOLD_US);
}

static void mac_of(const struct logins *l, const void *bytes, size_t len, uint8_t ret[MAC_LEN])
{
    RUNTIME_REGION();
    unsigned n = MAC_LEN;

    HMAC(EVP_sha256(), l->key, sizeof(l->key), bytes, len, ret, &n);
}

/* Keyed, so that nobody can choose names that meet. Never 0. */
static uint64_t user_key(const struct logins *l, const struct msg_access_login *in)
{
    uint8_t mac[MAC_LEN];
    uint64_t key;

    mac_of(l, in->text, in->user_len, mac);
    memcpy(&key, mac, sizeof(key));
    return key ? key : 1;
}

/* Of the stored password too, so that a changed one is not known any more. */
static void login_mac(const struct logins *l, const struct msg_access_login *in,
                      const struct access_user *u, uint8_t ret[MAC_LEN])
{
    size_t len = in->user_len + in->password_len;
    uint8_t *text = rt_alloc(sizeof(in->user_len) + len + sizeof(u->password));

    memcpy(text, &in->user_len, sizeof(in->user_len));
    memcpy(text + sizeof(in->user_len), in->text, len);
    memcpy(text + sizeof(in->user_len) + len, &u->password, sizeof(u->password));
    len += sizeof(in->user_len) + sizeof(u->password);
    mac_of(l, text, len, ret);
    OPENSSL_cleanse(text, len);
    rt_free(text);
}

static const struct access_user *user_of(const struct msg_access_login *in)
{
    return facts_user((const char *)in->text, in->user_len);
}

static bool is_known(const struct logins *l, const struct msg_access_login *in)
{
    const struct access_user *u = user_of(in);
    uint8_t mac[MAC_LEN];
    uint64_t *found;

    if (!u || (u->loopback_only && !in->is_loopback) || in->password_len > PASSWORD_MAX ||
        in->is_vouched_for)
        return false;
    found = u64map_get(&l->known, user_key(l, in));
    if (!found)
        return false;
    login_mac(l, in, u, mac);
    return CRYPTO_memcmp(mac, ((struct known *)value_of(*found))->mac, MAC_LEN) == 0;
}

static void remember(struct logins *l, const struct msg_access_login *in)
{
    uint64_t key = user_key(l, in), *found = u64map_get(&l->known, key);
    const struct access_user *u = user_of(in);
    struct known *k;

    if (!u)
        return;
    k = found ? value_of(*found) : proc_alloc(sizeof(*k));
    login_mac(l, in, u, k->mac);
    u64map_put(&l->known, key, (uintptr_t)k);
}

/* Answers and drops it. */
static void answer(struct logins *l, struct msg *m, bool is_right)
{
    const struct msg_access_login *in = MSG_OF(struct msg_access_login, m);
    enum access_protocol protocol = in->protocol;
    struct msg_access_logged *reply = MSG_NEW(ACCESS_LOGGED, struct msg_access_logged);

    reply->is_right = is_right;
    if (is_right && user_of(in))
        reply->credential = user_of(in)->credential;
    proc_reply(m, &reply->hdr);
    msg_drop(m);
    facts_count_login(protocol, is_right);
    if (is_right)
        l->n_right++;
    else
        l->n_wrong++;
}

static void drop_upgrade(struct msg *m)
{
    struct msg_access_upgrade *u = MSG_OF(struct msg_access_upgrade, m);

    OPENSSL_cleanse(u->password, u->len);
    msg_free(m);
}

/* The password that everybody knows needs no slow hash. */
static bool is_default(const struct msg_access_login *in)
{
    const struct config *c = config();

    return strlen(c->default_user) == in->user_len && strlen(c->default_pass) == in->password_len &&
           memcmp(c->default_user, in->text, in->user_len) == 0 &&
           memcmp(c->default_pass, in->text + in->user_len, in->password_len) == 0;
}

static void upgrade(const struct msg_access_login *in, const struct access_user *u)
{
    struct msg_access_upgrade *m;

    if (u->password.kind == PASSWORD_CRYPT || is_default(in))
        return;
    m = msg_new(ACCESS_UPGRADE, sizeof(*m) + in->password_len, drop_upgrade);
    memcpy(m->user, in->text, in->user_len); /* a user's name: it fits */
    m->len = in->password_len;
    memcpy(m->password, in->text + in->user_len, in->password_len);
    PROC_SEND(proc_whereis("node"), m);
}

static struct origin *origin_of(struct logins *l, uint64_t key)
{
    uint64_t *found = u64map_get(&l->origins, key);
    struct origin *o;

    if (found)
        return value_of(*found);
    o = proc_zalloc(sizeof(*o));
    o->key = key;
    o->last = &o->first;
    u64map_put(&l->origins, key, (uintptr_t)o);
    return o;
}

static void wait_for(struct logins *l, struct attempt *t, proc_ref ref)
{
    u64map_put(&l->by_ref, ref, (uintptr_t)t);
}

static void give_to_hash(struct logins *l, struct attempt *t, const struct access_user *u)
{
    const struct msg_access_login *in = MSG_OF(struct msg_access_login, t->m);
    struct msg_access_login *ask = access_login_new(ACCESS_HASH, in->user_len, in->password_len);

    memcpy(ask->text, in->text, in->user_len + in->password_len);
    if (u)
        ask->against = u->password;
    else
        password_dummy(&ask->against);
    wait_for(l, t, proc_call(proc_whereis("access_hash"), &ask->hdr, HASH_US));
}

/* The password is right or wrong; whether the try is over with that. */
static bool conclude(struct logins *l, struct attempt *t, bool is_right)
{
    const struct msg_access_login *in = MSG_OF(struct msg_access_login, t->m);
    const struct access_user *u = user_of(in);
    uint64_t now = proc_now_us();

    if (!is_right || !u || (u->loopback_only && !in->is_loopback)) {
        wait_for(l, t, proc_timer(t->wrong_us > now ? t->wrong_us - now : 0));
        return false;
    }
    if (!in->is_vouched_for) {
        remember(l, in);
        upgrade(in, u);
    }
    answer(l, t->m, true);
    return true;
}

/* It has a slot; whether it is over at once. */
static bool begin(struct logins *l, struct attempt *t)
{
    const struct msg_access_login *in = MSG_OF(struct msg_access_login, t->m);
    const struct access_user *u = user_of(in);
    const struct password *against, none = {0};
    bool fits = in->password_len > 0 && in->password_len <= PASSWORD_MAX;

    t->wrong_us = proc_now_us() + WRONG_US;
    if (in->is_vouched_for)
        return conclude(l, t, true);
    if (is_known(l, in)) { /* by a try that was before it */
        answer(l, t->m, true);
        return true;
    }
    if (fits && (u ? u->password.kind == PASSWORD_CRYPT : l->has_slow_user)) {
        give_to_hash(l, t, u);
        return false;
    }
    against = u ? &u->password : &none;
    return conclude(l, t, fits && password_is(against, in->text + in->user_len, in->password_len));
}

/* Gives slots to those that wait, and forgets the origin once nobody does. */
static void pump(struct logins *l, struct origin *o)
{
    while (!l->hold && o->first && o->n_busy < SLOTS) {
        struct attempt *t = o->first;

        o->first = t->next;
        if (!o->first)
            o->last = &o->first;
        o->n_waiting--;
        if (!begin(l, t)) {
            o->n_busy++;
            continue;
        }
        l->n_tries--;
        proc_free(t);
    }
    if (o->n_busy > 0 || o->first)
        return;
    (void)u64map_del(&l->origins, o->key, NULL); /* invariant 2 */
    proc_free(o);
}

void logins_on_ask(struct logins *l, struct msg *m)
{
    const struct msg_access_login *in = MSG_OF(struct msg_access_login, m);
    struct origin *o;
    struct attempt *t;

    proc_keep(m);
    if (is_known(l, in)) {
        answer(l, m, true);
        return;
    }
    o = origin_of(l, in->origin);
    if ((o->n_waiting >= WAITING_MAX && !l->hold) || l->n_tries >= TRIES_MAX) {
        l->n_refused++;
        answer(l, m, false);
        pump(l, o);
        return;
    }
    t = proc_zalloc(sizeof(*t));
    t->origin = o;
    t->m = m;
    *o->last = t;
    o->last = &t->next;
    o->n_waiting++;
    l->n_tries++;
    pump(l, o);
}

/* Keys first: an origin whose tries are all answered at once leaves the map. */
static void end_hold(struct logins *l)
{
    uint64_t *keys = proc_alloc((l->origins.n + 1) * sizeof(*keys)), value;
    uint32_t at = 0, n = 0;

    l->hold = 0;
    while (u64map_next(&l->origins, &at, &keys[n], &value))
        n++;
    for (uint32_t i = 0; i < n; i++)
        pump(l, value_of(*u64map_get(&l->origins, keys[i])));
    proc_free(keys);
}

void logins_on_told(struct logins *l)
{
    if (!l->hold)
        return;
    proc_cancel(l->hold);
    end_hold(l);
}

bool logins_on_answer(struct logins *l, struct msg *m)
{
    struct origin *o;
    uint64_t found;
    struct attempt *t;

    if (m->ref == l->hold) {
        end_hold(l);
        return true;
    }
    if (!u64map_del(&l->by_ref, m->ref, &found))
        return false;
    t = value_of(found);
    o = t->origin;
    if (m->type == ACCESS_HASHED && !conclude(l, t, MSG_OF(struct msg_access_hashed, m)->is_right))
        return true;
    if (m->type == MSG_DOWN && t->n_deaths++ < DEATHS_MAX) {
        wait_for(l, t, proc_await("access_hash"));
        return true;
    }
    if (m->type == MSG_NAMED) {
        give_to_hash(l, t, user_of(MSG_OF(struct msg_access_login, t->m)));
        return true;
    }
    if (m->type == MSG_DOWN && !conclude(l, t, false)) /* nobody can say */
        return true;
    if (m->type == MSG_TIMEOUT)
        answer(l, t->m, false);
    o->n_busy--;
    l->n_tries--;
    proc_free(t);
    pump(l, o);
    return true;
}
