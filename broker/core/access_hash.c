/*
 * The process that checks passwords whose hash is slow by intent, on a blocking thread.
 *
 * Messages in: ACCESS_HASH from access. Out: ACCESS_HASHED. It has no state: access awaits its next
 * run and asks again.
 */
#include "broker/core/access_impl.h"

static void hash_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register("access_hash") == 0);
}

static void hash_handle(void *state, struct msg *m)
{
    const struct msg_access_login *in = MSG_OF(struct msg_access_login, m);
    struct msg_access_hashed *reply;
    bool is_right;

    (void)state;
    if (m->type != ACCESS_HASH)
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    is_right = password_is(&in->against, in->text + in->user_len, in->password_len);
    reply = MSG_NEW(ACCESS_HASHED, struct msg_access_hashed);
    reply->is_right = is_right;
    proc_reply(m, &reply->hdr);
}

const struct proc_ops access_hash_ops = {
    .kind = "access_hash",
    .state_size = 1,
    .flags = PROC_OPS_BLOCKING,
    .init = hash_init,
    .handle = hash_handle,
};
