/*
 * race_exchanges.c - exchanges that are deleted, or go by themselves, while others bind them.
 */
#include "tests/sim/races.h"
#include "tests/sim/slice.h"

enum { D0 = 1 << 0, T0 = 1 << 4, A0 = 1 << AUTO_QUEUE };
enum { XD = 1 << 2, XT = 1 << 3, XF = 1 << 4, XP = 1 << 5, XI = 1 << 7, XA = 1 << 8, XB = 1 << 9 };

/* Exchanges that go with their last binding, against who binds them anew. */
void race_exchange_run(void)
{
    static const struct slice_profile profile = {
        .queues = D0 | A0,
        .exchanges = XA | XB,
        .patterns = 2,
        .overlap = 700000,
        .leave = 8,
        .crashes = 3,
        .weight = {[ACT_PUBLISH] = 150,
                   [ACT_SETTLE] = 60,
                   [ACT_CONSUME] = 60,
                   [ACT_CANCEL] = 60,
                   [ACT_DECLARE_QUEUE] = 80,
                   [ACT_DELETE_QUEUE] = 20,
                   [ACT_BIND] = 200,
                   [ACT_UNBIND] = 200,
                   [ACT_DECLARE_EXCHANGE] = 150,
                   [ACT_DELETE_EXCHANGE] = 20,
                   [ACT_BIND_EXCHANGE] = 60,
                   [ACT_UNBIND_EXCHANGE] = 60},
    };

    slice_run_as(&profile);
}

/* Exchanges bound to each other, in rings too, against their deletion. */
void race_ring_run(void)
{
    static const struct slice_profile profile = {
        .queues = D0 | T0,
        .exchanges = XD | XT | XF | XP | XI | XB,
        .patterns = 2,
        .overlap = 700000,
        .leave = 6,
        .crashes = 3,
        .weight = {[ACT_PUBLISH] = 200,
                   [ACT_SETTLE] = 60,
                   [ACT_GET] = 40,
                   [ACT_DECLARE_QUEUE] = 60,
                   [ACT_DELETE_QUEUE] = 10,
                   [ACT_BIND] = 100,
                   [ACT_DECLARE_EXCHANGE] = 200,
                   [ACT_DELETE_EXCHANGE] = 60,
                   [ACT_BIND_EXCHANGE] = 250,
                   [ACT_UNBIND_EXCHANGE] = 50},
    };

    slice_run_as(&profile);
}
