/*
 * exposition.h - metrics as text, as Prometheus reads them. Pure.
 *
 * A metric is begun with its name, type and help, and then has its samples, all in one piece.
 */
#ifndef MGMT_EXPOSITION_H
#define MGMT_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#include "mgmt/text.h"

struct exposition { /* all zero: nothing yet */
    struct text *out;
    const char *name; /* of the metric that has begun; lent */
    const char *prefix;
    unsigned n_labels; /* of the sample that has begun */
};

/* type: "gauge", "counter" or "histogram"; name without the prefix, which may be "". */
void metric_begin(struct exposition *e, const char *prefix, const char *name, const char *type,
                  const char *help);

/*
 * A sample: sample_begin, its labels, then its value. suffix: "" or, of histograms, "_bucket" and
 * so on. What is not UTF-8 in a label becomes U+FFFD.
 */
void sample_begin(struct exposition *e, const char *suffix);
void sample_label(struct exposition *e, const char *name, const void *value, size_t len);
void sample_label_str(struct exposition *e, const char *name, const char *value);
void sample_end(struct exposition *e, uint64_t value);
void sample_end_real(struct exposition *e, double value);

/* The metric's only sample, without labels. */
void metric_value(struct exposition *e, uint64_t value);

#endif
