/* SPDX-License-Identifier: Apache-2.0
 *
 * Why no host takes a VM. The reason is that of the host that got furthest
 * through the rules, so the first one that lacks nothing but room ends the
 * search: mostly the one that ended the last. Only when no host gets so far are
 * all of them looked at, and to count them for a sentence. */
#include "placement/internal.h"

static enum pending_reason reason_at(enum placement_refusal refusal)
{
    uint32_t refused[PLACEMENT_REFUSAL_COUNT] = {0};

    refused[refusal] = 1;
    return reason_of(refused);
}

static bool is_hole(const struct placer *placer, uint32_t host)
{
    return host >= fleet_slots(placer->fleet) ||
           fleet_hosts(placer->fleet)[host].zone == SLOT_NONE;
}

/* As far as a host may get: a host that it is not bound to breaks the rule that
 * binds it. */
static enum placement_refusal furthest(const struct placement_query *query,
                                       enum placement_refusal *found)
{
    uint32_t only = choose_only_host(query->vm);
    enum placement_refusal others =
        query->vm->moving != MOVE_NONE && query->vm->move_host != SLOT_NONE
            ? REFUSED_MOVE
            : REFUSED_DISK;

    if (only == SLOT_NONE) {
        return REFUSED_CPU;
    }
    if (!is_hole(query->placer, only)) {
        *found = filter_host(query, only);
    }
    return *found > others ? *found : others;
}

/* No host has room; whatever lacks is known by the last rule that a host got
 * to. The reasons follow the order of the rules (explain.c), so hosts may be
 * asked in any order. */
static enum pending_reason reason_by_rules(const struct placement_query *query)
{
    struct placer *placer = query->placer;
    uint32_t slots = fleet_slots(placer->fleet);
    enum placement_refusal found = REFUSED_ZONE_RULE;
    enum placement_refusal most = furthest(query, &found);
    uint32_t first = placer->reason_host < slots ? placer->reason_host : 0;

    for (uint32_t i = 0; i < slots && found < most; i++) {
        uint32_t slot = first + i < slots ? first + i : first + i - slots;
        enum placement_refusal refusal;

        placer->looks++;
        if (is_hole(placer, slot)) {
            continue;
        }
        refusal = filter_host(query, slot);
        if (refusal > found) {
            found = refusal;
            placer->reason_host = slot;
        }
    }
    return reason_at(found);
}

/* Whether some host would take it but for what headroom holds. */
static bool is_held_somewhere(const struct placement_query *query)
{
    struct placer *placer = query->placer;

    for (uint32_t slot = 0; slot < fleet_slots(placer->fleet); slot++) {
        placer->looks++;
        if (!is_hole(placer, slot) &&
            filter_host(query, slot) == REFUSED_HEADROOM) {
            return true;
        }
    }
    return false;
}

enum pending_reason refusal_reason(const struct placement_query *query,
                                   bool kept)
{
    const struct placer *placer = query->placer;

    if (!kept) {
        return reason_by_rules(query);
    }
    if (view_has_held(query->view)) {
        return PENDING_RESERVED;
    }
    if (view_has_reserved(query->view) || placer->reserve.active == 0) {
        return PENDING_HEADROOM;
    }
    return placer->held_size > 0 && is_held_somewhere(query) ? PENDING_HEADROOM
                                                             : PENDING_RESERVED;
}

void refusal_count(const struct placement_query *query, uint64_t not_zones,
                   uint32_t *refused)
{
    struct placer *placer = query->placer;

    for (uint32_t slot = 0; slot < fleet_slots(placer->fleet); slot++) {
        uint32_t zone = fleet_hosts(placer->fleet)[slot].zone;
        enum placement_refusal refusal;

        placer->looks++;
        if (zone == SLOT_NONE) {
            continue;
        }
        refusal = filter_host(query, slot);
        if (refusal == PLACEMENT_REFUSAL_COUNT &&
            (not_zones >> zone & 1) != 0) {
            refusal = REFUSED_HEADROOM;
        }
        if (refusal != PLACEMENT_REFUSAL_COUNT) {
            refused[refusal]++;
        }
    }
}
