/* SPDX-License-Identifier: Apache-2.0
 *
 * A choice under ENFORCE: the best host in each zone in turn, until headroom
 * admits the VM there. When all that have room would need what is held, slots
 * are moved off some of them. */
#include "placement/headroom_book.h"
#include "placement/internal.h"

/* Hosts of which slots are moved off for one VM. */
#define WAYS_MAX 16

bool headroom_guards(const struct placer *placer, const struct vm *vm)
{
    const struct headroom *headroom = placer_headroom(placer);

    /* One that holds room was asked for when it got that. */
    return headroom->mode == HEADROOM_ENFORCE && !vm->recovering &&
           !vm_holds_claim(vm);
}

/* It ran until just now and nobody wanted it stopped: it is not left lying for
 * a proof about what may come. What others hold it does not get. */
static bool ran_until_now(const struct vm *vm)
{
    return vm->epoch > 0 && (vm->not_before_ms != 0 || vm->moving != MOVE_NONE);
}

/* Asking looks at other VMs' selectors, and these bits are lent until then. */
static void renew_selected(struct placement_query *query)
{
    query->selected = fleet_selected(query->placer->fleet, query->state,
                                     query->vm->selector_blob);
}

static uint32_t zone_of(const struct placement_query *query, uint32_t host)
{
    return fleet_hosts(query->placer->fleet)[host].zone;
}

static enum headroom_answer ask(struct placement_query *query, uint32_t host,
                                struct placement_choice *choice)
{
    struct placement_headroom missing;
    enum headroom_answer answer =
        headroom_admits(placer_headroom(query->placer), query->state, query->vm,
                        host, &missing);

    renew_selected(query);
    if (answer == HEADROOM_YES) {
        choice->host = host;
    } else if (answer == HEADROOM_ASK_AGAIN) {
        choice->retry = true;
        choice->reason = PENDING_QUEUED;
    } else if (choice->headroom.count == 0) {
        choice->headroom = missing; /* The best zone's. */
    }
    return answer;
}

bool headroom_choose(struct placement_query *query,
                     struct placement_choice *choice, uint64_t *not_zones)
{
    uint32_t host = choose_host(query, 0);
    uint32_t unguarded = ran_until_now(query->vm) ? host : SLOT_NONE;

    while (host != SLOT_NONE) {
        if (ask(query, host, choice) != HEADROOM_NO) {
            return true;
        }
        *not_zones |= UINT64_C(1) << zone_of(query, host);
        host = choose_host(query, *not_zones);
    }
    choice->host = unguarded;
    return choice->host != SLOT_NONE;
}

bool headroom_choose_hard(struct placement_query *query,
                          struct placement_choice *choice, uint64_t not_zones)
{
    struct headroom *headroom = placer_headroom(query->placer);
    uint32_t slots = fleet_slots(query->placer->fleet);
    uint32_t tried = 0;

    for (uint32_t host = 0; host < slots && tried < WAYS_MAX; host++) {
        uint32_t zone = zone_of(query, host);

        query->placer->looks++;
        if (zone == SLOT_NONE || (not_zones >> zone & 1) != 0 ||
            filter_host(query, host) != REFUSED_HEADROOM) {
            continue;
        }
        tried++;
        if (choice->headroom.count == 0) {
            headroom_in_the_way(headroom, query->state, query->vm, host,
                                &choice->headroom);
        }
        if (!headroom_makes_way(headroom, query->state, query->vm, host)) {
            renew_selected(query);
            continue;
        }
        renew_selected(query);
        if (filter_host(query, host) == PLACEMENT_REFUSAL_COUNT &&
            ask(query, host, choice) != HEADROOM_NO) {
            return true;
        }
    }
    return false;
}
