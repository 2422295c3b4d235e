/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "ctl/context.h"
#include "ctl/format.h"
#include "ctl/help.h"
#include "ctl/invocation.h"
#include "ctl/output.h"
#include "ctl/request.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENDPOINTS_DEFAULT "127.0.0.1:7400"

/* Names in a question; more would hide it. */
#define ASKED_NAMES_MAX 8

/* Requests hold at most a file's 1 MiB and what the command line holds. */
#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

enum exit_code usage_error(const struct invocation *invocation,
                           const char *format, ...)
{
    const struct command *command = invocation->command;
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "holdfast: %s\n", text);
    if (command == NULL) {
        const char *noun = invocation->arguments->noun;

        noun = noun == NULL || noun_summary(noun) == NULL ? NULL : noun;
        (void)fprintf(stderr, "  `holdfast %s%s--help` shows what there is.\n",
                      noun == NULL ? "" : noun, noun == NULL ? "" : " ");
    } else {
        (void)fprintf(stderr, "  `holdfast %s%s%s --help` tells more.\n",
                      command->noun, command->verb == NULL ? "" : " ",
                      command->verb == NULL ? "" : command->verb);
    }
    return EXIT_USAGE;
}

enum exit_code run_version(struct invocation *invocation)
{
    bytes_append(&invocation->out, "holdfast " HF_VERSION "\n",
                 strlen("holdfast " HF_VERSION "\n"));
    return EXIT_OK;
}

static void write_help(struct invocation *invocation,
                       const struct command *command, const char *noun)
{
    if (command != NULL) {
        help_write_command(command, &invocation->out);
    } else if (noun != NULL) {
        help_write_noun(noun, &invocation->out);
    } else {
        help_write_all(&invocation->out);
    }
}

enum exit_code run_help(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *folder = arguments_value(arguments, OPTION_MAN);
    const struct command *command =
        arguments->name_count == 0
            ? NULL
            : command_find(arguments->names, arguments->name_count);

    if (folder != NULL) {
        return manual_save(folder);
    }
    if (command != NULL && command_words(command) == arguments->name_count) {
        write_help(invocation, command, NULL);
        return EXIT_OK;
    }
    if (arguments->name_count > 0 &&
        noun_summary(arguments->names[0]) == NULL) {
        return usage_error(invocation, "there is no command `%s`",
                           arguments->names[0]);
    }
    write_help(invocation, NULL,
               arguments->name_count == 0 ? NULL : arguments->names[0]);
    return EXIT_OK;
}

/* An option, else the context. */
static bool read_output(struct invocation *invocation)
{
    const char *text = arguments_value(invocation->arguments, OPTION_OUTPUT);

    if (text == NULL && invocation->context != NULL &&
        invocation->context->output[0] != '\0') {
        text = invocation->context->output;
    }
    if (text == NULL || text[0] == '\0' ||
        output_find(text, &invocation->output)) {
        return true;
    }
    (void)usage_error(invocation,
                      "--output: unknown format `%s`; it is table, wide, json, "
                      "yaml or name%s",
                      text, output_hint(text).text);
    return false;
}

static void append_endpoint(struct bytes *list, const char *text)
{
    bytes_append(list, ",", list->len > 0);
    bytes_append(list, text, strlen(text));
}

/* All --endpoint options, else a context that was named, else the environment,
 * else the context in use, else this machine. */
static void endpoints_of(const struct invocation *invocation,
                         struct bytes *list)
{
    const Holdfast__V1__Context *context = invocation->context;
    const char *from = getenv("HOLDFAST_ENDPOINTS");
    const char *text;

    for (size_t i = 0; (text = arguments_value_at(invocation->arguments,
                                                  OPTION_ENDPOINT, i)) != NULL;
         i++) {
        append_endpoint(list, text);
    }
    if (list->len == 0 && from != NULL && from[0] != '\0' &&
        !invocation->context_is_named) {
        append_endpoint(list, from);
    }
    if (list->len == 0 && context != NULL) {
        for (size_t i = 0; i < context->n_endpoints; i++) {
            append_endpoint(list, context->endpoints[i]);
        }
    }
    if (list->len == 0) {
        append_endpoint(list, ENDPOINTS_DEFAULT);
    }
    bytes_append_u8(list, '\0');
}

/* An option, else the environment, else the context (which comes before the
 * environment when it was named); NULL: none of them. */
static const char *setting(const struct invocation *invocation,
                           enum option option, const char *variable,
                           const char *of_context)
{
    const char *value = arguments_value(invocation->arguments, option);
    const char *from = getenv(variable);
    bool has_from = from != NULL && from[0] != '\0';

    if (value == NULL && has_from && !invocation->context_is_named) {
        value = from;
    }
    value = value == NULL ? of_context : value;
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool use_tls(struct invocation *invocation)
{
    const Holdfast__V1__Context *context = invocation->context;
    const struct hf_tls files = {
        .ca = setting(invocation, OPTION_TLS_CA, "HOLDFAST_TLS_CA",
                      context == NULL ? NULL : context->tls_ca),
        .certificate =
            setting(invocation, OPTION_TLS_CERT, "HOLDFAST_TLS_CERT",
                    context == NULL ? NULL : context->tls_certificate),
        .key = setting(invocation, OPTION_TLS_KEY, "HOLDFAST_TLS_KEY",
                       context == NULL ? NULL : context->tls_key),
    };
    struct hf_status status;

    if (files.ca == NULL && files.certificate == NULL && files.key == NULL) {
        return true;
    }
    if (files.ca == NULL) {
        (void)usage_error(invocation, "--tls-ca: without the authority of the "
                                      "nodes there is no TLS");
        return false;
    }
    if (hf_client_use_tls(invocation->client, &files, &status) !=
        HF_STATUS_OK) {
        (void)usage_error(invocation, "%s", status.message);
        return false;
    }
    return true;
}

#define TOKEN_FILE_MAX 4096

/* The file's first line. A token is worth what a key is, and so may not be
 * readable by others. */
static bool read_token(const char *path, char *token, size_t size, char *error,
                       size_t error_size)
{
    FILE *file = fopen(path, "re");
    struct stat found;
    size_t len;

    if (file == NULL) {
        (void)snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    if (fstat(fileno(file), &found) != 0 ||
        (S_ISREG(found.st_mode) &&
         (found.st_mode & (S_IRWXO | S_IWGRP)) != 0)) {
        (void)snprintf(error, error_size,
                       "%s: others can read or change this token: chmod 600 "
                       "it, and make another if they may have",
                       path);
        (void)fclose(file);
        return false;
    }
    len = fread(token, 1, size - 1, file);
    (void)fclose(file);
    token[len] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    return true;
}

/* A file that is named counts before the environment's token. */
static bool use_token(struct invocation *invocation)
{
    const char *path =
        setting(invocation, OPTION_TOKEN_FILE, "HOLDFAST_TOKEN_FILE", NULL);
    const char *from = getenv("HOLDFAST_TOKEN");
    char token[TOKEN_FILE_MAX];
    char error[HF_MESSAGE_MAX];
    struct hf_status status;

    if (path == NULL && (from == NULL || from[0] == '\0')) {
        return true;
    }
    if (path == NULL) {
        (void)snprintf(token, sizeof(token), "%s", from);
    } else if (!read_token(path, token, sizeof(token), error, sizeof(error))) {
        (void)usage_error(invocation, "--token-file: %s", error);
        return false;
    }
    if (hf_client_use_token(invocation->client, token, &status) !=
        HF_STATUS_OK) {
        (void)usage_error(invocation, "%s", status.message);
        return false;
    }
    return true;
}

static bool open_client(struct invocation *invocation)
{
    const char *timeout =
        arguments_value(invocation->arguments, OPTION_TIMEOUT);
    uint64_t timeout_ms = 0;
    struct hf_status status;
    struct bytes list;

    if (timeout != NULL && (!format_read_duration(timeout, &timeout_ms) ||
                            timeout_ms > UINT32_MAX)) {
        (void)usage_error(invocation,
                          "--timeout: `%s` is no time; write 500ms, 10s or 2m",
                          timeout);
        return false;
    }
    bytes_init(&list);
    endpoints_of(invocation, &list);
    invocation->client = hf_client_open((const char *)list.data, &status);
    bytes_close(&list);
    if (invocation->client == NULL) {
        (void)usage_error(invocation, "--endpoint: %s", status.message);
        return false;
    }
    if (timeout_ms > 0) {
        hf_client_set_timeout(invocation->client, (uint32_t)timeout_ms);
    }
    return use_tls(invocation) && use_token(invocation);
}

static bool wants_colours(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* At a terminal a person is asked before something is destroyed; a script is
 * not. */
static bool is_confirmed(const struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    char answer[16] = "";

    if (!invocation->command->destroys || !invocation->progress ||
        isatty(STDIN_FILENO) == 0 || arguments_has(arguments, OPTION_YES) ||
        arguments_has(arguments, OPTION_DRY_RUN)) {
        return true;
    }
    (void)fprintf(stderr, "%s %s", invocation->command->verb,
                  invocation->command->noun);
    for (size_t i = 0; i < arguments->name_count; i++) {
        if (i == ASKED_NAMES_MAX && arguments->name_count > i + 1) {
            (void)fprintf(stderr, ", and %zu more", arguments->name_count - i);
            break;
        }
        (void)fprintf(stderr, "%s %s", i > 0 ? "," : "", arguments->names[i]);
    }
    (void)fprintf(stderr, "? [y/N] ");
    if (fgets(answer, sizeof(answer), stdin) != NULL &&
        (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0)) {
        return true;
    }
    (void)fprintf(stderr, "holdfast: nothing was done\n");
    return false;
}

static enum exit_code run_command(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;

    if (arguments_has(arguments, OPTION_HELP)) {
        write_help(invocation, invocation->command, arguments->noun);
        return EXIT_OK;
    }
    if (invocation->command == NULL) {
        write_help(invocation, NULL, arguments->noun);
        (void)fwrite(invocation->out.data, 1, invocation->out.len, stderr);
        bytes_clear(&invocation->out);
        return EXIT_USAGE;
    }
    if (invocation->command->method != NULL &&
        context_choose(invocation) != EXIT_OK) {
        return EXIT_USAGE;
    }
    if (!read_output(invocation)) {
        return EXIT_USAGE;
    }
    if (invocation->command->method != NULL && !open_client(invocation)) {
        return EXIT_USAGE;
    }
    if (!is_confirmed(invocation)) {
        return EXIT_FAILED;
    }
    return invocation->command->run(invocation);
}

/* `plan` and `diff` speak as diff(1) does: 0 nothing, 2 something, 1 an error.
 * What is wrong usage elsewhere must not look like a change. */
static enum exit_code code_of_plan(const struct invocation *invocation,
                                   enum exit_code code)
{
    const struct command *command = invocation->command;
    const char *noun = invocation->arguments->noun;

    if (noun == NULL ||
        (strcmp(noun, "plan") != 0 && strcmp(noun, "diff") != 0) ||
        (command != NULL && command->run == run_plan_apply)) {
        return code;
    }
    if (code != EXIT_OK) {
        return EXIT_FAILED;
    }
    return invocation->changes ? EXIT_CHANGES : EXIT_OK;
}

enum exit_code ctl_run(int argc, char *const *argv)
{
    struct arguments *arguments = memory_alloc(sizeof(*arguments));
    struct invocation invocation = {.arguments = arguments};
    enum exit_code code;

    (void)signal(SIGPIPE, SIG_IGN); /* NOLINT(bugprone-signal-handler) */
    arena_init(&invocation.arena, ARENA_BYTES);
    bytes_init(&invocation.out);
    invocation.colours = wants_colours();
    invocation.terminal = isatty(STDOUT_FILENO) != 0;
    invocation.progress = isatty(STDERR_FILENO) != 0;
    if (!arguments_read(arguments, argc, argv)) {
        invocation.command = arguments->command;
        code = usage_error(&invocation, "%s", arguments->error);
    } else {
        invocation.command = arguments->command;
        code = run_command(&invocation);
    }
    code = code_of_plan(&invocation, code);
    output_flush(&invocation);
    hf_client_close(invocation.client);
    bytes_close(&invocation.out);
    arena_close(&invocation.arena);
    free(arguments);
    return code;
}
