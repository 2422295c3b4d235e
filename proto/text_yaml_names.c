/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_yaml_names.h"

#include "base/error.h"
#include "base/hash.h"

#include <string.h>

struct named {
    struct named *next;
    const ProtobufCFieldDescriptor *list;
    const char *name;
    unsigned line;
};

void names_init(struct names *names, struct arena *arena)
{
    map_init(&names->map);
    names->arena = arena;
}

void names_close(struct names *names)
{
    map_close(&names->map);
}

int names_add(struct names *names, const ProtobufCFieldDescriptor *list,
              const char *name, unsigned line, unsigned *before)
{
    uint64_t key = hash_bytes(name, strlen(name), list->id);
    struct named *first = map_get(&names->map, key);
    struct named *named;

    for (named = first; named != NULL; named = named->next) {
        if (named->list == list && strcmp(named->name, name) == 0) {
            *before = named->line;
            return 1;
        }
    }
    named = arena_alloc(names->arena, sizeof(*named));
    if (named == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    *named =
        (struct named){.next = first, .list = list, .name = name, .line = line};
    map_put(&names->map, key, named);
    return 0;
}
