/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as YAML, read as several messages. What is accepted must survive
 * being written and read again, as YAML and as JSON. */
#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "holdfast/v1/config.pb-c.h"
#include "holdfast/v1/resources.pb-c.h"
#include "holdfast/v1/snapshot.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <string.h>

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const ProtobufCMessageDescriptor *descriptor,
                       const struct bytes *text, const struct bytes *json)
{
    struct text_source source = {
        .name = "again", .text = (const char *)text->data, .len = text->len};
    struct arena arena;
    struct text_error error;
    struct bytes again;
    ProtobufCMessage *message;

    arena_init(&arena, ARENA_BYTES);
    bytes_init(&again);
    CHECK(text_yaml_read(descriptor, &source, &arena, &message, &error) == 0);
    text_json_write(message, 0, &again);
    CHECK(again.len == json->len &&
          memcmp(again.data, json->data, json->len) == 0);
    bytes_close(&again);
    arena_close(&arena);
}

static void try_as(const ProtobufCMessageDescriptor *descriptor,
                   const struct text_source *source)
{
    struct arena arena;
    struct text_error error;
    ProtobufCMessage *message;
    int result;

    arena_init(&arena, ARENA_BYTES);
    result = text_yaml_read(descriptor, source, &arena, &message, &error);
    if (result == 0) {
        struct bytes json;
        struct bytes yaml;

        bytes_init(&json);
        bytes_init(&yaml);
        text_json_write(message, 0, &json);
        text_yaml_write(message, 0, &yaml);
        check_same(descriptor, &yaml, &json);
        check_same(descriptor, &json, &json);
        bytes_close(&yaml);
        bytes_close(&json);
    } else {
        CHECK(result == HF_ERROR_INVALID || result == HF_ERROR_TOO_LARGE);
        CHECK(message == NULL && error.text[0] != '\0');
        CHECK(memchr(error.text, '\0', sizeof(error.text)) != NULL);
    }
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const descriptors[] = {
        &holdfast__v1__vm__descriptor,
        &holdfast__v1__node_config__descriptor,
        &holdfast__v1__agent_config__descriptor,
        &holdfast__v1__event__descriptor,
        &holdfast__v1__snapshot_blob__descriptor,
    };
    struct text_source source = {
        .name = "fuzz", .text = (const char *)data, .len = size};

    for (size_t i = 0; i < ARRAY_LEN(descriptors); i++) {
        try_as(descriptors[i], &source);
    }
    return 0;
}
