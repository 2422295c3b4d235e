/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/paths.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_DIGITS 20

void path_set(struct path *path, const char *directory, const char *name)
{
    int len = snprintf(path->text, sizeof path->text, "%s%s%s", directory,
                       *name == '\0' ? "" : "/", name);
    CHECK(len > 0 && (size_t)len < sizeof path->text);
}

void path_numbered(struct path *path, const char *directory, const char *folder,
                   uint64_t number, const char *suffix)
{
    int len = snprintf(path->text, sizeof path->text, "%s/%s/%0*" PRIu64 "%s",
                       directory, folder, NUMBER_DIGITS, number, suffix);
    CHECK(len > 0 && (size_t)len < sizeof path->text);
}

bool path_number_parse(const char *name, const char *suffix, uint64_t *number)
{
    uint64_t value = 0;
    if (strlen(name) != NUMBER_DIGITS + strlen(suffix) ||
        strcmp(name + NUMBER_DIGITS, suffix) != 0) {
        return false;
    }
    for (int i = 0; i < NUMBER_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    *number = value;
    return true;
}

bool path_ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t tail = strlen(suffix);
    return len >= tail && strcmp(name + len - tail, suffix) == 0;
}
