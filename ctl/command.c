/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/command.h"

#include "base/container.h"
#include "ctl/command_rows.h"

#include <string.h>

const struct command *command_at(size_t index)
{
    if (index < commands_region_count) {
        return &commands_region[index];
    }
    index -= commands_region_count;
    if (index < commands_vm_count) {
        return &commands_vm[index];
    }
    index -= commands_vm_count;
    if (index < commands_access_count) {
        return &commands_access[index];
    }
    index -= commands_access_count;
    if (index < commands_fleet_count) {
        return &commands_fleet[index];
    }
    index -= commands_fleet_count;
    if (index < commands_plan_count) {
        return &commands_plan[index];
    }
    index -= commands_plan_count;
    if (index < commands_care_count) {
        return &commands_care[index];
    }
    index -= commands_care_count;
    return index < commands_tool_count ? &commands_tool[index] : NULL;
}

const char *noun_summary(const char *noun)
{
    static const char *const nouns[][2] = {
        {"cluster", "The region as a whole"},
        {"node", "Control-plane nodes, which come and go"},
        {"zone", "Availability zones"},
        {"class", "VM sizes"},
        {"host", "Hypervisors; they register themselves"},
        {"vm", "Virtual machines"},
        {"group",
         "Groups: VMs from one template, and rules for where they run"},
        {"reservation", "Room kept for failover"},
        {"auth", "What you may do"},
        {"grant", "Roles of clients"},
        {"token", "Tokens: roles without a certificate"},
        {"audit", "Who changed what"},
        {"apply", "The fleet in a file, made true"},
        {"diff", "The fleet in a file, compared"},
        {"operation", "What takes time, and how far it is"},
        {"plan", "What would happen"},
        {"capacity", "Room"},
        {"export", "The fleet in a file"},
        {"simulate", "The fleet in virtual time"},
        {"watch", "Changes"},
        {"doctor", "What is wrong"},
        {"events", "Changes of the past"},
        {"lint", "What is risky in a file"},
        {"support-bundle", "What others need to help"},
        {"ca", "Authorities for certificates"},
        {"cert", "Certificates"},
        {"version", "This program"},
        {"help", "Help"},
        {"init", "To begin with"},
        {"context", "Regions, and how to reach them"},
        {"completion", "Completion in shells"},
    };

    for (size_t i = 0; i < ARRAY_LEN(nouns); i++) {
        if (strcmp(nouns[i][0], noun) == 0) {
            return nouns[i][1];
        }
    }
    return NULL;
}

size_t command_words(const struct command *command)
{
    size_t words = 1;

    for (const char *p = command->verb; p != NULL; p = strchr(p, ' ')) {
        p += *p == ' ';
        words++;
    }
    return words;
}

/* Whether the verb is the given words, one blank between. */
static bool verb_is(const char *verb, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);

        if (strncmp(verb, words[i], len) != 0 ||
            verb[len] != (i + 1 < count ? ' ' : '\0')) {
            return false;
        }
        verb += len + 1;
    }
    return true;
}

const struct command *command_find(const char *const *words, size_t count)
{
    const struct command *best = NULL;

    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        size_t needed = command_words(command);

        if (count < needed || strcmp(command->noun, words[0]) != 0 ||
            (needed > 1 && !verb_is(command->verb, words + 1, needed - 1))) {
            continue;
        }
        if (best == NULL || needed > command_words(best)) {
            best = command;
        }
    }
    return best;
}
