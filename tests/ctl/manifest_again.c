/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a manifest and writes it as an export would: what differs from the file
 * got lost. usage: manifest_again FILE [json] */
#include "base/bytes.h"
#include "proto/manifest.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    Holdfast__V1__Manifest *manifest;
    struct arena arena;
    struct text_error error;
    struct bytes out;

    if (argc < 2) {
        (void)fputs("usage: manifest_again FILE [json]\n", stderr);
        return 2;
    }
    arena_init(&arena, MANIFEST_ARENA_BYTES);
    bytes_init(&out);
    if (manifest_read_file(argv[1], &arena, &manifest, &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.text);
        arena_close(&arena);
        return 1;
    }
    if (argc > 2 && strcmp(argv[2], "json") == 0) {
        text_json_write(&manifest->base, TEXT_PRETTY, &out);
        bytes_append_u8(&out, '\n');
    } else {
        text_yaml_write(&manifest->base, 0, &out);
    }
    (void)fwrite(out.data, 1, out.len, stdout);
    bytes_close(&out);
    arena_close(&arena);
    return 0;
}
