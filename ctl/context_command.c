/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast context`: the file is a person's own, and can as well be written
 * by hand. Nothing here speaks with a region. */
#include "base/container.h"
#include "ctl/context.h"
#include "ctl/grid.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum exit_code not_found(const char *name)
{
    (void)fprintf(stderr,
                  "holdfast: there is no context %s\n"
                  "  `holdfast context list` shows those there are.\n",
                  name);
    return EXIT_NOT_FOUND;
}

static void join(const Holdfast__V1__Context *context, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < context->n_endpoints && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i > 0 ? "," : "", context->endpoints[i]);
    }
}

static void show_table(struct invocation *invocation,
                       const struct context_file *file)
{
    struct grid grid;

    grid_init(&grid);
    grid_column(&grid, "NAME");
    grid_column(&grid, "CURRENT");
    grid_column(&grid, "TLS");
    grid_column(&grid, "OUTPUT");
    grid_column(&grid, "ENDPOINTS");
    for (size_t i = 0; i < file->file->n_contexts; i++) {
        const Holdfast__V1__Context *context = file->file->contexts[i];
        bool current = strcmp(context->name, file->file->current) == 0;
        char endpoints[1024];

        join(context, endpoints, sizeof(endpoints));
        grid_cell(&grid, context->name);
        grid_cell_colour(&grid, COLOUR_GOOD, current ? "yes" : "");
        grid_cell(&grid, context->tls_ca[0] == '\0' ? "" : "yes");
        grid_cell(&grid, context->output);
        grid_cell(&grid, endpoints);
    }
    output_table(invocation, &grid, true);
    grid_close(&grid);
}

enum exit_code run_context_list(struct invocation *invocation)
{
    struct context_file file;
    enum exit_code code = context_read(invocation, &file);

    if (code != EXIT_OK) {
        return code;
    }
    if (invocation->output == OUTPUT_NAME) {
        for (size_t i = 0; i < file.file->n_contexts; i++) {
            const char *name = file.file->contexts[i]->name;

            bytes_append(&invocation->out, name, strlen(name));
            bytes_append_u8(&invocation->out, '\n');
        }
    } else if (!output_message(invocation, &file.file->base)) {
        show_table(invocation, &file);
    }
    return EXIT_OK;
}

enum exit_code run_context_show(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const Holdfast__V1__Context *context;
    struct context_file file;
    struct grid grid;
    char endpoints[1024];
    enum exit_code code = context_read(invocation, &file);
    const char *name;

    if (code != EXIT_OK) {
        return code;
    }
    name = arguments->name_count > 0 ? arguments->names[0] : file.file->current;
    if (name[0] == '\0') {
        (void)fprintf(stderr, "holdfast: no context is in use\n");
        return EXIT_NOT_FOUND;
    }
    context = context_find(&file, name);
    if (context == NULL) {
        return not_found(name);
    }
    if (output_message(invocation, &context->base)) {
        return EXIT_OK;
    }
    join(context, endpoints, sizeof(endpoints));
    grid_init(&grid);
    view_detail_columns(&grid);
    view_detail(&grid, "Name", "%s", context->name);
    view_detail(&grid, "Endpoints", "%s", endpoints);
    view_detail(&grid, "Authority", "%s", context->tls_ca);
    view_detail(&grid, "Certificate", "%s", context->tls_certificate);
    view_detail(&grid, "Key", "%s", context->tls_key);
    view_detail(&grid, "Output", "%s", context->output);
    view_detail(&grid, "File", "%s", file.path);
    output_table(invocation, &grid, false);
    grid_close(&grid);
    return EXIT_OK;
}

enum exit_code run_context_use(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];
    struct context_file file;
    enum exit_code code = context_read(invocation, &file);

    if (code != EXIT_OK) {
        return code;
    }
    if (context_find(&file, name) == NULL) {
        return not_found(name);
    }
    file.file->current = request_copy(invocation, name, strlen(name));
    code = context_write(&file);
    if (code == EXIT_OK) {
        output_line(invocation, "context %s is in use", name);
    }
    return code;
}

/* The file is read from elsewhere than where it was written. */
static char *whole_path(struct invocation *invocation, const char *path)
{
    char here[PATH_MAX];
    char whole[2 * PATH_MAX];

    if (path[0] == '\0' || path[0] == '/' ||
        getcwd(here, sizeof(here)) == NULL) {
        return request_copy(invocation, path, strlen(path));
    }
    (void)snprintf(whole, sizeof(whole), "%s/%s", here, path);
    return request_copy(invocation, whole, strlen(whole));
}

static bool fill(struct invocation *invocation, Holdfast__V1__Context *context)
{
    const struct arguments *arguments = invocation->arguments;
    const struct {
        enum option option;
        char **path;
    } paths[] = {{OPTION_TLS_CA, &context->tls_ca},
                 {OPTION_TLS_CERT, &context->tls_certificate},
                 {OPTION_TLS_KEY, &context->tls_key}};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *path = arguments_value(arguments, paths[i].option);

        if (path != NULL) {
            *paths[i].path = whole_path(invocation, path);
        }
    }
    if (arguments_has(arguments, OPTION_ENDPOINT)) {
        context->n_endpoints = 0;
    }
    return request_add_options(invocation, &context->base, "endpoints",
                               OPTION_ENDPOINT) &&
           request_set_option(invocation, &context->base, "output",
                              OPTION_OUTPUT);
}

/* Whether a client could be opened with it. */
static bool endpoints_are_fine(struct invocation *invocation,
                               const Holdfast__V1__Context *context)
{
    char endpoints[HF_ENDPOINTS_MAX * 300];
    struct hf_client *client;
    struct hf_status status;

    join(context, endpoints, sizeof(endpoints));
    if (endpoints[0] == '\0') {
        (void)usage_error(invocation, "--endpoint: a context needs one");
        return false;
    }
    client = hf_client_open(endpoints, &status);
    hf_client_close(client);
    if (client == NULL) {
        (void)usage_error(invocation, "--endpoint: %s", status.message);
    }
    return client != NULL;
}

static Holdfast__V1__Context *add(struct invocation *invocation,
                                  Holdfast__V1__ContextFile *file,
                                  const char *name)
{
    Holdfast__V1__Context **contexts = request_alloc(
        invocation, (file->n_contexts + 1) * sizeof(Holdfast__V1__Context *));
    Holdfast__V1__Context *context =
        (void *)request_create(invocation, &holdfast__v1__context__descriptor);

    if (file->n_contexts > 0) {
        memcpy(contexts, file->contexts,
               file->n_contexts * sizeof(Holdfast__V1__Context *));
    }
    context->name = request_copy(invocation, name, strlen(name));
    contexts[file->n_contexts++] = context;
    file->contexts = contexts;
    return context;
}

enum exit_code run_context_set(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];
    Holdfast__V1__Context *context;
    struct context_file file;
    enum exit_code code = context_read(invocation, &file);

    if (code != EXIT_OK) {
        return code;
    }
    context = context_find(&file, name);
    if (context == NULL) {
        if (!context_name_is_fine(name)) {
            return usage_error(invocation,
                               "`%s` is no name: 1 to 63 letters, digits, and "
                               ". _ - inside",
                               name);
        }
        context = add(invocation, file.file, name);
    }
    if (!fill(invocation, context) ||
        !endpoints_are_fine(invocation, context)) {
        return EXIT_USAGE;
    }
    if (file.file->current[0] == '\0') {
        file.file->current = context->name;
    }
    code = context_write(&file);
    invocation->output = OUTPUT_TABLE; /* -o was for the context. */
    if (code == EXIT_OK) {
        output_line(invocation, "context %s set%s", name,
                    strcmp(file.file->current, name) == 0 ? ", and in use"
                                                          : "");
    }
    return code;
}

enum exit_code run_context_delete(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    struct context_file file;
    enum exit_code code = context_read(invocation, &file);

    for (size_t i = 0; code == EXIT_OK && i < arguments->name_count; i++) {
        const char *name = arguments->names[i];
        size_t kept = 0;

        if (context_find(&file, name) == NULL) {
            return not_found(name);
        }
        for (size_t k = 0; k < file.file->n_contexts; k++) {
            if (strcmp(file.file->contexts[k]->name, name) != 0) {
                file.file->contexts[kept++] = file.file->contexts[k];
            }
        }
        file.file->n_contexts = kept;
        if (strcmp(file.file->current, name) == 0) {
            file.file->current = request_copy(invocation, "", 0);
        }
        output_line(invocation, "context %s deleted", name);
    }
    return code == EXIT_OK ? context_write(&file) : code;
}
