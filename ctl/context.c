/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/context.h"

#include "base/similar.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/save.h"
#include "proto/text_yaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 63

/* XDG Base Directory Specification: a relative path there is to be ignored. */
static bool find_path(char *path, size_t size)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int len;

    if (config != NULL && config[0] == '/') {
        len = snprintf(path, size, "%s/holdfast/config.yaml", config);
    } else if (home != NULL && home[0] == '/') {
        len = snprintf(path, size, "%s/.config/holdfast/config.yaml", home);
    } else {
        return false;
    }
    return len > 0 && (size_t)len < size;
}

static enum exit_code refuse(const struct context_file *file, const char *key,
                             const char *problem)
{
    (void)fprintf(stderr, "holdfast: %s: %s%s%s\n", file->path, key,
                  key[0] == '\0' ? "" : ": ", problem);
    return EXIT_USAGE;
}

/* Who can write it can send our commands, and our secrets, elsewhere. */
static enum exit_code check_rights(const struct context_file *file, bool *there)
{
    struct stat facts;

    *there = stat(file->path, &facts) == 0;
    if (!*there) {
        return errno == ENOENT || errno == ENOTDIR
                   ? EXIT_OK
                   : refuse(file, "", strerror(errno));
    }
    if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
        (facts.st_uid != geteuid() && facts.st_uid != 0)) {
        return refuse(file, "",
                      "others can write this file: chmod go-w it, and see "
                      "that what it says is yours");
    }
    return EXIT_OK;
}

bool context_name_is_fine(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) &&
            (i == 0 || strchr("._-", name[i]) == NULL)) {
            return false;
        }
    }
    return len > 0 && len <= NAME_MAX_BYTES;
}

static enum exit_code check_one(const struct context_file *file, size_t index)
{
    const Holdfast__V1__Context *context = file->file->contexts[index];
    char key[64];

    if (!context_name_is_fine(context->name)) {
        (void)snprintf(key, sizeof(key), "contexts[%zu].name", index);
        return refuse(file, key,
                      "a name is 1 to 63 letters, digits, and . _ - inside");
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(file->file->contexts[i]->name, context->name) == 0) {
            (void)snprintf(key, sizeof(key), "contexts[%zu].name", index);
            return refuse(file, key, "another context has this name");
        }
    }
    if (context->output[0] != '\0' &&
        !context_output_is_known(context->output)) {
        (void)snprintf(key, sizeof(key), "contexts[%zu].output", index);
        return refuse(file, key, "it is table, wide, json, yaml or name");
    }
    return EXIT_OK;
}

static enum exit_code check(const struct context_file *file)
{
    for (size_t i = 0; i < file->file->n_contexts; i++) {
        enum exit_code code = check_one(file, i);

        if (code != EXIT_OK) {
            return code;
        }
    }
    return file->file->current[0] == '\0' ||
                   context_find(file, file->file->current) != NULL
               ? EXIT_OK
               : refuse(file, "current", "there is no context of this name");
}

enum exit_code context_read(struct invocation *invocation,
                            struct context_file *file)
{
    const ProtobufCMessageDescriptor *descriptor =
        &holdfast__v1__context_file__descriptor;
    ProtobufCMessage *message;
    struct text_error error;
    enum exit_code code;
    bool there;

    if (!find_path(file->path, sizeof(file->path))) {
        file->path[0] = '\0';
        file->file = (void *)request_create(invocation, descriptor);
        return EXIT_OK;
    }
    code = check_rights(file, &there);
    if (code != EXIT_OK) {
        return code;
    }
    if (!there) {
        file->file = (void *)request_create(invocation, descriptor);
        return EXIT_OK;
    }
    if (text_yaml_read_file(descriptor, file->path, &invocation->arena,
                            &message, &error) != 0) {
        (void)fprintf(stderr, "holdfast: %s\n", error.text);
        return EXIT_USAGE;
    }
    file->file = (void *)message;
    return check(file);
}

/* Each folder of the path that is not there yet, for its owner only. */
static bool make_folders(const char *path)
{
    char folder[CONTEXT_PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path),
                       path);
        if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
            return false;
        }
    }
    return true;
}

enum exit_code context_write(const struct context_file *file)
{
    struct bytes text;
    bool written;

    if (file->path[0] == '\0') {
        (void)fprintf(stderr, "holdfast: contexts need $HOME or "
                              "$XDG_CONFIG_HOME: neither is a path\n");
        return EXIT_FAILED;
    }
    bytes_init(&text);
    text_yaml_write(&file->file->base, 0, &text);
    written = make_folders(file->path) && save_file(file->path, &text);
    bytes_close(&text);
    if (!written) {
        (void)fprintf(stderr, "holdfast: cannot write %s: %s\n", file->path,
                      strerror(errno));
    }
    return written ? EXIT_OK : EXIT_FAILED;
}

Holdfast__V1__Context *context_find(const struct context_file *file,
                                    const char *name)
{
    for (size_t i = 0; i < file->file->n_contexts; i++) {
        if (strcmp(file->file->contexts[i]->name, name) == 0) {
            return file->file->contexts[i];
        }
    }
    return NULL;
}

/* Paths are from the file's directory. */
static void resolve(struct invocation *invocation,
                    const struct context_file *file, char **path)
{
    char whole[2 * CONTEXT_PATH_MAX];
    const char *slash = strrchr(file->path, '/');

    if ((*path)[0] != '\0' && (*path)[0] != '/') {
        (void)snprintf(whole, sizeof(whole), "%.*s/%s",
                       (int)(slash - file->path), file->path, *path);
        *path = request_copy(invocation, whole, strlen(whole));
    }
}

static enum exit_code unknown(struct invocation *invocation,
                              const struct context_file *file, const char *name)
{
    struct similar similar;

    similar_init(&similar, name);
    for (size_t i = 0; i < file->file->n_contexts; i++) {
        similar_offer(&similar, file->file->contexts[i]->name);
    }
    return usage_error(invocation, "there is no context `%s`%s%s%s", name,
                       similar.best == NULL ? "; `holdfast context list`"
                                            : "; did you mean `",
                       similar.best == NULL ? "" : similar.best,
                       similar.best == NULL ? "" : "`?");
}

enum exit_code context_choose(struct invocation *invocation)
{
    const char *name = arguments_value(invocation->arguments, OPTION_CONTEXT);
    struct context_file file;
    enum exit_code code;

    invocation->context_is_named = name != NULL && name[0] != '\0';
    if (name == NULL) {
        name = getenv("HOLDFAST_CONTEXT");
    }
    code = context_read(invocation, &file);
    if (code != EXIT_OK) {
        return code;
    }
    name = name == NULL || name[0] == '\0' ? file.file->current : name;
    if (name[0] == '\0') {
        return EXIT_OK;
    }
    invocation->context = context_find(&file, name);
    if (invocation->context == NULL) {
        return unknown(invocation, &file, name);
    }
    resolve(invocation, &file, &invocation->context->tls_ca);
    resolve(invocation, &file, &invocation->context->tls_certificate);
    resolve(invocation, &file, &invocation->context->tls_key);
    return EXIT_OK;
}

bool context_output_is_known(const char *output)
{
    enum output unused;

    return output_find(output, &unused);
}
