/*
 * guard.c - faults of process code end one process.
 *
 * The handlers run on a signal stack of their own, because the fault may be an overflow of the
 * thread's. SA_NODEFER and an empty mask: a jump out of a handler restores no mask, and a second
 * fault with the signal blocked would kill the program. A fault anywhere but in region PROC is the
 * program's: it is reported and happens again under the default action.
 */
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "broker/runtime/internal.h"

#define SIGNAL_STACK (RT_SANITIZED ? 262144U : 65536U)

#if RT_ASAN
/* Faults are ours; stacks on the heap would hide what a jump leaves behind. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:"
           "allow_user_segv_handler=1:use_sigaltstack=0:detect_stack_use_after_return=0";
}
#endif

/* The frames that frame pointers lead to; nothing outside of the thread's stack is read. */
__attribute__((no_sanitize("address", "thread", "undefined"))) int frames_take(void **ret, int max,
                                                                               void *pc, void *fp)
{
    const struct worker *w = rt_me;
    uintptr_t at = (uintptr_t)fp;
    int n = 0;

    if (pc)
        ret[n++] = pc;
    while (n < max && at >= w->stack_low && at + 16 <= w->stack_high && at % 8 == 0) {
        const uintptr_t *frame = (const uintptr_t *)at;

        if (frame[1] < 4096)
            break;
        ret[n++] = (void *)frame[1];
        if (frame[0] <= at)
            break;
        at = frame[0];
    }
    return n;
}

static void context_of(const void *context, void **ret_pc, void **ret_fp)
{
    const ucontext_t *uc = context;

#if defined(__x86_64__)
    *ret_pc = (void *)uc->uc_mcontext.gregs[REG_RIP];
    *ret_fp = (void *)uc->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    *ret_pc = (void *)uc->uc_mcontext.pc;
    *ret_fp = (void *)uc->uc_mcontext.regs[29];
#else
#error "where are the program counter and the frame pointer?"
#endif
}

void guard_jump(int signo, uintptr_t addr, const void *context)
{
    struct turn *t = rt_me->turn;
    void *pc, *fp;

    rt_region = REGION_RUNTIME;
    context_of(context, &pc, &fp);
    t->signo = signo;
    t->fault_addr = addr;
    t->n_frames = frames_take(t->frames, MAX_FRAMES, pc, fp);
    if (RT_TSAN)
        pthread_sigmask(SIG_SETMASK, &rt.mask, NULL); /* TSan's own handler blocks all signals */
    siglongjmp(t->jump, 1);
}

void guard_fatal(const char *what, const void *context)
{
    void *frames[MAX_FRAMES], *pc, *fp;
    const struct proc *p = self_or_null();
    char text[256];
    int n;

    (void)snprintf(text, sizeof(text), "%s outside process code%s%s\n", what,
                   p ? ", called by process " : "", p ? p->name ? p->name : p->ops->kind : "");
    crash_write(text);
    context_of(context, &pc, &fp);
    frames[0] = pc;
    n = rt_me ? frames_take(frames, MAX_FRAMES, pc, fp) : 1;
    backtrace_symbols_fd(frames, n, 2);
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
    const struct turn *t = rt_me ? rt_me->turn : NULL;
    char text[64];

    /* A code <= 0 is somebody's kill(), which is meant for the program. */
    if (t && rt_region == REGION_PROC && info->si_code > 0)
        guard_jump(signo, (uintptr_t)info->si_addr, context);
    signal(signo, SIG_DFL);
    (void)snprintf(text, sizeof(text), "signal %d at %p", signo, info->si_addr);
    guard_fatal(text, context);
    if (info->si_code <= 0)
        raise(signo);
}

int guard_install(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    void *prime[2];

    (void)backtrace(prime, 2); /* its first call allocates */
    sa.sa_sigaction = on_fault;
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (sigaction(signals[i], &sa, NULL) < 0)
            return -errno;
    }
    return watchdog_install();
}

static void stack_bounds(struct worker *w)
{
    pthread_attr_t attr;
    void *low;
    size_t size;

    if (pthread_getattr_np(pthread_self(), &attr))
        return;
    if (!pthread_attr_getstack(&attr, &low, &size)) {
        w->stack_low = (uintptr_t)low;
        w->stack_high = (uintptr_t)low + size;
    }
    pthread_attr_destroy(&attr);
}

void guard_thread_init(struct worker *w)
{
    stack_t mine = {.ss_size = SIGNAL_STACK};

    stack_bounds(w);
    mine.ss_sp =
        mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BUG_ON(mine.ss_sp == MAP_FAILED);
    BUG_ON(sigaltstack(&mine, &w->old_signal_stack));
    w->signal_stack = mine.ss_sp;
}

void guard_thread_fini(struct worker *w)
{
    if (!w->signal_stack)
        return;
    (void)sigaltstack(&w->old_signal_stack, NULL); /* at the thread's end nothing depends on it */
    munmap(w->signal_stack, SIGNAL_STACK);
    w->signal_stack = NULL;
}
