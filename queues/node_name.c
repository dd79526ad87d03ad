#include "queues/node_name.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/runtime/region.h"
#include "queues/settings.h"

void node_name(char *ret, size_t size)
{
    char host[65] = "localhost";

    (void)gethostname(host, sizeof(host) - 1); /* a longer name is cut */
    snprintf(ret, size, "warren@%s", host);
}

/* What fits of a text in UTF-8. */
static void copy_cut(char ret[CLUSTER_NAME_MAX], const char *text)
{
    size_t len = strlen(text);

    if (len >= CLUSTER_NAME_MAX) {
        len = CLUSTER_NAME_MAX - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(ret, text, len);
    ret[len] = '\0';
}

void cluster_name(char ret[CLUSTER_NAME_MAX])
{
    RUNTIME_REGION();
    const struct setting *s = settings_get("global_parameters", "cluster_name", "", NULL);
    json_t *json = s ? json_loadb(s->text, s->len, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(json, "value"));

    if (name)
        copy_cut(ret, name);
    else
        node_name(ret, CLUSTER_NAME_MAX);
    json_decref(json);
}
