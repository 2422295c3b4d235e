/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a manifest. What is accepted has a name for everything and no
 * name twice, survives being written and read again, and is not changed by an
 * empty document behind it. What is refused says why, also when a limit is
 * met. */
#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "proto/manifest.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_text(const struct bytes *text, struct arena *arena,
                     Holdfast__V1__Manifest **manifest)
{
    struct text_source source = {
        .name = "again", .text = (const char *)text->data, .len = text->len};
    struct text_error error;

    return manifest_read(&source, arena, manifest, &error);
}

static void check_reads_as(const struct bytes *text, const struct bytes *json)
{
    Holdfast__V1__Manifest *manifest;
    struct arena arena;
    struct bytes again;

    arena_init(&arena, ARENA_BYTES);
    bytes_init(&again);
    CHECK(read_text(text, &arena, &manifest) == 0);
    text_json_write(&manifest->base, 0, &again);
    CHECK(again.len == json->len &&
          memcmp(again.data, json->data, json->len) == 0);
    bytes_close(&again);
    arena_close(&arena);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the names that it is given. */
static void check_names(char **names, size_t count)
{
    if (count > 1) {
        qsort(names, count, sizeof(*names), compare_texts);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(names[i][0] != '\0');
        CHECK(i == 0 || strcmp(names[i - 1], names[i]) != 0);
    }
}

#define CHECK_NAMES(list, count, arena)                                    \
    do {                                                                   \
        char **names = arena_alloc(arena, ((count) + 1) * sizeof(char *)); \
                                                                           \
        CHECK(names != NULL);                                              \
        for (size_t i = 0; i < (count); i++) {                             \
            names[i] = (list)[i]->name;                                    \
        }                                                                  \
        check_names(names, count);                                         \
    } while (false)

static void check_accepted(const struct text_source *source,
                           const Holdfast__V1__Manifest *manifest)
{
    static const char empty[] = "\n---\n{}\n---\n";
    struct arena arena;
    struct bytes json;
    struct bytes text;

    arena_init(&arena, ARENA_BYTES);
    CHECK_NAMES(manifest->zones, manifest->n_zones, &arena);
    CHECK_NAMES(manifest->classes, manifest->n_classes, &arena);
    CHECK_NAMES(manifest->hosts, manifest->n_hosts, &arena);
    CHECK_NAMES(manifest->vms, manifest->n_vms, &arena);
    arena_close(&arena);
    bytes_init(&json);
    bytes_init(&text);
    text_json_write(&manifest->base, 0, &json);
    check_reads_as(&json, &json);
    text_yaml_write(&manifest->base, 0, &text);
    check_reads_as(&text, &json);
    bytes_clear(&text);
    bytes_append(&text, source->text, source->len);
    bytes_append(&text, empty, sizeof(empty) - 1);
    check_reads_as(&text, &json);
    bytes_close(&text);
    bytes_close(&json);
}

static void check_refused(int result, const ProtobufCMessage *message,
                          const struct text_error *error)
{
    CHECK(result == HF_ERROR_INVALID || result == HF_ERROR_TOO_LARGE);
    CHECK(message == NULL && error->text[0] != '\0');
    CHECK(memchr(error->text, '\0', sizeof(error->text)) != NULL);
}

/* What is accepted within lower limits is `accepted` without them. */
static void try_limits(const struct text_source *source, bool accepted)
{
    struct text_limits limits = {.bytes_max = source->len,
                                 .value_max = source->len / 8,
                                 .map_max = source->len % 5};
    ProtobufCMessage *message;
    struct text_error error;
    struct arena arena;
    int result;

    arena_init(&arena, source->len * 4);
    result =
        text_yaml_read_documents(&holdfast__v1__manifest__descriptor, source,
                                 &limits, &arena, &message, &error);
    CHECK(result != 0 || accepted);
    if (result != 0) {
        check_refused(result, message, &error);
    }
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text_source source = {
        .name = "fuzz", .text = (const char *)data, .len = size};
    Holdfast__V1__Manifest *manifest;
    struct text_error error;
    struct arena arena;
    int result;

    arena_init(&arena, ARENA_BYTES);
    result = manifest_read(&source, &arena, &manifest, &error);
    if (result == 0) {
        check_accepted(&source, manifest);
    } else {
        check_refused(result, (const ProtobufCMessage *)manifest, &error);
    }
    arena_close(&arena);
    try_limits(&source, result == 0);
    return 0;
}
