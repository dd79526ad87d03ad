/*
 * table_impl.h - what the runtime does with the shared tables when the program ends.
 */
#ifndef BROKER_RUNTIME_TABLE_IMPL_H
#define BROKER_RUNTIME_TABLE_IMPL_H

/*
 * Frees every table with all its values at once, without a grace period: when no process lives any
 * more (rt_wait, rt_kill_all). What was retired before must have been freed by the caller.
 */
void tables_fini(void);

#endif
