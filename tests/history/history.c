/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/history/history.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"
#include "tests/history/search.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef Holdfast__History__V1__Operation operation_t;

/* Of all operations of a history, and of the form of one line. */
#define ARENA_BYTES      ((size_t)2 << 30)
#define LINE_ARENA_BYTES ((size_t)256 << 10)

#define KIND(name)    HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_##name
#define OUTCOME(name) HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_##name

void history_init(struct history *history)
{
    *history = (struct history){0};
    arena_init(&history->arena, ARENA_BYTES);
}

void history_close(struct history *history)
{
    arena_close(&history->arena);
    free(history->operations);
}

static bool is_told(const operation_t *operation)
{
    return operation->uid != 0 && operation->revision != 0;
}

/* NULL: it is in order. */
static const char *problem_of(const operation_t *operation)
{
    bool unknown = operation->outcome == OUTCOME(UNKNOWN);

    if (operation->kind < KIND(CREATE) || operation->kind > KIND(DELETE)) {
        return "kind: must be create, get, update, move, start, stop or delete";
    }
    if (operation->outcome < OUTCOME(OK) ||
        operation->outcome > OUTCOME(UNKNOWN)) {
        return "outcome: must be ok, refused or unknown";
    }
    if (*operation->vm == '\0') {
        return "vm: must be given";
    }
    if (operation->begin_us == 0) {
        return "begin_us: must be above 0";
    }
    if (unknown != (operation->end_us == 0)) {
        return "end_us: must be given, but not with an unknown outcome";
    }
    if (!unknown && operation->end_us < operation->begin_us) {
        return "end_us: must not be before begin_us";
    }
    if (operation->outcome == OUTCOME(OK) && !is_told(operation)) {
        return "uid, revision: must be given with the outcome ok";
    }
    if (operation->outcome != OUTCOME(OK) &&
        (operation->uid != 0 || operation->revision != 0 ||
         operation->at != 0)) {
        return "uid, revision, at: only an answer tells them";
    }
    if ((operation->outcome == OUTCOME(REFUSED)) ==
        (*operation->code == '\0')) {
        return "code: must be given with the outcome refused, and only then";
    }
    if (operation->kind == KIND(CREATE) && operation->expect_revision != 0) {
        return "expect_revision: nothing can be expected of what is created";
    }
    if (operation->at != 0 && operation->at < operation->revision) {
        return "at: the region's revision is never below the VM's";
    }
    return NULL;
}

static char *keep_text(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy;

    if (size == 1) {
        return (char *)(uintptr_t)protobuf_c_empty_string;
    }
    copy = arena_alloc(arena, size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

int history_add(struct history *history, const operation_t *operation,
                const char **problem)
{
    operation_t *copy;

    *problem = problem_of(operation);
    if (*problem != NULL) {
        return HF_ERROR_INVALID;
    }
    copy = arena_alloc(&history->arena, sizeof(*copy));
    if (copy == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    *copy = *operation;
    copy->vm = keep_text(&history->arena, operation->vm);
    copy->code = keep_text(&history->arena, operation->code);
    copy->reason = keep_text(&history->arena, operation->reason);
    copy->value = keep_text(&history->arena, operation->value);
    copy->desired = keep_text(&history->arena, operation->desired);
    if (copy->vm == NULL || copy->code == NULL || copy->reason == NULL ||
        copy->value == NULL || copy->desired == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 64 : 2 * history->capacity;
        history->operations =
            memory_realloc_array(history->operations, history->capacity,
                                 sizeof(*history->operations));
    }
    history->operations[history->count++] = copy;
    return 0;
}

static void line_error(struct text_error *error, const char *name,
                       unsigned line, const char *problem)
{
    *error = (struct text_error){.line = line};
    (void)snprintf(error->problem, sizeof(error->problem), "%s", problem);
    (void)snprintf(error->text, sizeof(error->text), "%.200s:%u: %s", name,
                   line, error->problem);
}

static int read_line(struct history *history, struct arena *arena,
                     const struct text_source *source, unsigned number,
                     struct text_error *error)
{
    struct text_error of_line;
    ProtobufCMessage *message;
    const char *problem;
    int result;

    if (source->len > HISTORY_LINE_MAX) {
        line_error(error, source->name, number, "longer than 4096 bytes");
        return HF_ERROR_TOO_LARGE;
    }
    arena_clear(arena);
    result = text_yaml_read(&holdfast__history__v1__operation__descriptor,
                            source, arena, &message, &of_line);
    if (result != 0) {
        char words[sizeof(of_line.key) + sizeof(of_line.problem) + 3];

        (void)snprintf(words, sizeof(words), "%s%s%s", of_line.key,
                       of_line.key[0] == '\0' ? "" : ": ", of_line.problem);
        line_error(error, source->name, number, words);
        return result;
    }
    result = history_add(history, (const operation_t *)(const void *)message,
                         &problem);
    if (result != 0) {
        line_error(error, source->name, number,
                   problem != NULL ? problem : "no room for more operations");
    }
    return result;
}

int history_read(struct history *history, const char *name, const char *text,
                 size_t len, struct text_error *error)
{
    struct arena arena;
    unsigned number = 1;
    int result = 0;

    arena_init(&arena, LINE_ARENA_BYTES);
    for (size_t at = 0; at < len && result == 0; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end == NULL ? len - at : (size_t)(end - text) - at;
        struct text_source source = {name, text + at, line};

        if (line > 0) {
            result = read_line(history, &arena, &source, number, error);
        }
        at += line + 1;
    }
    arena_close(&arena);
    return result;
}

void history_write(const operation_t *operation, struct bytes *out)
{
    text_json_write(&operation->base, 0, out);
    bytes_append_u8(out, '\n');
}
