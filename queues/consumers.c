#include "queues/consumers.h"

#include <stddef.h>

static bool has_room(const struct consumer *c)
{
    return !c->is_gone && c->sent_messages < c->window_messages &&
           c->sent_bytes < c->window_bytes &&
           (c->no_ack || c->prefetch == 0 || c->holder.n < c->prefetch);
}

static bool has_permit(const struct consumer *c)
{
    return !consumer_shares(c) || c->draw->permits > 0;
}

static bool may_get(const struct consumer *c)
{
    return has_room(c) && has_permit(c);
}

bool consumer_lacks_permit(const struct consumer *c)
{
    return consumer_shares(c) && has_room(c);
}

static void list_remove(struct consumers *cs, struct consumer *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        cs->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        cs->last = c->prev;
    c->is_able = false;
}

/* Behind its equals. Walks over the able ones of lower priority, of which there are seldom any. */
static void list_add(struct consumers *cs, struct consumer *c)
{
    struct consumer *before = cs->last;

    while (before && before->priority < c->priority)
        before = before->prev;
    c->prev = before;
    c->next = before ? before->next : cs->first;
    if (before)
        before->next = c;
    else
        cs->first = c;
    if (c->next)
        c->next->prev = c;
    else
        cs->last = c;
    c->is_able = true;
}

/* Puts c into the list or takes it out, as it may get or not. */
static void reconsider(struct consumers *cs, struct consumer *c)
{
    bool is_able = may_get(c);

    if (is_able && !c->is_able)
        list_add(cs, c);
    else if (!is_able && c->is_able)
        list_remove(cs, c);
}

bool consumers_admit(const struct consumers *cs, bool exclusive)
{
    return !cs->exclusive && !(exclusive && cs->n > 0);
}

void consumers_add(struct consumers *cs, struct consumer *c)
{
    cs->n++;
    cs->exclusive = cs->exclusive || c->exclusive;
    reconsider(cs, c);
}

void consumers_remove(struct consumers *cs, struct consumer *c)
{
    if (c->is_able)
        list_remove(cs, c);
    if (c->draw && c->draw->last == c)
        c->draw->last = NULL;
    c->is_gone = true;
    cs->n--;
    if (c->exclusive)
        cs->exclusive = false;
}

/* Others of its channel may have used the last permit since one joined the list: it leaves here. */
struct consumer *consumers_pick(struct consumers *cs)
{
    while (cs->first && !has_permit(cs->first))
        list_remove(cs, cs->first);
    return cs->first;
}

void consumers_sent(struct consumers *cs, struct consumer *c, uint32_t bytes)
{
    if (consumer_draws(c)) {
        c->draw->permits--;
        c->draw->last = c;
    }
    c->sent_messages++;
    c->sent_bytes += bytes;
    if (!may_get(c)) {
        list_remove(cs, c);
    } else if (c->next && c->next->priority == c->priority) {
        list_remove(cs, c);
        list_add(cs, c);
    }
}

void consumers_settled(struct consumers *cs, struct consumer *c)
{
    if (!c->is_able)
        reconsider(cs, c);
}

void consumers_permit(struct consumers *cs, struct consumer *c, uint64_t messages, uint64_t bytes)
{
    if (messages > c->window_messages)
        c->window_messages = messages;
    if (bytes > c->window_bytes)
        c->window_bytes = bytes;
    reconsider(cs, c);
}
