#include "amqp/tls_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/tls_context.h"
#include "broker/runtime/region.h"

bool tls_peer_is_verified(const SSL *ssl)
{
    RUNTIME_REGION();

    return SSL_get0_peer_certificate(ssl) && SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER &&
           SSL_get_verify_result(ssl) == X509_V_OK;
}

static int take_text(const void *text, int len, char *ret, size_t size)
{
    if (len <= 0 || (size_t)len >= size || memchr(text, 0, (size_t)len))
        return -EINVAL;
    memcpy(ret, text, (size_t)len);
    ret[len] = '\0';
    return 0;
}

/* As UTF-8, whatever its type is. */
static int take_string(const ASN1_STRING *s, char *ret, size_t size)
{
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, s), r = take_text(text, len, ret, size);

    OPENSSL_free(text);
    return r;
}

static int take_common_name(const X509_NAME *subject, char *ret, size_t size)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return -ENOENT; /* of several, none is the one */
    return take_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), ret, size);
}

static int take_address(const ASN1_OCTET_STRING *ip, char *ret, size_t size)
{
    int len = ASN1_STRING_length(ip);
    const void *bytes = ASN1_STRING_get0_data(ip);

    if (len != 4 && len != 16)
        return -EINVAL;
    return inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, ret, (socklen_t)size) ? 0 : -EINVAL;
}

static int take_other_name(const OTHERNAME *o, char *ret, size_t size)
{
    const ASN1_TYPE *v = o->value;

    if (!v || (v->type != V_ASN1_UTF8STRING && v->type != V_ASN1_IA5STRING &&
               v->type != V_ASN1_PRINTABLESTRING))
        return -EINVAL;
    return take_string(v->value.asn1_string, ret, size);
}

static int take_general_name(const GENERAL_NAME *n, char *ret, size_t size)
{
    switch (n->type) {
    case GEN_IPADD:
        return take_address(n->d.iPAddress, ret, size);
    case GEN_OTHERNAME:
        return take_other_name(n->d.otherName, ret, size);
    default: /* the types that are asked for besides are strings */
        return take_string(n->d.ia5, ret, size);
    }
}

static int take_alternative(const X509 *x, enum cert_san type, uint64_t index, char *ret,
                            size_t size)
{
    static const int types[] = {[CERT_SAN_DNS] = GEN_DNS,
                                [CERT_SAN_IP] = GEN_IPADD,
                                [CERT_SAN_EMAIL] = GEN_EMAIL,
                                [CERT_SAN_URI] = GEN_URI,
                                [CERT_SAN_OTHER] = GEN_OTHERNAME};
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int r = -ENOENT;

    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

        if (n->type != types[type] || index-- > 0)
            continue;
        r = take_general_name(n, ret, size);
        break;
    }
    GENERAL_NAMES_free(names);
    return r;
}

int tls_peer_user(const SSL *ssl, enum cert_login from, enum cert_san type, uint64_t index,
                  char *ret, size_t size)
{
    RUNTIME_REGION();
    const X509 *x = SSL_get0_peer_certificate(ssl);
    char text[1024];

    if (!x)
        return -ENOENT;
    switch (from) {
    case CERT_LOGIN_CN:
        return take_common_name(X509_get_subject_name(x), ret, size);
    case CERT_LOGIN_SAN:
        return take_alternative(x, type, index, ret, size);
    case CERT_LOGIN_DN:
        break;
    }
    (void)tls_name_text(X509_get_subject_name(x), text, sizeof(text));
    return take_text(text, (int)strlen(text), ret, size);
}

static void set_time(char *out, size_t size, const ASN1_TIME *from, const ASN1_TIME *to)
{
    char one[24] = "", other[24] = "";
    struct tm tm;

    if (ASN1_TIME_to_tm(from, &tm) == 1)
        (void)strftime(one, sizeof(one), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (ASN1_TIME_to_tm(to, &tm) == 1)
        (void)strftime(other, sizeof(other), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(out, size, "%s - %s", one, other);
}

void tls_peer_facts(const SSL *ssl, struct connection_tls *ret)
{
    RUNTIME_REGION();
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const X509 *x = SSL_get0_peer_certificate(ssl);
    const char *exchange = cipher ? OBJ_nid2sn(SSL_CIPHER_get_kx_nid(cipher)) : NULL;
    const EVP_MD *hash = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;

    memset(ret, 0, sizeof(*ret));
    snprintf(ret->protocol, sizeof(ret->protocol), "%s", SSL_get_version(ssl));
    snprintf(ret->cipher, sizeof(ret->cipher), "%s", cipher ? SSL_CIPHER_get_name(cipher) : "");
    snprintf(ret->key_exchange, sizeof(ret->key_exchange), "%s", exchange ? exchange : "");
    snprintf(ret->hash, sizeof(ret->hash), "%s", hash ? EVP_MD_get0_name(hash) : "");
    if (!x)
        return;
    (void)tls_name_text(X509_get_subject_name(x), ret->subject, sizeof(ret->subject));
    (void)tls_name_text(X509_get_issuer_name(x), ret->issuer, sizeof(ret->issuer));
    set_time(ret->validity, sizeof(ret->validity), X509_get0_notBefore(x), X509_get0_notAfter(x));
}
