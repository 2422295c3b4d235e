/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/manifest.h"

static const struct text_limits limits = {.bytes_max = MANIFEST_BYTES_MAX,
                                          .value_max = MANIFEST_VALUES_MAX,
                                          .map_max = MANIFEST_LABELS_MAX};

int manifest_read_file(const char *path, struct arena *arena,
                       Holdfast__V1__Manifest **manifest,
                       struct text_error *error)
{
    ProtobufCMessage *message;
    int result =
        text_yaml_read_documents_file(&holdfast__v1__manifest__descriptor, path,
                                      &limits, arena, &message, error);

    *manifest = (Holdfast__V1__Manifest *)message;
    return result;
}

int manifest_read(const struct text_source *source, struct arena *arena,
                  Holdfast__V1__Manifest **manifest, struct text_error *error)
{
    ProtobufCMessage *message;
    int result =
        text_yaml_read_documents(&holdfast__v1__manifest__descriptor, source,
                                 &limits, arena, &message, error);

    *manifest = (Holdfast__V1__Manifest *)message;
    return result;
}
