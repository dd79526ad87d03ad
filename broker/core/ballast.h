/*
 * ballast.h - a file that only takes room, to be given up when the disk is full.
 *
 * Acks and checkpoints need room too, so a full disk could not even be drained. Plain code; blocks
 * on the disk.
 */
#ifndef BROKER_CORE_BALLAST_H
#define BROKER_CORE_BALLAST_H

#include <stdbool.h>
#include <stdint.h>

enum ballast_step { BALLAST_LEAVE, BALLAST_GIVE_UP, BALLAST_MAKE };

/*
 * What to do by the bytes that are free on the disk: given up when half its size is left, made when
 * that leaves as much again above the alarm's limit. size 0: there is to be none. Pure.
 */
enum ballast_step ballast_decide(bool is_there, uint64_t free_bytes, uint64_t size, uint64_t limit);

bool ballast_is_there(const char *data_dir);

/* Does the step. 0 or -errno; a ballast that could not be made whole is not there. */
int ballast_do(enum ballast_step step, const char *data_dir, uint64_t size);

#endif
