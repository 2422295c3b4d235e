/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/arguments.h"

#include "base/check.h"
#include "base/container.h"
#include "base/similar.h"
#include "ctl/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct option_rule rules[OPTION_MAX] = {
    [OPTION_ENDPOINT] = {"--endpoint", 'e', "HOST:PORT",
                         "node to ask; repeatable, or a list with commas "
                         "(default: $HOLDFAST_ENDPOINTS or 127.0.0.1:7400)"},
    [OPTION_OUTPUT] = {"--output", 'o', "FORMAT",
                       "table, wide, json, yaml or name"},
    [OPTION_TIMEOUT] = {"--timeout", 0, "TIME",
                        "for each call, over all nodes (default 10s)"},
    [OPTION_HELP] = {"--help", 'h', NULL, "show this help"},
    [OPTION_WATCH] = {"--watch", 'w', NULL,
                      "go on and show every change until interrupted"},
    [OPTION_STALE] = {"--stale", 0, NULL,
                      "take what the asked node has; works without a quorum"},
    [OPTION_FILTER] = {"--filter", 'l', "LABEL=VALUE",
                       "only with these labels; a list with commas"},
    [OPTION_REQUEST_ID] = {"--request-id", 0, "ID",
                           "repeated with the same id it takes effect once"},
    [OPTION_EXPECT_REVISION] = {"--expect-revision", 0, "N",
                                "only if the object has this revision"},
    [OPTION_DRY_RUN] = {"--dry-run", 0, NULL,
                        "check and plan, but change nothing"},
    [OPTION_WAIT] = {"--wait", 0, NULL, "return when it is done"},
    [OPTION_WAIT_TIMEOUT] = {"--wait-timeout", 0, "TIME",
                             "how long --wait waits (default 2m)"},
    [OPTION_ZONE] = {"--zone", 'z', "ZONE", "name of the zone"},
    [OPTION_ZONES] = {"--zone", 'z', "ZONE",
                      "zone that offers it; repeatable, or a list with commas "
                      "(default: every zone)"},
    [OPTION_HOST] = {"--host", 0, "HOST", "name of the host"},
    [OPTION_STATE] = {"--state", 0, "STATE",
                      "only VMs in this state, such as running or pending"},
    [OPTION_CLASS] = {"--class", 'c', "CLASS", "name of its class"},
    [OPTION_PRIORITY] = {"--priority", 0, "N",
                         "0 to 1000; higher is placed and started first"},
    [OPTION_ON_PARTITION] = {"--on-partition", 0, "move|keep",
                             "when its host is cut off: stop it there and move "
                             "it, or keep it running there"},
    [OPTION_DRIVER] = {"--driver", 0, "qemu|exec",
                       "what runs it (default: exec with --command, else "
                       "qemu)"},
    [OPTION_IMAGE] = {"--image", 0, "IMAGE", "boot image that the hosts have"},
    [OPTION_DISK] = {"--disk", 0, "KEY=VALUE,...",
                     "kind=shared,pool=P,path=X or kind=ephemeral,image=I; "
                     "also read_only=true; repeatable"},
    [OPTION_ENVIRONMENT] = {"--env", 0, "KEY=VALUE",
                            "environment of the command; repeatable"},
    [OPTION_STOP_GRACE] = {"--stop-grace", 0, "TIME",
                           "between the polite stop and the kill"},
    [OPTION_LABEL] = {"--label", 0, "KEY=VALUE",
                      "label; repeatable; KEY- removes it (update)"},
    [OPTION_STOPPED] = {"--stopped", 0, NULL, "create it, but do not start it"},
    [OPTION_COUNT] = {"--count", 'n', "N", "create N VMs, NAME-1 to NAME-N"},
    [OPTION_FILE] =
        {"--file", 'f', "FILE",
         "read the VM from YAML or JSON; - is standard input; other "
         "options override it"},
    [OPTION_FLEET] = {"--file", 'f', "FILE",
                      "a manifest as `holdfast export` writes it; - is "
                      "standard input; default: the live region"},
    [OPTION_SEEDS] = {"--seeds", 0, "N",
                      "regions to live through; default: 5 losses of each "
                      "zone, or 10 with --faults"},
    [OPTION_FIRST] = {"--first", 0, "S",
                      "seed of the first region (default 1)"},
    [OPTION_FAULTS] = {"--faults", 0, "all|NAME,...",
                       "faults at random instead of the loss of each zone in "
                       "turn; `--faults help` lists them"},
    [OPTION_DELAY] = {"--delay-ms", 0, "D",
                      "longest way between zones, one direction (default 2)"},
    [OPTION_VERBOSE] = {"--verbose", 0, NULL,
                        "tell the story event by event, on standard error"},
    [OPTION_COMMAND] = {"--command", 0, "PROGRAM [ARGUMENT...]",
                        "program to run; takes the rest of the line"},
    [OPTION_CPU] = {"--cpu", 0, "N", "CPUs, such as 4 or 0.5"},
    [OPTION_MEMORY] = {"--memory", 0, "SIZE", "such as 512MiB or 8GiB"},
    [OPTION_DISK_SIZE] = {"--disk", 0, "SIZE",
                          "disk on the host itself, such as 20GiB (default 0)"},
    [OPTION_CONFIRM] = {"--confirm", 0, "HOST", "the host's name again"},
    [OPTION_REASON] = {"--reason", 0, "TEXT", "for the record"},
    [OPTION_KIND] = {"--kind", 0, "KIND",
                     "only zone, class, host, vm or settings; repeatable, or a "
                     "list with commas"},
    [OPTION_AFTER] = {"--after", 0, "REVISION",
                      "begin behind this revision (default: now)"},
    [OPTION_STATUS] = {"--status", 0, NULL,
                       "also what the region alone can say: uid, revision, "
                       "state, host, epoch"},
    [OPTION_TO_FILE] = {"--file", 'f', "FILE",
                        "write to this file, whole or not at all (default: "
                        "standard output)"},
};

const struct option_rule *option_rule(enum option option)
{
    CHECK((size_t)option < ARRAY_LEN(rules));
    return &rules[option];
}

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

static uint64_t allowed_options(const struct arguments *arguments)
{
    return OPTIONS_GLOBAL |
           (arguments->command == NULL ? 0 : arguments->command->options);
}

/* The option that a text such as "--zone=z1" names, among those allowed. */
static bool find_option(const struct arguments *arguments, const char *text,
                        enum option *found)
{
    uint64_t allowed = allowed_options(arguments);
    size_t len = strcspn(text, "=");

    for (unsigned i = 0; i < OPTION_MAX; i++) {
        bool is_long = strlen(rules[i].name) == len &&
                       strncmp(rules[i].name, text, len) == 0;
        bool is_short = text[1] != '-' && text[1] == rules[i].letter;

        if ((allowed >> i & 1) != 0 && (is_long || is_short)) {
            *found = (enum option)i;
            return true;
        }
    }
    return false;
}

static bool unknown_option(struct arguments *arguments, const char *text)
{
    uint64_t allowed = allowed_options(arguments);
    int len = (int)strcspn(text, "=");
    struct similar similar;
    char wanted[64];

    (void)snprintf(wanted, sizeof(wanted), "%.*s", len, text);
    similar_init(&similar, wanted);
    for (unsigned i = 0; i < OPTION_MAX; i++) {
        if (strcmp(rules[i].name, wanted) == 0 && (allowed >> i & 1) == 0) {
            return refuse(
                arguments, "option %s does not go with this command%s", wanted,
                arguments->command == NULL ? "; options of a command come "
                                             "behind it"
                                           : "");
        }
        if ((allowed >> i & 1) != 0) {
            similar_offer(&similar, rules[i].name);
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
    if (rules[option].value == NULL) {
        if ((is_short && text[2] != '\0') || (!is_short && equals != NULL)) {
            return refuse(arguments, "option %s takes no value",
                          rules[option].name);
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
                      rules[option].name, rules[option].value);
    }
    ++*index;
    return add_option(arguments, option, argv[*index]);
}

static bool unknown_noun(struct arguments *arguments, const char *noun)
{
    struct similar similar;

    similar_init(&similar, noun);
    for (size_t i = 0; i < command_count; i++) {
        similar_offer(&similar, commands[i].noun);
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
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].noun, arguments->noun) == 0 &&
            commands[i].verb != NULL && used < sizeof(list)) {
            similar_offer(&similar, commands[i].verb);
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                                     used > 0 ? ", " : "", commands[i].verb);
        }
    }
    return refuse(arguments, "`%s` has no `%s`%s%s%s", arguments->noun, verb,
                  similar.best != NULL ? "" : "; it has: ",
                  similar.best != NULL ? "" : list, hint_of(&similar).text);
}

/* The words so far name a command, or may still become one. */
static bool resolve(struct arguments *arguments)
{
    const struct command *command =
        command_find(arguments->names, arguments->name_count);

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
        for (size_t i = 0; i < command_count; i++) {
            size_t len = strlen(arguments->names[1]);

            if (strcmp(commands[i].noun, arguments->noun) == 0 &&
                commands[i].verb != NULL &&
                strncmp(commands[i].verb, arguments->names[1], len) == 0 &&
                commands[i].verb[len] == ' ') {
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
