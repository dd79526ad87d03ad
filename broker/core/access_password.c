#include "broker/core/access_password.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

enum { PHRASE_MAX = 500 };

static const struct {
    const char *name;
    enum password_kind kind;
} algorithms[] = {
    {"rabbit_password_hashing_sha256", PASSWORD_SHA256},
    {"rabbit_password_hashing_sha512", PASSWORD_SHA512},
    {"rabbit_password_hashing_md5", PASSWORD_MD5},
    {"crypt", PASSWORD_CRYPT},
};
enum { N_ALGORITHMS = sizeof(algorithms) / sizeof(algorithms[0]) };

static size_t hash_len(enum password_kind kind)
{
    return kind == PASSWORD_SHA512 ? 64 : kind == PASSWORD_MD5 ? 16 : 32;
}

static const EVP_MD *digest_of(enum password_kind kind)
{
    return kind == PASSWORD_SHA512 ? EVP_sha512() : kind == PASSWORD_MD5 ? EVP_md5() : EVP_sha256();
}

/* Where the machine's rules allow no MD5, nothing is the password of who has such a hash. */
static bool digest(enum password_kind kind, const uint8_t *salt, const void *bytes, size_t len,
                   uint8_t *ret)
{
    RUNTIME_REGION();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestInit_ex(ctx, digest_of(kind), NULL) == 1;

    if (ok) {
        EVP_DigestUpdate(ctx, salt, PASSWORD_SALT_LEN);
        EVP_DigestUpdate(ctx, bytes, len);
        EVP_DigestFinal_ex(ctx, ret, NULL);
    }
    EVP_MD_CTX_free(ctx);
    return ok;
}

static int parse_salted(const char *text, struct password *ret)
{
    RUNTIME_REGION();
    unsigned char bytes[PASSWORD_TEXT_MAX];
    size_t len = strlen(text), want = PASSWORD_SALT_LEN + hash_len(ret->kind), pads = 0;
    int n;

    if (len % 4 || len > PASSWORD_TEXT_MAX)
        return -EINVAL;
    while (pads < 2 && pads < len && text[len - 1 - pads] == '=')
        pads++;
    if (strcspn(text, "= \t\r\n") != len - pads)
        return -EINVAL;
    n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    if (n < 0 || (size_t)n - pads != want)
        return -EINVAL;
    memcpy(ret->salt, bytes, PASSWORD_SALT_LEN);
    memcpy(ret->hash, bytes + PASSWORD_SALT_LEN, hash_len(ret->kind));
    return 0;
}

static int parse_crypt(const char *text, struct password *ret)
{
    RUNTIME_REGION();

    if (strlen(text) >= sizeof(ret->crypt) || crypt_checksalt(text) == CRYPT_SALT_INVALID)
        return -EINVAL;
    strcpy(ret->crypt, text);
    return 0;
}

int password_parse(const char *algorithm, const char *hash, struct password *ret)
{
    struct password p = {0};
    size_t i = 0;
    int r;

    while (algorithm && i < N_ALGORITHMS && strcmp(algorithms[i].name, algorithm))
        i++;
    if (i == N_ALGORITHMS)
        return -ENOTSUP;
    if (*hash) {
        p.kind = algorithms[i].kind;
        r = p.kind == PASSWORD_CRYPT ? parse_crypt(hash, &p) : parse_salted(hash, &p);
        if (r < 0)
            return r;
    }
    *ret = p;
    return 0;
}

const char *password_format(const struct password *p, char *ret_hash)
{
    RUNTIME_REGION();
    uint8_t bytes[PASSWORD_SALT_LEN + PASSWORD_HASH_MAX];

    ret_hash[0] = '\0';
    if (p->kind == PASSWORD_CRYPT) {
        snprintf(ret_hash, PASSWORD_TEXT_MAX, "%s", p->crypt);
    } else if (p->kind != PASSWORD_NONE) {
        memcpy(bytes, p->salt, PASSWORD_SALT_LEN);
        memcpy(bytes + PASSWORD_SALT_LEN, p->hash, hash_len(p->kind));
        EVP_EncodeBlock((unsigned char *)ret_hash, bytes,
                        (int)(PASSWORD_SALT_LEN + hash_len(p->kind)));
    }
    for (size_t i = 0; i < N_ALGORITHMS; i++)
        if (algorithms[i].kind == p->kind)
            return algorithms[i].name;
    return algorithms[0].name;
}

/* crypt(3) wants text, and much room; ret has PASSWORD_CRYPT_MAX bytes. */
static bool run_crypt(const void *bytes, size_t len, const char *setting, char *ret)
{
    RUNTIME_REGION();
    struct crypt_data *data;
    char phrase[PHRASE_MAX + 1];
    const char *out;
    bool ok;

    if (len > PHRASE_MAX || memchr(bytes, 0, len))
        return false;
    memcpy(phrase, bytes, len);
    phrase[len] = '\0';
    data = rt_zalloc(sizeof(*data));
    out = crypt_r(phrase, setting, data);
    ok = out && out[0] != '*' && strlen(out) < PASSWORD_CRYPT_MAX;
    if (ok)
        strcpy(ret, out);
    OPENSSL_cleanse(data, sizeof(*data));
    OPENSSL_cleanse(phrase, sizeof(phrase));
    rt_free(data);
    return ok;
}

int password_make(const void *bytes, size_t len, struct password *ret)
{
    struct password p = {.kind = PASSWORD_CRYPT};
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *made;

    {
        RUNTIME_REGION();
        made = crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting));
    }
    if (!made || !run_crypt(bytes, len, setting, p.crypt))
        return -EINVAL;
    *ret = p;
    return 0;
}

void password_make_quick(const void *bytes, size_t len, uint32_t salt, struct password *ret)
{
    *ret = (struct password){.kind = PASSWORD_SHA256};
    memcpy(ret->salt, &salt, PASSWORD_SALT_LEN);
    (void)digest(PASSWORD_SHA256, ret->salt, bytes, len, ret->hash); /* always allowed */
}

bool password_is(const struct password *p, const void *bytes, size_t len)
{
    uint8_t hash[PASSWORD_HASH_MAX];
    char text[PASSWORD_CRYPT_MAX];

    switch (p->kind) {
    case PASSWORD_CRYPT:
        return run_crypt(bytes, len, p->crypt, text) && strlen(text) == strlen(p->crypt) &&
               CRYPTO_memcmp(text, p->crypt, strlen(text)) == 0;
    case PASSWORD_SHA256:
    case PASSWORD_SHA512:
    case PASSWORD_MD5:
        return digest(p->kind, p->salt, bytes, len, hash) &&
               CRYPTO_memcmp(hash, p->hash, hash_len(p->kind)) == 0;
    default:
        (void)digest(PASSWORD_SHA256, p->salt, bytes, len, hash); /* so that it takes as long */
        return false;
    }
}

void password_dummy(struct password *ret)
{
    *ret = (struct password){.kind = PASSWORD_CRYPT};
    strcpy(ret->crypt, "$y$j9T$q9dUB4RLmTUkCKdyHYYqp/$"
                       "...........................................");
}
