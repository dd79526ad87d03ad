/*
 * alloc.c - the process-wide allocator, which never says no.
 */
#include "broker/runtime/alloc.h"

#include <stdlib.h>

#include "broker/runtime/internal.h"

static void no_memory(void)
{
    crash_write("out of memory\n");
    abort();
}

void *rt_alloc(size_t size)
{
    RUNTIME_REGION();
    void *p = malloc(size ? size : 1);

    if (unlikely(!p))
        no_memory();
    return p;
}

void *rt_zalloc(size_t size)
{
    RUNTIME_REGION();
    void *p = calloc(1, size ? size : 1);

    if (unlikely(!p))
        no_memory();
    return p;
}

void *rt_realloc(void *old, size_t size)
{
    RUNTIME_REGION();
    void *p = realloc(old, size ? size : 1);

    if (unlikely(!p))
        no_memory();
    return p;
}

void rt_free(void *p)
{
    RUNTIME_REGION();

    free(p);
}
