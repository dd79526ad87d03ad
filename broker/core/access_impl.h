/*
 * access_impl.h - what the files of access share. Nobody else includes it.
 */
#ifndef BROKER_CORE_ACCESS_IMPL_H
#define BROKER_CORE_ACCESS_IMPL_H

#include "broker/core/access.h"
#include "broker/runtime/u64map.h"

struct access_user { /* immutable; the value of a user's name */
    uint32_t mark;
    unsigned tags;
    bool loopback_only;
    uint32_t credential;
    struct password password;
    struct access_limit limit[ACCESS_LIMITS];
};

/* access_facts.c: the writer's side; only the access process may call these. */
/* Counts a login that was answered. */
void facts_count_login(enum access_protocol protocol, bool is_right);
/* NULL: no such user. Valid until the handler returns. */
const struct access_user *facts_user(const char *user, size_t len);
/* Takes a fact into the tables under a mark, or out of them. 0, or -EINVAL with a text. */
int facts_set(const struct access_fact *f, uint32_t mark, char *ret_text, size_t size);
/* Takes out all that has another mark; returns how many. */
unsigned facts_sweep(uint32_t mark);
bool facts_have_users(void);
/* Whether there is a user whose password is checked slowly; looks at all of them. */
bool facts_have_slow_user(void);

/* access_login.c: tries, and what was right before. */

struct attempt;
struct origin;

struct logins {
    uint8_t key[32];       /* of the HMAC; of this start */
    struct u64map known;   /* hash of a user's name to struct known */
    struct u64map origins; /* to struct origin */
    struct u64map by_ref;  /* timer or call to struct attempt */
    uint32_t n_tries;      /* all of them, wherever they wait */
    uint64_t n_right, n_wrong, n_refused;
    proc_ref hold; /* timer; while it is set nobody gets a slot. 0: node has told all, or is late */
    bool has_slow_user;
};

/* is_told: the tables have users already, from a run before. */
void logins_init(struct logins *l, bool is_told);
/* All that there is has been told: who waited for that gets slots. */
void logins_on_told(struct logins *l);
/* ACCESS_LOGIN. */
void logins_on_ask(struct logins *l, struct msg *m);
/* A timer, the answer of access_hash, or its name; false: it is none of theirs. */
bool logins_on_answer(struct logins *l, struct msg *m);

struct msg_access_login { /* ACCESS_LOGIN, and ACCESS_HASH with a password to be held against */
    struct msg hdr;
    uint64_t origin;
    bool is_loopback, is_vouched_for;
    enum access_protocol protocol;
    struct password against;
    size_t user_len, password_len;
    uint8_t text[]; /* user, password */
};
struct msg_access_login *access_login_new(uint32_t type, size_t user_len, size_t password_len);

struct msg_access_hashed {
    struct msg hdr;
    bool is_right;
};

#endif
