/*
 * columns.h - members of JSON objects by the dotted names that queries have. Pure.
 */
#ifndef MGMT_COLUMNS_H
#define MGMT_COLUMNS_H

#include <jansson.h>

/* What "a.b" is in an object; NULL: nothing. Lent. */
const json_t *columns_get(const json_t *value, const char *dotted);

/*
 * An object with nothing of `value` (moved) but the comma-separated columns, such as "name,a.b"; of
 * an array, each of its objects so. The caller's reference.
 */
json_t *columns_pick(json_t *value, const char *columns);

#endif
