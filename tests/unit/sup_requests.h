/*
 * sup_requests.h - requests to the supervisor under test. Needs sup_kids.h before it.
 */
#ifndef TESTS_UNIT_SUP_REQUESTS_H
#define TESTS_UNIT_SUP_REQUESTS_H

/* A request to the supervisor under test, made in the root. */
struct request {
    enum { START, STOP, AGAIN, AWAIT, INSPECT } what;
    const char *id;
    struct child_spec spec;
    proc_ref ref; /* set */
};

static void request_in_root(void *arg)
{
    struct request *r = arg;

    switch (r->what) {
    case START:
        r->ref = sup_start_child(sup.pid, &r->spec, PROC_NO_TIMEOUT);
        break;
    case STOP:
        r->ref = sup_stop_child(sup.pid, r->id, PROC_NO_TIMEOUT);
        break;
    case AGAIN:
        r->ref = sup_restart_child(sup.pid, r->id, PROC_NO_TIMEOUT);
        break;
    case AWAIT:
        r->ref = sup_await(sup.pid, PROC_NO_TIMEOUT);
        break;
    case INSPECT:
        r->ref = rt_inspect(sup.pid, PROC_NO_TIMEOUT);
        break;
    }
}

__attribute__((unused)) static proc_ref start_kid(int i, enum sup_restart restart)
{
    struct request r = {.what = START, .spec = kid_spec(i, restart)};

    tw_do(request_in_root, &r);
    return r.ref;
}

__attribute__((unused)) static proc_ref ask(int what, const char *id)
{
    struct request r = {.what = what, .id = id};

    tw_do(request_in_root, &r);
    return r.ref;
}

/* The answer's err; 1: there is none yet. */
static int err_of(proc_ref ref)
{
    struct tw_entry *e = tw_answer(ref);

    if (!e)
        return 1;
    assert_int_equal(e->type, MSG_SUP_REPLY);
    return e->err;
}

#endif
