/*
 * rt_mesh.h - the actors of the mesh scenario, and what the driver may ask of them.
 */
#ifndef TESTS_SIM_RT_MESH_H
#define TESTS_SIM_RT_MESH_H

#include <stdint.h>

#include "broker/runtime/proc.h"
#include "tests/sim/rt_model.h"

enum act { /* what the driver can ask an actor to do to `target` */
           ACT_CAST,
           ACT_CALL,
           ACT_CANCEL,
           ACT_TIMER,
           ACT_MONITOR,
           ACT_LINK,
           ACT_UNLINK,
           ACT_SIGNAL,
           ACT_EXIT,
           ACT_SPAWN,
           ACT_SUSPEND,
           ACT_RESUME,
           ACT_ANSWER,
           ACT_MEMORY,
           ACT_CONTINUE,
           ACT_REGISTER,
           N_ACTS,
           ACT_SETTLE, /* answers all that it kept */
           ACT_STOP,
};

enum { MESH_NAMES = 4 };

/* The types of actors; the first is the root, which never crashes. */
extern const struct proc_ops mesh_root_ops, mesh_actor_ops, mesh_blocking_ops;

void mesh_init(void);
/* The arg of a new actor's spawn. */
struct blob *mesh_arg(uint32_t uid, bool crashes_in_init);
/* From outside any process. */
void mesh_act(struct actor *who, enum act what, uint32_t target);
/* Whether each name leads to the living process that registered it, and to no other. */
void mesh_check_names(void);
/* How many numbered messages exist; 0 at the end. */
int64_t mesh_live_messages(void);

#endif
