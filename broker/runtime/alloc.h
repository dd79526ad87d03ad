/*
 * alloc.h - memory that crosses processes: messages, blobs, table nodes.
 *
 * Process memory is proc_alloc() of proc.h. What is allocated here has an owner of its own: a
 * message its receiver, a blob its references. Both may be freed on another thread than the one
 * that made them.
 */
#ifndef BROKER_RUNTIME_ALLOC_H
#define BROKER_RUNTIME_ALLOC_H

#include <stddef.h>

/*
 * At least `size` bytes, aligned for any type; the caller owns them. Never NULL: a program without
 * memory ends. May be called from any thread and any region.
 */
__attribute__((malloc, returns_nonnull, warn_unused_result)) void *rt_alloc(size_t size);

/* As rt_alloc, zeroed. */
__attribute__((malloc, returns_nonnull, warn_unused_result)) void *rt_zalloc(size_t size);

/* As realloc; never NULL. `p` may be NULL. */
__attribute__((returns_nonnull, warn_unused_result)) void *rt_realloc(void *p, size_t size);

/* Gives back what rt_alloc, rt_zalloc or rt_realloc gave. NULL is ignored. */
void rt_free(void *p);

#endif
