/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as the trees that their causes make: each under the one that it
 * follows from, and what one object goes through without anything else
 * following from it on one line. Pure: rows of a table come out. */
#ifndef CTL_EVENT_TREE_H
#define CTL_EVENT_TREE_H

#include "ctl/event.h"
#include "ctl/grid.h"

/* More than that would fill no screen that anybody reads: half a kilobyte
 * each. */
#define EVENT_TREE_MAX 200000

struct event_tree_node;

struct event_tree {
    struct event_tree_node *nodes; /* In order of revisions. */
    size_t count;
    size_t capacity;
};

void event_tree_init(struct event_tree *tree);
void event_tree_close(struct event_tree *tree);

/* The next event, by revisions; it is copied. False: the tree is full. */
bool event_tree_add(struct event_tree *tree, const struct event_view *event);

struct event_tree_style {
    bool unicode;        /* Lines and arrows of the terminal, not - and >. */
    uint32_t branch_max; /* So many rows under one; the rest is counted. */
};

/* Adds columns and rows: when, which revision, what. */
void event_tree_write(const struct event_tree *tree,
                      const struct event_tree_style *style, struct grid *grid);

#endif
