/*
 * replies.c - the targets of direct replies.
 *
 * A name is the prefix, two digits of the scheduler in whose table it stands, a dot, and 128 bits
 * of the machine's entropy, padded as base64 (RabbitMQ's names end so, and clients' tests look at
 * it). What is sent and not yet written is counted in the target itself, by all who send: nobody
 * waits for a client that does not read its replies, so what is beyond a bound is dropped, as is
 * the promise of a message that needs no ack.
 */
#include "amqp/replies.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "amqp/wire.h"
#include "broker/core/names.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/table.h"

enum {
    UNWRITTEN_MAX = 16 * 1024 * 1024, /* bytes; one message may pass it */
    PREFIX_LEN = sizeof(REPLY_PREFIX) - 1,
    DIGITS = 2, /* of the scheduler */
};

struct reply_target { /* a table's value, which outlives its process by a grace period */
    proc_id channel;
    struct table *table;
    uint64_t key;
    _Atomic uint64_t unwritten;
    char name[REPLY_NAME_MAX];
    char vhost[256];
};

static void free_target(void *t)
{
    rt_free(t);
}

static struct table *table_of(unsigned scheduler)
{
    char name[32];

    snprintf(name, sizeof(name), "replies/%u", scheduler);
    return table_open(name, free_target);
}

static void remove_target(void *arg)
{
    struct reply_target *t = arg;

    (void)table_del(t->table, t->name, strlen(t->name)); /* it is there */
}

struct reply_target *reply_target_new(const char *vhost)
{
    RUNTIME_REGION();
    struct reply_target *t = rt_zalloc(sizeof(*t));
    unsigned scheduler = proc_scheduler(proc_self());
    uint64_t secret[3];
    char bits[NAME_OF_BITS + 1];

    proc_secret(secret, sizeof(secret));
    t->channel = proc_self();
    t->table = table_of(scheduler);
    t->key = secret[2];
    (void)name_of_bits(bits, "", secret);
    snprintf(t->name, sizeof(t->name), REPLY_PREFIX "%02x.%s==", scheduler & 0xffu, bits);
    snprintf(t->vhost, sizeof(t->vhost), "%s", vhost);
    table_put(t->table, t->name, strlen(t->name), t);
    proc_at_exit(remove_target, t);
    return t;
}

void reply_target_free(struct reply_target *t)
{
    proc_at_exit_cancel(remove_target, t);
    remove_target(t);
}

uint64_t reply_target_key(const struct reply_target *t)
{
    return t->key;
}

const char *reply_target_name(const struct reply_target *t)
{
    return t->name;
}

void reply_target_written(struct reply_target *t, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&t->unwritten, bytes, memory_order_relaxed);
}

bool reply_is_name(struct amqp_bytes name)
{
    return amqp_bytes_is(name, REPLY_QUEUE) ||
           (name.len >= PREFIX_LEN && memcmp(name.p, REPLY_PREFIX, PREFIX_LEN) == 0);
}

/* -1: not of "0123456789abcdef". */
static int digit_of(uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static struct reply_target *find(const char *vhost, struct amqp_bytes name)
{
    struct reply_target *t;
    int high, low;

    if (name.len < PREFIX_LEN + DIGITS || memcmp(name.p, REPLY_PREFIX, PREFIX_LEN) != 0)
        return NULL;
    high = digit_of(name.p[PREFIX_LEN]);
    low = digit_of(name.p[PREFIX_LEN + 1]);
    /* A table is made by looking for it: only for what exists. */
    if (high < 0 || low < 0 || (unsigned)(high * 16 + low) >= rt_schedulers())
        return NULL;
    t = table_get(table_of((unsigned)(high * 16 + low)), name.p, name.len);
    return t && strcmp(t->vhost, vhost) == 0 ? t : NULL;
}

bool reply_exists(const char *vhost, struct amqp_bytes name)
{
    return find(vhost, name) != NULL;
}

bool reply_send(const char *vhost, struct amqp_bytes name, struct record *r)
{
    struct reply_target *t = find(vhost, name);
    uint64_t bytes = record_window_bytes(r);
    struct msg_channel_reply *m;

    if (!t)
        return false;
    if (atomic_load_explicit(&t->unwritten, memory_order_relaxed) > UNWRITTEN_MAX)
        return false;
    atomic_fetch_add_explicit(&t->unwritten, bytes, memory_order_relaxed);
    m = channel_reply_new(r);
    m->key = t->key;
    PROC_SEND(t->channel, m);
    return true;
}
