/*
 * A queue's page for those who look at one process.
 */
#include <stdarg.h>
#include <stdio.h>

#include "queues/queue_impl.h"

enum { SHOWN = 16 }; /* consumers; a page is not for thousands of them */

/* Appends; false, and nothing said, where the room is too small. */
__attribute__((format(printf, 4, 5))) static bool say(char *out, size_t size, size_t *at,
                                                      const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(out + *at, size - *at, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= size - *at)
        return false;
    *at += (size_t)n;
    return true;
}

static bool say_consumers(const struct queue *q, char *out, size_t size, size_t *at)
{
    uint32_t shown = 0;

    for (const struct peer *p = q->first_peer; p; p = p->next) {
        for (const struct taker *t = p->takers; t; t = t->next) {
            const struct consumer *c = &t->consumer;

            if (c->is_gone || shown == SHOWN)
                continue;
            if (!say(out, size, at,
                     "%s{\"cid\":%u,\"able\":%s,\"unacked\":%u,\"prefetch\":%u,"
                     "\"sent\":[%llu,%llu],\"window\":[%llu,%llu]}",
                     shown ? "," : "", c->cid, c->is_able ? "true" : "false", c->holder.n,
                     c->prefetch, (unsigned long long)c->sent_messages,
                     (unsigned long long)c->sent_bytes, (unsigned long long)c->window_messages,
                     (unsigned long long)c->window_bytes))
                return false;
            shown++;
        }
    }
    return true;
}

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
    size_t at = 0;
    bool fits;

    fits = say(out, size, &at,
               "{\"id\":%llu,\"epoch\":%llu,\"phase\":\"%s\",\"durable\":%s,\"next_seq\":%llu,"
               "\"ready\":%llu,\"unacked\":%llu,\"ready_bytes\":%llu,\"unacked_bytes\":%llu,"
               "\"resident_bytes\":%llu,\"consumers\":%u,\"publishers\":%u,"
               "\"store_pending\":%llu,\"store_pending_bytes\":%llu,\"store_ready\":%s,"
               "\"reading\":%u,\"cold\":%llu,\"ahead\":%llu,\"returned\":%u,\"ack_time_us\":%llu,"
               "\"lost_by_restart\":%llu,\"takers\":[",
               (unsigned long long)q->cell->id, (unsigned long long)q->epoch, phases[q->phase],
               q->is_durable ? "true" : "false", (unsigned long long)q->next_seq,
               (unsigned long long)b->n_ready, (unsigned long long)b->n_unacked,
               (unsigned long long)b->ready_bytes, (unsigned long long)b->unacked_bytes,
               (unsigned long long)q->resident_bytes, q->consumers.n, q->pool.n_channels,
               (unsigned long long)q->pending.n, (unsigned long long)q->pending.bytes,
               q->store_ready ? "true" : "false", q->n_reading, (unsigned long long)b->cold_n,
               (unsigned long long)q->ahead_messages, b->heap_n, (unsigned long long)q->ack_time_us,
               (unsigned long long)q->lost);
    fits = fits && say_consumers(q, out, size, &at) && say(out, size, &at, "]}");
    return fits ? at : 0;
}
