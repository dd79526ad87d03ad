#include "queues/credit.h"

enum { /* as in queue.h, which is not pure; a test holds them together */
       INITIAL_MESSAGES = 16,
       INITIAL_BYTES = 64 * 1024,
       MAX_MESSAGES = 1024,
       MAX_BYTES = 1024 * 1024,
};

void credit_init(struct credit *c)
{
    *c = (struct credit){.granted_messages = INITIAL_MESSAGES, .granted_bytes = INITIAL_BYTES};
}

void credit_take(struct credit *c, uint64_t messages, uint64_t bytes)
{
    c->taken_messages += messages;
    c->taken_bytes += bytes;
}

/* One channel's part of what the backlog leaves; nothing when it leaves nothing. */
static uint64_t share(uint64_t total, uint64_t backlog, uint32_t n, uint64_t min, uint64_t max)
{
    uint64_t part;

    if (backlog >= total)
        return 0;
    part = (total - backlog) / (n ? n : 1);
    return part < min ? min : part > max ? max : part;
}

bool credit_raise(struct credit *c, const struct credit_pool *pool)
{
    uint64_t messages = share(CREDIT_QUEUE_MESSAGES, pool->backlog_messages, pool->n_channels,
                              INITIAL_MESSAGES, MAX_MESSAGES);
    uint64_t bytes =
        share(CREDIT_QUEUE_BYTES, pool->backlog_bytes, pool->n_channels, INITIAL_BYTES, MAX_BYTES);
    bool rose = false;

    if (messages == 0 || bytes == 0)
        return false;
    if (pool->is_memory_tight) {
        messages = INITIAL_MESSAGES;
        bytes = INITIAL_BYTES;
    }
    /*
     * A channel may wait for its window to be whole (a message larger than the window), so what was
     * taken is granted again at once and not when half of it is gone.
     */
    if (c->taken_messages + messages > c->granted_messages) {
        c->granted_messages = c->taken_messages + messages;
        rose = true;
    }
    if (c->taken_bytes + bytes > c->granted_bytes) {
        c->granted_bytes = c->taken_bytes + bytes;
        rose = true;
    }
    return rose;
}
