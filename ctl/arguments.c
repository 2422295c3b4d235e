/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/arguments.h"

#include "base/similar.h"
#include "ctl/command.h"
#include "ctl/complete.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool __attribute__((format(printf, 2, 3)))
refuse(struct arguments *arguments, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(arguments->error, sizeof(arguments->error), format, list);
    va_end(list);
    return false;
}

/* ", did you mean `x`?" */
struct hint {
    char text[96];
};

static struct hint hint_of(const struct similar *similar)
{
    struct hint hint = {.text = ""};

    if (similar->best != NULL) {
        (void)snprintf(hint.text, sizeof(hint.text), "; did you mean `%s`?",
                       similar->best);
    }
    return hint;
}

static option_set allowed_options(const struct arguments *arguments)
{
    return OPTIONS_GLOBAL |
           (arguments->command == NULL ? 0 : arguments->command->options);
}

/* The option that a text such as "--zone=z1" names, among those allowed. */
static bool find_option(const struct arguments *arguments, const char *text,
                        enum option *found)
{
    option_set allowed = allowed_options(arguments);
    size_t len = strcspn(text, "=");

    for (unsigned i = 0; i < OPTION_MAX; i++) {
        bool is_long =
            strlen(option_rule((enum option)i)->name) == len &&
            strncmp(option_rule((enum option)i)->name, text, len) == 0;
        bool is_short =
            text[1] != '-' && text[1] == option_rule((enum option)i)->letter;

        if ((allowed >> i & 1) != 0 && (is_long || is_short)) {
            *found = (enum option)i;
            return true;
        }
    }
    return false;
}

static bool unknown_option(struct arguments *arguments, const char *text)
{
    option_set allowed = allowed_options(arguments);
    int len = (int)strcspn(text, "=");
    struct similar similar;
    char wanted[64];

    (void)snprintf(wanted, sizeof(wanted), "%.*s", len, text);
    similar_init(&similar, wanted);
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        if (strcmp(option_rule((enum option)i)->name, wanted) == 0 &&
            (allowed >> i & 1) == 0) {
            return refuse(
                arguments, "option %s does not go with this command%s", wanted,
                arguments->command == NULL ? "; options of a command come "
                                             "behind it"
                                           : "");
        }
        if ((allowed >> i & 1) != 0) {
            similar_offer(&similar, option_rule((enum option)i)->name);
        }
    }
    return refuse(arguments, "unknown option %s%s", wanted,
                  hint_of(&similar).text);
}

static bool add_option(struct arguments *arguments, enum option option,
                       const char *value)
{
    if (arguments->option_count == ARGUMENTS_OPTIONS_MAX) {
        return refuse(arguments, "more than %d options", ARGUMENTS_OPTIONS_MAX);
    }
    /* Which of two was meant, nobody knows. */
    if (value != NULL && arguments_has(arguments, option) &&
        !option_is_repeatable(option)) {
        return refuse(arguments, "option %s is given twice",
                      option_rule(option)->name);
    }
    arguments->options[arguments->option_count].option = option;
    arguments->options[arguments->option_count].value = value;
    arguments->option_count++;
    return true;
}

/* At argv[*index], which begins with '-'. */
static bool read_option(struct arguments *arguments, int argc,
                        char *const *argv, int *index)
{
    const char *text = argv[*index];
    const char *equals = strchr(text, '=');
    bool is_short = text[1] != '-';
    enum option option;

    if (!find_option(arguments, text, &option)) {
        return unknown_option(arguments, text);
    }
    if (option == OPTION_COMMAND) {
        arguments->rest = argv + *index + 1;
        arguments->rest_count = (size_t)(argc - *index - 1);
        *index = argc;
        if (arguments->rest_count == 0) {
            return refuse(arguments, "--command needs a program");
        }
        return add_option(arguments, option, NULL);
    }
    if (option_rule(option)->value == NULL) {
        if ((is_short && text[2] != '\0') || (!is_short && equals != NULL)) {
            return refuse(arguments, "option %s takes no value",
                          option_rule(option)->name);
        }
        return add_option(arguments, option, NULL);
    }
    if (is_short && text[2] != '\0') {
        return add_option(arguments, option, text + (text[2] == '=' ? 3 : 2));
    }
    if (!is_short && equals != NULL) {
        return add_option(arguments, option, equals + 1);
    }
    if (*index + 1 >= argc) {
        return refuse(arguments, "option %s needs a value: %s",
                      option_rule(option)->name, option_rule(option)->value);
    }
    ++*index;
    return add_option(arguments, option, argv[*index]);
}

static bool unknown_noun(struct arguments *arguments, const char *noun)
{
    struct similar similar;

    similar_init(&similar, noun);
    for (size_t i = 0; command_at(i) != NULL; i++) {
        similar_offer(&similar, command_at(i)->noun);
    }
    return refuse(arguments, "unknown command `%s`%s", noun,
                  hint_of(&similar).text);
}

static bool unknown_verb(struct arguments *arguments, const char *verb)
{
    struct similar similar;
    char list[256] = "";
    size_t used = 0;

    similar_init(&similar, verb);
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (strcmp(command_at(i)->noun, arguments->noun) == 0 &&
            command_at(i)->verb != NULL && used < sizeof(list)) {
            similar_offer(&similar, command_at(i)->verb);
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                                     used > 0 ? ", " : "", command_at(i)->verb);
        }
    }
    return refuse(arguments, "`%s` has no `%s`%s%s%s", arguments->noun, verb,
                  similar.best != NULL ? "" : "; it has: ",
                  similar.best != NULL ? "" : list, hint_of(&similar).text);
}

/* Words that begin with what was given. */
struct beginnings {
    const char *wanted;
    char first[ARGUMENTS_WORD_MAX];
    char list[256]; /* All of them, for the person. */
    size_t count;
    bool exact;
    bool destroys;
};

static void take_beginning(void *context, const char *word,
                           const struct command *command)
{
    struct beginnings *found = context;
    size_t used = strlen(found->list);

    found->exact = found->exact || strcmp(word, found->wanted) == 0;
    if (strncmp(word, found->wanted, strlen(found->wanted)) != 0) {
        return;
    }
    if (found->count++ == 0) {
        (void)snprintf(found->first, sizeof(found->first), "%s", word);
        found->destroys = command != NULL && command->destroys;
    }
    (void)snprintf(found->list + used, sizeof(found->list) - used, "%s%s",
                   used > 0 ? ", " : "", word);
}

/* The last word may be the beginning of one word alone. What destroys is
 * written in full: another command may come to begin alike. */
static bool expand(struct arguments *arguments)
{
    size_t last = arguments->name_count - 1;
    struct beginnings found = {.wanted = arguments->names[last]};
    char path[ARGUMENTS_WORDS_MAX * ARGUMENTS_WORD_MAX] = "";

    if (last >= ARGUMENTS_WORDS_MAX || found.wanted[0] == '\0') {
        return true;
    }
    for (size_t i = 0; i < last; i++) {
        size_t used = strlen(path);

        (void)snprintf(path + used, sizeof(path) - used, "%s%s",
                       i > 0 ? " " : "", arguments->names[i]);
    }
    complete_words(path, take_beginning, &found);
    if (found.exact || found.count == 0) {
        return true;
    }
    if (found.count > 1) {
        return refuse(arguments, "`%s` is the beginning of several: %s",
                      found.wanted, found.list);
    }
    if (found.destroys) {
        return refuse(arguments,
                      "`%s` is short for `%s`, which is to be written in full",
                      found.wanted, found.first);
    }
    memcpy(arguments->expanded[last], found.first, sizeof(found.first));
    arguments->names[last] = arguments->expanded[last];
    return true;
}

/* The words so far name a command, or may still become one. */
static bool resolve(struct arguments *arguments)
{
    const struct command *command;

    if (!expand(arguments)) {
        return false;
    }
    command = command_find(arguments->names, arguments->name_count);
    if (command != NULL) {
        size_t words = command_words(command);

        arguments->command = command;
        arguments->noun = command->noun;
        arguments->name_count -= words;
        memmove(arguments->names, arguments->names + words,
                arguments->name_count * sizeof(arguments->names[0]));
        return true;
    }
    if (arguments->name_count == 1) {
        arguments->noun = arguments->names[0];
        return noun_summary(arguments->noun) != NULL ||
               unknown_noun(arguments, arguments->noun);
    }
    if (arguments->name_count == 2) { /* "cluster settings": one more word. */
        for (size_t i = 0; command_at(i) != NULL; i++) {
            size_t len = strlen(arguments->names[1]);

            if (strcmp(command_at(i)->noun, arguments->noun) == 0 &&
                command_at(i)->verb != NULL &&
                strncmp(command_at(i)->verb, arguments->names[1], len) == 0 &&
                command_at(i)->verb[len] == ' ') {
                return true;
            }
        }
        return unknown_verb(arguments, arguments->names[1]);
    }
    {
        char verb[128];

        (void)snprintf(verb, sizeof(verb), "%s %s", arguments->names[1],
                       arguments->names[2]);
        return unknown_verb(arguments, verb);
    }
}

static bool add_word(struct arguments *arguments, const char *word)
{
    if (arguments->name_count == ARGUMENTS_NAMES_MAX) {
        return refuse(arguments, "more than %d names", ARGUMENTS_NAMES_MAX);
    }
    arguments->names[arguments->name_count++] = word;
    return arguments->command != NULL || resolve(arguments);
}

static bool check_names(struct arguments *arguments)
{
    const struct command *command = arguments->command;

    if (command == NULL || arguments_has(arguments, OPTION_HELP)) {
        return true;
    }
    if (arguments->name_count < command->name_min) {
        return refuse(arguments, "`%s%s%s` needs: %s", command->noun,
                      command->verb == NULL ? "" : " ",
                      command->verb == NULL ? "" : command->verb,
                      command->names);
    }
    if (arguments->name_count > command->name_max) {
        return refuse(arguments, "`%s` is one word too many",
                      arguments->names[command->name_max]);
    }
    return true;
}

bool arguments_read(struct arguments *arguments, int argc, char *const *argv)
{
    bool only_words = false;

    memset(arguments, 0, sizeof(*arguments));
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        bool taken;

        if (!only_words && strcmp(text, "--") == 0) {
            only_words = true;
            continue;
        }
        if (!only_words && text[0] == '-' && text[1] != '\0') {
            taken = read_option(arguments, argc, argv, &i);
        } else {
            taken = add_word(arguments, text);
        }
        if (!taken) {
            return false;
        }
    }
    return check_names(arguments);
}

const char *arguments_value_at(const struct arguments *arguments,
                               enum option option, size_t index)
{
    for (size_t i = 0; i < arguments->option_count; i++) {
        if (arguments->options[i].option == option && index-- == 0) {
            return arguments->options[i].value;
        }
    }
    return NULL;
}

bool arguments_has(const struct arguments *arguments, enum option option)
{
    for (size_t i = 0; i < arguments->option_count; i++) {
        if (arguments->options[i].option == option) {
            return true;
        }
    }
    return false;
}

const char *arguments_value(const struct arguments *arguments,
                            enum option option)
{
    const char *value = NULL;

    for (size_t i = 0; i < arguments->option_count; i++) {
        if (arguments->options[i].option == option) {
            value = arguments->options[i].value;
        }
    }
    return value;
}
