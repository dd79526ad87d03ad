/*
 * scenarios.c - all scenarios, and all bugs that can be planted in them.
 */
#include "tests/sim/rt_scenarios.h"
#include "tests/sim/sim.h"
#include "tests/sim/slice.h"

#include <stddef.h>

const struct sim_scenario sim_scenarios[] = {
    {"mesh", "messages, calls, monitors, links, signals, timers, names", 3000, mesh_run},
    {"tree", "supervisors of every strategy over children that crash", 3000, tree_run},
    {"echo", "a listener and its connections over simulated sockets", 4000, echo_run},
    {"slice", "the whole broker, its clients, its disk, crashes of all kinds", 4000, slice_run},
    {NULL, NULL, 0, NULL},
};

const struct sim_plant sim_plants[] = {
    {"overtake", "mesh", "order"},
    {"lose-message", "mesh", "order"},
    {"answer-twice", "mesh", "exactly one answer"},
    {"lose-down", "mesh", "exactly one answer"},
    {"lose-timer", "mesh", "exactly one answer"},
    {"down-of-living", "mesh", "exactly one answer"},
    {"forget-cancel", "mesh", "nothing after cancel"},
    {"early-timer", "mesh", "no timer too soon"},
    {"slot-used-again", "mesh", "no message to the dead"},
    {"lose-exit", "mesh", "exit signals"},
    {"forget-unlink", "mesh", "exit signals"},
    {"forget-suspend", "mesh", "suspended"},
    {"stale-name", "mesh", "names"},
    {"leak-message", "mesh", "nothing leaked"},
    {"leak-blob", "mesh", "nothing leaked"},
    {"leak-process", "mesh", "nothing alive at the end"},
    {"unseeded", "mesh", "replay"},
    {"no-restart", "tree", "restart rules"},
    {"always-restart", "tree", "restart rules"},
    {"start-reversed", "tree", "start order"},
    {"stop-elder-first", "tree", "stop order"},
    {"double", "tree", "one of each"},
    {"naughty", "tree", "one of each"},
    {"end-neighbours", "tree", "neighbours"},
    {"echo-flip", "echo", "bytes"},
    {"lose-byte", "echo", "bytes"},
    {"lose-readiness", "echo", "end of stream"},
    {"leak-descriptor", "echo", "nothing leaked"},
    {"requeue-unflagged", "slice", "redelivered flag"},
    {"confirm-early", "slice", "confirmed lasts"},
    {"lose-on-down", "slice", "confirmed lasts"},
    {"double-ready", "slice", "no crash of its own"},
    {"wire-lose-confirm", "slice", "answers"},
    {"wire-confirm-twice", "slice", "confirms once"},
    {"wire-unflag", "slice", "redelivered flag"},
    {"wire-flip", "slice", "bytes"},
    {"wire-lose-return", "slice", "routing"},
    {"wire-lose-delivery", "slice", "delivery tags"},
    {"wire-cancel-unsaid", "slice", "after cancel"},
    {"wire-prefetch", "slice", "prefetch"},
    {"wire-ack-unsaid", "slice", "acked stays acked"},
    {"slice-undeleted", "slice", "topology lasts"},
    {"wire-delete-recalled", "slice", "deleted stays deleted"},
    {"wire-purge-unsaid", "slice", "purged stays purged"},
    {"wire-beat", "slice", "silence is noticed"},
    {"wire-cut", "slice", "connections stay"},
    {"wire-garble", "slice", "frames"},
    {"wire-nack", "slice", "nack has a cause"},
    {"slice-twice", "slice", "one of each"},
    {"slice-overtake", "slice", "order"},
    {"slice-unready", "slice", "ready"},
    {"slice-unheard", "slice", "nothing alive at the end"},
    {"slice-leak-blob", "slice", "nothing leaked"},
    {"slice-leak-message", "slice", "nothing leaked"},
    {NULL, NULL, NULL},
};
