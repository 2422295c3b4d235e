/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/event_tree.h"

#include "base/check.h"
#include "base/memory.h"
#include "ctl/format.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Indents deeper than that would leave no room for the text. */
#define DEPTH_MAX 24
#define TEXT_MAX  512

#define NODE_NONE SIZE_MAX

struct event_tree_node {
    uint64_t revision;
    uint64_t cause_revision;
    uint64_t time_ms;
    int cause;
    const char *noun;
    char name[64];
    struct event_text text;
    /* By index; NODE_NONE: none. Filled in when it is written. */
    size_t parent;
    size_t first;
    size_t last;
    size_t next;
    size_t child_count;
};

struct marks {
    const char *branch;
    const char *last;
    const char *past;
    const char *blank;
    const char *then;
};

static const struct marks lines = {"\u251c\u2500 ", "\u2514\u2500 ", "\u2502  ",
                                   "   ", " \u2192 "};
static const struct marks ascii = {"|- ", "`- ", "|  ", "   ", " -> "};

void event_tree_init(struct event_tree *tree)
{
    *tree = (struct event_tree){.nodes = NULL};
}

void event_tree_close(struct event_tree *tree)
{
    free(tree->nodes);
    *tree = (struct event_tree){.nodes = NULL};
}

bool event_tree_add(struct event_tree *tree, const struct event_view *event)
{
    const struct view *view = view_find(event->object->descriptor);
    struct event_tree_node *node;

    if (tree->count == EVENT_TREE_MAX) {
        return false;
    }
    if (tree->count == tree->capacity) {
        tree->capacity = 2 * tree->capacity + 64;
        tree->nodes = memory_realloc_array(tree->nodes, tree->capacity,
                                           sizeof(*tree->nodes));
    }
    node = &tree->nodes[tree->count++];
    *node = (struct event_tree_node){
        .revision = event->revision,
        .cause_revision = event->cause_revision,
        .time_ms = event->time_ms,
        .cause = event->cause,
        .noun = view == NULL ? "settings" : view->noun,
        .text = event_text(event),
    };
    (void)snprintf(node->name, sizeof(node->name), "%s",
                   view_string(event->object, "name"));
    return true;
}

/* --- Links --------------------------------------------------------------- */

static size_t find(const struct event_tree *tree, uint64_t revision)
{
    size_t low = 0;
    size_t high = tree->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tree->nodes[middle].revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < tree->count && tree->nodes[low].revision == revision
               ? low
               : NODE_NONE;
}

static bool is_same_object(const struct event_tree_node *a,
                           const struct event_tree_node *b)
{
    return strcmp(a->noun, b->noun) == 0 && strcmp(a->name, b->name) == 0;
}

/* What a group does step by step stands side by side, not ever deeper. */
static size_t parent_of(const struct event_tree *tree, size_t at)
{
    const struct event_tree_node *node = &tree->nodes[at];
    size_t parent = node->cause_revision == 0
                        ? NODE_NONE
                        : find(tree, node->cause_revision);

    while (parent != NODE_NONE && strcmp(node->noun, "group") == 0 &&
           is_same_object(node, &tree->nodes[parent]) &&
           tree->nodes[parent].parent != NODE_NONE) {
        parent = tree->nodes[parent].parent;
    }
    return parent == NODE_NONE || parent >= at ? NODE_NONE : parent;
}

/* Children in order of revisions: an event comes after what it follows from. */
static void link_all(const struct event_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct event_tree_node *node = &tree->nodes[i];
        struct event_tree_node *parent;

        node->first = node->last = node->next = NODE_NONE;
        node->child_count = 0;
        node->parent = parent_of(tree, i);
        if (node->parent == NODE_NONE) {
            continue;
        }
        parent = &tree->nodes[node->parent];
        if (parent->last == NODE_NONE) {
            parent->first = i;
        } else {
            tree->nodes[parent->last].next = i;
        }
        parent->last = i;
        parent->child_count++;
    }
}

/* The last event of the line that begins with this one. */
static size_t end_of_line(const struct event_tree *tree, size_t at)
{
    const struct event_tree_node *node = &tree->nodes[at];

    while (node->child_count == 1 &&
           is_same_object(node, &tree->nodes[node->first])) {
        at = node->first;
        node = &tree->nodes[at];
    }
    return at;
}

/* --- Rows ---------------------------------------------------------------- */

struct writer {
    const struct event_tree *tree;
    const struct event_tree_style *style;
    const struct marks *marks;
    struct grid *grid;
    uint64_t began_ms;        /* When the tree began. */
    bool more[DEPTH_MAX + 1]; /* By depth: further branches follow. */
};

static size_t add_text(char *text, size_t used, const char *more)
{
    int len = used < TEXT_MAX
                  ? snprintf(text + used, TEXT_MAX - used, "%s", more)
                  : 0;

    return used + (size_t)len;
}

static size_t indent(const struct writer *writer, size_t depth, char *text)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t level = 1; level < depth; level++) {
        used = add_text(text, used,
                        writer->more[level] ? writer->marks->past
                                            : writer->marks->blank);
    }
    if (depth > 0) {
        used = add_text(text, used,
                        writer->more[depth] ? writer->marks->branch
                                            : writer->marks->last);
    }
    return used;
}

static void write_when(const struct writer *writer, uint64_t time_ms,
                       size_t depth)
{
    uint64_t later_ms =
        time_ms > writer->began_ms ? time_ms - writer->began_ms : 0;

    if (depth == 0) {
        grid_cell(writer->grid, format_time(time_ms).text);
    } else {
        grid_cell_format(writer->grid, "+%" PRIu64 ".%03" PRIu64 "s",
                         later_ms / 1000, later_ms % 1000);
    }
}

/* "vm web: pending [host lost] -> assigned on h1 -> running": why it began
 * stands behind its first event. */
static void write_line(const struct writer *writer, size_t from, size_t to,
                       size_t depth)
{
    const struct event_tree_node *first = &writer->tree->nodes[from];
    const struct event_tree_node *end = &writer->tree->nodes[to];
    const struct event_tree_node *node = first;
    char text[TEXT_MAX];
    size_t used = indent(writer, depth, text);

    used = add_text(text, used, first->noun);
    used = add_text(text, used, first->name[0] == '\0' ? "" : " ");
    used = add_text(text, used, first->name);
    used = add_text(text, used, ": ");
    used = add_text(text, used, first->text.state);
    used = add_text(text, used, first->text.place);
    used = add_text(text, used, " [");
    used = add_text(text, used, event_cause_text(first->cause).text);
    used = add_text(text, used, "]");
    while (node != end) {
        const struct event_tree_node *next = &writer->tree->nodes[node->first];

        used = add_text(text, used, writer->marks->then);
        used = add_text(text, used, next->text.state);
        if (strcmp(next->text.place, node->text.place) != 0) {
            used = add_text(text, used, next->text.place);
        }
        node = next;
    }
    write_when(writer, end->time_ms, depth);
    if (from == to) {
        grid_cell_format(writer->grid, "%" PRIu64, first->revision);
    } else {
        grid_cell_format(writer->grid, "%" PRIu64 "..%" PRIu64, first->revision,
                         end->revision);
    }
    grid_cell_colour(writer->grid, end->text.colour, text);
}

static void write_rest(struct writer *writer, const char *what, size_t depth)
{
    char text[TEXT_MAX];
    size_t used;

    writer->more[depth] = false;
    used = indent(writer, depth, text);
    (void)add_text(text, used, what);
    grid_cell(writer->grid, " ");
    grid_cell(writer->grid, " ");
    grid_cell_colour(writer->grid, COLOUR_DIM, text);
}

/* The next branch of the same level, if it is to be written. */
static bool next_branch(struct writer *writer, size_t *at, uint32_t *rank,
                        size_t depth)
{
    const struct event_tree_node *nodes = writer->tree->nodes;
    size_t left = nodes[nodes[*at].parent].child_count - *rank;
    char text[64];

    if (left > 0 && *rank >= writer->style->branch_max) {
        (void)snprintf(text, sizeof(text), "... %zu more; --all shows them",
                       left);
        write_rest(writer, text, depth);
        left = 0;
    }
    *at = nodes[*at].next;
    (*rank)++;
    return left > 0;
}

/* Depth first, without recursion: what follows from what may go deep. */
static void write_tree(struct writer *writer, size_t root)
{
    const struct event_tree_node *nodes = writer->tree->nodes;
    size_t path[DEPTH_MAX + 1] = {root};
    uint32_t rank[DEPTH_MAX + 1] = {0}; /* Of the branch, from 1. */
    size_t depth = 0;

    do {
        size_t at = path[depth];
        size_t end = end_of_line(writer->tree, at);

        writer->more[depth] = nodes[at].next != NODE_NONE;
        write_line(writer, at, end, depth);
        if (nodes[end].first != NODE_NONE && depth < DEPTH_MAX - 1) {
            path[++depth] = nodes[end].first;
            rank[depth] = 1;
            continue;
        }
        if (nodes[end].first != NODE_NONE) {
            write_rest(writer, "... and what follows from it", depth + 1);
        }
        while (depth > 0 &&
               !next_branch(writer, &path[depth], &rank[depth], depth)) {
            depth--;
        }
    } while (depth > 0);
}

void event_tree_write(const struct event_tree *tree,
                      const struct event_tree_style *style, struct grid *grid)
{
    struct writer writer = {
        .tree = tree,
        .style = style,
        .marks = style->unicode ? &lines : &ascii,
        .grid = grid,
    };

    CHECK(style->branch_max > 0);
    link_all(tree);
    grid_column(grid, "TIME");
    grid_column_right(grid, "REVISION");
    grid_column(grid, "EVENT");
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->nodes[i].parent == NODE_NONE) {
            writer.began_ms = tree->nodes[i].time_ms;
            write_tree(&writer, i);
        }
    }
}
