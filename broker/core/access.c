/*
 * The access process: the table of users, and the checks that others make against it in place.
 *
 * Passwords are kept as RabbitMQ keeps them: a salt of 32 bits and SHA-256 over salt and password.
 * Messages in: none. The table outlives a restart of this process, which fills it anew.
 */
#include "broker/core/access.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"

enum { SALT_LEN = 4, HASH_LEN = 32 };

struct user {
    uint8_t salt[SALT_LEN], hash[HASH_LEN];
    bool loopback_only;
};

struct access {
    struct table *users, *vhosts;
};

static void hash_password(const uint8_t salt[SALT_LEN], const char *password, size_t len,
                          uint8_t ret[HASH_LEN])
{
    RUNTIME_REGION();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(ctx, salt, SALT_LEN);
    EVP_DigestUpdate(ctx, password, len);
    EVP_DigestFinal_ex(ctx, ret, NULL);
    EVP_MD_CTX_free(ctx);
}

int access_login(const char *user, size_t user_len, const char *password, size_t password_len,
                 bool loopback)
{
    static const struct user nobody; /* so that a missing user takes as long */
    const struct user *u = table_get(table_open("access/users", rt_free), user, user_len);
    uint8_t hash[HASH_LEN];
    bool is_known = u != NULL, is_right;

    if (!u)
        u = &nobody;
    hash_password(u->salt, password, password_len, hash);
    is_right = CRYPTO_memcmp(hash, u->hash, HASH_LEN) == 0;
    return is_known && is_right && (loopback || !u->loopback_only) ? 0 : -EACCES;
}

bool access_has_vhost(const char *vhost, size_t len)
{
    return table_get(table_open("access/vhosts", NULL), vhost, len) != NULL;
}

static void put_user(struct access *a, const char *name, const char *password, bool loopback_only)
{
    struct user *u = rt_zalloc(sizeof(*u));
    uint64_t salt = proc_random();

    memcpy(u->salt, &salt, SALT_LEN);
    hash_password(u->salt, password, strlen(password), u->hash);
    u->loopback_only = loopback_only;
    table_put(a->users, name, strlen(name), u);
}

static void access_init(void *state, const void *arg)
{
    static char present; /* what a vhost's name stands for, as long as it has no facts of its own */
    struct access *a = state;

    (void)arg;
    a->users = table_open("access/users", rt_free);
    a->vhosts = table_open("access/vhosts", NULL);
    put_user(a, "guest", "guest", config()->guest_from_loopback_only);
    table_put(a->vhosts, "/", 1, &present);
    CHECK(proc_register("access") == 0);
}

static void access_handle(void *state, struct msg *m)
{
    (void)state;
    proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
}

const struct proc_ops access_ops = {
    .kind = "access",
    .state_size = sizeof(struct access),
    .init = access_init,
    .handle = access_handle,
};
