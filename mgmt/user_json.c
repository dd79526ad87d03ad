#include "mgmt/user_json.h"

#include <stdint.h>
#include <string.h>

#include "broker/runtime/region.h"

/* Older files have tags as one text, with commas between them. */
static json_t *tags_of(const json_t *tags)
{
    const char *text = json_string_value(tags);
    json_t *ret = json_array();

    if (json_is_array(tags)) {
        json_decref(ret);
        return json_incref((json_t *)(uintptr_t)tags);
    }
    while (text && *text) {
        size_t len;

        text += strspn(text, ", ");
        len = strcspn(text, ", ");
        if (len > 0)
            json_array_append_new(ret, json_stringn(text, len));
        text += len;
    }
    return ret;
}

static void copy(json_t *to, const json_t *from, const char *key, json_t *otherwise)
{
    json_t *value = json_object_get(from, key);

    if (value)
        json_object_set(to, key, value);
    else
        json_object_set(to, key, otherwise);
    json_decref(otherwise);
}

json_t *user_json(struct request *r, json_t *object)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    (void)r;
    copy(ret, object, "name", json_string(""));
    copy(ret, object, "password_hash", json_string(""));
    copy(ret, object, "hashing_algorithm", json_string("rabbit_password_hashing_sha256"));
    json_object_set_new(ret, "tags", tags_of(json_object_get(object, "tags")));
    copy(ret, object, "limits", json_object());
    json_decref(object);
    return ret;
}
