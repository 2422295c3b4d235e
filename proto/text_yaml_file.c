/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "proto/text_yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int file_error(const char *name, struct text_error *error)
{
    (void)snprintf(error->problem, sizeof(error->problem), "%s",
                   strerror(errno));
    (void)snprintf(error->text, sizeof(error->text), "%s: %s", name,
                   error->problem);
    return HF_ERROR_IO;
}

int text_yaml_read_file(const ProtobufCMessageDescriptor *descriptor,
                        const char *path, struct arena *arena,
                        ProtobufCMessage **message, struct text_error *error)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    struct text_source source = {.name = is_stdin ? "standard input" : path};
    struct bytes text;
    size_t count = 1;
    int result;

    *message = NULL;
    memset(error, 0, sizeof(*error));
    if (file == NULL) {
        return file_error(path, error);
    }
    bytes_init(&text);
    while (count > 0 && text.len <= TEXT_BYTES_MAX) {
        count = fread(bytes_reserve(&text, 65536), 1, 65536, file);
        text.len += count;
    }
    if (ferror(file)) {
        result = file_error(source.name, error);
    } else {
        source.text = (const char *)text.data;
        source.len = text.len;
        result = text_yaml_read(descriptor, &source, arena, message, error);
    }
    bytes_close(&text);
    if (!is_stdin) {
        (void)fclose(file);
    }
    return result;
}
