/*
 * salvage.h - a damaged vhost's store is replaced by what can be read of it. Plain code for main;
 * another program may serve other vhosts of the same data directory meanwhile.
 */
#ifndef QUEUES_SALVAGE_H
#define QUEUES_SALVAGE_H

#include <stddef.h>
#include <stdio.h>

/*
 * Makes a new store from what can be read of that of a vhost ("": the node's own), swaps the two in
 * one step, and writes to `out` what was kept, what was lost, and where the damaged one lies now.
 * 0, or -errno and a line in `why`; then nothing has changed.
 */
int salvage(const char *data_dir, const char *vhost, FILE *out, char *why, size_t why_size);

#endif
