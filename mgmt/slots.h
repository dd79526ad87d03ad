/*
 * slots.h - connections, channels and consumers as the API shows them, read from their slots.
 */
#ifndef MGMT_SLOTS_H
#define MGMT_SLOTS_H

#include <stdbool.h>

#include "broker/core/stats.h"
#include "mgmt/list.h"

struct cell;
struct connection_stats;
struct request;

/* Items are references to slots: list_add takes one of the caller's. */
extern const struct list_ops list_of_connections, list_of_channels, list_of_consumers;

/* One of each. Region RUNTIME; the caller's reference. */
json_t *connection_json(const struct request *r, const struct stat_slot *s);
json_t *channel_json(const struct request *r, const struct stat_slot *s);
json_t *consumer_json(const struct request *r, const struct stat_slot *s);
/* "consumer_details" of what is shown alone: r->foreign->consumers, gathered slot by slot. */
void slots_begin_consumers(struct request *r);
void slots_add_consumer(struct request *r, const struct stat_slot *s);
/* Two lists of rates by pairs of objects, which rates_mode basic does not keep: empty, as there. */
void slots_add_no_pairs(json_t *to, const char *first, const char *second);
/* "connection_details" of a channel. */
json_t *connection_details_json(const struct connection_stats *c);

/* Whether who asks may see what belongs to this connection: all, or his own. NULL: to nobody. */
bool slots_may_see(const struct request *r, const struct connection_stats *c);

/*
 * Gathers the slots of a kind that `is_wanted` (NULL: all) into a list, over several turns, and
 * runs the list; both functions are a view's start and handle.
 */
typedef bool slots_filter(struct request *r, const struct stat_slot *s);
void slot_list_start(struct request *r, enum stat_kind kind, const struct list_ops *ops,
                     slots_filter *is_wanted);
void slot_list_handle(struct request *r, struct msg *m);

/*
 * The same for one slot, the first that is wanted: then(r, slot) is called with it, which answers;
 * 404 when there is none. Handled by slot_list_handle, too.
 */
void slot_list_find(struct request *r, enum stat_kind kind, slots_filter *is_wanted,
                    void (*then)(struct request *r, const struct stat_slot *s));
/* And for each that is wanted: after the last one `then` is called with NULL. */
void slot_list_each(struct request *r, enum stat_kind kind, slots_filter *is_wanted,
                    void (*then)(struct request *r, const struct stat_slot *s));

#endif
