#include "queues/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "persistence/crc32c.h"

#define FORMAT 1 /* of the manifest */

void manifest_fini(struct manifest *m)
{
    rt_free(m->v);
    *m = (struct manifest){0};
}

void manifest_path(char *out, size_t size, const char *dir, const char *name)
{
    snprintf(out, size, "%s/%s/store.sqlite", dir, name);
}

int manifest_sync(const char *path)
{
    RUNTIME_REGION();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = fsync(fd) < 0 ? -errno : 0;
    (void)close(fd); /* nothing was written through it */
    return r;
}

static int is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int r = 0;

    if (!d)
        return -errno;
    while (r == 0 && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            r = -ENOTEMPTY;
    }
    (void)closedir(d); /* it was only read */
    return r;
}

int manifest_make_dir(const char *dir)
{
    RUNTIME_REGION();

    if (mkdir(dir, 0700) == 0)
        return 0;
    return errno == EEXIST ? is_empty(dir) : -errno;
}

int manifest_measure(const char *path, uint64_t *ret_bytes, uint32_t *ret_crc)
{
    enum { PIECE = 1 << 20 };
    RUNTIME_REGION();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t bytes = 0;
    uint32_t crc = 0;
    uint8_t *buf;
    ssize_t n;
    int r;

    if (fd < 0)
        return -errno;
    buf = rt_alloc(PIECE);
    while ((n = read(fd, buf, PIECE)) > 0) {
        crc = crc32c(crc, buf, (size_t)n);
        bytes += (uint64_t)n;
    }
    r = n < 0 ? -errno : 0;
    rt_free(buf);
    (void)close(fd); /* it was only read */
    if (r == 0) {
        *ret_bytes = bytes;
        *ret_crc = crc;
    }
    return r;
}

static json_t *store_json(const struct manifest_store *s)
{
    if (*s->missing)
        return json_pack("{s:s, s:s, s:s}", "name", s->name, "vhost", s->vhost, "missing",
                         s->missing);
    return json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", s->name, "vhost", s->vhost, "bytes",
                     (json_int_t)s->bytes, "group", (json_int_t)s->group, "crc32c",
                     (json_int_t)s->crc);
}

static json_t *as_json(const struct manifest *m)
{
    json_t *stores = json_array();

    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(stores, store_json(&m->v[i]));
    return json_pack("{s:i, s:s, s:I, s:o}", "warren_backup", FORMAT, "version", m->version,
                     "made_ms", (json_int_t)m->made_ms, "stores", stores);
}

/* Under another name until it is whole and durable. */
int manifest_write(const char *dir, const struct manifest *m)
{
    RUNTIME_REGION();
    char path[600], temp[600];
    json_t *json = as_json(m);
    int r = 0;

    snprintf(path, sizeof(path), "%s/manifest.json", dir);
    snprintf(temp, sizeof(temp), "%s/manifest.new", dir);
    if (!json || json_dump_file(json, temp, JSON_INDENT(2)) < 0)
        r = -EIO;
    json_decref(json);
    if (r == 0)
        r = manifest_sync(temp);
    if (r == 0 && rename(temp, path) < 0)
        r = -errno;
    return r < 0 ? r : manifest_sync(dir);
}

/* A name from a file is not believed: it must name something in the directory itself. */
static bool read_store(const json_t *json, struct manifest_store *ret)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *vhost = json_string_value(json_object_get(json, "vhost"));
    const json_t *bytes = json_object_get(json, "bytes"), *group = json_object_get(json, "group");
    const json_t *crc = json_object_get(json, "crc32c");
    const char *missing = json_string_value(json_object_get(json, "missing"));

    if (!name || !*name || strlen(name) >= sizeof(ret->name) || strchr(name, '/') || *name == '.')
        return false;
    if (!vhost || strlen(vhost) >= sizeof(ret->vhost))
        return false;
    strcpy(ret->name, name);
    strcpy(ret->vhost, vhost);
    if (missing && *missing) {
        snprintf(ret->missing, sizeof(ret->missing), "%s", missing);
        return true;
    }
    if (!json_is_integer(bytes) || !json_is_integer(group) || !json_is_integer(crc))
        return false;
    ret->bytes = (uint64_t)json_integer_value(bytes);
    ret->group = (uint64_t)json_integer_value(group);
    ret->crc = (uint32_t)json_integer_value(crc);
    return true;
}

static bool read_json(const json_t *json, struct manifest *ret)
{
    const char *version = json_string_value(json_object_get(json, "version"));
    const json_t *stores = json_object_get(json, "stores");

    if (!version || !json_is_array(stores) || json_array_size(stores) == 0)
        return false;
    snprintf(ret->version, sizeof(ret->version), "%s", version);
    ret->made_ms = (int64_t)json_integer_value(json_object_get(json, "made_ms"));
    ret->v = rt_zalloc(json_array_size(stores) * sizeof(*ret->v));
    for (; ret->n < json_array_size(stores); ret->n++) {
        if (!read_store(json_array_get(stores, ret->n), &ret->v[ret->n]))
            return false;
    }
    return true;
}

int manifest_read(const char *dir, struct manifest *ret, char *why, size_t why_size)
{
    RUNTIME_REGION();
    struct manifest m = {0};
    json_error_t error;
    char path[600];
    json_t *json;
    int r = 0;

    snprintf(path, sizeof(path), "%s/manifest.json", dir);
    if (access(path, R_OK) < 0) {
        r = -errno;
        snprintf(why, why_size, "%s: %s; a directory without it is no finished backup", path,
                 strerror(-r));
        return r;
    }
    json = json_load_file(path, 0, &error);
    if (!json_is_integer(json_object_get(json, "warren_backup"))) {
        snprintf(why, why_size, "%s is no manifest of a backup", path);
        r = -EINVAL;
    } else if (json_integer_value(json_object_get(json, "warren_backup")) > FORMAT) {
        snprintf(why, why_size, "%s is of a newer version", path);
        r = -ENOTSUP;
    } else if (!read_json(json, &m)) {
        snprintf(why, why_size, "%s is damaged", path);
        r = -EINVAL;
    }
    json_decref(json);
    if (r < 0)
        manifest_fini(&m);
    else
        *ret = m;
    return r;
}
