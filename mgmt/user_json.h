/*
 * user_json.h - a stored user as the API and an export show it.
 */
#ifndef MGMT_USER_JSON_H
#define MGMT_USER_JSON_H

#include <jansson.h>

struct request;

/* Moves the object; tags become a list, what is ours alone is left out. */
json_t *user_json(struct request *r, json_t *object);

#endif
