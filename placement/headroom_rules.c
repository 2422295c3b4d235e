/* SPDX-License-Identifier: Apache-2.0
 *
 * Which VMs may count on another zone, and which hosts may have their slots.
 * What a group asks is taken as it would be after the loss: its members in the
 * other zones stay, those of the lost zone go to their slots. */
#include "placement/headroom_book.h"

#include "base/check.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/memory.h"
#include "state/labels.h"

#include <stdlib.h>
#include <string.h>

static uint64_t zone_bit(uint32_t zone)
{
    return UINT64_C(1) << zone;
}

/* --- Kinds --------------------------------------------------------------- */

static bool has_labels(const struct state *state, uint32_t labels_blob,
                       uint32_t selector_blob)
{
    struct text selector = state_blob(state, selector_blob);
    struct text labels = state_blob(state, labels_blob);
    struct label wanted;
    struct text value;

    while (labels_next(&selector, &wanted)) {
        if (!labels_get(labels, wanted.key, &value) ||
            value.len != wanted.value.len ||
            memcmp(value.data, wanted.value.data, value.len) != 0) {
            return false;
        }
    }
    return true;
}

static bool suits(const struct headroom *headroom,
                  const struct headroom_kind *kind,
                  const struct headroom_traits *traits)
{
    return traits->open &&
           (kind->driver == 0 || (traits->driver_mask >> kind->driver & 1)) &&
           (kind->pool_mask & ~traits->pool_mask) == 0 &&
           (kind->selector_blob == 0 ||
            has_labels(headroom->state, traits->labels_blob,
                       kind->selector_blob));
}

/* Another host of the zone that has what the kind asks for. Looks from the slot
 * on and then at those before, for when a zone's hosts go one after another. */
static void find_example(struct headroom *headroom, struct headroom_kind *kind,
                         uint32_t zone, uint32_t from)
{
    uint32_t count = headroom->traits_count;

    kind->examples[zone] = SLOT_NONE;
    kind->zone_mask &= ~zone_bit(zone);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = from + i < count ? from + i : from + i - count;
        const struct headroom_traits *traits = &headroom->traits[slot];

        if (traits->zone == zone && suits(headroom, kind, traits)) {
            kind->examples[zone] = slot;
            kind->zone_mask |= zone_bit(zone);
            return;
        }
    }
}

static void forget_kinds(struct headroom *headroom)
{
    size_t cursor = 0;
    struct headroom_kind *kind;

    while ((kind = map_next(&headroom->kinds, &cursor)) != NULL) {
        free(kind);
    }
    map_close(&headroom->kinds);
    map_init(&headroom->kinds);
    headroom->last_kind = NULL;
}

static bool kind_is(const struct headroom_kind *kind, uint8_t driver,
                    uint64_t pool_mask, uint32_t selector_blob)
{
    return kind->driver == driver && kind->pool_mask == pool_mask &&
           kind->selector_blob == selector_blob;
}

static struct headroom_kind *kind_made(struct headroom *headroom,
                                       uint8_t driver, uint64_t pool_mask,
                                       uint32_t selector_blob)
{
    struct headroom_kind *kind = memory_alloc(sizeof(*kind));

    kind->pool_mask = pool_mask;
    kind->selector_blob = selector_blob;
    kind->driver = driver;
    for (uint32_t zone = 0; zone < ZONES_MAX; zone++) {
        kind->examples[zone] = SLOT_NONE;
    }
    /* One pass for all zones. */
    for (uint32_t slot = 0; slot < headroom->traits_count; slot++) {
        const struct headroom_traits *traits = &headroom->traits[slot];

        if (traits->zone != SLOT_NONE &&
            kind->examples[traits->zone] == SLOT_NONE &&
            suits(headroom, kind, traits)) {
            kind->examples[traits->zone] = slot;
            kind->zone_mask |= zone_bit(traits->zone);
        }
    }
    return kind;
}

static const struct headroom_kind *kind_of(struct headroom *headroom,
                                           uint8_t driver, uint64_t pool_mask,
                                           uint32_t selector_blob)
{
    struct headroom_kind *kind = headroom->last_kind;
    uint64_t key;

    if (kind != NULL && kind_is(kind, driver, pool_mask, selector_blob)) {
        return kind;
    }
    key = hash_u64(hash_u64(pool_mask) ^
                   ((uint64_t)driver << 32 | selector_blob));
    kind = map_get(&headroom->kinds, key);
    if (kind == NULL || !kind_is(kind, driver, pool_mask, selector_blob)) {
        if (kind != NULL || headroom->kinds.count >= HEADROOM_KINDS_MAX) {
            forget_kinds(headroom);
        }
        kind = kind_made(headroom, driver, pool_mask, selector_blob);
        map_put(&headroom->kinds, key, kind);
    }
    headroom->last_kind = kind;
    return kind;
}

/* --- Traits of hosts -------------------------------------------------------
 */

static void count_traits(struct headroom *headroom,
                         const struct headroom_traits *traits, bool minus)
{
    uint32_t one = minus ? UINT32_MAX : 1;

    if (!traits->open) {
        return;
    }
    headroom->open_count += one;
    for (uint32_t i = 0; i < ARRAY_LEN(headroom->driver_counts); i++) {
        headroom->driver_counts[i] += one * (traits->driver_mask >> i & 1);
    }
}

static void reserve_traits(struct headroom *headroom, uint32_t count)
{
    uint32_t old = headroom->traits_count;

    if (count <= old) {
        return;
    }
    count += count / 4 + 64;
    headroom->traits = memory_realloc_array(headroom->traits, count,
                                            sizeof(*headroom->traits));
    memset(&headroom->traits[old], 0,
           (count - old) * sizeof(*headroom->traits));
    for (uint32_t i = old; i < count; i++) {
        headroom->traits[i].zone = SLOT_NONE;
    }
    headroom->traits_count = count;
}

bool headroom_traits_changed(struct headroom *headroom, uint32_t slot)
{
    struct headroom_traits traits = {.zone = SLOT_NONE};
    struct headroom_traits before;
    struct headroom_kind *kind;
    bool gained = false;
    size_t cursor = 0;

    if (slot < fleet_slots(headroom->fleet)) {
        const struct fleet_host *host = &fleet_hosts(headroom->fleet)[slot];

        traits.zone = host->zone;
        traits.pool_mask = host->pool_mask;
        traits.labels_blob = host->labels_blob;
        traits.driver_mask = host->driver_mask;
        traits.open = host->zone != SLOT_NONE && fleet_host_is_open(host) &&
                      (headroom->target_mask >> host->zone & 1) != 0;
    }
    reserve_traits(headroom, slot + 1);
    before = headroom->traits[slot];
    if (memcmp(&before, &traits, sizeof(traits)) == 0) {
        return false;
    }
    count_traits(headroom, &before, true);
    count_traits(headroom, &traits, false);
    headroom->traits[slot] = traits;
    while ((kind = map_next(&headroom->kinds, &cursor)) != NULL) {
        if (before.zone != SLOT_NONE && kind->examples[before.zone] == slot) {
            find_example(headroom, kind, before.zone, slot);
        }
        if (traits.zone != SLOT_NONE &&
            kind->examples[traits.zone] == SLOT_NONE &&
            suits(headroom, kind, &traits)) {
            kind->examples[traits.zone] = slot;
            kind->zone_mask |= zone_bit(traits.zone);
            gained = true;
        }
    }
    return gained;
}

void headroom_rules_close(struct headroom *headroom)
{
    forget_kinds(headroom);
    free(headroom->traits);
    free(headroom->host_tally.counts);
    free(headroom->domain_tally.counts);
    headroom->traits = NULL;
    headroom->traits_count = 0;
    headroom->open_count = 0;
    memset(headroom->driver_counts, 0, sizeof(headroom->driver_counts));
    memset(&headroom->host_tally, 0, sizeof(headroom->host_tally));
    memset(&headroom->domain_tally, 0, sizeof(headroom->domain_tally));
}

/* --- Tallies -------------------------------------------------------------- */

static void tally_begin(struct headroom_tally *tally, uint32_t size)
{
    if (size > tally->size) {
        tally->counts =
            memory_realloc_array(tally->counts, size, sizeof(*tally->counts));
        memset(tally->counts, 0, size * sizeof(*tally->counts));
        tally->size = size;
        tally->stamp = 0;
    }
    if (++tally->stamp == 0) {
        memset(tally->counts, 0, tally->size * sizeof(*tally->counts));
        tally->stamp = 1;
    }
}

static uint32_t tally_get(const struct headroom_tally *tally, uint32_t at)
{
    return tally->counts[at].stamp == tally->stamp ? tally->counts[at].count
                                                   : 0;
}

static void tally_add(struct headroom_tally *tally, uint32_t at, uint32_t more)
{
    tally->counts[at].count = tally_get(tally, at) + more;
    tally->counts[at].stamp = tally->stamp;
}

/* --- Groups --------------------------------------------------------------- */

static bool strict_zones(const struct group *group)
{
    return group->zone_mode == RULE_MODE_STRICT &&
           group->zone_rule != ZONE_RULE_ANY;
}

static bool strict_domains(const struct group *group)
{
    return group->domain_mode == RULE_MODE_STRICT && group->domain_max > 0;
}

static bool strict_hosts(const struct group *group)
{
    return group->host_mode == RULE_MODE_STRICT && group->host_max > 0;
}

const struct group *headroom_strict_group(const struct state *state,
                                          uint32_t group_plus1)
{
    const struct group *group =
        group_plus1 == 0 ? NULL : state_group_at(state, group_plus1 - 1);

    if (group == NULL || (!strict_zones(group) && !strict_domains(group) &&
                          !strict_hosts(group))) {
        return NULL;
    }
    return group;
}

static void view_add(struct headroom *headroom,
                     struct headroom_group_view *view, uint32_t host,
                     bool minus)
{
    const struct fleet_host *at = &fleet_hosts(headroom->fleet)[host];
    uint32_t one = minus ? UINT32_MAX : 1;

    view->counts[at->zone] += one;
    if (strict_hosts(view->group)) {
        tally_add(&headroom->host_tally, host, one);
    }
    if (strict_domains(view->group)) {
        tally_add(&headroom->domain_tally, at->domain, one);
    }
}

/* Where a member is after the loss, or SLOT_NONE. */
static uint32_t member_host(const struct headroom *headroom,
                            const struct vm *vm, uint32_t failing)
{
    const struct witness_item *item;
    uint32_t slot = uid_slot(vm->uid);

    if (vm->host != SLOT_NONE &&
        fleet_hosts(headroom->fleet)[vm->host].zone != failing) {
        return vm->host;
    }
    if (slot >= headroom->witness.item_count) {
        return SLOT_NONE;
    }
    item = &headroom->witness.items[slot];
    return item->host != SLOT_NONE && item->zone == failing ? item->host
                                                            : SLOT_NONE;
}

void headroom_view(struct headroom *headroom, const struct group *group,
                   uint32_t failing, struct headroom_group_view *view)
{
    uint32_t next = group->vm_first_plus1;
    uint32_t slot = uid_slot(group->uid);

    memset(view, 0, sizeof(*view));
    view->group = group;
    view->failing = failing;
    view->allowed = headroom->target_mask & ~zone_bit(failing);
    if (group->zone_mask != 0) {
        view->allowed &= group->zone_mask;
    }
    if (strict_hosts(group)) {
        tally_begin(&headroom->host_tally, fleet_slots(headroom->fleet));
    }
    if (strict_domains(group)) {
        tally_begin(&headroom->domain_tally, fleet_domains(headroom->fleet));
    }
    while (next != 0) {
        const struct vm *vm = state_vm_at(headroom->state, next - 1);
        uint32_t host = member_host(headroom, vm, failing);

        if (host != SLOT_NONE) {
            view_add(headroom, view, host, false);
        }
        next = vm->group_next_plus1;
    }
    if (headroom->phantom.group_plus1 == slot + 1 &&
        fleet_hosts(headroom->fleet)[headroom->phantom.host].zone != failing) {
        view_add(headroom, view, headroom->phantom.host, false);
    }
}

void headroom_view_drop(struct headroom *headroom,
                        struct headroom_group_view *view, uint32_t host)
{
    view_add(headroom, view, host, true);
}

static uint32_t fewest(const struct headroom_group_view *view)
{
    uint32_t min = UINT32_MAX;

    for (uint64_t rest = view->allowed; rest != 0; rest &= rest - 1) {
        uint32_t count = view->counts[__builtin_ctzll(rest)];

        min = count < min ? count : min;
    }
    return min;
}

static uint64_t zones_with_members(const struct headroom_group_view *view)
{
    uint64_t mask = 0;

    for (uint32_t zone = 0; zone < ZONES_MAX; zone++) {
        if (view->counts[zone] > 0) {
            mask |= zone_bit(zone);
        }
    }
    return mask;
}

/* Whether a zone may have `count` members. */
static bool zone_may_have(const struct headroom_group_view *view, uint32_t zone,
                          uint32_t count)
{
    const struct group *group = view->group;

    if ((view->allowed >> zone & 1) == 0) {
        return false;
    }
    if (!strict_zones(group)) {
        return true;
    }
    switch (group->zone_rule) {
    case ZONE_RULE_APART:
        return count <= 1;
    case ZONE_RULE_TOGETHER:
        return (zones_with_members(view) & ~zone_bit(zone)) == 0;
    default:
        return count <=
               fewest(view) + (group->max_skew > 0 ? group->max_skew : 1);
    }
}

bool headroom_view_breaks(struct headroom *headroom,
                          const struct headroom_group_view *view, uint32_t host)
{
    const struct fleet_host *at = &fleet_hosts(headroom->fleet)[host];
    const struct group *group = view->group;

    return !zone_may_have(view, at->zone, view->counts[at->zone]) ||
           (strict_hosts(group) &&
            tally_get(&headroom->host_tally, host) > group->host_max) ||
           (strict_domains(group) &&
            tally_get(&headroom->domain_tally, at->domain) > group->domain_max);
}

/* Zones where one member more may go. */
static uint64_t zones_for_one_more(const struct headroom_group_view *view)
{
    uint64_t mask = 0;

    for (uint64_t rest = view->allowed; rest != 0; rest &= rest - 1) {
        uint32_t zone = (uint32_t)__builtin_ctzll(rest);

        if (zone_may_have(view, zone, view->counts[zone] + 1)) {
            mask |= zone_bit(zone);
        }
    }
    return mask;
}

/* Whether members that stay in other zones leave none for this one. Slots of
 * others do not count: they can go elsewhere. */
static bool group_leaves_none(struct headroom *headroom,
                              const struct group *group, uint32_t zone,
                              uint64_t zone_mask)
{
    uint64_t free = 0;

    if (!strict_zones(group) || group->zone_rule != ZONE_RULE_APART) {
        return false;
    }
    for (uint64_t rest = zone_mask; rest != 0; rest &= rest - 1) {
        uint32_t other = (uint32_t)__builtin_ctzll(rest);
        bool taken = group->zone_counts[other] > 0;

        if (headroom->phantom.group_plus1 == uid_slot(group->uid) + 1 &&
            fleet_hosts(headroom->fleet)[headroom->phantom.host].zone ==
                other) {
            taken = true;
        }
        free |= taken ? 0 : zone_bit(other);
    }
    return (free & ~zone_bit(zone)) == 0;
}

/* --- Protection ------------------------------------------------------------
 */

/* What does not depend on other zones. */
static enum unprotected_reason own_reason(const struct vm *vm,
                                          const struct group *group)
{
    bool keeps = vm->host != SLOT_NONE
                     ? vm->on_partition_active == ON_PARTITION_KEEP
                     : vm->on_partition == ON_PARTITION_KEEP;

    if (vm->zone != SLOT_NONE) {
        return UNPROTECTED_ZONAL;
    }
    if (vm->local_disk) {
        return UNPROTECTED_LOCAL_DISK;
    }
    if (group != NULL && group->unprotected) {
        return UNPROTECTED_BY_GROUP;
    }
    if (vm->preemptible) {
        return UNPROTECTED_PREEMPTIBLE;
    }
    return keeps ? UNPROTECTED_KEEP : PROTECTED;
}

enum unprotected_reason headroom_reason(struct headroom *headroom,
                                        const struct vm *vm, uint32_t zone,
                                        uint64_t *zone_mask)
{
    const struct state *state = headroom->state;
    const struct class *class = state_class_at(state, vm->class_slot);
    const struct group *group =
        vm->group_plus1 == 0 ? NULL
                             : state_group_at(state, vm->group_plus1 - 1);
    enum unprotected_reason reason = own_reason(vm, group);
    uint64_t mask = headroom->target_mask & ~zone_bit(zone);

    if (reason != PROTECTED) {
        return reason;
    }
    if (class->zone_mask != 0) {
        mask &= class->zone_mask;
    }
    if (mask == 0) {
        return UNPROTECTED_CLASS_NOT_OFFERED;
    }
    if (vm->disk_zone_mask != 0) {
        mask &= vm->disk_zone_mask;
    }
    if (vm->pool_mask != 0) {
        mask &= kind_of(headroom, 0, vm->pool_mask, 0)->zone_mask;
    }
    if (mask == 0) {
        return UNPROTECTED_DISK_NOT_REACHABLE;
    }
    mask &= kind_of(headroom, vm->driver, vm->pool_mask, vm->selector_blob)
                ->zone_mask;
    if (mask == 0) {
        return UNPROTECTED_NO_MATCHING_HOST;
    }
    if (group != NULL) {
        if (group->zone_mask != 0) {
            mask &= group->zone_mask;
        }
        if (mask == 0 || group_leaves_none(headroom, group, zone, mask)) {
            return UNPROTECTED_GROUP_RULE;
        }
    }
    *zone_mask = mask;
    return PROTECTED;
}

/* --- The search ------------------------------------------------------------
 */

struct search {
    struct witness_want want;
    struct headroom *headroom;
    const struct vm *vm;
    const uint64_t *selected;               /* NULL: all. */
    const struct headroom_group_view *view; /* NULL: no strict group. */
};

static bool group_passes(const struct search *search, uint32_t host)
{
    const struct headroom *headroom = search->headroom;
    const struct group *group = search->view->group;

    return !(strict_hosts(group) &&
             tally_get(&headroom->host_tally, host) >= group->host_max) &&
           !(strict_domains(group) &&
             tally_get(&headroom->domain_tally,
                       fleet_hosts(headroom->fleet)[host].domain) >=
                 group->domain_max);
}

static bool passes(struct witness_want *want, uint32_t host)
{
    const struct search *search = container_of(want, struct search, want);
    const struct headroom_traits *traits = &search->headroom->traits[host];
    const struct vm *vm = search->vm;

    return (traits->driver_mask >> vm->driver & 1) != 0 &&
           (vm->pool_mask & ~traits->pool_mask) == 0 &&
           (search->selected == NULL ||
            (search->selected[host / 64] >> host % 64 & 1) != 0) &&
           (search->view == NULL || group_passes(search, host));
}

uint32_t headroom_search(struct headroom *headroom, const struct vm *vm,
                         const struct witness_want *want)
{
    struct search search = {*want, headroom, vm, NULL, NULL};
    const struct group *group =
        headroom_strict_group(headroom->state, vm->group_plus1);
    struct headroom_group_view view;

    if (vm->pool_mask != 0 || vm->selector_blob != 0 || group != NULL ||
        headroom->driver_counts[vm->driver] != headroom->open_count) {
        search.want.passes = passes;
    }
    if (vm->selector_blob != 0) {
        search.selected =
            fleet_selected(headroom->fleet, headroom->state, vm->selector_blob);
    }
    if (group != NULL) {
        headroom_view(headroom, group, want->failing, &view);
        search.view = &view;
        search.want.zone_mask &= zones_for_one_more(&view);
    }
    return search.want.zone_mask == 0
               ? SLOT_NONE
               : witness_find(&headroom->witness, &search.want);
}
