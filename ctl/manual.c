/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/manual.h"

#include "base/bytes.h"
#include "base/container.h"
#include "ctl/command.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

/* Text that means itself, also to be copied from the page. */
static void put_text(struct bytes *out, const char *text, size_t len)
{
    static const char *const escapes[][2] = {
        {"\\", "\\e"},  {"-", "\\-"},   {"'", "\\(aq"},  {"`", "\\(ga"},
        {"^", "\\(ha"}, {"~", "\\(ti"}, {"\"", "\\(dq"},
    };

    if (len > 0 && text[0] == '.') {
        put(out, "\\&");
    }
    for (size_t i = 0; i < len; i++) {
        const char *escape = NULL;

        for (size_t k = 0; k < ARRAY_LEN(escapes); k++) {
            escape = escapes[k][0][0] == text[i] ? escapes[k][1] : escape;
        }
        if (escape != NULL) {
            put(out, escape);
        } else {
            bytes_append_u8(out, (uint8_t)text[i]);
        }
    }
}

static void put_string(struct bytes *out, const char *text)
{
    put_text(out, text, strlen(text));
}

/* Paragraphs, parted by empty lines; lines that begin with blanks are
 * examples, and stay lines. */
static void put_paragraphs(struct bytes *out, const char *text)
{
    bool example = false;

    while (text[0] != '\0') {
        size_t len = strcspn(text, "\n");
        bool was_example = example;

        example = text[0] == ' ';
        if (example && !was_example) {
            put(out, ".PP\n.nf\n");
        } else if (!example && was_example) {
            put(out, ".fi\n");
        }
        if (len == 0) {
            put(out, ".PP\n");
        } else {
            size_t skip = example ? strspn(text, " ") : 0;

            /* What is indented further continues the line above. */
            put(out, skip > 2 ? "\\ \\ \\ \\ " : "");
            put_text(out, text + skip, len - skip);
            put(out, "\n");
        }
        text += len + (text[len] == '\n');
    }
    put(out, example ? ".fi\n" : "");
}

static void put_options(struct bytes *out, option_set options)
{
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        const struct option_rule *rule = option_rule((enum option)i);

        if ((options >> i & 1) == 0) {
            continue;
        }
        put(out, ".TP\n");
        if (rule->letter != 0) {
            bytes_append_format(out, "\\fB\\-%c\\fR, ", rule->letter);
        }
        put(out, "\\fB");
        put_string(out, rule->name);
        put(out, "\\fR");
        if (rule->value != NULL) {
            put(out, " \\fI");
            put_string(out, rule->value);
            put(out, "\\fR");
        }
        put(out, "\n");
        put_string(out, rule->help);
        put(out, "\n");
    }
}

static void put_synopsis(struct bytes *out, const struct command *command)
{
    put(out, "\\fBholdfast ");
    put_string(out, command->noun);
    if (command->verb != NULL) {
        put(out, " ");
        put_string(out, command->verb);
    }
    put(out, "\\fR");
    if (command->names[0] != '\0') {
        put(out, " \\fI");
        put_string(out, command->names);
        put(out, "\\fR");
    }
}

static void put_sentence(struct bytes *out, const char *summary)
{
    char first = (char)toupper((unsigned char)summary[0]);

    put_text(out, &first, 1);
    put_string(out, summary + 1);
    put(out, ".\n");
}

static void put_header(struct bytes *out, const char *noun, const char *version)
{
    put(out, ".\\\" Made from the tables of commands by "
             "`holdfast help --man`.\n.TH HOLDFAST");
    if (noun != NULL) {
        put(out, "\\-");
        for (const char *c = noun; *c != '\0'; c++) {
            bytes_append_u8(out, (uint8_t)toupper((unsigned char)*c));
        }
    }
    bytes_append_format(
        out, " 1 \"\" \"Holdfast %s\" \"Holdfast\"\n.nh\n.ad l\n", version);
}

static void put_exit_codes(struct bytes *out)
{
    static const char *const codes[][2] = {
        {"0", "done"},
        {"1", "failed"},
        {"2", "wrong usage; of \\fBholdfast plan\\fR: something would happen"},
        {"3", "not found"},
        {"4", "conflict: it is there already, or was changed meanwhile"},
        {"5", "no quorum, or no node reached"},
        {"6", "refused by a rule, such as headroom"},
        {"7", "timed out"},
    };

    put(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        bytes_append_format(out, ".TP 4\n\\fB%s\\fR\n%s\n", codes[i][0],
                            codes[i][1]);
    }
    put(out, ".PP\n\\fBholdfast plan\\fR ends with 0 when nothing would happen "
             "and with 1 after an error.\n");
}

static void put_environment(struct bytes *out)
{
    static const char *const variables[][2] = {
        {"HOLDFAST_ENDPOINTS", "nodes to ask: HOST:PORT, a list with commas"},
        {"HOLDFAST_TLS_CA, HOLDFAST_TLS_CERT, HOLDFAST_TLS_KEY",
         "files for TLS, as the options name them"},
        {"HOLDFAST_TOKEN", "a token, in place of a certificate"},
        {"HOLDFAST_TOKEN_FILE",
         "a file with it, which others must not be able to read"},
        {"HOLDFAST_CONTEXT", "the context, instead of the one in use"},
        {"XDG_CONFIG_HOME",
         "where contexts are: in holdfast/config.yaml there; default "
         "~/.config"},
        {"NO_COLOR", "if not empty: no colours"},
    };

    put(out,
        ".SH ENVIRONMENT\nOptions come first, then the environment, then the "
        "context in use.\n");
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        put(out, ".TP\n\\fB");
        put_string(out, variables[i][0]);
        put(out, "\\fR\n");
        put_string(out, variables[i][1]);
        put(out, "\n");
    }
}

static bool is_first_of_noun(size_t index)
{
    return index == 0 ||
           strcmp(command_at(index)->noun, command_at(index - 1)->noun) != 0;
}

static void put_see_also(struct bytes *out)
{
    put(out, ".SH SEE ALSO\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (is_first_of_noun(i)) {
            put(out, i == 0 ? "" : ",\n");
            put(out, "\\fBholdfast\\-");
            put_string(out, command_at(i)->noun);
            put(out, "\\fR(1)");
        }
    }
    put(out, "\n");
}

void manual_write_all(const char *version, struct bytes *out)
{
    put_header(out, NULL, version);
    put(out,
        ".SH NAME\nholdfast \\- keep virtual machines running when an "
        "availability zone goes down\n.SH SYNOPSIS\n"
        "\\fBholdfast\\fR [\\fIOPTION\\fR...] \\fICOMMAND\\fR\n"
        ".SH DESCRIPTION\nThe command line of a Holdfast region. It speaks "
        "with any of the region's nodes, and\nwith the next when one does "
        "not answer.\n.SH COMMANDS\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);

        if (is_first_of_noun(i)) {
            put(out, ".SS ");
            put_string(out, noun_summary(command->noun));
            put(out, "\n");
        }
        put(out, ".TP\n");
        put_synopsis(out, command);
        put(out, "\n");
        put_string(out, command->summary);
        put(out, "\n");
    }
    put(out, ".SH OPTIONS\nOf every command:\n");
    put_options(out, OPTIONS_GLOBAL);
    put_exit_codes(out);
    put_environment(out);
    put_see_also(out);
}

void manual_write_noun(const char *noun, const char *version, struct bytes *out)
{
    put_header(out, noun, version);
    put(out, ".SH NAME\nholdfast\\-");
    put_string(out, noun);
    put(out, " \\- ");
    put_string(out, noun_summary(noun));
    put(out, "\n.SH SYNOPSIS\n.nf\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (strcmp(command_at(i)->noun, noun) == 0) {
            put_synopsis(out, command_at(i));
            put(out,
                command_at(i)->options == 0 ? "\n" : " [\\fIOPTION\\fR...]\n");
        }
    }
    put(out, ".fi\n.SH DESCRIPTION\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);

        if (strcmp(command->noun, noun) != 0) {
            continue;
        }
        put(out, ".SS ");
        put_synopsis(out, command);
        put(out, "\n");
        put_sentence(out, command->summary);
        if (command->details != NULL) {
            put(out, ".PP\n");
            put_paragraphs(out, command->details);
        }
        put_options(out, command->options);
    }
    put(out, ".SH OPTIONS\nOf every command:\n");
    put_options(out, OPTIONS_GLOBAL);
    put(out, ".SH SEE ALSO\n\\fBholdfast\\fR(1), which also lists exit codes "
             "and the environment\n");
}
