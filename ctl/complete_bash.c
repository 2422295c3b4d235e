/* SPDX-License-Identifier: Apache-2.0
 *
 * The script for bash: the tables as three functions, and an engine that is
 * always the same. What a value is stands behind its option as one word:
 * `@vm` names of VMs, `%f` a file, `%d` a directory, `a|b` these words, and a
 * comma before that when several may be given.
 *
 * Needs no other package. Nothing that a node says is ever evaluated. */
#include "base/bytes.h"
#include "ctl/complete.h"

#include <string.h>

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

static void put_complete(struct bytes *out, const struct complete *complete)
{
    put(out, complete->list ? "," : "");
    switch (complete->kind) {
    case COMPLETE_NAMES:
        bytes_append_format(out, "@%s", complete->text);
        break;
    case COMPLETE_FILE:
        put(out, "%f");
        break;
    case COMPLETE_DIRECTORY:
        put(out, "%d");
        break;
    case COMPLETE_WORDS:
        for (const char *c = complete->text; *c != '\0'; c++) {
            bytes_append_u8(out, *c == ' ' ? '|' : (uint8_t)*c);
        }
        break;
    default:
        put(out, "-");
        break;
    }
}

static void put_options(struct bytes *out, option_set options)
{
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        const struct option_rule *rule = option_rule((enum option)i);
        struct complete complete;

        if ((options >> i & 1) == 0) {
            continue;
        }
        bytes_append_format(out, " %s", rule->name);
        if (rule->value != NULL) {
            complete_value((enum option)i, &complete);
            put(out, ":");
            put_complete(out, &complete);
        }
        if (rule->letter != 0) {
            bytes_append_format(out, " -%c", rule->letter);
            if (rule->value != NULL) {
                put(out, ":");
                put_complete(out, &complete);
            }
        }
    }
}

static void put_word(void *context, const char *word,
                     const struct command *command)
{
    (void)command;
    bytes_append_format(context, " %s", word);
}

static void put_words(void *context, const char *path)
{
    bytes_append_format(context, "    '%s') REPLY='", path);
    complete_words(path, put_word, context);
    put(context, "' ;;\n");
}

static void put_path(struct bytes *out, const struct command *command)
{
    bytes_append_format(out, "    '%s%s%s') REPLY='", command->noun,
                        command->verb == NULL ? "" : " ",
                        command->verb == NULL ? "" : command->verb);
}

static void put_tables(struct bytes *out)
{
    put(out, "# Words that may follow the words \"$1\".\n"
             "_holdfast_words() {\n    case $1 in\n");
    complete_paths(put_words, out);
    put(out, "    *) return 1 ;;\n    esac\n}\n\n"
             "# Options of the command \"$1\", with what their values are.\n"
             "_holdfast_options() {\n    case $1 in\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (command_at(i)->options != 0) {
            put_path(out, command_at(i));
            put_options(out, command_at(i)->options);
            put(out, "' ;;\n");
        }
    }
    put(out, "    *) REPLY= ;;\n    esac\n    REPLY+='");
    put_options(out, OPTIONS_GLOBAL);
    put(out, "'\n}\n\n# What stands behind the command \"$1\".\n"
             "_holdfast_places() {\n    case $1 in\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        unsigned places = 1;

        if (command->name_max == 0) {
            continue;
        }
        for (const char *c = command->names; *c != '\0'; c++) {
            places += *c == ' ';
        }
        put_path(out, command);
        for (unsigned place = 0; place < places; place++) {
            struct complete complete;

            complete_name(command, place, &complete);
            put(out, place > 0 ? " " : "");
            put_complete(out, &complete);
        }
        put(out, command->name_max > places ? " ...' ;;\n" : "' ;;\n");
    }
    put(out, "    *) REPLY= ;;\n    esac\n}\n\n");
}

static const char engine_options[] =
    "# What the value of option \"$2\" of command \"$1\" is; 1: it has none.\n"
    "_holdfast_value() {\n"
    "    local option\n"
    "    _holdfast_options \"$1\"\n"
    "    for option in $REPLY; do\n"
    "        if [[ ${option%%:*} == \"$2\" ]]; then\n"
    "            REPLY=${option#*:}\n"
    "            [[ $option == *:* ]]\n"
    "            return\n"
    "        fi\n"
    "    done\n"
    "    return 1\n"
    "}\n"
    "\n"
    "# What place \"$2\" of command \"$1\" is.\n"
    "_holdfast_place() {\n"
    "    local -a places\n"
    "    _holdfast_places \"$1\"\n"
    "    read -ra places <<<\"$REPLY\"\n"
    "    REPLY=${places[$2]-}\n"
    "    ((${#places[@]})) || return\n"
    "    if [[ ${places[-1]} == ... ]] && (($2 >= ${#places[@]} - 1)); then\n"
    "        REPLY=${places[-2]}\n"
    "    fi\n"
    "}\n"
    "\n"
    "# Offers what \"$1\" says for the text \"$3\" behind \"$2\" in the word.\n"
    "# Uses cur, word and connection of its caller.\n"
    "_holdfast_offer() {\n"
    "    local spec=$1 head=$2 text=$3 candidate\n"
    "    local strip=${word:0:${#word}-${#cur}}\n"
    "    local -a candidates=()\n"
    "    if [[ $spec == ,* ]]; then\n"
    "        spec=${spec#,}\n"
    "        if [[ $text == *,* ]]; then\n"
    "            head+=${text%,*},\n"
    "            text=${text##*,}\n"
    "        fi\n"
    "    fi\n"
    "    case $spec in\n"
    "    @*) mapfile -t candidates < <(\"${COMP_WORDS[0]/#\\~/$HOME}\" \\\n"
    "        completion names \"${spec#@}\" \"${connection[@]}\" \\\n"
    "        -- \"$text\" 2>/dev/null) ;;\n"
    "    %f) compopt -o filenames 2>/dev/null\n"
    "        mapfile -t candidates < <(compgen -f -- \"$text\") ;;\n"
    "    %d) compopt -o filenames 2>/dev/null\n"
    "        mapfile -t candidates < <(compgen -d -- \"$text\") ;;\n"
    "    - | '') return ;;\n"
    "    *) IFS='| ' read -ra candidates <<<\"$spec\" ;;\n"
    "    esac\n"
    "    for candidate in \"${candidates[@]}\"; do\n"
    "        if [[ $candidate == \"$text\"* ]]; then\n"
    "            candidate=$head$candidate\n"
    "            COMPREPLY+=(\"${candidate#\"$strip\"}\")\n"
    "            [[ $candidate == *= ]] && compopt -o nospace 2>/dev/null\n"
    "        fi\n"
    "    done\n"
    "}\n"
    "\n";

static const char engine[] =
    "_holdfast() {\n"
    "    local IFS=$' \\t\\n'\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} path='' option='' glue='' i "
    "REPLY\n"
    "    local words_only='' leaf='' word last place=0\n"
    "    local -a words=() connection=()\n"
    "    COMPREPLY=()\n"
    "    # bash parts words at = and :, which --zone=z1 and HOST:PORT hold.\n"
    "    for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((${#words[@]} > 0)) && [[ $glue || $word == [=:]* ]]; then\n"
    "            words[-1]+=$word\n"
    "        else\n"
    "            words+=(\"$word\")\n"
    "        fi\n"
    "        [[ $word == *[=:] ]] && glue=1 || glue=\n"
    "    done\n"
    "    [[ $cur == [=:] ]] && cur=\n"
    "    last=$((${#words[@]} - 1))\n"
    "    for ((i = 0; i < last; i++)); do\n"
    "        word=${words[i]}\n"
    "        if [[ $option ]]; then\n"
    "            case $option in\n"
    "            --endpoint | -e | --context | --tls-*)\n"
    "                connection+=(\"$option\" \"$word\") ;;\n"
    "            esac\n"
    "            option=\n"
    "        elif [[ ! $words_only && $word == -- ]]; then\n"
    "            words_only=1\n"
    "        elif [[ ! $words_only && $word == --command ]]; then\n"
    "            compopt -o default 2>/dev/null\n"
    "            return\n"
    "        elif [[ ! $words_only && $word == -?* ]]; then\n"
    "            case $word in\n"
    "            --endpoint=* | --context=* | --tls-*=*)\n"
    "                connection+=(\"$word\") ;;\n"
    "            esac\n"
    "            _holdfast_value \"$path\" \"$word\" && option=$word\n"
    "        elif [[ $leaf ]]; then\n"
    "            ((place++))\n"
    "        else\n"
    "            path+=${path:+ }$word\n"
    "            _holdfast_words \"$path\" || leaf=1\n"
    "        fi\n"
    "    done\n"
    "    word=${words[last]}\n"
    "    if [[ $option ]]; then\n"
    "        _holdfast_value \"$path\" \"$option\"\n"
    "        _holdfast_offer \"$REPLY\" '' \"$word\"\n"
    "    elif [[ ! $words_only && $word == --*=* ]]; then\n"
    "        _holdfast_value \"$path\" \"${word%%=*}\" &&\n"
    "            _holdfast_offer \"$REPLY\" \"${word%%=*}=\" \"${word#*=}\"\n"
    "    elif [[ ! $words_only && $word == -* ]]; then\n"
    "        _holdfast_options \"$path\"\n"
    "        for option in $REPLY; do\n"
    "            option=${option%%:*}\n"
    "            [[ $option == --* ]] && REPLY=$option &&\n"
    "                _holdfast_offer \"$option\" '' \"$word\"\n"
    "        done\n"
    "    elif [[ $leaf ]]; then\n"
    "        _holdfast_place \"$path\" \"$place\"\n"
    "        _holdfast_offer \"$REPLY\" '' \"$word\"\n"
    "    else\n"
    "        _holdfast_words \"$path\" && _holdfast_offer \"$REPLY\" '' "
    "\"$word\"\n"
    "    fi\n"
    "}\n"
    "\n"
    "complete -F _holdfast holdfast\n";

void complete_bash(struct bytes *out)
{
    put(out, "# shellcheck shell=bash\n"
             "# Completion of holdfast in bash, made by\n"
             "# `holdfast completion bash`.\n\n");
    put_tables(out);
    put(out, engine_options);
    put(out, engine);
}
