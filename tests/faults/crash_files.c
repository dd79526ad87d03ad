/*
 * The files of the file system in memory, and what a power cut makes of them.
 *
 * A file is its present bytes and, in order, the changes since its last sync; the safe bytes are
 * kept beside. At a power cut the changes are played again upon the safe bytes, each wholly, not at
 * all, or in part. Sectors that no unsynced write touched are never harmed, which is what SQLite's
 * "powersafe overwrite" assumes and what its default VFS says too.
 */
#include "tests/faults/crash_files.h"

#include <stdlib.h>
#include <string.h>

void *cf_must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void bytes_resize(struct bytes *b, size_t len)
{
    if (len > b->room) {
        size_t room = b->room ? b->room : 4096;

        while (room < len)
            room *= 2;
        b->p = cf_must(realloc(b->p, room));
        b->room = room;
    }
    if (len > b->len)
        memset(b->p + b->len, 0, len - b->len);
    b->len = len;
}

static void bytes_write(struct bytes *b, size_t at, const uint8_t *p, size_t len)
{
    if (len == 0) /* a write of which nothing went down */
        return;
    if (at + len > b->len)
        bytes_resize(b, at + len);
    memcpy(b->p + at, p, len);
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
    bytes_resize(to, from->len);
    if (from->len > 0)
        memcpy(to->p, from->p, from->len);
}

/* splitmix64. */
uint64_t cf_roll(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void note_change(struct file *f, size_t at, const void *p, size_t len)
{
    struct change *c = cf_must(calloc(1, sizeof(*c)));

    c->at = at;
    c->len = len;
    if (p) {
        c->p = cf_must(malloc(len ? len : 1));
        memcpy(c->p, p, len);
    }
    *f->last = c;
    f->last = &c->next;
}

static void forget_changes(struct file *f)
{
    while (f->first) {
        struct change *c = f->first;

        f->first = c->next;
        free(c->p);
        free(c);
    }
    f->last = &f->first;
}

struct file *cf_find(struct crash_fs *fs, const char *name)
{
    for (struct file *f = fs->files; f; f = f->next) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

struct file *cf_make(struct crash_fs *fs, const char *name)
{
    struct file *f = cf_must(calloc(1, sizeof(*f)));

    f->name = cf_must(strdup(name));
    f->last = &f->first;
    f->next = fs->files;
    fs->files = f;
    return f;
}

void cf_write(struct file *f, size_t at, const void *p, size_t len)
{
    bytes_write(&f->now, at, p, len);
    note_change(f, at, p, len);
}

void cf_truncate(struct file *f, size_t len)
{
    note_change(f, len, NULL, 0);
    bytes_resize(&f->now, len);
}

void cf_make_safe(struct file *f)
{
    /* Only what changed: a file may be long, and is synced often. */
    for (const struct change *c = f->first; c; c = c->next) {
        if (c->p)
            bytes_write(&f->safe, c->at, c->p, c->len);
        else
            bytes_resize(&f->safe, c->at);
    }
    f->is_on_disk = true;
    forget_changes(f);
}

void cf_remove(struct file *f)
{
    f->is_on_disk = false;
    bytes_resize(&f->now, 0);
    bytes_resize(&f->safe, 0);
    forget_changes(f);
}

void cf_free(struct file *f)
{
    forget_changes(f);
    free(f->now.p);
    free(f->safe.p);
    free(f->name);
    free(f);
}

void crash_fs_kill(struct crash_fs *fs)
{
    fs->life++;
    for (struct file *f = fs->files; f; f = f->next) {
        f->n_shared = 0;
        f->holder = NULL;
        f->holder_level = 0;
    }
}

/* Writes a torn change: each sector is the new one, the old one, or now and then rubbish. */
static void tear(struct bytes *to, const struct change *c, uint64_t *seed)
{
    for (size_t done = 0; done < c->len;) {
        size_t at = c->at + done;
        size_t n = CRASH_SECTOR - at % CRASH_SECTOR;
        uint64_t choice = cf_roll(seed) % 16;

        if (n > c->len - done)
            n = c->len - done;
        if (choice < 8)
            bytes_write(to, at, c->p + done, n);
        for (size_t i = 0; choice == 8 && i < n; i++) {
            uint8_t rubbish = (uint8_t)cf_roll(seed);

            bytes_write(to, at + i, &rubbish, 1);
        }
        done += n;
    }
}

static void cut_file(struct file *f, uint64_t *seed)
{
    for (const struct change *c = f->first; c; c = c->next) {
        uint64_t choice = cf_roll(seed) % 3;

        if (choice == 0)
            continue;
        if (!c->p)
            bytes_resize(&f->safe, c->at);
        else if (choice == 1)
            bytes_write(&f->safe, c->at, c->p, c->len);
        else
            tear(&f->safe, c, seed);
    }
    /* A name is sure only when the file was synced; a removal only when its folder was. */
    if (!f->is_on_disk)
        f->exists = f->exists && cf_roll(seed) % 2;
    else if (!f->exists)
        f->exists = cf_roll(seed) % 2;
    forget_changes(f);
    /* What is made under a lost name is another file: none of the old bytes can come back. */
    if (!f->exists)
        bytes_resize(&f->safe, 0);
    bytes_copy(&f->now, &f->safe);
    f->is_on_disk = f->exists;
}

void crash_fs_cut(struct crash_fs *fs, uint64_t seed)
{
    crash_fs_kill(fs);
    for (struct file *f = fs->files; f; f = f->next)
        cut_file(f, &seed);
}
