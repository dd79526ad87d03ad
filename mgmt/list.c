/*
 * Listings.
 *
 * Each phase goes on until its work is done or the turn is over: filter by name; sort, by a field
 * of each item's JSON, or by vhost and name; write what belongs to the page.
 */
#include "mgmt/list.h"

#include <stdio.h>
#include <string.h>

#include "broker/core/access_pattern.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "mgmt/columns.h"
#include "mgmt/json.h"
#include "mgmt/list_sort.h"
#include "mgmt/request.h"

enum { PAGE_SIZE = 100, PAGE_SIZE_MAX = 500, SORT_STEPS = 256 };

/* Works on; false: the turn is over. Else the next phase may go on, or the answer was given. */
typedef bool phase_fn(struct request *r);

struct list {
    const struct list_ops *ops;
    phase_fn *phase;
    size_t at, kept; /* of the phase */
    struct list_row *row;
    size_t n, size, n_all;  /* n_all: before the filter */
    size_t end;             /* of the rows that are shown */
    int64_t page, per_page; /* page 0: no pages */
    struct list_sort sort;
    struct pattern *pattern;            /* NULL: none */
    const char *name, *field, *columns; /* process memory; NULL: none */
    bool is_reverse, has_stats, has_totals;
};

static void drop_row(struct list *l, struct list_row *row)
{
    l->ops->unref(row->item);
    rt_free(row->text);
}

void list_free(struct list *l)
{
    if (!l)
        return;
    while (l->n > 0)
        drop_row(l, &l->row[--l->n]);
    list_sort_fini(&l->sort);
    rt_free(l->row);
    pattern_free(l->pattern);
    rt_free(l);
}

bool list_wants_stats(const struct request *r)
{
    return !r->foreign->list || r->foreign->list->has_stats;
}

bool list_wants_totals(const struct request *r)
{
    return r->foreign->list->has_totals;
}

static void read_page(struct request *r, struct list *l)
{
    char text[128];

    l->page = request_param_int(r, "page", 0);
    l->per_page = request_param_int(r, "page_size", PAGE_SIZE);
    if (l->page >= 0 && (l->page > 0 || !request_param(r, "page")) && l->per_page >= 1 &&
        l->per_page <= PAGE_SIZE_MAX)
        return;
    snprintf(text, sizeof(text), "Invalid pagination parameters: page number %lld, page size %lld",
             (long long)l->page, (long long)l->per_page);
    request_fail_named(r, 400, "invalid_pagination_parameters", text);
}

static void read_filter(struct request *r, struct list *l)
{
    char why[256];
    char *text;

    l->name = request_param(r, "name");
    if (l->name && !*l->name)
        l->name = NULL;
    if (!l->name || !request_param_is_true(r, "use_regex"))
        return;
    text = proc_alloc(strlen(l->name) + 5);
    strcpy(stpcpy(text, "(?i)"), l->name); /* as RabbitMQ: of any case */
    if (pattern_new(text, &l->pattern, why, sizeof(why)) < 0)
        request_fail(r, 400, why);
    proc_free(text);
}

void list_begin(struct request *r, const struct list_ops *ops)
{
    struct list *l = rt_zalloc(sizeof(*l));

    r->foreign->list = l;
    l->ops = ops;
    l->field = request_param(r, "sort");
    l->columns = request_param(r, "columns");
    l->is_reverse = request_param_is_true(r, "sort_reverse");
    l->has_stats = !request_param_is_true(r, "disable_stats");
    l->has_totals = l->has_stats || request_param_is_true(r, "enable_queue_totals");
    if (l->field && !*l->field)
        l->field = NULL;
    read_page(r, l);
    read_filter(r, l);
}

static bool may_see(const struct request *r, const struct list_id *id)
{
    char vhost[256];

    if (!id->vhost || request_has_tag(r, VIEW_MONITORING))
        return true;
    if (id->vhost_len >= sizeof(vhost))
        return false;
    memcpy(vhost, id->vhost, id->vhost_len);
    vhost[id->vhost_len] = '\0';
    return request_may_see(r, vhost);
}

void list_add(struct request *r, void *item)
{
    RUNTIME_REGION();
    struct list *l = r->foreign->list;
    struct list_id id = {0};

    l->ops->id(item, &id);
    if (!may_see(r, &id)) {
        l->ops->unref(item);
        return;
    }
    if (l->n == l->size) {
        l->size = l->size ? 2 * l->size : 64;
        l->row = rt_realloc(l->row, l->size * sizeof(*l->row));
    }
    l->row[l->n++] = (struct list_row){.item = item};
}

static bool has_name(const struct list *l, const void *item)
{
    struct list_id id = {0};

    l->ops->id(item, &id);
    if (!id.name)
        return false;
    return l->pattern ? pattern_matches(l->pattern, id.name, id.name_len)
                      : list_name_contains(id.name, id.name_len, l->name);
}

static void begin_phase(struct list *l, phase_fn *phase)
{
    l->phase = phase;
    l->at = l->kept = 0;
}
static int compare_rows(const void *ctx, const struct list_row *a, const struct list_row *b)
{
    const struct list *l = ctx;
    struct list_id of_a = {0}, of_b = {0};
    int r = list_row_compare_keys(a, b);

    if (!r) {
        l->ops->id(a->item, &of_a);
        l->ops->id(b->item, &of_b);
        r = list_compare_ids(&of_a, &of_b);
    }
    return l->is_reverse ? -r : r;
}

static size_t count_pages(const struct list *l)
{
    return l->n ? (l->n - 1) / (size_t)l->per_page + 1 : 0;
}

static void add_head(struct text *out, const struct list *l)
{
    char text[256];

    snprintf(text, sizeof(text),
             "{\"filtered_count\":%zu,\"item_count\":%zu,\"page\":%lld,\"page_count\":%zu,"
             "\"page_size\":%lld,\"total_count\":%zu,\"items\":",
             l->n, l->end - l->at, (long long)l->page, count_pages(l), (long long)l->per_page,
             l->n_all);
    text_add_str(out, text);
}

static void write_row(struct request *r, const void *item)
{
    RUNTIME_REGION();
    struct list *l = r->foreign->list;
    json_t *json = l->ops->json(r, item);

    if (!json)
        return;
    if (l->columns)
        json = columns_pick(json, l->columns);
    text_add_comma(&r->foreign->out);
    text_add_json(&r->foreign->out, json);
}

static bool finish(struct request *r)
{
    request_finish(r);
}

/* Not all at once, as the end of the process would. */
static bool drop_rows(struct request *r)
{
    RUNTIME_REGION();
    struct list *l = r->foreign->list;

    while (l->n > 0 && request_may_go_on(l->n))
        drop_row(l, &l->row[--l->n]);
    if (l->n == 0)
        l->phase = finish;
    return l->n == 0;
}

static bool write_rows(struct request *r)
{
    struct list *l = r->foreign->list;

    for (; l->at < l->end; l->at++) {
        if (!request_may_write(r)) /* one takes long enough to ask for each */
            return false;
        write_row(r, l->row[l->at].item);
    }
    text_add_str(&r->foreign->out, l->page ? "]}" : "]");
    l->phase = drop_rows;
    return true;
}

/* Cuts out the page that is asked for; answers with 400 when there is no such page. */
static void cut_page(struct request *r, struct list *l)
{
    char text[128];

    if (l->page > 1 && (uint64_t)l->page > count_pages(l)) {
        snprintf(text, sizeof(text), "Page out of range, page: %lld page size: %lld, len: %zu",
                 (long long)l->page, (long long)l->per_page, l->n);
        request_fail_named(r, 400, "page_out_of_range", text);
    }
    l->at = (size_t)(l->page - 1) * (size_t)l->per_page;
    if (l->end - l->at > (size_t)l->per_page)
        l->end = l->at + (size_t)l->per_page;
    add_head(&r->foreign->out, l);
}

static bool sort_rows(struct request *r)
{
    struct list *l = r->foreign->list;

    while (!list_sort_step(&l->sort, &l->row, l->n, SORT_STEPS, compare_rows, l)) {
        if (proc_is_over_us(REQUEST_TURN_US))
            return false;
    }
    list_sort_fini(&l->sort);
    begin_phase(l, write_rows);
    l->end = l->n;
    if (l->page)
        cut_page(r, l);
    text_add_str(&r->foreign->out, "[");
    return true;
}

/* By a field, each item is shown once more than it would be else: all cannot be kept as JSON. */
static bool make_keys(struct request *r)
{
    RUNTIME_REGION();
    struct list *l = r->foreign->list;

    for (; l->at < l->n && !proc_is_over_us(REQUEST_TURN_US); l->at++) {
        json_t *json = l->ops->json(r, l->row[l->at].item);

        list_row_set_key(&l->row[l->at], columns_get(json, l->field));
        json_decref(json);
    }
    if (l->at < l->n)
        return false;
    begin_phase(l, sort_rows);
    return true;
}

/* Keeps those with the name, in front. */
static bool filter_rows(struct request *r)
{
    RUNTIME_REGION();
    struct list *l = r->foreign->list;

    for (; l->at < l->n && request_may_go_on(l->at); l->at++) {
        struct list_row *row = &l->row[l->at];
        struct list_row is = *row;

        if (!l->name || has_name(l, is.item)) {
            *row = l->row[l->kept];
            l->row[l->kept++] = is;
        }
    }
    if (l->at < l->n)
        return false;
    while (l->n > l->kept)
        drop_row(l, &l->row[--l->n]);
    begin_phase(l, l->field ? make_keys : sort_rows);
    return true;
}

void list_go_on(struct request *r)
{
    while (r->foreign->list->phase(r))
        ;
    request_continue(r);
}

void list_run(struct request *r)
{
    struct list *l = r->foreign->list;

    l->n_all = l->n;
    r->is_listing = true;
    begin_phase(l, filter_rows);
    list_go_on(r);
}
