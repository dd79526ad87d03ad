/*
 * backlog_mass.h - sums over entries of a backlog, for backlog.c alone.
 *
 * Sums of cold ones that an earlier incarnation left are only about right: what is taken out of
 * them is never more than is there, and what is left at their end is forgotten.
 */
#ifndef QUEUES_BACKLOG_MASS_H
#define QUEUES_BACKLOG_MASS_H

#include <string.h>

#include "queues/backlog.h"

static inline void mass_add(struct backlog_mass *m, const struct entry *e)
{
    bool is_lasting = e->flags & ENTRY_LASTING;

    m->body += e->body;
    m->lasting += is_lasting;
    m->lasting_body += is_lasting ? e->body : 0;
    m->here += e->record != NULL;
    m->here_body += e->record ? e->body : 0;
}

static inline void mass_sub(struct backlog_mass *m, const struct entry *e)
{
    bool is_lasting = e->flags & ENTRY_LASTING;

    m->body -= e->body;
    m->lasting -= is_lasting;
    m->lasting_body -= is_lasting ? e->body : 0;
    m->here -= e->record != NULL;
    m->here_body -= e->record ? e->body : 0;
}

static inline void mass_move(struct backlog_mass *from, struct backlog_mass *to,
                             const struct entry *e)
{
    mass_sub(from, e);
    mass_add(to, e);
}

static inline bool mass_is_same(const struct backlog_mass *a, const struct backlog_mass *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* Cold ones that are all to last. */
static inline void mass_count(struct backlog_mass *m, uint64_t n, uint64_t body)
{
    m->body += body;
    m->lasting += n;
    m->lasting_body += body;
}

/* Out of both sums, as much as there is. */
static inline void mass_take(uint64_t *cold, uint64_t *ready, uint64_t n)
{
    n = n < *cold ? n : *cold;
    *cold -= n;
    *ready -= n;
}

static inline void mass_uncount(struct backlog_mass *cold, struct backlog_mass *ready,
                                uint32_t body, bool is_lasting)
{
    mass_take(&cold->body, &ready->body, body);
    mass_take(&cold->lasting, &ready->lasting, is_lasting);
    mass_take(&cold->lasting_body, &ready->lasting_body, is_lasting ? body : 0);
}

/* Nothing is cold any more. */
static inline void mass_forget(struct backlog_mass *cold, struct backlog_mass *ready)
{
    mass_take(&cold->body, &ready->body, UINT64_MAX);
    mass_take(&cold->lasting, &ready->lasting, UINT64_MAX);
    mass_take(&cold->lasting_body, &ready->lasting_body, UINT64_MAX);
}

#endif
