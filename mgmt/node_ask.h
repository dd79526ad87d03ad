/*
 * node_ask.h - what views of settings share: asking node for changes, and showing what is stored.
 */
#ifndef MGMT_NODE_ASK_H
#define MGMT_NODE_ASK_H

#include <jansson.h>

#include "mgmt/request.h"
#include "queues/node.h"

struct setting;

/* Asks for a change; node_answered is the view's handle. `text` is copied. */
void node_ask(struct request *r, enum node_verb verb, const char *section, const char *text,
              size_t len);
/* Puts `object`, which is lent. Not in RUNTIME_REGION. */
void node_ask_put(struct request *r, const char *section, const json_t *object);
/* Removes what has these names; b and c may be NULL. */
void node_ask_remove(struct request *r, const char *section, const char *a, const char *b,
                     const char *c);
/*
 * Answers with 201, 204, 404, 412, or 400 and 503 with why. While removals are left (below), it
 * asks for the next one instead.
 */
void node_answered(struct request *r, struct msg *m);
/* The same answer's text and result; answers by itself where node has died. */
const struct msg_node_changed *node_answer(struct request *r, struct msg *m);

/* Removals one behind the other: keys are added, then all go; none: 404. */
void node_removal_add(struct request *r, const char *a, const char *b, const char *c);
void node_removals_run(struct request *r, const char *section);

/* The body, an object, which the caller may change; 400 where it lacks one of these members. */
json_t *node_body(struct request *r, const char *const *members);
/* Sets a member to a text; in the region that this needs. */
void node_set_text(json_t *object, const char *key, const char *value);

/* What a stored object is as JSON, the caller's; NULL for NULL. */
json_t *setting_json(const struct setting *s);

/*
 * Lists what of a section `show` makes of its objects (moved to it; NULL: it is left out), and
 * answers. Objects are found by "name" or "user".
 */
void node_list(struct request *r, const char *section,
               json_t *(*show)(struct request *r, json_t *object));
/* The same of one object; 404 where there is none, or `show` leaves it out. */
void node_show(struct request *r, const struct setting *s,
               json_t *(*show)(struct request *r, json_t *object));

#endif
