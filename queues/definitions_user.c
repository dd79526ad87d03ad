/*
 * definitions_user.c - users of definitions: tags, limits, and what becomes of passwords.
 *
 * A password is stored by its hash alone. What came as a quick hash (RabbitMQ's) is replaced by a
 * slow one when its user logs in; the member `warren_origin` then keeps 32 bits of a digest of what
 * came, so that the same file, taken in again, changes nothing. It also names the password towards
 * open connections (access_fact.credential), which live on when only the hash is another.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "broker/runtime/region.h"
#include "queues/definitions_impl.h"

static const char origin_key[] = "warren_origin";
static const char *const password_keys[] = {"password_hash", "hashing_algorithm", origin_key};
enum { N_PASSWORD_KEYS = sizeof(password_keys) / sizeof(password_keys[0]) };

char *definition_key_of(const char *a, const char *b, const char *c)
{
    json_t *names = json_array();
    char *text;

    json_array_append_new(names, json_string(a));
    if (b)
        json_array_append_new(names, json_string(b));
    if (c)
        json_array_append_new(names, json_string(c));
    text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    return text;
}

static int take_tags(struct reader *r, const json_t *v, unsigned *ret)
{
    const char *text = json_string_value(v);
    const json_t *tag;
    size_t i;

    *ret = 0;
    if (!v)
        return 0;
    if (text) { /* older files: separated by commas */
        while (*text) {
            size_t len;

            text += strspn(text, ", ");
            len = strcspn(text, ", ");
            *ret |= access_tag_of(text, len);
            text += len;
        }
        return 0;
    }
    if (!json_is_array(v))
        return definition_refuse(r, "'tags' is neither a list nor a text");
    json_array_foreach(v, i, tag)
        if (json_is_string(tag))
            *ret |= access_tag_of(json_string_value(tag), json_string_length(tag));
    return 0;
}

int definition_take_limits(struct reader *r, const json_t *o, struct access_limit *ret)
{
    static const char *const names[] = {[ACCESS_CONNECTIONS] = "max-connections",
                                        [ACCESS_CHANNELS] = "max-channels",
                                        [ACCESS_QUEUES] = "max-queues"};

    for (int i = 0; i < ACCESS_LIMITS; i++) {
        const json_t *v = json_object_get(o, names[i]);

        if (v && !json_is_integer(v))
            return definition_refuse(r, "'%s' is no number", names[i]);
        if (v)
            ret[i] = (struct access_limit){true, json_integer_value(v)};
    }
    return 0;
}

/* 32 bits of a digest; never 0. */
static uint32_t digest_of(const char *algorithm, const char *hash)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint32_t ret;

    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(ctx, algorithm, strlen(algorithm) + 1);
    EVP_DigestUpdate(ctx, hash, strlen(hash));
    EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    memcpy(&ret, out, sizeof(ret));
    return ret ? ret : 1;
}

static uint32_t credential_of(const json_t *o)
{
    const json_t *origin = json_object_get(o, origin_key);
    const char *hash = json_string_value(json_object_get(o, "password_hash"));
    const char *algorithm = json_string_value(json_object_get(o, "hashing_algorithm"));

    if (json_is_integer(origin))
        return (uint32_t)json_integer_value(origin);
    return digest_of(algorithm ? algorithm : "rabbit_password_hashing_sha256", hash ? hash : "");
}

/* The hash stays the one that is stored. */
static void keep_password(json_t *o, const json_t *was)
{
    for (int i = 0; i < N_PASSWORD_KEYS; i++) {
        json_object_del(o, password_keys[i]);
        if (json_object_get(was, password_keys[i]))
            json_object_set(o, password_keys[i], json_object_get(was, password_keys[i]));
    }
    json_object_del(o, "password");
}

static void put_password(json_t *o, const struct password *p)
{
    char hash[PASSWORD_TEXT_MAX];
    const char *algorithm = password_format(p, hash);

    json_object_set_new(o, "password_hash", json_string(hash));
    json_object_set_new(o, "hashing_algorithm", json_string(algorithm));
    json_object_del(o, "password");
}

/* A plain password is never kept: the object gets its hash instead. */
static int hash_password(struct reader *r, json_t *o)
{
    const json_t *plain = json_object_get(o, "password");
    struct password made;

    if (!json_is_string(plain) || json_string_length(plain) == 0 ||
        password_make(json_string_value(plain), json_string_length(plain), &made) < 0)
        return definition_refuse(r, "'password' cannot be one");
    put_password(o, &made);
    return 0;
}

static bool is_same_password(const json_t *o, const struct definition *old, const json_t *was)
{
    const json_t *plain = json_object_get(o, "password");

    if (plain)
        return json_is_string(plain) && password_is(&old->fact.password, json_string_value(plain),
                                                    json_string_length(plain));
    return !json_object_get(o, "password_hash") || credential_of(o) == credential_of(was);
}

/* What comes from outside: its password, and what is said of the user already. */
static int take_new(struct reader *r, json_t *o, const struct definition *old)
{
    json_t *was = old ? json_loads(old->text, 0, NULL) : NULL;
    const char *key;
    json_t *v;
    int error = 0;

    json_object_del(o, origin_key);
    if (was && is_same_password(o, old, was))
        keep_password(o, was);
    else if (json_object_get(o, "password"))
        error = hash_password(r, o);
    json_object_foreach(was, key, v)
        if (!json_object_get(o, key) && strcmp(key, "hashing_algorithm") && strcmp(key, origin_key))
            json_object_set(o, key, v);
    if (error == 0 && was)
        definition_merge_limits(json_object_get(o, "limits"), json_object_get(was, "limits"));
    json_decref(was);
    return error;
}

int definition_take_user(struct reader *r, json_t *o, struct definition *d)
{
    const char *hash, *algorithm;
    int error = definition_text(r, o, "name", 1, d->fact.user);

    d->fact.kind = ACCESS_FACT_USER;
    if (error < 0)
        return error;
    d->key = definition_key_of(d->fact.user, NULL, NULL);
    if (!r->is_stored)
        error = take_new(r, o, definitions_find(r->present, r->section, d->key));
    if (error == 0)
        error = take_tags(r, json_object_get(o, "tags"), &d->fact.tags);
    if (error == 0)
        error = definition_take_limits(r, json_object_get(o, "limits"), d->fact.limit);
    if (error < 0)
        return error;
    hash = json_string_value(json_object_get(o, "password_hash"));
    algorithm = json_string_value(json_object_get(o, "hashing_algorithm"));
    d->fact.credential = credential_of(o);
    error = password_parse(algorithm, hash ? hash : "", &d->fact.password);
    if (error == -ENOTSUP)
        return definition_refuse(r, "hashing algorithm '%.64s' is not accepted", algorithm);
    return error < 0 ? definition_refuse(r, "'password_hash' is no hash of its algorithm") : 0;
}

char *definition_upgraded(const struct definition *user, const void *password, size_t len)
{
    RUNTIME_REGION();
    json_t *o = json_loads(user->text, 0, NULL);
    struct password made;
    char *text = NULL;

    if (o && user->fact.password.kind != PASSWORD_CRYPT &&
        password_is(&user->fact.password, password, len) &&
        password_make(password, len, &made) == 0) {
        json_object_set_new(o, origin_key, json_integer(credential_of(o)));
        put_password(o, &made);
        text = json_dumps(o, JSON_COMPACT);
    }
    json_decref(o);
    return text;
}
