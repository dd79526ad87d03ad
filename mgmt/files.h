/*
 * files.h - the files of the dashboard, which are in the program: tools at build time make one
 * table of all that is in mgmt/ui.
 */
#ifndef MGMT_FILES_H
#define MGMT_FILES_H

#include <stddef.h>

struct request;

struct file {
    const char *path; /* of the URL, without its first slash */
    const char *content_type, *etag;
    const unsigned char *bytes;
    size_t size;
};

/* All of them, in order of path; ends with a path NULL. Generated. */
extern const struct file files[];

/* Answers with the file that the path names, or returns. */
void files_serve(struct request *r);

#endif
