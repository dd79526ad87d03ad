/*
 * crash.c - what is told of the dead: reports of processes, and the program's own last words.
 */
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/runtime/internal.h"

void crash_write(const char *text)
{
    ssize_t r = write(STDERR_FILENO, text, strlen(text));

    (void)r; /* there is nowhere else to say it */
}

void rt_bug(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    void *frames[MAX_FRAMES];
    int n;
    va_list ap;

    rt_region = REGION_RUNTIME;
    n = snprintf(text, sizeof(text), "BUG %s:%d: ", file, line);
    va_start(ap, fmt);
    (void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap); /* too long is cut */
    va_end(ap);
    crash_write(text);
    crash_write("\n");
    n = backtrace(frames, MAX_FRAMES);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    abort();
}

static const char *signal_text(const struct turn *t)
{
    uintptr_t low = rt_me->stack_low;

    switch (t->signo) {
    case SIGBUS:
        return "bus error";
    case SIGFPE:
        return "arithmetic error";
    case SIGILL:
        return "illegal instruction";
    default:
        /* The guard page lies just below; a large frame may reach past its end. */
        if (low && t->fault_addr + 65536 >= low && t->fault_addr < low + 4096)
            return "stack overflow";
        return "segmentation fault";
    }
}

void crash_complete(struct turn *t)
{
    if (!t->signo)
        return;
    if (t->signo == SIGNO_WATCHDOG) {
        t->why = (struct exit_reason){.kind = EXIT_WATCHDOG,
                                      .text = "callback over its limit of CPU time"};
        t->signo = 0;
        return;
    }
    t->why = (struct exit_reason){.kind = EXIT_FAULT, .code = t->signo};
    (void)snprintf(t->why.text, sizeof(t->why.text), "%s at %#lx", signal_text(t),
                   (unsigned long)t->fault_addr);
    t->signo = 0;
}

void crash_note(struct turn *t)
{
    struct proc *p = t->p;

    t->heap_bytes = p->heap_bytes;
    if (p->home->is_pool)
        pool_lock();
    t->mailbox_len = p->mailbox_len;
    if (p->home->is_pool)
        pool_unlock();
}

void crash_symbols(const struct crash_report *r, int fd)
{
    backtrace_symbols_fd(r->frames, r->n_frames, fd);
}

static void print_report(const struct crash_report *r)
{
    fprintf(
        stderr,
        "process %s (%s, %#lx) ended: %s, %s; message %#x, age %lu us, heap %zu, mailbox %u%s\n",
        r->name, r->kind, (unsigned long)r->pid, exit_kind_name(r->why.kind), r->why.text,
        r->msg_type, (unsigned long)r->age_us, r->heap_bytes, r->mailbox_len,
        r->leaked ? ", heap damaged and left" : "");
    if (r->why.file)
        fprintf(stderr, "  at %s:%d\n", r->why.file, r->why.line);
    fflush(stderr);
    crash_symbols(r, STDERR_FILENO);
}

void crash_tell(struct turn *t, bool leaked)
{
    const struct proc *p = t->p;
    uint64_t now_us = rt.world.now_ns() / 1000;
    struct crash_report r = {
        .pid = p->id,
        .kind = p->ops->kind,
        .name = p->name ? p->name : p->ops->kind,
        .why = t->why,
        .msg_type = t->msg_type,
        .age_us = now_us > p->born_us ? now_us - p->born_us : 0,
        .heap_bytes = t->heap_bytes,
        .mailbox_len = t->mailbox_len,
        .n_frames = t->n_frames,
        .frames = t->frames,
        .leaked = leaked,
    };

    if (rt.config.on_crash)
        rt.config.on_crash(&r);
    else
        print_report(&r);
}
