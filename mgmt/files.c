/*
 * Serving the files of the dashboard.
 *
 * Open to all: they hold nothing but the program. A browser keeps them and asks whether they have
 * changed; the etag is a hash of the bytes.
 */
#include "mgmt/files.h"

#include <string.h>

#include "mgmt/request.h"

/* Joins decoded segments: what a file's path has no room for is no file's path. */
static bool join(const struct path *path, char *out, size_t size)
{
    size_t at = 0;

    for (unsigned i = 0; i < path->n; i++) {
        const struct path_segment *s = &path->segment[i];

        if (at + s->len + 2 > size || memchr(s->p, '\0', s->len) || memchr(s->p, '/', s->len))
            return false;
        if (i)
            out[at++] = '/';
        memcpy(out + at, s->p, s->len);
        at += s->len;
    }
    out[at] = '\0';
    return true;
}

static const struct file *find(const char *path)
{
    for (const struct file *f = files; f->path; f++) {
        if (!strcmp(f->path, path))
            return f;
    }
    return NULL;
}

static bool is_known(const struct request *r, const struct file *f)
{
    return r->m->if_none_match && strstr(r->m->if_none_match, f->etag);
}

void files_serve(struct request *r)
{
    struct msg_http_response *response;
    const struct file *f;
    char path[256];

    if (!join(&r->path, path, sizeof(path)))
        return;
    f = find(*path ? path : "index.html");
    if (!f)
        return;
    response = http_response_new(is_known(r, f) ? 304 : 200, NULL);
    if (response->status == 200)
        text_add(&response->body, (const char *)f->bytes, f->size);
    response->content_type = f->content_type;
    response->etag = f->etag;
    request_respond(r, response);
}
