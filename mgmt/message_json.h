/*
 * message_json.h - messages as the API shows them.
 */
#ifndef MGMT_MESSAGE_JSON_H
#define MGMT_MESSAGE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct record;
struct request;

struct message_shows {
    bool is_base64;    /* the payload always; else only where it is no text */
    uint64_t truncate; /* bytes of the payload */
};

/* By the "encoding" that a request names; 400 for one that is neither auto nor base64. */
struct message_shows message_shows_read(struct request *r, const char *encoding);

/* left: messages that are ready behind it. The caller's reference. */
json_t *message_json(const struct record *record, bool redelivered, uint64_t left,
                     const struct message_shows *shows);

#endif
