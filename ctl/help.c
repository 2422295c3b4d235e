/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/help.h"

#include "ctl/prose.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
    bytes_append_format(out, "%s", head);
    if (len > 29) {
        bytes_append_format(out, "\n");
        len = 0;
    }
    bytes_append_format(out, "%*s", (int)(31 - len), "");
    prose_write(out, rule->help, 31, 31);
}

static void put_options(option_set options, struct bytes *out)
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
    bytes_append_format(out, "  %-36s ", head);
    prose_write(out, command->summary, 39, 39);
}

static void put_exit_codes(struct bytes *out)
{
    bytes_append_format(
        out,
        "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, "
        "4 conflict,\n5 no quorum or no node reached, 6 refused by a rule, "
        "7 timed out. For `plan`:\n0 nothing would happen, 2 something would, "
        "1 an error.\n");
}

void help_write_all(struct bytes *out)
{
    bytes_append_format(
        out, "Holdfast keeps virtual machines running when an availability "
             "zone goes down.\n\nusage: holdfast [OPTION...] COMMAND\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (i == 0 ||
            strcmp(command_at(i)->noun, command_at(i - 1)->noun) != 0) {
            bytes_append_format(out, "\n%s\n",
                                noun_summary(command_at(i)->noun));
        }
        put_line(command_at(i), out);
    }
    bytes_append_format(out, "\nOptions of every command:\n");
    put_options(OPTIONS_GLOBAL, out);
    put_exit_codes(out);
    bytes_append_format(out, "\n`holdfast COMMAND --help` tells more.\n");
}

void help_write_noun(const char *noun, struct bytes *out)
{
    bytes_append_format(out, "usage: holdfast %s COMMAND\n\n%s\n", noun,
                        noun_summary(noun));
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (strcmp(command_at(i)->noun, noun) == 0) {
            put_line(command_at(i), out);
        }
    }
    bytes_append_format(out, "\n`holdfast %s COMMAND --help` tells more.\n",
                        noun);
}

void help_write_command(const struct command *command, struct bytes *out)
{
    bytes_append_format(out, "usage: holdfast %s%s%s%s%s%s\n\n", command->noun,
                        command->verb == NULL ? "" : " ",
                        command->verb == NULL ? "" : command->verb,
                        command->names[0] == '\0' ? "" : " ", command->names,
                        command->options == 0 ? "" : " [OPTION...]");
    bytes_append_format(out, "%c", command->summary[0] - 'a' + 'A');
    prose_write(out, command->summary + 1, 1, 0);
    if (command->details != NULL) {
        bytes_append_format(out, "\n%s\n", command->details);
    }
    if (command->options != 0) {
        bytes_append_format(out, "\nOptions:\n");
        put_options(command->options, out);
    }
    bytes_append_format(out, "\nOptions of every command:\n");
    put_options(OPTIONS_GLOBAL, out);
}
