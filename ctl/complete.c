/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/complete.h"

#include "base/container.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/diagnosis.pb-c.h"
#include "holdfast/v1/operation_service.pb-c.h"
#include "holdfast/v1/resources.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "proto/text_field.h"

#include <stdio.h>
#include <string.h>

/* What the form of a value says by its word alone: "ZONE" of "ZONE,...". */
static const struct {
    const char *word;
    enum complete_kind kind;
    const char *text;
} by_word[] = {
    {"ZONE", COMPLETE_NAMES, "zone"},
    {"HOST", COMPLETE_NAMES, "host"},
    {"CLASS", COMPLETE_NAMES, "class"},
    {"GROUP", COMPLETE_NAMES, "group"},
    {"NODE", COMPLETE_NAMES, "node"},
    {"CONTEXT", COMPLETE_NAMES, "context"},
    {"FILE", COMPLETE_FILE, ""},
    {"DIR", COMPLETE_DIRECTORY, ""},
    {"ROLE", COMPLETE_WORDS, "node agent client"},
    {"FORMAT", COMPLETE_WORDS, "table wide json yaml name"},
    {"RULE", COMPLETE_WORDS, "zones together apart any"},
    {"SHELL", COMPLETE_WORDS, "bash zsh fish"},
};

static void set(struct complete *complete, enum complete_kind kind,
                const char *text)
{
    complete->kind = kind;
    (void)snprintf(complete->text, sizeof(complete->text), "%s", text);
}

static void add_word(struct complete *complete, const char *word, size_t len)
{
    size_t used = strlen(complete->text);

    complete->kind = COMPLETE_WORDS;
    (void)snprintf(complete->text + used, sizeof(complete->text) - used,
                   "%s%.*s", used > 0 ? " " : "", (int)len, word);
}

/* All values of an enum but the one that means "not set". */
static void set_enum(struct complete *complete,
                     const ProtobufCEnumDescriptor *descriptor)
{
    complete->text[0] = '\0';
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        char name[TEXT_NAME_MAX + 1];

        if (descriptor->values[i].value != 0) {
            text_enum_name(descriptor, descriptor->values[i].value, name);
            add_word(complete, name, strlen(name));
        }
    }
}

/* "KEY=" of each setting. */
static void set_settings(struct complete *complete)
{
    const ProtobufCMessageDescriptor *settings =
        &holdfast__v1__settings__descriptor;

    complete->text[0] = '\0';
    for (unsigned i = 0; i < settings->n_fields; i++) {
        const char *name = settings->fields[i].name;
        char key[TEXT_NAME_MAX + 1];
        int len = snprintf(key, sizeof(key), "%s=", name);

        if (strcmp(name, "revision") != 0) { /* Is none: of its record. */
            add_word(complete, key, (size_t)len);
        }
    }
}

/* "move|keep", "all|NAME,...": the words that stand for themselves. */
static void set_alternatives(struct complete *complete, const char *form)
{
    complete->text[0] = '\0';
    while (form[0] != '\0') {
        size_t len = strcspn(form, "|");
        size_t word = strspn(form, "abcdefghijklmnopqrstuvwxyz_-");

        if (word == len) {
            add_word(complete, form, len);
        }
        form += len + (form[len] == '|');
    }
}

static void from_form(const char *form, struct complete *complete)
{
    size_t len;

    *complete = (struct complete){.kind = COMPLETE_NOTHING};
    form += form[0] == '[';
    len = strspn(form, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    for (size_t i = 0; i < ARRAY_LEN(by_word); i++) {
        if (strlen(by_word[i].word) == len &&
            strncmp(by_word[i].word, form, len) == 0 && form[len] != ':' &&
            form[len] != '=') {
            set(complete, by_word[i].kind, by_word[i].text);
            return;
        }
    }
    if (strchr(form, '|') != NULL) {
        set_alternatives(complete, form);
    }
}

void complete_value(enum option option, struct complete *complete)
{
    const struct option_rule *rule = option_rule(option);

    from_form(rule->value, complete);
    if (option == OPTION_STATE) {
        set_enum(complete, &holdfast__v1__vm_state__descriptor);
    } else if (option == OPTION_KIND) {
        set_enum(complete, &holdfast__v1__kind__descriptor);
    } else if (option == OPTION_OPERATION_KIND) {
        set_enum(complete, &holdfast__v1__operation_kind__descriptor);
    } else if (option == OPTION_FAIL_ON) {
        set_enum(complete, &holdfast__v1__severity__descriptor);
    } else if (option == OPTION_ROLE) {
        set_enum(complete, &holdfast__v1__access_role__descriptor);
        complete->kind = COMPLETE_WORDS;
    } else if (option == OPTION_IGNORE) {
        *complete = (struct complete){.kind = COMPLETE_NOTHING};
    } else if (option == OPTION_CONTEXT) {
        set(complete, COMPLETE_NAMES, "context");
    } else if (option == OPTION_ADDRESS) {
        complete->kind = COMPLETE_NOTHING;
    }
    complete->list = strstr(rule->value, ",...") != NULL ||
                     strstr(rule->help, "list with commas") != NULL;
}

static void add_noun(void *context, const char *word,
                     const struct command *command)
{
    (void)command;
    add_word(context, word, strlen(word));
}

void complete_name(const struct command *command, unsigned place,
                   struct complete *complete)
{
    const char *form = command->names;

    if (strcmp(form, "[COMMAND]") == 0) {
        *complete = (struct complete){.kind = COMPLETE_NOTHING};
        if (place == 0) {
            complete_words("", add_noun, complete);
        }
        return;
    }
    for (; place > 0 && strchr(form, ' ') != NULL; place--) {
        form = strchr(form, ' ') + 1;
    }
    from_form(form, complete);
    if (strncmp(form, "KEY=VALUE", strlen("KEY=VALUE")) == 0) {
        set_settings(complete);
    }
    /* "NAME": one that is there, unless the command makes it. */
    form += form[0] == '[';
    if (strncmp(form, "NAME", strlen("NAME")) == 0 && command->method != NULL &&
        (command->verb == NULL || strcmp(command->verb, "create") != 0)) {
        set(complete, COMPLETE_NAMES, command->noun);
    }
}

/* The word of the command behind `path`; NULL: it does not begin with that, or
 * is that. `*last`: nothing follows the word. */
static const char *word_behind(const struct command *command, const char *path,
                               char word[64], bool *last)
{
    char whole[128];
    size_t len = strlen(path);
    const char *rest = whole;

    (void)snprintf(whole, sizeof(whole), "%s%s%s", command->noun,
                   command->verb == NULL ? "" : " ",
                   command->verb == NULL ? "" : command->verb);
    if (len > 0) {
        if (strncmp(whole, path, len) != 0 || whole[len] != ' ') {
            return NULL;
        }
        rest = whole + len + 1;
    }
    *last = strchr(rest, ' ') == NULL;
    (void)snprintf(word, 64, "%.*s", (int)strcspn(rest, " "), rest);
    return word;
}

void complete_words(const char *path, complete_each each, void *context)
{
    char before[64] = "";

    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        char word[64];
        bool last;

        if (word_behind(command, path, word, &last) == NULL ||
            strcmp(word, before) == 0) {
            continue;
        }
        memcpy(before, word, sizeof(before));
        each(context, word, last ? command : NULL);
    }
}

void complete_paths(void (*each)(void *context, const char *path),
                    void *context)
{
    char noun[64] = "";
    char path[128] = "";

    each(context, "");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        const char *verb = command->verb == NULL ? "" : command->verb;
        char here[128];

        if (strcmp(command->noun, noun) != 0 && verb[0] != '\0') {
            each(context, command->noun);
        }
        (void)snprintf(noun, sizeof(noun), "%s", command->noun);
        (void)snprintf(here, sizeof(here), "%s %.*s", noun,
                       (int)strcspn(verb, " "), verb);
        if (strchr(verb, ' ') != NULL && strcmp(here, path) != 0) {
            each(context, here);
            memcpy(path, here, sizeof(path));
        }
    }
}

const char *complete_summary(const char *path, const char *word,
                             const struct command *command)
{
    if (path[0] == '\0') {
        return noun_summary(word);
    }
    return command == NULL ? word : command->summary;
}
