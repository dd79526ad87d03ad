/*
 * A merge sort that can rest after each move, and what rows are compared by.
 */
#include "mgmt/list_sort.h"

#include <string.h>
#include <strings.h>

#include "broker/runtime/alloc.h"

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The pair of runs that begins at `left`. */
static void begin_pair(struct list_sort *s, size_t left, size_t n)
{
    s->left = s->i = s->out = left;
    s->j = at_most(left + s->width, n);
}

static void end_pass(struct list_sort *s, struct list_row **row, size_t n)
{
    struct list_row *sorted = s->other;

    s->other = *row;
    *row = sorted;
    s->width *= 2;
    begin_pair(s, 0, n);
}

static void move_one(struct list_sort *s, const struct list_row *row, size_t n,
                     list_compare *compare, const void *ctx)
{
    size_t middle = at_most(s->left + s->width, n), end = at_most(middle + s->width, n);
    bool is_left = s->i < middle && (s->j >= end || compare(ctx, &row[s->i], &row[s->j]) <= 0);

    s->other[s->out++] = row[is_left ? s->i++ : s->j++];
    if (s->out == end)
        begin_pair(s, end, n);
}

bool list_sort_step(struct list_sort *s, struct list_row **row, size_t n, size_t steps,
                    list_compare *compare, const void *ctx)
{
    if (!s->other) {
        s->other = rt_alloc((n + 1) * sizeof(**row));
        s->width = 1;
        begin_pair(s, 0, n);
    }
    for (; s->width < n && steps; steps--) {
        move_one(s, *row, n, compare, ctx);
        if (s->left >= n)
            end_pass(s, row, n);
    }
    return s->width >= n;
}

void list_sort_fini(struct list_sort *s)
{
    rt_free(s->other);
    *s = (struct list_sort){0};
}

enum { RANK_NUMBER, RANK_TRUTH, RANK_OTHER, RANK_TEXT };

/* What is missing sorts as 0, as with RabbitMQ. */
void list_row_set_key(struct list_row *row, const json_t *value)
{
    row->rank = RANK_NUMBER;
    row->number = 0;
    if (json_is_number(value)) {
        row->number = json_number_value(value);
    } else if (json_is_boolean(value)) {
        row->rank = RANK_TRUTH;
        row->number = json_is_true(value);
    } else if (json_is_string(value)) {
        row->rank = RANK_TEXT;
        row->text = strcpy(rt_alloc(json_string_length(value) + 1), json_string_value(value));
    } else if (value && !json_is_null(value)) {
        row->rank = RANK_OTHER;
    }
}

int list_row_compare_keys(const struct list_row *a, const struct list_row *b)
{
    if (a->rank != b->rank)
        return a->rank - b->rank;
    if (a->rank == RANK_TEXT)
        return strcmp(a->text, b->text);
    return (a->number > b->number) - (a->number < b->number);
}

static int compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = at_most(a_len, b_len);
    int r = n ? memcmp(a, b, n) : 0;

    return r ? r : (a_len > b_len) - (a_len < b_len);
}

int list_compare_ids(const struct list_id *a, const struct list_id *b)
{
    int r = compare_text(a->vhost, a->vhost_len, b->vhost, b->vhost_len);

    return r ? r : compare_text(a->name, a->name_len, b->name, b->name_len);
}

bool list_name_contains(const char *name, size_t len, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i + n <= len; i++) {
        if (!strncasecmp(name + i, text, n))
            return true;
    }
    return false;
}
