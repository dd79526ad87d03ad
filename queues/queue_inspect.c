/*
 * A queue's page for those who look at one process.
 */
#include <stdio.h>

#include "queues/queue_impl.h"

size_t queue_inspect(const void *state, char *out, size_t size)
{
    static const char *const phases[] = {
        [PHASE_OPENING] = "opening",
        [PHASE_ATTACHING] = "attaching",
        [PHASE_SERVING] = "serving",
        [PHASE_DELETING] = "deleting",
    };
    const struct queue *q = state;
    const struct backlog *b = &q->backlog;
    int n;

    n = snprintf(out, size,
                 "{\"id\":%llu,\"epoch\":%llu,\"phase\":\"%s\",\"durable\":%s,\"next_seq\":%llu,"
                 "\"ready\":%llu,\"unacked\":%llu,\"ready_bytes\":%llu,\"unacked_bytes\":%llu,"
                 "\"resident_bytes\":%llu,\"consumers\":%u,\"publishers\":%u,"
                 "\"store_pending\":%llu,\"store_pending_bytes\":%llu,\"store_ready\":%s,"
                 "\"reading\":%u,\"ack_time_us\":%llu,\"lost_by_restart\":%llu}",
                 (unsigned long long)q->cell->id, (unsigned long long)q->epoch, phases[q->phase],
                 q->is_durable ? "true" : "false", (unsigned long long)q->next_seq,
                 (unsigned long long)b->n_ready, (unsigned long long)b->n_unacked,
                 (unsigned long long)b->ready_bytes, (unsigned long long)b->unacked_bytes,
                 (unsigned long long)q->resident_bytes, q->consumers.n, q->pool.n_channels,
                 (unsigned long long)q->pending.n, (unsigned long long)q->pending.bytes,
                 q->store_ready ? "true" : "false", q->n_reading,
                 (unsigned long long)q->ack_time_us, (unsigned long long)q->lost);
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}
