/*
 * props_json.h - message properties as JSON, and back. Pure, but for memory.
 */
#ifndef MGMT_PROPS_JSON_H
#define MGMT_PROPS_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"

/* The properties that are set; what does not parse shows none. The caller's reference. */
json_t *props_json(struct amqp_bytes props);

struct props_bytes {
    uint8_t *p; /* of rt_alloc, the caller's */
    size_t len;
};

/*
 * The properties that an object has; members that are none are ignored. 0, or -EINVAL with a line
 * in ret_text for one of the wrong type or out of its bounds. Region RUNTIME in a process.
 */
int props_of_json(const json_t *object, struct props_bytes *ret, char *ret_text, size_t size);

/* Bytes as base64. The caller's reference. */
json_t *json_base64(const void *bytes, size_t len);

#endif
