/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/help.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_WIDTH 79

static void __attribute__((format(printf, 2, 3)))
put(struct bytes *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len > 0) {
        bytes_append(out, text,
                     (size_t)len < sizeof(text) ? (size_t)len
                                                : sizeof(text) - 1);
    }
}

/* Words up to the line's width; following lines begin at `indent`. `used` is
 * where the first line stands. */
static void put_wrapped(struct bytes *out, const char *text, size_t used,
                        size_t indent)
{
    bool first = true;

    while (text[0] != '\0') {
        size_t len = strcspn(text, " ");

        if (!first && used + 1 + len > LINE_WIDTH) {
            put(out, "\n%*s", (int)indent, "");
            used = indent;
        } else if (!first) {
            put(out, " ");
            used++;
        }
        put(out, "%.*s", (int)len, text);
        used += len;
        text += len + (text[len] == ' ');
        first = false;
    }
    put(out, "\n");
}

static void put_option(const struct option_rule *rule, struct bytes *out)
{
    char head[80];
    size_t len;

    if (rule->letter != 0) {
        (void)snprintf(head, sizeof(head), "  -%c, %s%s%s", rule->letter,
                       rule->name, rule->value == NULL ? "" : " ",
                       rule->value == NULL ? "" : rule->value);
    } else {
        (void)snprintf(head, sizeof(head), "      %s%s%s", rule->name,
                       rule->value == NULL ? "" : " ",
                       rule->value == NULL ? "" : rule->value);
    }
    len = strlen(head);
    put(out, "%s", head);
    if (len > 29) {
        put(out, "\n");
        len = 0;
    }
    put(out, "%*s", (int)(31 - len), "");
    put_wrapped(out, rule->help, 31, 31);
}

static void put_options(uint64_t options, struct bytes *out)
{
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        if ((options >> i & 1) != 0) {
            put_option(option_rule((enum option)i), out);
        }
    }
}

static void put_line(const struct command *command, struct bytes *out)
{
    char head[80];

    (void)snprintf(head, sizeof(head), "%s%s%s%s%s", command->noun,
                   command->verb == NULL ? "" : " ",
                   command->verb == NULL ? "" : command->verb,
                   command->names[0] == '\0' ? "" : " ", command->names);
    put(out, "  %-36s ", head);
    put_wrapped(out, command->summary, 39, 39);
}

static void put_exit_codes(struct bytes *out)
{
    put(out,
        "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, "
        "4 conflict,\n5 no quorum or no node reached, 6 refused by a rule, "
        "7 timed out.\n");
}

void help_write_all(struct bytes *out)
{
    put(out, "Holdfast keeps virtual machines running when an availability "
             "zone goes down.\n\nusage: holdfast [OPTION...] COMMAND\n");
    for (size_t i = 0; i < command_count; i++) {
        if (i == 0 || strcmp(commands[i].noun, commands[i - 1].noun) != 0) {
            put(out, "\n%s\n", noun_summary(commands[i].noun));
        }
        put_line(&commands[i], out);
    }
    put(out, "\nOptions of every command:\n");
    put_options(OPTIONS_GLOBAL, out);
    put_exit_codes(out);
    put(out, "\n`holdfast COMMAND --help` tells more.\n");
}

void help_write_noun(const char *noun, struct bytes *out)
{
    put(out, "usage: holdfast %s COMMAND\n\n%s\n", noun, noun_summary(noun));
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].noun, noun) == 0) {
            put_line(&commands[i], out);
        }
    }
    put(out, "\n`holdfast %s COMMAND --help` tells more.\n", noun);
}

void help_write_command(const struct command *command, struct bytes *out)
{
    put(out, "usage: holdfast %s%s%s%s%s%s\n\n", command->noun,
        command->verb == NULL ? "" : " ",
        command->verb == NULL ? "" : command->verb,
        command->names[0] == '\0' ? "" : " ", command->names,
        command->options == 0 ? "" : " [OPTION...]");
    put(out, "%c", command->summary[0] - 'a' + 'A');
    put_wrapped(out, command->summary + 1, 1, 0);
    if (command->details != NULL) {
        put(out, "\n%s\n", command->details);
    }
    if (command->options != 0) {
        put(out, "\nOptions:\n");
        put_options(command->options, out);
    }
    put(out, "\nOptions of every command:\n");
    put_options(OPTIONS_GLOBAL, out);
}
