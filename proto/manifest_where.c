/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/manifest_where.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct walk {
    yaml_parser_t parser;
    yaml_event_t event; /* The one that is looked at. */
    bool failed;
    const char *list; /* The path's first word; not NUL-terminated. */
    size_t list_len;
    bool has_index;
    size_t index;     /* Of the item, in this text. */
    const char *rest; /* Of the path, behind the item. */
    size_t items;     /* Seen so far. */
    bool found;
    unsigned line;
};

/* False at the end of the text, or when it is none. */
static bool next(struct walk *walk)
{
    if (walk->failed) {
        return false;
    }
    yaml_event_delete(&walk->event);
    if (yaml_parser_parse(&walk->parser, &walk->event) == 0) {
        memset(&walk->event, 0, sizeof(walk->event));
        walk->failed = true;
    }
    return !walk->failed && walk->event.type != YAML_STREAM_END_EVENT;
}

/* From a node's first event to its last. */
static void skip(struct walk *walk)
{
    unsigned depth = 0;

    do {
        yaml_event_type_t type = walk->event.type;

        depth += type == YAML_MAPPING_START_EVENT ||
                 type == YAML_SEQUENCE_START_EVENT;
        depth -=
            type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
    } while (depth > 0 && next(walk));
}

static bool is_key(const struct walk *walk, const char *word, size_t len)
{
    return walk->event.type == YAML_SCALAR_EVENT &&
           walk->event.data.scalar.length == len &&
           memcmp(walk->event.data.scalar.value, word, len) == 0;
}

static void take_line(struct walk *walk)
{
    walk->line = (unsigned)walk->event.start_mark.line + 1;
}

/* In a mapping, to the value of a key; false: it has none. */
static bool enter_key(struct walk *walk, const char *word, size_t len)
{
    while (next(walk) && walk->event.type != YAML_MAPPING_END_EVENT) {
        if (is_key(walk, word, len)) {
            take_line(walk);
            return next(walk);
        }
        skip(walk);
        if (!next(walk)) {
            return false;
        }
        skip(walk);
    }
    return false;
}

static bool enter_item(struct walk *walk, size_t index)
{
    while (next(walk) && walk->event.type != YAML_SEQUENCE_END_EVENT) {
        if (index-- == 0) {
            take_line(walk);
            return true;
        }
        skip(walk);
    }
    return false;
}

/* Down the rest of the path as far as it goes. */
static void follow(struct walk *walk, const char *path)
{
    bool there = true;

    while (there && *path != '\0') {
        size_t len = strcspn(path, ".[");

        if (len > 0) {
            there = walk->event.type == YAML_MAPPING_START_EVENT &&
                    enter_key(walk, path, len);
        } else if (*path == '[') {
            char *end;
            size_t index = (size_t)strtoull(path + 1, &end, 10);

            there = *end == ']' &&
                    walk->event.type == YAML_SEQUENCE_START_EVENT &&
                    enter_item(walk, index);
            len = (size_t)(end - path) + (*end == ']');
        } else {
            len = 1; /* The full stop between two words. */
        }
        path += len;
    }
}

/* In the list itself. */
static void walk_list(struct walk *walk)
{
    if (!walk->has_index) {
        walk->found = true;
        follow(walk, walk->rest);
        return;
    }
    if (walk->event.type != YAML_SEQUENCE_START_EVENT) {
        return;
    }
    while (next(walk) && walk->event.type != YAML_SEQUENCE_END_EVENT) {
        if (walk->items == walk->index) {
            walk->found = true;
            take_line(walk);
            follow(walk, walk->rest);
            return;
        }
        walk->items++;
        skip(walk);
    }
}

static void walk_document(struct walk *walk)
{
    while (!walk->found && next(walk) &&
           walk->event.type != YAML_MAPPING_END_EVENT) {
        bool here = is_key(walk, walk->list, walk->list_len);

        if (here) {
            take_line(walk);
        } else {
            skip(walk);
        }
        if (!next(walk)) {
            return;
        }
        if (here) {
            walk_list(walk);
        } else {
            skip(walk);
        }
    }
}

bool manifest_where(const struct text_source *source, const char *path,
                    size_t *skipped, unsigned *line)
{
    struct walk walk = {.list = path, .list_len = strcspn(path, ".[:, ")};
    char *end;

    walk.rest = path + walk.list_len;
    if (*walk.rest == '[') {
        walk.has_index = true;
        walk.index = (size_t)strtoull(walk.rest + 1, &end, 10);
        if (*end != ']' || walk.index < *skipped) {
            return false;
        }
        walk.index -= *skipped;
        walk.rest = end + 1;
    }
    if (yaml_parser_initialize(&walk.parser) == 0) {
        return false;
    }
    yaml_parser_set_input_string(
        &walk.parser, (const unsigned char *)source->text, source->len);
    while (!walk.found && next(&walk)) {
        if (walk.event.type == YAML_MAPPING_START_EVENT) {
            walk_document(&walk);
        }
    }
    yaml_event_delete(&walk.event);
    yaml_parser_delete(&walk.parser);
    *skipped += walk.items;
    *line = walk.line;
    return walk.found;
}
