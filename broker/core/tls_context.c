/*
 * OpenSSL contexts: one for a listener's own certificate, and behind it one for each further name
 * that a client may ask for (SNI, RFC 6066 section 3). They all have the same settings but for the
 * certificate, because OpenSSL takes what it verifies clients by from the one that was chosen.
 */
#include "broker/core/tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/config.h"
#include "broker/runtime/alloc.h"

enum { NAMES_MAX = 16 };

/* The further names of a context, its own data in OpenSSL's words; freed with it. */
struct names {
    unsigned n;
    struct name {
        char name[256]; /* may begin with "*.": any one label in its place */
        char certfile[TLS_PATH_SIZE], keyfile[TLS_PATH_SIZE];
        SSL_CTX *ctx;
    } of[NAMES_MAX];
};

struct maker {
    const struct tls_settings *s;
    const char *prefix; /* of the keys */
    char *text;         /* where the error goes */
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct maker *m, int error,
                                                      const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(m->text, m->size, fmt, args);
    va_end(args);
    ERR_clear_error();
    return error;
}

/* OpenSSL's reason for what just failed. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());

    return text ? text : "unknown error";
}

/* OpenSSL's words for a file that is not there are no help. */
static int check_file(const struct maker *m, const char *key, const char *path)
{
    int fd;

    if (!*path)
        return fail(m, -EINVAL, "%s%s: is needed for TLS", m->prefix, key);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int r = -errno;

        return fail(m, r, "%s%s: cannot read %s: %s", m->prefix, key, path, strerror(-r));
    }
    close(fd);
    return 0;
}

static int give_password(char *out, int size, int is_for_writing, void *password)
{
    size_t len = strlen(password);

    (void)is_for_writing;
    if (len == 0 || len > (size_t)size)
        return 0;
    memcpy(out, password, len);
    return (int)len;
}

static int use_certificate(const struct maker *m, SSL_CTX *ctx, const char *certfile,
                           const char *keyfile)
{
    int r = check_file(m, "certfile", certfile);

    if (r == 0)
        r = check_file(m, "keyfile", keyfile);
    if (r < 0)
        return r;
    if (SSL_CTX_use_certificate_chain_file(ctx, certfile) != 1)
        return fail(m, -EINVAL, "%scertfile: %s is no certificate in PEM: %s", m->prefix, certfile,
                    reason());
    SSL_CTX_set_default_passwd_cb(ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)m->s->password);
    r = SSL_CTX_use_PrivateKey_file(ctx, keyfile, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    if (r != 1 && ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH)
        return fail(m, -EINVAL, "%skeyfile: the key in %s does not belong to %s", m->prefix,
                    keyfile, certfile);
    if (r != 1)
        return fail(m, -EINVAL, "%skeyfile: cannot use the key in %s%s: %s", m->prefix, keyfile,
                    *m->s->password ? ", is the password right?" : "", reason());
    return 0;
}

/* A list that is there and too old refuses, whatever was chosen. */
static int bear_missing_list(int is_right, X509_STORE_CTX *c)
{
    if (is_right || X509_STORE_CTX_get_error(c) != X509_V_ERR_UNABLE_TO_GET_CRL)
        return is_right;
    X509_STORE_CTX_set_error(c, X509_V_OK);
    return 1;
}

static int set_revocation(const struct maker *m, SSL_CTX *ctx)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *from = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    unsigned long all = m->s->crl_check == TLS_CRL_PEER ? 0 : X509_V_FLAG_CRL_CHECK_ALL;
    int r = check_file(m, "crlfile", m->s->crlfile);

    if (r < 0)
        return r;
    if (!from || X509_load_crl_file(from, m->s->crlfile, X509_FILETYPE_PEM) < 1)
        return fail(m, -EINVAL, "%scrlfile: %s has no lists of revoked certificates in PEM: %s",
                    m->prefix, m->s->crlfile, reason());
    if (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | all) != 1)
        return fail(m, -ENOMEM, "%s", reason());
    if (m->s->crl_check == TLS_CRL_BEST_EFFORT)
        SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), bear_missing_list);
    return 0;
}

static int set_verification(const struct maker *m, SSL_CTX *ctx)
{
    const struct tls_settings *s = m->s;
    static const char id[] = "warren";
    int mode = SSL_VERIFY_PEER | (s->fail_if_no_peer_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    int r;

    /* A session that is resumed has the certificate that it began with. */
    if (SSL_CTX_set_session_id_context(ctx, (const unsigned char *)id, sizeof(id) - 1) != 1)
        return fail(m, -ENOMEM, "%s", reason());
    if (!s->verify_peer) {
        if (s->fail_if_no_peer_cert || s->crl_check)
            return fail(m, -EINVAL, "%s%s: has no meaning without verify_peer", m->prefix,
                        s->crl_check ? "crl_check" : "fail_if_no_peer_cert");
        return 0;
    }
    r = check_file(m, "cacertfile", s->cacertfile);
    if (r < 0)
        return r;
    if (SSL_CTX_load_verify_locations(ctx, s->cacertfile, NULL) != 1)
        return fail(m, -EINVAL, "%scacertfile: %s has no certificates in PEM: %s", m->prefix,
                    s->cacertfile, reason());
    SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(s->cacertfile));
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_verify_depth(ctx, (int)s->depth);
    return s->crl_check ? set_revocation(m, ctx) : 0;
}

static bool is_text(const char *p, int len, const char *text)
{
    return (size_t)len == strlen(text) && !memcmp(p, text, (size_t)len);
}

static int set_versions(const struct maker *m, SSL_CTX *ctx)
{
    const char *at = m->s->versions;
    bool has_2 = !*at, has_3 = !*at;
    struct config_pair p;

    while (config_pair_next(&at, &p)) {
        if (is_text(p.value, p.value_len, "tlsv1.2"))
            has_2 = true;
        else if (is_text(p.value, p.value_len, "tlsv1.3"))
            has_3 = true;
        else
            return fail(m, -EINVAL, "%sversions: '%.*s' is neither tlsv1.2 nor tlsv1.3", m->prefix,
                        p.value_len, p.value);
    }
    (void)SSL_CTX_set_min_proto_version(ctx, has_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    (void)SSL_CTX_set_max_proto_version(ctx, has_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    return 0; /* both are in any OpenSSL 3 */
}

/* OpenSSL has two lists: TLS 1.3's suites, whose names begin with TLS_, and all others. */
static int set_ciphers(const struct maker *m, SSL_CTX *ctx)
{
    char old[sizeof(m->s->ciphers)] = "", new[sizeof(m->s->ciphers)] = "";
    const char *at = m->s->ciphers;
    struct config_pair p;

    while (config_pair_next(&at, &p)) {
        char *to = p.value_len > 4 && !memcmp(p.value, "TLS_", 4) ? new : old;
        size_t len = strlen(to); /* each takes less than its pair */

        snprintf(to + len, sizeof(old) - len, "%s%.*s", len ? ":" : "", p.value_len, p.value);
    }
    if (*old && SSL_CTX_set_cipher_list(ctx, old) != 1)
        return fail(m, -EINVAL, "%sciphers: none of these is known: %s", m->prefix, old);
    if (*new &&SSL_CTX_set_ciphersuites(ctx, new) != 1)
        return fail(m, -EINVAL, "%sciphers: one of these is not known: %s", m->prefix, new);
    return 0;
}

static int make_one(const struct maker *m, const char *certfile, const char *keyfile, SSL_CTX **ret)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int r;

    if (!ctx)
        return fail(m, -ENOMEM, "no memory for a TLS context");
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 (m->s->honor_cipher_order ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);         /* idle connections are many */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets do */
    r = set_versions(m, ctx);
    if (r == 0)
        r = set_ciphers(m, ctx);
    if (r == 0)
        r = set_verification(m, ctx);
    if (r == 0)
        r = use_certificate(m, ctx, certfile, keyfile);
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

static void names_free(void *parent, void *names, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp)
{
    struct names *v = names;

    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    for (unsigned i = 0; v && i < v->n; i++)
        SSL_CTX_free(v->of[i].ctx);
    rt_free(v);
}

/*
 * OpenSSL's number for data of ours, which it frees with the context: connections that begin while
 * files are replaced keep their context alive. A global, because OpenSSL gives it once and for all.
 */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int index_of_names = -1;

static void make_index(void)
{
    index_of_names = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, names_free);
}

static struct names *names_of(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, index_of_names);
}

/* "*.example.com" is any one label before ".example.com" (RFC 6125 section 6.4.3). */
static bool is_asked_for(const char *name, const char *asked)
{
    const char *dot = strchr(asked, '.');

    if (name[0] == '*' && name[1] == '.')
        return dot && dot > asked && !strcasecmp(name + 1, dot);
    return !strcasecmp(name, asked);
}

/* RFC 6066 section 3. A name that nobody has is served with the listener's own certificate. */
static int on_server_name(SSL *ssl, int *alert, void *unused)
{
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct names *v = names_of(SSL_get_SSL_CTX(ssl));

    (void)alert, (void)unused;
    if (!asked || !v)
        return SSL_TLSEXT_ERR_NOACK;
    for (unsigned stars = 0; stars < 2; stars++) /* a name in full is nearer */
        for (unsigned i = 0; i < v->n; i++)
            if ((v->of[i].name[0] == '*') == stars && is_asked_for(v->of[i].name, asked)) {
                (void)SSL_set_SSL_CTX(ssl, v->of[i].ctx); /* fails only without a certificate */
                return SSL_TLSEXT_ERR_OK;
            }
    return SSL_TLSEXT_ERR_NOACK;
}

static struct name *name_of(struct names *v, const char *name, size_t len)
{
    struct name *at;

    for (unsigned i = 0; i < v->n; i++)
        if (strlen(v->of[i].name) == len && !memcmp(v->of[i].name, name, len))
            return &v->of[i];
    if (v->n == NAMES_MAX || len >= sizeof(at->name))
        return NULL;
    at = &v->of[v->n++];
    memcpy(at->name, name, len);
    return at;
}

/* "NAME.certfile" or "NAME.keyfile" of a name. */
static int take_pair(const struct maker *m, struct names *v, const struct config_pair *p)
{
    static const char cert[] = ".certfile", key[] = ".keyfile";
    size_t len = (size_t)p->name_len;
    bool is_cert = len > strlen(cert) && !memcmp(p->name + len - strlen(cert), cert, strlen(cert));
    bool is_key = len > strlen(key) && !memcmp(p->name + len - strlen(key), key, strlen(key));
    struct name *at;

    if (!is_cert && !is_key)
        return fail(m, -EINVAL, "%ssni.%.*s: wants NAME.certfile or NAME.keyfile", m->prefix,
                    p->name_len, p->name);
    at = name_of(v, p->name, len - strlen(is_cert ? cert : key));
    if (!at)
        return fail(m, -EINVAL, "%ssni: more than %d names, or too long a one", m->prefix,
                    NAMES_MAX);
    snprintf(is_cert ? at->certfile : at->keyfile, TLS_PATH_SIZE, "%.*s", p->value_len, p->value);
    return 0;
}

static int make_name(const struct maker *m, struct name *n)
{
    char prefix[320];
    struct maker own = *m;

    snprintf(prefix, sizeof(prefix), "%ssni.%s.", m->prefix, n->name);
    own.prefix = prefix;
    return make_one(&own, n->certfile, n->keyfile, &n->ctx);
}

static int add_names(const struct maker *m, SSL_CTX *ctx)
{
    struct names *v = rt_zalloc(sizeof(*v));
    const char *at = m->s->names;
    struct config_pair p;
    int r = 0;

    if (SSL_CTX_set_ex_data(ctx, index_of_names, v) != 1) {
        rt_free(v);
        return fail(m, -ENOMEM, "no memory for a TLS context");
    }
    while (r == 0 && config_pair_next(&at, &p))
        r = take_pair(m, v, &p);
    for (unsigned i = 0; r == 0 && i < v->n; i++)
        r = make_name(m, &v->of[i]);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    return r;
}

int tls_context_new(const struct tls_settings *s, const char *prefix, SSL_CTX **ret, char *ret_text,
                    size_t size)
{
    const struct maker m = {s, prefix, ret_text, size};
    SSL_CTX *ctx;
    int r;

    ERR_clear_error();
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || index_of_names < 0)
        return fail(&m, -ENOMEM, "no memory for a TLS context");
    r = make_one(&m, s->certfile, s->keyfile, &ctx);
    if (r < 0)
        return r;
    r = add_names(&m, ctx);
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

const char *tls_name_text(const X509_NAME *name, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = -1;

    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(bio, out, (int)size - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    return out;
}

int64_t tls_time(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void tell(const X509 *x, const char *name, const char *path,
                 void (*fn)(void *arg, const struct tls_certificate *c), void *arg)
{
    struct tls_certificate c = {.name = name, .path = path};

    c.not_before = tls_time(X509_get0_notBefore(x));
    c.not_after = tls_time(X509_get0_notAfter(x));
    (void)tls_name_text(X509_get_subject_name(x), c.subject, sizeof(c.subject));
    fn(arg, &c);
}

void tls_context_each(const SSL_CTX *ctx, const struct tls_settings *s,
                      void (*fn)(void *arg, const struct tls_certificate *c), void *arg)
{
    const struct names *v = names_of(ctx);

    tell(SSL_CTX_get0_certificate(ctx), "", s->certfile, fn, arg);
    for (unsigned i = 0; i < v->n; i++)
        tell(SSL_CTX_get0_certificate(v->of[i].ctx), v->of[i].name, v->of[i].certfile, fn, arg);
}

int tls_file_each(const char *path, void (*fn)(void *arg, const struct tls_certificate *c),
                  void *arg)
{
    FILE *f = fopen(path, "re");
    X509 *x;

    if (!f)
        return -errno;
    while ((x = PEM_read_X509(f, NULL, NULL, NULL))) {
        tell(x, "", path, fn, arg);
        X509_free(x);
    }
    ERR_clear_error(); /* the end of the file is one */
    fclose(f);
    return 0;
}
