/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_yaml_event.h"

#include "base/check.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Fills in the place, in front of the problem that is already written. */
static int fail_at(struct reader *reader, yaml_mark_t mark, int result)
{
    struct text_error *error = reader->error;

    error->line = (unsigned)mark.line + 1;
    error->column = (unsigned)mark.column + 1;
    (void)snprintf(error->text, sizeof(error->text), "%s:%u:%u: %s%s%s",
                   reader->source->name, error->line, error->column, error->key,
                   error->key[0] == '\0' ? "" : ": ", error->problem);
    return result;
}

int reader_fail(struct reader *reader, int result, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(reader->error->problem, sizeof(reader->error->problem),
                    format, arguments);
    va_end(arguments);
    return fail_at(reader, reader->event.start_mark, result);
}

int reader_fail_too_large(struct reader *reader)
{
    return reader_fail(reader, HF_ERROR_TOO_LARGE,
                       "the text as a whole is too large");
}

/* The path of keys to where the reader is; cut off when very long. */
size_t reader_enter_key(struct reader *reader, const char *name)
{
    struct text_error *error = reader->error;
    size_t before = reader->key_len;
    int len = snprintf(error->key + before, sizeof(error->key) - before, "%s%s",
                       before > 0 ? "." : "", name);

    CHECK(len >= 0);
    reader->key_len = strlen(error->key);
    return before;
}

size_t reader_enter_index(struct reader *reader, size_t index)
{
    struct text_error *error = reader->error;
    size_t before = reader->key_len;

    (void)snprintf(error->key + before, sizeof(error->key) - before, "[%zu]",
                   index);
    reader->key_len = strlen(error->key);
    return before;
}

void reader_leave(struct reader *reader, size_t before)
{
    reader->key_len = before;
    reader->error->key[before] = '\0';
}

int reader_fail_here(struct reader *reader, int result)
{
    return fail_at(reader, reader->event.start_mark, result);
}

static int parse_error(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    yaml_mark_t mark = parser->problem_mark;

    (void)snprintf(reader->error->problem, sizeof(reader->error->problem),
                   "%s%s%s",
                   parser->problem == NULL ? "not YAML" : parser->problem,
                   parser->context == NULL ? "" : " ",
                   parser->context == NULL ? "" : parser->context);
    if (parser->error == YAML_READER_ERROR) {
        memset(&mark, 0, sizeof(mark));
        for (size_t i = 0;
             i < parser->problem_offset && i < reader->source->len; i++) {
            mark.line += reader->source->text[i] == '\n';
            mark.column = reader->source->text[i] == '\n' ? 0 : mark.column + 1;
        }
    }
    return fail_at(reader, mark, HF_ERROR_INVALID);
}

static const char *anchor_of(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
    }
    return (const char *)anchor;
}

static const char *tag_of(const yaml_event_t *event)
{
    const yaml_char_t *tag = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        tag = event->data.mapping_start.tag;
    }
    return (const char *)tag;
}

int reader_next(struct reader *reader)
{
    yaml_event_t *event = &reader->event;

    yaml_event_delete(event);
    memset(event, 0, sizeof(*event));
    if (!yaml_parser_parse(&reader->parser, event)) {
        return parse_error(reader);
    }
    if (event->type == YAML_ALIAS_EVENT || anchor_of(event) != NULL) {
        return reader_fail(reader, HF_ERROR_INVALID,
                           "anchors and aliases are not allowed: write it out");
    }
    if (tag_of(event) != NULL) {
        return reader_fail(reader, HF_ERROR_INVALID,
                           "tags are not allowed: the key decides the type");
    }
    if (++reader->value_count > reader->limits->value_max) {
        return reader_fail(reader, HF_ERROR_TOO_LARGE, "more than %zu values",
                           reader->limits->value_max);
    }
    return 0;
}

bool reader_is_null(const struct reader *reader)
{
    const yaml_event_t *event = &reader->event;
    const char *text = (const char *)event->data.scalar.value;

    return event->type == YAML_SCALAR_EVENT &&
           event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 ||
            strcmp(text, "null") == 0);
}

static const char *event_name(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return "keys with values";
    default:
        return "a single value";
    }
}

int reader_expect(struct reader *reader, yaml_event_type_t type,
                  const char *expected)
{
    if (reader->event.type == type) {
        return 0;
    }
    return reader_fail(reader, HF_ERROR_INVALID, "expected %s, not %s",
                       expected, event_name(&reader->event));
}
