/* SPDX-License-Identifier: Apache-2.0
 *
 * The script for fish: one `complete` for each word, option and name. */
#include "base/bytes.h"
#include "ctl/complete.h"

#include <stdio.h>
#include <string.h>

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

static void put_quoted(struct bytes *out, const char *text)
{
    put(out, "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            bytes_append_u8(out, '\\');
        }
        bytes_append_u8(out, (uint8_t)*text);
    }
    put(out, "'");
}

static void put_names(struct bytes *out, const struct complete *complete)
{
    const char *before = "";
    const char *behind = "";
    char text[COMPLETE_TEXT_MAX + 80];

    switch (complete->kind) {
    case COMPLETE_NAMES:
        before = complete->list ? "(__fish_complete_list , '__holdfast_names "
                                : "(__holdfast_names ";
        behind = complete->list ? "')" : ")";
        break;
    case COMPLETE_WORDS:
        if (complete->list) {
            before = "(__fish_complete_list , 'string split \" \" \"";
            behind = "\"')";
        }
        break;
    default:
        before = "(__fish_complete_directories)";
        break;
    }
    (void)snprintf(text, sizeof(text), "%s%s%s", before, complete->text,
                   behind);
    put_quoted(out, text);
}

static void put_option(struct bytes *out, const char *condition,
                       enum option option)
{
    const struct option_rule *rule = option_rule(option);
    struct complete complete;

    put(out, "complete -c holdfast");
    if (condition != NULL) {
        put(out, " -n ");
        put_quoted(out, condition);
    }
    bytes_append_format(out, " -l %s", rule->name + 2);
    if (rule->letter != 0) {
        bytes_append_format(out, " -s %c", rule->letter);
    }
    if (rule->value != NULL && option != OPTION_COMMAND) {
        complete_value(option, &complete);
        if (complete.kind == COMPLETE_FILE) {
            put(out, " -r -F");
        } else {
            put(out, " -x");
        }
        if (complete.kind != COMPLETE_NOTHING &&
            complete.kind != COMPLETE_FILE) {
            put(out, " -a ");
            put_names(out, &complete);
        }
    }
    put(out, " -d ");
    put_quoted(out, rule->help);
    put(out, "\n");
}

static void put_options(struct bytes *out, const char *condition,
                        option_set options)
{
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        if ((options >> i & 1) != 0) {
            put_option(out, condition, (enum option)i);
        }
    }
}

static void put_places(struct bytes *out, const struct command *command,
                       const char *path)
{
    unsigned places = 1;

    for (const char *c = command->names; *c != '\0'; c++) {
        places += *c == ' ';
    }
    for (unsigned place = 0; place < places && command->name_max > 0; place++) {
        struct complete complete;
        bool more = place + 1 == places && command->name_max > places;

        complete_name(command, place, &complete);
        if (complete.kind == COMPLETE_NOTHING) {
            continue;
        }
        bytes_append_format(
            out, "complete -c holdfast -n '__holdfast_is \"%s\" %u%s'", path,
            place, more ? " more" : "");
        if (complete.kind == COMPLETE_FILE) {
            put(out, " -F\n");
            continue;
        }
        put(out, " -a ");
        put_names(out, &complete);
        put(out, "\n");
    }
}

static void put_command(struct bytes *out, const struct command *command)
{
    char path[128];
    char condition[192];

    (void)snprintf(path, sizeof(path), "%s%s%s", command->noun,
                   command->verb == NULL ? "" : " ",
                   command->verb == NULL ? "" : command->verb);
    (void)snprintf(condition, sizeof(condition), "__holdfast_is \"%s\"", path);
    put_options(out, condition, command->options);
    put_places(out, command, path);
}

struct words {
    struct bytes *out;
    const char *path;
};

static void put_word(void *context, const char *word,
                     const struct command *command)
{
    const struct words *words = context;

    bytes_append_format(
        words->out, "complete -c holdfast -n '__holdfast_is \"%s\"' -a %s -d ",
        words->path, word);
    put_quoted(words->out, complete_summary(words->path, word, command));
    put(words->out, "\n");
}

static void put_words(void *context, const char *path)
{
    struct words words = {.out = context, .path = path};

    complete_words(path, put_word, &words);
}

static void put_path(void *context, const char *path)
{
    if (path[0] != '\0') {
        put(context, " ");
        put_quoted(context, path);
    }
}

static const char engine[] =
    "# Prints the words of the command so far, and how many names follow.\n"
    "function __holdfast_at\n"
    "    set -l path\n"
    "    set -l leaf 0\n"
    "    set -l skip 0\n"
    "    set -l names 0\n"
    "    set -l tokens (commandline -opc)\n"
    "    for token in $tokens[2..-1]\n"
    "        if test $skip = 1\n"
    "            set skip 0\n"
    "        else if string match -q -- '-?*' $token\n"
    "            contains -- $token $__holdfast_values; and set skip 1\n"
    "        else if test $leaf = 1\n"
    "            set names (math $names + 1)\n"
    "        else\n"
    "            set path (string join ' ' $path $token)\n"
    "            contains -- $path $__holdfast_paths; or set leaf 1\n"
    "        end\n"
    "    end\n"
    "    echo $path\n"
    "    echo $names\n"
    "end\n"
    "\n"
    "# Whether the words so far are the command $1; and if $2 is given, "
    "whether "
    "so\n# many names follow, or more if $3.\n"
    "function __holdfast_is\n"
    "    set -l at (__holdfast_at)\n"
    "    test \"$at[1]\" = $argv[1]; or return 1\n"
    "    set -q argv[2]; or return 0\n"
    "    test $at[2] = $argv[2]; and return 0\n"
    "    set -q argv[3]; and test $at[2] -gt $argv[2]\n"
    "end\n"
    "\n"
    "function __holdfast_names\n"
    "    set -l tokens (commandline -opc)\n"
    "    set -l connection\n"
    "    set -l take 0\n"
    "    for token in $tokens[2..-1]\n"
    "        if test $take = 1\n"
    "            set -a connection $token\n"
    "            set take 0\n"
    "        else\n"
    "            switch $token\n"
    "                case '--endpoint=*' '--context=*' '--tls-*=*'\n"
    "                    set -a connection $token\n"
    "                case --endpoint -e --context '--tls-*'\n"
    "                    set -a connection $token\n"
    "                    set take 1\n"
    "            end\n"
    "        end\n"
    "    end\n"
    "    set -l prefix (commandline -ct | string replace -r '^--[^=]*=' '' |\n"
    "        string replace -r '.*,' '')\n"
    "    $tokens[1] completion names $argv[1] $connection -- \"$prefix\" "
    "2>/dev/null\n"
    "end\n"
    "\n"
    "complete -c holdfast -f\n";

void complete_fish(struct bytes *out)
{
    put(out, "# Completion of holdfast in fish, made by\n"
             "# `holdfast completion fish`.\n\n"
             "set -g __holdfast_paths");
    complete_paths(put_path, out);
    put(out, "\nset -g __holdfast_values");
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        const struct option_rule *rule = option_rule((enum option)i);

        if (rule->value != NULL && i != OPTION_COMMAND) {
            bytes_append_format(out, " %s", rule->name);
            if (rule->letter != 0) {
                bytes_append_format(out, " -%c", rule->letter);
            }
        }
    }
    put(out, "\n\n");
    put(out, engine);
    put_options(out, NULL, OPTIONS_GLOBAL);
    complete_paths(put_words, out);
    for (size_t i = 0; command_at(i) != NULL; i++) {
        put_command(out, command_at(i));
    }
}
