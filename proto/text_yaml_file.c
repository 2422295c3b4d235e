/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "proto/text_yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_standard_input(const char *path)
{
    return strcmp(path, "-") == 0;
}

static const char *name_of(const char *path)
{
    return is_standard_input(path) ? "standard input" : path;
}

static int file_error(const char *name, struct text_error *error)
{
    (void)snprintf(error->problem, sizeof(error->problem), "%s",
                   strerror(errno));
    (void)snprintf(error->text, sizeof(error->text), "%s: %s", name,
                   error->problem);
    return HF_ERROR_IO;
}

/* A little more than `max` bytes of a file that is larger. */
static int read_whole(const char *path, size_t max, struct bytes *text,
                      struct text_error *error)
{
    bool is_stdin = is_standard_input(path);
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    size_t count = 1;
    int result = 0;

    if (file == NULL) {
        return file_error(path, error);
    }
    while (count > 0 && text->len <= max) {
        count = fread(bytes_reserve(text, 65536), 1, 65536, file);
        text->len += count;
    }
    if (ferror(file)) {
        result = file_error(name_of(path), error);
    }
    if (!is_stdin) {
        (void)fclose(file);
    }
    return result;
}

int text_yaml_read_file(const ProtobufCMessageDescriptor *descriptor,
                        const char *path, struct arena *arena,
                        ProtobufCMessage **message, struct text_error *error)
{
    struct bytes text;
    int result;

    *message = NULL;
    memset(error, 0, sizeof(*error));
    bytes_init(&text);
    result = read_whole(path, TEXT_BYTES_MAX, &text, error);
    if (result == 0) {
        struct text_source source = {.name = name_of(path),
                                     .text = (const char *)text.data,
                                     .len = text.len};

        result = text_yaml_read(descriptor, &source, arena, message, error);
    }
    bytes_close(&text);
    return result;
}

int text_yaml_read_documents_file(const ProtobufCMessageDescriptor *descriptor,
                                  const char *path,
                                  const struct text_limits *limits,
                                  struct arena *arena,
                                  ProtobufCMessage **message,
                                  struct text_error *error)
{
    struct bytes text;
    int result;

    *message = NULL;
    memset(error, 0, sizeof(*error));
    bytes_init(&text);
    result = read_whole(path, limits->bytes_max, &text, error);
    if (result == 0) {
        struct text_source source = {.name = name_of(path),
                                     .text = (const char *)text.data,
                                     .len = text.len};

        result = text_yaml_read_documents(descriptor, &source, limits, arena,
                                          message, error);
    }
    bytes_close(&text);
    return result;
}
