/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/shrink.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

size_t sim_rule_len(const char *violation)
{
    return strcspn(violation, ":");
}

static bool still_breaks(const struct sim_options *options,
                         const char *violation, const bool *keep, size_t count)
{
    struct sim_options fewer = *options;
    struct sim_world *world;
    size_t len = sim_rule_len(violation);
    bool same;

    fewer.keep = keep;
    fewer.keep_count = count;
    fewer.verbose = false;
    world = sim_world_create(&fewer);
    sim_world_run(world);
    same = strncmp(world->violation, violation, len + 1) == 0;
    sim_world_destroy(world);
    return same;
}

static size_t kept(const bool *keep, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += keep[i];
    }
    return sum;
}

/* Leaves `part` of the kept ones out, from the `first`-th kept one on. */
static void leave_out(const bool *keep, bool *fewer, size_t count, size_t first,
                      size_t part)
{
    size_t seen = 0;

    for (size_t i = 0; i < count; i++) {
        bool out = keep[i] && seen >= first && seen < first + part;

        fewer[i] = keep[i] && !out;
        seen += keep[i];
    }
}

size_t sim_shrink(const struct sim_options *options, const char *violation,
                  bool *keep, size_t count)
{
    bool *fewer = memory_alloc_array(count + 1, sizeof(*fewer));
    size_t part = (count + 1) / 2;

    memset(keep, 1, count * sizeof(*keep));
    while (part > 0) {
        size_t first = 0;

        while (first < kept(keep, count)) {
            leave_out(keep, fewer, count, first, part);
            if (still_breaks(options, violation, fewer, count)) {
                memcpy(keep, fewer, count * sizeof(*keep));
            } else {
                first += part;
            }
        }
        part /= 2;
    }
    free(fewer);
    return kept(keep, count);
}
