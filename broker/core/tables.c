/*
 * The tables' process: a name in the tree. Messages in: none.
 */
#include "broker/core/tables.h"

static void tables_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register("tables") == 0);
}

static void tables_handle(void *state, struct msg *m)
{
    (void)state;
    proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
}

const struct proc_ops tables_ops = {
    .kind = "tables",
    .init = tables_init,
    .handle = tables_handle,
};
