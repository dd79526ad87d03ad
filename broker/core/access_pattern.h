/*
 * access_pattern.h - a permission's regular expression. Plain code; any thread may match.
 *
 * Expressions are Perl's, over bytes, and not anchored: "q" lets q1 and my_q pass. An empty one
 * lets nothing pass. Matching is bounded in steps: an expression that takes too long does not
 * match.
 */
#ifndef BROKER_CORE_ACCESS_PATTERN_H
#define BROKER_CORE_ACCESS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

struct pattern;

/*
 * A new pattern, the caller's. 0, or -EINVAL with a line in ret_text that says what is wrong with
 * the expression (a length of more than 8192 included).
 */
int pattern_new(const char *text, struct pattern **ret, char *ret_text, size_t size);
void pattern_free(struct pattern *p); /* NULL is ignored */

bool pattern_matches(const struct pattern *p, const void *bytes, size_t len);

#endif
