/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/manifest_files.h"

#include "base/container.h"
#include "proto/manifest.h"
#include "proto/manifest_where.h"
#include "proto/text_field.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

static bool read_text(const char *path, struct bytes *text)
{
    FILE *file = is_stdin(path) ? stdin : fopen(path, "re");
    size_t count = 1;
    bool good = file != NULL;

    while (good && count > 0 && text->len <= MANIFEST_BYTES_MAX) {
        count = fread(bytes_reserve(text, 65536), 1, 65536, file);
        text->len += count;
        good = ferror(file) == 0;
    }
    if (!good) {
        (void)fprintf(stderr, "holdfast: cannot read %s: %s\n", path,
                      strerror(errno));
    }
    if (file != NULL && file != stdin) {
        (void)fclose(file);
    }
    return good;
}

static struct text_source source_of(const struct manifest_files *files,
                                    size_t index)
{
    return (struct text_source){
        .name = files->names[index],
        .text = (const char *)files->texts[index].data,
        .len = files->texts[index].len,
    };
}

/* Puts the list's items behind those that there are. */
static bool join_list(struct arena *arena, ProtobufCMessage *to,
                      const ProtobufCMessage *from,
                      const ProtobufCFieldDescriptor *field)
{
    size_t *count = text_field_list_count(to, field);
    size_t more = text_field_count(from, field, false);
    void **member = (void **)(void *)((char *)to + field->offset);
    void **items;

    if (more == 0) {
        return true;
    }
    items = arena_alloc(arena, (*count + more) * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    if (*count > 0) {
        memcpy(items, *member, *count * sizeof(*items));
    }
    memcpy(items + *count, text_field_at(from, field, 0),
           more * sizeof(*items));
    *member = items;
    *count += more;
    return true;
}

static enum exit_code join(struct manifest_files *files,
                           const Holdfast__V1__Manifest *more, const char *name)
{
    const ProtobufCMessageDescriptor *kind = more->base.descriptor;

    if (more->settings != NULL && files->manifest.settings != NULL) {
        (void)fprintf(stderr,
                      "holdfast: %s: settings: another file gives them "
                      "already; give them once\n",
                      name);
        return EXIT_USAGE;
    }
    if (more->settings != NULL) {
        files->manifest.settings = more->settings;
    }
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (kind->fields[i].label == PROTOBUF_C_LABEL_REPEATED &&
            !join_list(&files->arena, &files->manifest.base, &more->base,
                       &kind->fields[i])) {
            (void)fprintf(stderr, "holdfast: %s: too large\n", name);
            return EXIT_USAGE;
        }
    }
    return EXIT_OK;
}

static enum exit_code read_file(struct manifest_files *files, const char *path)
{
    size_t index = files->count++;
    Holdfast__V1__Manifest *manifest;
    struct text_source source;
    struct text_error error;

    files->names[index] = is_stdin(path) ? "standard input" : path;
    if (!read_text(path, &files->texts[index])) {
        return EXIT_USAGE;
    }
    source = source_of(files, index);
    if (manifest_read(&source, &files->arena, &manifest, &error) != 0) {
        (void)fprintf(stderr, "holdfast: %s\n", error.text);
        return EXIT_USAGE;
    }
    return join(files, manifest, files->names[index]);
}

enum exit_code manifest_files_read(struct manifest_files *files,
                                   struct invocation *invocation)
{
    enum exit_code code = EXIT_OK;
    const char *path;

    files->count = 0;
    arena_init(&files->arena, MANIFEST_ARENA_BYTES);
    for (size_t i = 0; i < MANIFEST_FILES_MAX; i++) {
        bytes_init(&files->texts[i]);
    }
    holdfast__v1__manifest__init(&files->manifest);
    if (arguments_value(invocation->arguments, OPTION_MANIFEST) == NULL) {
        return usage_error(invocation, "which fleet? give it with --file");
    }
    for (size_t i = 0; code == EXIT_OK &&
                       (path = arguments_value_at(invocation->arguments,
                                                  OPTION_MANIFEST, i)) != NULL;
         i++) {
        if (i == MANIFEST_FILES_MAX) {
            return usage_error(invocation, "--file: at most %d files",
                               MANIFEST_FILES_MAX);
        }
        code = read_file(files, path);
    }
    return code;
}

void manifest_files_close(struct manifest_files *files)
{
    for (size_t i = 0; i < MANIFEST_FILES_MAX; i++) {
        bytes_close(&files->texts[i]);
    }
    arena_close(&files->arena);
}

/* "vms[17].zone: ..." has a path; "prune: ..." and sentences have none. */
static bool begins_with_path(const char *message, char *path, size_t size)
{
    static const char *const lists[] = {"settings",    "zones", "classes",
                                        "groups",      "vms",   "grants",
                                        "reservations"};
    size_t len = strcspn(message, ": ");

    if (len >= size || message[len] != ':') {
        return false;
    }
    memcpy(path, message, len);
    path[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        size_t name = strlen(lists[i]);

        if (strncmp(path, lists[i], name) == 0 &&
            strchr(".[", path[name]) != NULL) { /* Or its end. */
            return true;
        }
    }
    return false;
}

bool manifest_files_find(const struct manifest_files *files, const char *path,
                         const char **file, unsigned *line)
{
    size_t skipped = 0;

    for (size_t i = 0; i < files->count; i++) {
        struct text_source source = source_of(files, i);

        if (manifest_where(&source, path, &skipped, line)) {
            *file = files->names[i];
            return true;
        }
    }
    return false;
}

void manifest_files_place(const struct manifest_files *files, char *message,
                          size_t size)
{
    char path[256];
    char whole[HF_MESSAGE_MAX];
    const char *file;
    unsigned line;

    if (begins_with_path(message, path, sizeof(path)) &&
        manifest_files_find(files, path, &file, &line)) {
        (void)snprintf(whole, sizeof(whole), "%.200s:%u: %.800s", file, line,
                       message);
        (void)snprintf(message, size, "%s", whole);
    }
}
