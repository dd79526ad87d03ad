/*
 * strip.h - a message without one of its headers: what is delivered does not show BCC. Pure.
 */
#ifndef QUEUES_STRIP_H
#define QUEUES_STRIP_H

struct record;

/*
 * A record like r whose headers have no entry of that name; one reference, the caller's. NULL when
 * its properties do not parse.
 */
struct record *record_strip(const struct record *r, const char *header);

#endif
