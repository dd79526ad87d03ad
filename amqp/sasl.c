#include "amqp/sasl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/table.h"

static const char *const names[SASL_MECHANISMS] = {
    [SASL_NONE] = "none",
    [SASL_PLAIN] = "PLAIN",
    [SASL_AMQPLAIN] = "AMQPLAIN",
    [SASL_EXTERNAL] = "EXTERNAL",
};

enum sasl_mechanism sasl_mechanism_of(struct amqp_bytes name)
{
    for (unsigned i = SASL_NONE + 1; i < SASL_MECHANISMS; i++)
        if (amqp_bytes_is(name, names[i]))
            return (enum sasl_mechanism)i;
    return SASL_NONE;
}

const char *sasl_mechanism_name(enum sasl_mechanism m)
{
    return names[m];
}

int sasl_parse_plain(struct amqp_bytes response, struct credentials *ret)
{
    const uint8_t *end = response.p + response.len;
    const uint8_t *user, *password;

    if (response.len == 0)
        return -EBADMSG;
    user = memchr(response.p, 0, response.len);
    if (!user)
        return -EBADMSG;
    user++;
    password = user < end ? memchr(user, 0, (size_t)(end - user)) : NULL;
    if (!password)
        return -EBADMSG;
    /* RFC 4616: an identity to act as comes first; nobody may act as another. */
    if (user > response.p + 1 &&
        !amqp_bytes_equal(amqp_bytes(response.p, (size_t)(user - 1 - response.p)),
                          amqp_bytes(user, (size_t)(password - user))))
        return -EBADMSG;
    ret->user = amqp_bytes(user, (size_t)(password - user));
    password++;
    ret->password = amqp_bytes(password, (size_t)(end - password));
    return 0;
}

int sasl_parse_amqplain(struct amqp_bytes response, struct credentials *ret)
{
    struct credentials c;

    if (ftable_get_string(response, "LOGIN", &c.user) != 1 ||
        ftable_get_string(response, "PASSWORD", &c.password) != 1)
        return -EBADMSG;
    *ret = c;
    return 0;
}

/* A value may be what we offer or less, but not 0, which would mean no limit at all. */
static int check_one(const char *name, uint32_t ours, uint32_t asked, uint32_t least, char *text,
                     size_t size)
{
    if (asked != 0 && asked < least) {
        snprintf(text, size, "negotiated %s = %u is lower than the minimum allowed value (%u)",
                 name, asked, least);
        return -ERANGE;
    }
    if (ours != 0 && (asked == 0 || asked > ours)) {
        snprintf(text, size, "negotiated %s = %u is higher than the maximum allowed value (%u)",
                 name, asked, ours);
        return -ERANGE;
    }
    return 0;
}

int tune_check(const struct tune_limits *ours, const struct tune_limits *asked, char *ret_text,
               size_t size)
{
    int r = check_one("channel_max", ours->channel_max, asked->channel_max, 1, ret_text, size);

    if (r == 0)
        r = check_one("frame_max", ours->frame_max, asked->frame_max, AMQP_FRAME_MIN_MAX, ret_text,
                      size);
    return r;
}
