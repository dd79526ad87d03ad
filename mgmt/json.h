/*
 * json.h - JSON values from what the broker holds. Results are the caller's references.
 */
#ifndef MGMT_JSON_H
#define MGMT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"

/* A string; what is not UTF-8 becomes U+FFFD, byte by byte, so that every name can be shown. */
json_t *json_text(const void *bytes, size_t len);
/* The same of a C string; NULL gives null. */
json_t *json_text_str(const char *s);
/* An unsigned number; above what JSON readers hold, the largest. */
json_t *json_count(uint64_t n);

/* Adds a member to an object; value is moved. It is missing only when there is no memory for it. */
void json_add(json_t *object, const char *key, json_t *value);
void json_add_text(json_t *object, const char *key, const char *s);
void json_add_count(json_t *object, const char *key, uint64_t n);
/* "2026-11-22T21:32:41.123+00:00" */
void json_add_time(json_t *object, const char *key, int64_t wall_ms);
void json_add_bool(json_t *object, const char *key, bool b);

/* Whether a member is this string. */
bool json_has_text(const json_t *object, const char *key, const char *value);
/* The object, moved; or NULL and it is given back. */
json_t *json_keep(json_t *object, bool is_wanted);
/* Adds an element to an array; likewise. */
void json_append(json_t *array, json_t *value);

/*
 * A field table as an object: the first of repeated keys counts, a decimal becomes a real, what is
 * no JSON number becomes null. A damaged table shows as far as it can be read.
 */
json_t *json_ftable(struct amqp_bytes table);

#endif
