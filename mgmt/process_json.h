/*
 * process_json.h - processes as the API shows and names them.
 */
#ifndef MGMT_PROCESS_JSON_H
#define MGMT_PROCESS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/runtime/msg.h"

struct proc_info;
struct proc_listing;

enum { PID_TEXT_SIZE = 32 };

/* "scheduler.slot.generation"; returns out. */
const char *pid_text(proc_id pid, char out[PID_TEXT_SIZE]);
/* The other way; false when it is no such text. */
bool pid_parse(const char *text, proc_id *ret);

/* Whether it has children that it restarts: one of the runtime's supervisors. */
bool process_is_supervisor(const struct proc_info *p);

/* One living process. The caller's reference. */
json_t *process_json(const struct proc_info *p);

/*
 * The parked children that a supervisor tells of in its inspect text, as processes that have no pid
 * and the state "parked". NULL when there are none. The caller's reference.
 */
json_t *process_parked_json(const char *inspect, size_t len, proc_id supervisor);

/*
 * The process that a user names by the text of its pid, by the name that listings show, or by a
 * registered name; NULL: none in the listing.
 */
const struct proc_info *process_find(const struct proc_listing *l, const char *name);

#endif
