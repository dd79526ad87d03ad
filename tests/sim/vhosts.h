/*
 * vhosts.h - the scenario of a vhost that is made, with what definitions bring, and deleted, while
 * clients open connections to it, declare, publish and look, over the whole broker of slice.h.
 *
 * A *stamp* grows with everything that happens; a deletion that was answered at a stamp has taken
 * all of what was published by connections that were open before it.
 */
#ifndef TESTS_SIM_VHOSTS_H
#define TESTS_SIM_VHOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_peer.h"

#define VHOSTS_NAME "moody"

enum { VHOSTS_CLIENTS = 5, VHOSTS_QUEUES = 2, VHOSTS_MESSAGES = 6000 };

enum vhosts_state { VHOSTS_GONE, VHOSTS_THERE, VHOSTS_UNKNOWN };

enum vhosts_phase { VHC_NONE, VHC_START, VHC_TUNE, VHC_OPEN, VHC_READY, VHC_CLOSING };

struct vhosts_client {
    struct sim_peer peer;
    enum vhosts_phase phase;
    bool is_audit;
    uint64_t asked_at, opened_at; /* stamps: connection.open, its answer */
    uint64_t removed_at;          /* of the last deletion answered, when it asked */
    uint32_t op;                  /* whose answer is waited for */
    uint8_t op_queue;
    bool is_empty;
    struct sim_content got;
    uint32_t *waiting; /* uids by publish number - 1; 0: told */
    uint32_t n_published, cap_waiting;
};

/* What is known of the vhost; all in stamps, 0: never. */
struct vhosts_model {
    uint64_t stamp;
    enum vhosts_state state;
    uint64_t removed_at; /* the last deletion was answered */
    uint64_t made_at;    /* all that its definitions bring was known to be there */
    uint64_t changed_at; /* the last answer of the node */
    /* A deletion that was asked for may take place until then; ~0: until the node answers. */
    uint64_t removable_until;
    uint32_t n_made, n_removed, n_refused, n_found;
};

extern struct vhosts_model vhosts;
extern struct vhosts_client vhosts_client[VHOSTS_CLIENTS + 1]; /* the last one is the auditor */
extern const char *const vhosts_queues[VHOSTS_QUEUES]; /* the first comes with the definitions */

/* vhosts_operator.c: a process beside the tree that asks the node. From process code. */
void vhosts_operator_start(void);
/* Before the root ends: it ends as well. */
void vhosts_operator_stop(void);
/* The program has ended, and with it what was under way. */
void vhosts_operator_forget(void);
bool vhosts_operator_is_busy(void);
/* Has the vhost made, or deleted; not while it is busy. */
void vhosts_operator_ask(bool make);

/* vhosts_client.c */
void vhosts_connect(struct vhosts_client *c);
void vhosts_read(struct vhosts_client *c, bool all);
void vhosts_write(struct vhosts_client *c, bool all);
void vhosts_drop(struct vhosts_client *c, bool reset);
void vhosts_close(struct vhosts_client *c);
void vhosts_publish(struct vhosts_client *c, int queue);
void vhosts_get(struct vhosts_client *c, int queue);
void vhosts_declare(struct vhosts_client *c, int queue, bool remove);

/* vhosts_run.c */
void vhosts_run(void);
/* A message that is about to be published: its uid. */
uint32_t vhosts_published(struct vhosts_client *c, int queue);
void vhosts_confirmed(const struct vhosts_client *c, uint32_t uid, bool nack);
void vhosts_seen(const struct vhosts_client *c, uint32_t uid, int queue);
/* connection.open-ok has come. */
void vhosts_entered(const struct vhosts_client *c);
/* connection.close comes. */
void vhosts_refused(const struct vhosts_client *c, uint16_t code, const char *text);

#endif
