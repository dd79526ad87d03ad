#include "broker/runtime/internal.h"
void watchdog_start(struct worker *w) { (void)w; }
void watchdog_stop(struct worker *w) { (void)w; }
