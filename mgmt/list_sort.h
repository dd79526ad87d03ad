/*
 * list_sort.h - the order of a listing's rows, made in steps. Pure.
 */
#ifndef MGMT_LIST_SORT_H
#define MGMT_LIST_SORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct list_id {              /* lent by the item */
    const char *vhost, *name; /* NULL: has none. Items of a vhost are shown to who may see it */
    size_t vhost_len, name_len;
};

struct list_row {
    void *item;
    /* What it is sorted by, if by a field: numbers, then true and false, others, then texts. */
    int rank;
    double number;
    char *text; /* of rt_alloc; NULL: none */
};

struct list_sort { /* all zero: not begun */
    struct list_row *other;
    size_t width, left, i, j, out;
};

/* Below, at or above 0, as memcmp. */
typedef int list_compare(const void *ctx, const struct list_row *a, const struct list_row *b);

/*
 * Goes on with putting n rows in order (those that compare alike stay in theirs) by `steps` moves;
 * true once they are. *row, memory of rt_alloc, may be another one afterwards.
 */
bool list_sort_step(struct list_sort *s, struct list_row **row, size_t n, size_t steps,
                    list_compare *compare, const void *ctx);
void list_sort_fini(struct list_sort *s);

/* Sets the row's rank, number and text by a value (NULL: there is none). */
void list_row_set_key(struct list_row *row, const json_t *value);
int list_row_compare_keys(const struct list_row *a, const struct list_row *b);
/* By vhost, then by name. */
int list_compare_ids(const struct list_id *a, const struct list_id *b);

/* Whether a name has this text somewhere, of any case (ASCII). */
bool list_name_contains(const char *name, size_t len, const char *text);

#endif
