/*
 * race_queues.c - queues that are deleted, by whomever, while others declare, bind and consume.
 */
#include "tests/sim/races.h"
#include "tests/sim/slice.h"

enum { D0 = 1 << 0, T0 = 1 << 4, A0 = 1 << AUTO_QUEUE, E0 = 1 << EXCLUSIVE_QUEUE };
enum { SERVER_NAMED = 1 << SERVER_NAMED_QUEUE };
enum { AMQ_DIRECT = 1 << 1, XT = 1 << 3, XP = 1 << 5, XA = 1 << 8 };

/* Bindings against the deletion of either end: a bind-ok is seen by all that is published later,
 * and a binding does not outlive its queue. */
void race_bind_run(void)
{
    static const struct slice_profile profile = {
        .queues = D0 | T0,
        .exchanges = XT | XP,
        .patterns = 2,
        .overlap = 800000,
        .leave = 6,
        .crashes = 3,
        .weight = {[ACT_PUBLISH] = 200,
                   [ACT_SETTLE] = 60,
                   [ACT_GET] = 40,
                   [ACT_CLOSE_CHANNEL] = 20,
                   [ACT_DECLARE_QUEUE] = 120,
                   [ACT_DELETE_QUEUE] = 60,
                   [ACT_BIND] = 250,
                   [ACT_UNBIND] = 60,
                   [ACT_DECLARE_EXCHANGE] = 120,
                   [ACT_DELETE_EXCHANGE] = 40},
    };

    slice_run_as(&profile);
}

/* Declares against deletions: who is told declare-ok has it. */
void race_declare_run(void)
{
    static const struct slice_profile profile = {
        .queues = D0 | T0,
        .exchanges = AMQ_DIRECT | XT,
        .patterns = 1,
        .overlap = 900000,
        .leave = 10,
        .crashes = 3,
        .weight = {[ACT_PUBLISH] = 150,
                   [ACT_SETTLE] = 80,
                   [ACT_CONSUME] = 60,
                   [ACT_CANCEL] = 30,
                   [ACT_CLOSE_CHANNEL] = 20,
                   [ACT_DECLARE_QUEUE] = 250,
                   [ACT_DELETE_QUEUE] = 150,
                   [ACT_PURGE] = 20,
                   [ACT_BIND] = 40,
                   [ACT_DECLARE_EXCHANGE] = 120,
                   [ACT_DELETE_EXCHANGE] = 80},
    };

    slice_run_as(&profile);
}

/* A queue that goes with its last consumer, against who binds it, and who consumes meanwhile. */
void race_unused_run(void)
{
    static const struct slice_profile profile = {
        .queues = A0,
        .exchanges = AMQ_DIRECT | XA,
        .patterns = 2,
        .overlap = 700000,
        .leave = 15,
        .crashes = 3,
        .weight = {[ACT_PUBLISH] = 150,
                   [ACT_SETTLE] = 100,
                   [ACT_CONSUME] = 220,
                   [ACT_CANCEL] = 220,
                   [ACT_CLOSE_CHANNEL] = 40,
                   [ACT_DECLARE_QUEUE] = 160,
                   [ACT_DELETE_QUEUE] = 10,
                   [ACT_BIND] = 100,
                   [ACT_DECLARE_EXCHANGE] = 40},
    };

    slice_run_as(&profile);
}

/* Queues that go with their connection, against the next one that declares them. */
void race_owner_run(void)
{
    static const struct slice_profile profile = {
        .queues = E0 | SERVER_NAMED,
        .exchanges = AMQ_DIRECT | XA,
        .patterns = 2,
        .overlap = 800000,
        .leave = 40,
        .crashes = 3,
        .weight = {[ACT_PUBLISH] = 150,
                   [ACT_SETTLE] = 60,
                   [ACT_CONSUME] = 60,
                   [ACT_GET] = 30,
                   [ACT_CLOSE_CHANNEL] = 15,
                   [ACT_DECLARE_QUEUE] = 300,
                   [ACT_DELETE_QUEUE] = 20,
                   [ACT_BIND] = 100,
                   [ACT_UNBIND] = 20,
                   [ACT_DECLARE_EXCHANGE] = 40},
    };

    slice_run_as(&profile);
}
