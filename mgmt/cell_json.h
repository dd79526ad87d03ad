/*
 * cell_json.h - queues, exchanges and bindings as the API shows them. Results are the caller's
 * references.
 */
#ifndef MGMT_CELL_JSON_H
#define MGMT_CELL_JSON_H

#include <jansson.h>
#include <stdbool.h>

struct blob;
struct cell;
struct cell_stats;
struct request;

/* How much of a queue; each has what those before it have. */
enum queue_shows { QUEUE_IDENTITY, QUEUE_TOTALS, QUEUE_STATS };

/* As they are shown to who asks. */
json_t *queue_json(const struct request *r, const struct cell *c, enum queue_shows shows);
/* What part of the last seconds it had a consumer that could take a message: 0 to 1. */
double queue_capacity(const struct cell_stats *s);
json_t *exchange_json(const struct request *r, const struct cell *c, bool has_stats);

struct binding_facts {         /* lent */
    const struct cell *source; /* NULL: the default exchange */
    const struct cell *dest;
    const struct blob *key, *args; /* NULL: empty */
};
json_t *binding_json(const struct binding_facts *b);

enum { PROPERTIES_KEY_SIZE = 3 * 255 + 16 };

/*
 * What a binding is called among those of the same source and destination: its routing key,
 * encoded, or ~ for an empty one, and what stands for its arguments, where it has any.
 */
void binding_properties_key(const struct blob *key, const struct blob *args,
                            char out[PROPERTIES_KEY_SIZE]);

#endif
