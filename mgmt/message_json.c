/*
 * Messages as the API shows them.
 */
#include "mgmt/message_json.h"

#include <string.h>

#include "amqp/codec/record.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/props_json.h"
#include "mgmt/request.h"

struct message_shows message_shows_read(struct request *r, const char *encoding)
{
    struct message_shows ret = {.is_base64 = !strcmp(encoding, "base64"), .truncate = UINT64_MAX};

    if (!ret.is_base64 && strcmp(encoding, "auto"))
        request_fail(r, 400, "Unsupported encoding. Please use auto or base64.");
    return ret;
}

/* Cut between characters, if it is cut text. */
static struct amqp_bytes cut(struct amqp_bytes body, uint64_t most)
{
    struct amqp_bytes ret = body;

    if (most >= body.len)
        return body;
    ret.len = (uint32_t)most;
    while (ret.len > 0 && most - ret.len < 4 && (body.p[ret.len] & 0xc0) == 0x80)
        ret.len--;
    return ret.len > 0 && amqp_is_utf8(ret) ? ret : amqp_bytes(body.p, most);
}

json_t *message_json(const struct record *record, bool redelivered, uint64_t left,
                     const struct message_shows *shows)
{
    RUNTIME_REGION();
    struct amqp_bytes exchange = record_exchange(record), key = record_key(record);
    struct amqp_bytes payload = cut(record_body(record), shows->truncate);
    bool is_text = !shows->is_base64 && amqp_is_utf8(payload);
    json_t *ret = json_object();

    json_add_count(ret, "payload_bytes", record_body_len(record));
    json_add_bool(ret, "redelivered", redelivered);
    json_add(ret, "exchange", json_text(exchange.p, exchange.len));
    json_add(ret, "routing_key", json_text(key.p, key.len));
    json_add_count(ret, "message_count", left);
    json_add(ret, "properties", props_json(record_props(record)));
    json_add(ret, "payload",
             is_text ? json_text(payload.p, payload.len) : json_base64(payload.p, payload.len));
    json_add_text(ret, "payload_encoding", is_text ? "string" : "base64");
    return ret;
}
