/*
 * slice_route.c - what is known of names and bindings, and where a message goes.
 *
 * Of each there are two answers, `sure` and `possible`: what is under way, and what was lost with
 * the connection that asked, may have happened. Whatever changes, each message that is still on its
 * way is routed anew: it is surely in a queue only if it was so all the time, and possibly if it
 * was so once.
 */
#include "tests/sim/slice.h"

static struct {
    uint32_t sure[N_EXCHANGES][N_PATTERNS], possible[N_EXCHANGES][N_PATTERNS]; /* bits: dests */
} edge;

/*
 * Facts
 */

void fact_ask(struct fact *f, enum existence to)
{
    f->n_asked++;
    f->asked |= (uint8_t)(1u << to);
    f->asked_at = ++slice.stamp;
}

void fact_refuse(struct fact *f)
{
    f->n_asked--;
    if (f->n_asked == 0 && !f->is_lost)
        f->asked = 0;
}

void fact_answer(struct fact *f, enum existence to)
{
    f->state = f->asked == 1u << to ? to : UNKNOWN;
    fact_refuse(f);
}

void fact_lose(struct fact *f, enum existence to)
{
    f->is_lost = true;
    if (f->state != to)
        f->state = UNKNOWN;
    fact_refuse(f);
}

void fact_calm(struct fact *f)
{
    f->asked = f->n_asked = 0;
    f->is_lost = false;
}

bool fact_is_sure(const struct fact *f)
{
    return f->state == EXISTS && !(f->asked & 1u << GONE);
}

bool fact_is_possible(const struct fact *f)
{
    return f->state != GONE || f->asked & 1u << EXISTS;
}

bool model_is_there(int queue)
{
    return fact_is_sure(&slice.queue[queue].fact) && !slice.queue[queue].may_vanish;
}

bool model_is_exchange_there(int exchange)
{
    const struct exchange_fact *x = &slice.exchange[exchange];

    return fact_is_sure(&x->fact) && !x->may_vanish && x->n_removing == 0;
}

bool is_dest_sure(int dest)
{
    return dest < N_QUEUES ? model_is_there(dest) : model_is_exchange_there(dest - N_QUEUES);
}

bool is_dest_possible(int dest)
{
    return fact_is_possible(dest < N_QUEUES ? &slice.queue[dest].fact
                                            : &slice.exchange[dest - N_QUEUES].fact);
}

/*
 * Routing
 */

static void find_edges(void)
{
    uint32_t sure = 0, possible = 0;

    for (int d = 0; d < N_DESTS; d++) {
        sure |= is_dest_sure(d) ? 1u << d : 0;
        possible |= is_dest_possible(d) ? 1u << d : 0;
    }
    for (int x = 1; x < N_EXCHANGES; x++)
        for (int p = 0; p < N_PATTERNS; p++) {
            edge.sure[x][p] = edge.possible[x][p] = 0;
            for (int d = 0; d < N_DESTS; d++) {
                const struct fact *f = &slice.binding[x][p][d];

                edge.sure[x][p] |= fact_is_sure(f) ? sure & 1u << d : 0;
                edge.possible[x][p] |= fact_is_possible(f) ? possible & 1u << d : 0;
            }
        }
}

static uint32_t hits(uint32_t (*edges)[N_PATTERNS], int exchange, const struct message *m)
{
    uint8_t matching = m->match[slice_exchanges[exchange].type];
    uint32_t found = 0;

    for (int p = 0; p < N_PATTERNS; p++)
        if (matching & 1u << p)
            found |= edges[exchange][p];
    return found;
}

struct way { /* bits of dests */
    uint32_t sure, possible;
};

/* By a queue's name, as the default exchange does; -1: no key. */
static void route_name(const struct message *m, int queue, struct way *w)
{
    if (queue < 0 || (queue == SERVER_NAMED_QUEUE && m->name != slice.n_server_names))
        return;
    w->sure |= is_dest_sure(queue) ? 1u << queue : 0;
    w->possible |= is_dest_possible(queue) ? 1u << queue : 0;
}

static void route_from(const struct message *m, int x, struct way *w)
{
    uint32_t sure = hits(edge.sure, x, m), possible = hits(edge.possible, x, m);
    int alternate = slice_exchanges[x].alternate;
    bool is_surely_here = w->sure & 1u << (N_QUEUES + x);

    w->possible |= possible;
    w->sure |= is_surely_here ? sure : 0;
    if (!alternate || sure)
        return;
    if (is_dest_possible(N_QUEUES + alternate))
        w->possible |= 1u << (N_QUEUES + alternate);
    if (is_surely_here && !possible && is_dest_sure(N_QUEUES + alternate))
        w->sure |= 1u << (N_QUEUES + alternate);
}

static struct way route(const struct message *m)
{
    struct way w = {0}, before;

    if (m->exchange == 0) {
        route_name(m, m->key, &w);
        route_name(m, m->cc, &w);
        route_name(m, m->bcc, &w);
        return w;
    }
    w.possible = 1u << (N_QUEUES + m->exchange);
    w.sure = model_is_exchange_there(m->exchange) ? w.possible : 0;
    do {
        before = w;
        for (int x = 1; x < N_EXCHANGES; x++)
            if (w.possible & 1u << (N_QUEUES + x))
                route_from(m, x, &w);
    } while (before.sure != w.sure || before.possible != w.possible);
    return w;
}

void topology_route(struct message *m, bool is_first)
{
    struct way w = route(m);

    m->is_risky |= m->exchange && !model_is_exchange_there(m->exchange);
    for (int q = 0; q < N_QUEUES; q++) {
        m->copy[q].is_possible |= (w.possible >> q) & 1;
        m->copy[q].is_sure = (is_first || m->copy[q].is_sure) && (w.sure >> q) & 1;
    }
}

/* Something has changed, or may have. */
void topology_changed(void)
{
    uint32_t first = 0;

    find_edges();
    for (uint32_t i = slice.first_open; i <= slice.n_messages; i++) {
        if (slice.message[i].is_over)
            continue;
        first = first ? first : i;
        topology_route(&slice.message[i], false);
    }
    slice.first_open = first ? first : slice.n_messages + 1;
    topology_check_users();
}
