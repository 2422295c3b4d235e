/* SPDX-License-Identifier: Apache-2.0
 *
 * The last step of making room: a large planned VM for several small ones. */
#include "placement/evacuate_internal.h"

/* Takes the item off its host and fills that with what has no place, from the
 * end of the list or its beginning; keeps it if as much CPU is in use, by more
 * VMs. */
static bool exchange(struct evacuation *evacuation, uint32_t item,
                     bool smallest_first)
{
    uint32_t host = evacuation->best[item];
    const struct item *it = &evacuation->items[item];
    uint64_t wanted = evacuation->wishes[it->wish].need.cpu_milli;
    uint32_t placed[64];
    uint32_t count = 0;
    uint64_t cpu = 0;

    evacuation_pull_item(evacuation, item);
    for (uint32_t i = 0; i < evacuation->item_count && count < 64; i++) {
        uint32_t other = smallest_first ? evacuation->item_count - 1 - i : i;
        const struct item *its = &evacuation->items[other];
        const struct wish *wish = &evacuation->wishes[its->wish];

        if (other == item || evacuation->best[other] != NONE ||
            !evacuation_is_plain(evacuation, other) ||
            its->priority != it->priority ||
            wish->right != evacuation->wishes[it->wish].right ||
            !evacuation_host_allowed(evacuation, wish, host) ||
            !evacuation_host_fits(evacuation, wish, host)) {
            continue;
        }
        evacuation_put_item(evacuation, other, host);
        placed[count++] = other;
        cpu += wish->need.cpu_milli;
    }
    if (cpu > wanted || (cpu == wanted && count > 1)) {
        return true;
    }
    while (count > 0) {
        evacuation_pull_item(evacuation, placed[--count]);
    }
    evacuation_put_item(evacuation, item, host);
    return false;
}

bool evacuation_exchange_work(struct evacuation *evacuation, uint32_t *budget)
{
    uint32_t cost = evacuation_item_cost(evacuation);

    while (evacuation->cursor<evacuation->item_count && * budget> 0) {
        uint32_t item = evacuation->cursor++;

        *budget -= *budget < cost ? *budget : cost;
        if (evacuation->best[item] != NONE &&
            evacuation_is_plain(evacuation, item) &&
            !evacuation_is_freed(evacuation, evacuation->best[item]) &&
            !exchange(evacuation, item, true)) {
            exchange(evacuation, item, false);
        }
    }
    return evacuation->cursor == evacuation->item_count;
}
