/*
 * Switches of the simulation, as they are when nobody turns them.
 */
#include "queues/invariant.h"

#include <string.h>

struct queue_limits queue_limits = {
    .resident_bytes = 1024 * 1024,
    .run_messages = 1024,
    .run_bytes = 1024 * 1024,
    .page_keep = 256 * 1024,
};
bool queue_check_invariants;
struct registry_counts registry_counts;
enum queue_plant queue_plant;

bool queue_plant_set(const char *name)
{
    static const char *const names[] = {
        [PLANT_NONE] = "none",
        [PLANT_REQUEUE_UNFLAGGED] = "requeue-unflagged",
        [PLANT_CONFIRM_EARLY] = "confirm-early",
        [PLANT_LOSE_ON_DOWN] = "lose-on-down",
        [PLANT_DOUBLE_READY] = "double-ready",
        [PLANT_TX_UNASKED] = "tx-unasked",
        [PLANT_TX_GONE_UNSAID] = "tx-gone-unsaid",
        [PLANT_TX_SPLIT] = "tx-split",
        [PLANT_TX_KEEP_ABORTED] = "tx-keep-aborted",
        [PLANT_KEEP_BINDINGS] = "keep-bindings",
        [PLANT_FORGET_BIND] = "forget-bind",
        [PLANT_FORGET_ROW] = "forget-row",
        [PLANT_KEEP_UNUSED] = "keep-unused",
        [PLANT_PAGE_UNASKED] = "page-unasked",
        [PLANT_LOCK_FOR_DEAD] = "lock-for-dead",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            queue_plant = (enum queue_plant)i;
            return true;
        }
    }
    return false;
}
