/* SPDX-License-Identifier: Apache-2.0
 *
 * The function for zsh, to be found as `_holdfast` in $fpath: what follows a
 * word with _describe, options and names of a command with _arguments. */
#include "base/bytes.h"
#include "ctl/complete.h"

#include <string.h>

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

/* Inside single quotes; `special` have a meaning for _arguments there. */
static void put_quoted(struct bytes *out, const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            put(out, "'\\''");
            continue;
        }
        if (*text == '\\' || strchr(special, *text) != NULL) {
            bytes_append_u8(out, '\\');
        }
        bytes_append_u8(out, (uint8_t)*text);
    }
}

/* ":ZONE:_holdfast_names zone" */
static void put_action(struct bytes *out, const char *form,
                       const struct complete *complete)
{
    put(out, ":");
    put_quoted(out, form, ":");
    put(out, ":");
    switch (complete->kind) {
    case COMPLETE_NAMES:
        put(out, complete->list ? "_sequence _holdfast_names - "
                                : "_holdfast_names ");
        put(out, complete->text);
        break;
    case COMPLETE_WORDS:
        put(out, complete->list ? "_sequence compadd - " : "(");
        put_quoted(out, complete->text, ":");
        put(out, complete->list ? "" : ")");
        break;
    case COMPLETE_FILE:
        put(out, "_files");
        break;
    case COMPLETE_DIRECTORY:
        put(out, "_files -/");
        break;
    default:
        put(out, " ");
        break;
    }
}

static void put_option(struct bytes *out, enum option option)
{
    const struct option_rule *rule = option_rule(option);
    const char *many = option_is_repeatable(option) ? "*" : "";
    const char *short_sign = rule->value == NULL ? "" : "+";
    const char *long_sign = rule->value == NULL ? "" : "=";
    struct complete complete;

    put(out, "        ");
    if (rule->letter == 0) {
        bytes_append_format(out, "'%s%s%s[", many, rule->name,
                            option == OPTION_COMMAND ? "" : long_sign);
    } else if (many[0] != '\0') {
        bytes_append_format(out, "'*'{-%c%s,%s%s}'[", rule->letter, short_sign,
                            rule->name, long_sign);
    } else {
        bytes_append_format(out, "'(-%c %s)'{-%c%s,%s%s}'[", rule->letter,
                            rule->name, rule->letter, short_sign, rule->name,
                            long_sign);
    }
    put_quoted(out, rule->help, "[]:");
    put(out, "]");
    if (option == OPTION_COMMAND) {
        put(out, ":*::program:_normal");
    } else if (rule->value != NULL) {
        complete_value(option, &complete);
        put_action(out, rule->value, &complete);
    }
    put(out, "'\n");
}

static void put_options(struct bytes *out, option_set options)
{
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        if ((options >> i & 1) != 0) {
            put_option(out, (enum option)i);
        }
    }
}

struct words {
    struct bytes *out;
    const char *path;
};

static void put_word(void *context, const char *word,
                     const struct command *command)
{
    const struct words *words = context;

    put(words->out, "        '");
    put(words->out, word);
    put(words->out, ":");
    put_quoted(words->out, complete_summary(words->path, word, command), ":");
    put(words->out, "'\n");
}

static void put_words(void *context, const char *path)
{
    struct words words = {.out = context, .path = path};

    bytes_append_format(context, "    '%s') list=(\n", path);
    complete_words(path, put_word, &words);
    put(context, "        ) ;;\n");
}

static void put_names(struct bytes *out, const struct command *command)
{
    const char *form = command->names;
    struct complete complete;
    unsigned place = 0;

    while (form[0] != '\0') {
        char word[64];
        size_t len = strcspn(form, " ");
        bool last = form[len] == '\0';

        memcpy(word, form, len);
        word[len] = '\0';
        complete_name(command, place, &complete);
        form += len + !last;
        place++;
        if (last && command->name_max > place) {
            put(out, "        '*");
        } else {
            bytes_append_format(out, "        '%u:", place);
        }
        if (complete.kind == COMPLETE_NOTHING) {
            /* A message would keep options from being put in. */
            bytes_append_format(out, ":%s:()", word);
        } else {
            put_action(out, word, &complete);
        }
        put(out, "'\n");
    }
}

static void put_specs(struct bytes *out, const struct command *command)
{
    if (command->options == 0 && command->name_max == 0) {
        return;
    }
    bytes_append_format(out, "    '%s%s%s') list+=(\n", command->noun,
                        command->verb == NULL ? "" : " ",
                        command->verb == NULL ? "" : command->verb);
    put_options(out, command->options);
    put_names(out, command);
    put(out, "        ) ;;\n");
}

static const char engine[] =
    "_holdfast_names() {\n"
    "    local program=${_holdfast_line[1]/#\\~/$HOME} i\n"
    "    local -a names connection=()\n"
    "    for ((i = 2; i <= $#_holdfast_line; i++)); do\n"
    "        case $_holdfast_line[i] in\n"
    "        --endpoint=*|--context=*|--tls-*=*)\n"
    "            connection+=(\"${(Q)_holdfast_line[i]}\") ;;\n"
    "        --endpoint|-e|--context|--tls-*)\n"
    "            connection+=(\"$_holdfast_line[i]\" \\\n"
    "                \"${(Q)_holdfast_line[i + 1]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    names=(\"${(@f)$(\"$program\" completion names \"${@[-1]}\" \\\n"
    "        \"${connection[@]}\" -- \"${(Q)PREFIX}\" 2>/dev/null)}\")\n"
    "    compadd \"${@[1,-2]}\" -- \"${(@)names:#}\"\n"
    "}\n"
    "\n"
    "_holdfast() {\n"
    "    local curcontext=$curcontext state state_descr line option= "
    "command= at= word i\n"
    "    local -a _holdfast_line=(\"${words[@]}\") list _holdfast_values\n"
    "    local -A opt_args\n"
    "    _holdfast_values\n"
    "    for ((i = 2; i < CURRENT; i++)); do\n"
    "        word=$words[i]\n"
    "        if [[ -n $option ]]; then\n"
    "            option=\n"
    "        elif [[ $word == -?* ]]; then\n"
    "            (( $_holdfast_values[(Ie)$word] )) && option=$word\n"
    "        else\n"
    "            command+=${command:+ }$word\n"
    "            if ! _holdfast_words \"$command\"; then\n"
    "                at=$i\n"
    "                break\n"
    "            fi\n"
    "        fi\n"
    "    done\n"
    "    if [[ -n $at ]]; then\n"
    "        words=(\"${(@)words[at,-1]}\")\n"
    "        ((CURRENT -= at - 1))\n"
    "        _holdfast_options \"$command\"\n"
    "        _arguments -S : \"${list[@]}\"\n"
    "    elif [[ -n $option || $words[CURRENT] == -* ]]; then\n"
    "        _holdfast_options ''\n"
    "        _arguments -S : \"${list[@]}\" '*: : '\n"
    "    else\n"
    "        _holdfast_words \"$command\"\n"
    "        _describe -t commands command list\n"
    "    fi\n"
    "}\n"
    "\n"
    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
    "    _holdfast \"$@\"\n"
    "else\n"
    "    compdef _holdfast holdfast\n"
    "fi\n";

static void put_values(struct bytes *out)
{
    put(out, "# Options with a value, of any command.\n"
             "_holdfast_values() {\n    _holdfast_values=(\n");
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        const struct option_rule *rule = option_rule((enum option)i);

        if (rule->value != NULL && i != OPTION_COMMAND) {
            bytes_append_format(out, "        %s\n", rule->name);
            if (rule->letter != 0) {
                bytes_append_format(out, "        -%c\n", rule->letter);
            }
        }
    }
    put(out, "    )\n}\n\n");
}

void complete_zsh(struct bytes *out)
{
    put(out, "#compdef holdfast\n"
             "# Completion of holdfast in zsh, made by\n"
             "# `holdfast completion zsh`.\n\n"
             "# Words that may follow the words \"$1\".\n"
             "_holdfast_words() {\n    case $1 in\n");
    complete_paths(put_words, out);
    put(out, "    *) return 1 ;;\n    esac\n}\n\n"
             "# Options and names of the command \"$1\".\n"
             "_holdfast_options() {\n    list=(\n");
    put_options(out, OPTIONS_GLOBAL);
    put(out, "    )\n    case $1 in\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        put_specs(out, command_at(i));
    }
    put(out, "    esac\n}\n\n");
    put_values(out);
    put(out, engine);
}
