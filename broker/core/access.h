/*
 * access.h - who may do what.
 *
 * Facts (vhosts, users, permissions) are in shared tables that the `access` process fills with what
 * `node` tells it. Checks read them in place, from any process; a login is asked of `access`.
 *
 * Users, vhosts and the like are named by text of 1 to 255 bytes without NUL.
 */
#ifndef BROKER_CORE_ACCESS_H
#define BROKER_CORE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/access_password.h"
#include "broker/runtime/proc.h"

struct sockaddr_storage;

enum access_resource { ACCESS_EXCHANGE, ACCESS_QUEUE };
enum access_right { ACCESS_CONFIGURE, ACCESS_WRITE, ACCESS_READ, ACCESS_RIGHTS };

/* Bits of a user's tags. */
enum access_tag {
    ACCESS_MANAGEMENT = 1 << 0,
    ACCESS_POLICYMAKER = 1 << 1,
    ACCESS_MONITORING = 1 << 2,
    ACCESS_ADMINISTRATOR = 1 << 3,
    ACCESS_IMPERSONATOR = 1 << 4,
};

/*
 * Checks: in place, any process. Each takes about a microsecond, an expression more; what is asked
 * again and again is kept by its caller as long as access_version stays the same.
 */

/* Grows with every change of the facts. */
uint64_t access_version(void);
bool access_has_vhost(const char *vhost, size_t len);
/*
 * What a process that acts for a user is told when that user's rights, or vhosts, have changed: see
 * vhost_state.h. 0: of all users.
 */
uint64_t access_user_hash(const char *user);
/* The type of queues that are declared there without one; NULL: none. Until the handler returns. */
const char *access_queue_type(const char *vhost);
/* Whether the user has a permission of any kind in the vhost. */
bool access_may_open(const char *user, const char *vhost);
/* An exchange without a name is asked for as amq.default. */
bool access_check(const char *user, const char *vhost, enum access_resource kind, const void *name,
                  size_t len, enum access_right right);
/* Of a topic exchange: whether the routing key passes; true where nothing was said of it. */
bool access_check_topic(const char *user, const char *vhost, const void *exchange, size_t len,
                        enum access_right right, const void *key, size_t key_len);
/* Bits of enum access_tag; 0 for a user that is not there. */
unsigned access_tags(const char *user, size_t len);
/*
 * Names the user's password: another number once that is changed, and the same while only the way
 * it is stored changes. 0 for a user that is not there.
 */
uint32_t access_credential(const char *user, size_t len);

/* What a user or a vhost may have at most. */
enum access_limited { ACCESS_CONNECTIONS, ACCESS_CHANNELS, ACCESS_QUEUES, ACCESS_LIMITS };

/* What was set for it, or else for all of its kind; LIMIT_NONE: nothing. */
int64_t access_limit_of_user(const char *user, enum access_limited what);
int64_t access_limit_of_vhost(const char *vhost, enum access_limited what);
/* The bit that a tag's name stands for; 0: none that means anything here. */
unsigned access_tag_of(const char *name, size_t len);
/* Calls fn for each vhost, in no order. */
void access_each_vhost(void (*fn)(void *ctx, const char *vhost), void *ctx);

enum {
    ACCESS_SET = 0x520, /* cast, node to access: a fact is there, or is no more */
    ACCESS_BEGIN,       /* cast, node to access: from here on all facts are set once more */
    ACCESS_SWEEP,       /* call, node to access: what was not set since BEGIN goes */
    ACCESS_SWEPT,       /* reply: all is visible */
    ACCESS_LOGIN,       /* call, anybody to access; drop wipes the password */
    ACCESS_LOGGED,      /* reply */
    ACCESS_HASH,        /* call, access to access_hash */
    ACCESS_HASHED,      /* reply */
    ACCESS_SYNC,        /* call, node to access: all that was set before is visible: ACCESS_SWEPT */
    ACCESS_UPGRADE,     /* cast, access to node: struct msg_access_upgrade */
};

enum access_fact_kind {
    ACCESS_FACT_VHOST,
    ACCESS_FACT_USER,
    ACCESS_FACT_PERMISSION,       /* user, vhost */
    ACCESS_FACT_TOPIC_PERMISSION, /* user, vhost, exchange; pattern[ACCESS_CONFIGURE] is unused */
    ACCESS_FACT_VHOST_LIMITS,     /* vhost */
    ACCESS_FACTS
};

struct access_limit {
    bool is_set;
    int64_t most; /* < 0: without end */
};

struct access_fact {
    enum access_fact_kind kind;
    bool remove; /* by its names */
    char user[256], vhost[256], exchange[256];
    unsigned tags;                            /* USER */
    struct password password;                 /* USER */
    uint32_t credential;                      /* USER: names the password; never 0 */
    char queue_type[16];                      /* VHOST: of queues without one; empty: none */
    struct access_limit limit[ACCESS_LIMITS]; /* USER, VHOST_LIMITS */
    char *pattern[ACCESS_RIGHTS]; /* permissions: of rt_alloc, the message's; NULL: empty */
};

struct msg_access_set { /* drop frees the patterns */
    struct msg hdr;
    struct access_fact fact;
};
struct msg_access_set *access_set_new(void);

enum access_protocol { ACCESS_AMQP, ACCESS_HTTP, ACCESS_PROTOCOLS };

struct access_attempts {
    uint64_t right, wrong;
};
/* Logins since the start, or the last reset. */
struct access_attempts access_attempts(enum access_protocol protocol);
void access_attempts_reset(void);

/* Who asks; lent for the call. */
struct access_login {
    const char *user;
    size_t user_len;
    const void *password;
    size_t password_len;
    uint64_t origin;     /* access_origin of the client's address */
    bool is_loopback;    /* whether that address is of this machine */
    bool is_vouched_for; /* by a certificate that names the user: the password does not count */
    enum access_protocol protocol;
};

/*
 * Asks whether this is a user and the user's password. The answer is one ACCESS_LOGGED, or MSG_DOWN
 * (then nobody may come in). A refusal takes its time, and the same whatever was wrong; tries from
 * one origin wait for one another. A login that was right before is answered at once.
 */
proc_ref access_ask_login(const struct access_login *login);

struct msg_access_logged {
    struct msg hdr;
    bool is_right;
    uint32_t credential; /* of the password that was right: access_credential */
};

/*
 * A password was right whose hash is a quick one: node, which blocks, stores a slow one. To whoever
 * is registered as "node".
 */
struct msg_access_upgrade { /* drop wipes the password */
    struct msg hdr;
    char user[256];
    size_t len;
    uint8_t password[];
};

/* What tries are counted by: an IPv4 address, or the upper half of an IPv6 one. Never 0. */
uint64_t access_origin(const struct sockaddr_storage *address);

/* The processes, registered as "access" and "access_hash" (which may be away for a while). */
extern const struct proc_ops access_ops;
extern const struct proc_ops access_hash_ops;

#endif
