/* SPDX-License-Identifier: Apache-2.0
 *
 * The `filter` of lists and watches: conditions on labels, all of which must
 * hold. Pure. */
#ifndef NODE_LABEL_FILTER_H
#define NODE_LABEL_FILTER_H

#include "node/api.h"
#include "state/labels.h"

enum label_relation {
    LABEL_EQUAL,
    LABEL_NOT_EQUAL,
    LABEL_PRESENT,
    LABEL_ABSENT
};

struct label_condition {
    enum label_relation relation;
    struct label label; /* `value` of the first two relations alone. */
};

struct label_filter {
    struct label_condition conditions[LABELS_MAX];
    size_t count; /* 0: takes everything. */
};

/* "a=b,c!=d,e,!f": the label is this, or is not (or is not there at all), is
 * there, is not. The filter lends from `text`. False: the reply has failed. */
bool label_filter_read(struct api_reply *reply, const char *text,
                       struct label_filter *filter);

/* Whether all conditions hold for labels as they are kept. */
bool label_filter_takes(const struct label_filter *filter, struct text labels);

#endif
