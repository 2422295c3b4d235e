/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "ctl/connect.h"
#include "ctl/context.h"
#include "ctl/help.h"
#include "ctl/invocation.h"
#include "ctl/output.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    if (invocation->command->method != NULL && !connect_client(invocation)) {
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
