#include "broker/runtime/internal.h"
int pool_init(unsigned n) { (void)n; rt.n_workers = rt.n_scheds; rt.n_pool = 0; return 0; }
void pool_fini(void) {}
int pool_start(void) { return 0; }
void pool_stop(void) {}
struct home *pool_home(void) { return NULL; }
void pool_lock(void) {}
void pool_unlock(void) {}
void pool_wake_one(void) {}
void pool_push(struct msg *newest) { (void)newest; }
