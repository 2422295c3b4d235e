/* SPDX-License-Identifier: Apache-2.0
 *
 * What the best pass left out: another planned VM goes elsewhere for it, or
 * steps back where that is worth more; a VM that runs moves; preemptible ones
 * are stopped. One move deep, the first that does. VMs that move for others are
 * plain ones: without a group, local disk or selector. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

/* Hosts that are looked at for one VM. */
#define HOSTS_MAX_LOOKED 4096

uint32_t evacuation_item_cost(const struct evacuation *evacuation)
{
    uint32_t hosts = evacuation->open_hosts;

    return 200 + 2 * (hosts < HOSTS_MAX_LOOKED ? hosts : HOSTS_MAX_LOOKED);
}

/* What is reserved is not known here: who must leave it alone stays as the pass
 * has it. */
static bool is_settled(const struct evacuation *evacuation, uint32_t item)
{
    const struct item *it = &evacuation->items[item];

    return it->special ||
           (evacuation->wishes[it->wish].right == WISH_ORDINARY &&
            state_counts(evacuation->state)->reservations > 0);
}

bool evacuation_is_plain(const struct evacuation *evacuation, uint32_t item)
{
    const struct item *it = &evacuation->items[item];

    return it->tally == NONE && !is_settled(evacuation, item) &&
           evacuation->wishes[it->wish].selector_blob == 0;
}

/* --- The best pass again -------------------------------------------------- */

static void list_add(struct evacuation *evacuation, uint32_t item,
                     uint32_t host)
{
    evacuation->planned_next[item] = evacuation->planned_first[host];
    evacuation->planned_first[host] = item;
}

static void list_remove(struct evacuation *evacuation, uint32_t item,
                        uint32_t host)
{
    uint32_t *link = &evacuation->planned_first[host];

    while (*link != item) {
        CHECK(*link != NONE);
        link = &evacuation->planned_next[*link];
    }
    *link = evacuation->planned_next[item];
}

void evacuation_put_item(struct evacuation *evacuation, uint32_t item,
                         uint32_t host)
{
    const struct item *it = &evacuation->items[item];

    evacuation_unlink(evacuation, host);
    evacuation_take(evacuation, &evacuation->wishes[it->wish], host);
    evacuation_link(evacuation, host);
    evacuation->best[item] = host;
    list_add(evacuation, item, host);
    if (it->tally != NONE) {
        evacuation_group_count(evacuation, it->tally, host, 1);
    }
}

void evacuation_pull_item(struct evacuation *evacuation, uint32_t item)
{
    const struct item *it = &evacuation->items[item];
    uint32_t host = evacuation->best[item];

    evacuation_unlink(evacuation, host);
    evacuation_give(evacuation, &evacuation->wishes[it->wish], host);
    evacuation_link(evacuation, host);
    evacuation->best[item] = NONE;
    list_remove(evacuation, item, host);
    if (it->tally != NONE) {
        evacuation_group_count(evacuation, it->tally, host, -1);
    }
}

void evacuation_room_begin(struct evacuation *evacuation)
{
    uint32_t hosts = evacuation->host_slots;

    evacuation->planned_first = memory_alloc_array(hosts, sizeof(uint32_t));
    evacuation->planned_next =
        memory_alloc_array(evacuation->item_count, sizeof(uint32_t));
    memset(evacuation->planned_first, 0xff, hosts * sizeof(uint32_t));
    evacuation->leaving = memory_alloc_array(
        state_vm_slots(evacuation->state) / 64 + 1, sizeof(uint64_t));
    evacuation->freed = memory_alloc_array(hosts / 64 + 1, sizeof(uint64_t));
    evacuation_reset_rooms(evacuation);
    evacuation_tally_reset(evacuation);
    evacuation->failed_wish = NONE;
}

/* Takes what the best pass took; then all hosts go into their cells anew, for
 * one by one they would be looked for in these. */
static bool replay_work(struct evacuation *evacuation, uint32_t *budget)
{
    for (; evacuation->cursor<evacuation->item_count && * budget> 0;
         evacuation->cursor++, --*budget) {
        const struct item *it = &evacuation->items[evacuation->cursor];
        uint32_t host = evacuation->best[evacuation->cursor];

        if (host != NONE) {
            evacuation_take(evacuation, &evacuation->wishes[it->wish], host);
            list_add(evacuation, evacuation->cursor, host);
            if (it->tally != NONE) {
                evacuation_group_count(evacuation, it->tally, host, 1);
            }
        }
    }
    if (evacuation->cursor < evacuation->item_count) {
        return false;
    }
    evacuation_link_all(evacuation);
    *budget = 0;
    return true;
}

/* --- A place -------------------------------------------------------------- */

bool evacuation_host_allowed(const struct evacuation *evacuation,
                             const struct wish *wish, uint32_t host)
{
    uint16_t part = evacuation->part_of[host];

    return part != PARTS_MAX &&
           evacuation_part_allowed(evacuation, wish, &evacuation->parts[part]);
}

bool evacuation_is_freed(const struct evacuation *evacuation, uint32_t host)
{
    return (evacuation->freed[host / 64] >> host % 64 & 1) != 0;
}

/* The first host of a cell that has room; not `but`. */
static uint32_t find_in_cell(const struct evacuation *evacuation,
                             const struct wish *wish, uint32_t first,
                             uint32_t but)
{
    while (first != NONE &&
           (first == but || evacuation_is_freed(evacuation, first) ||
            !evacuation_host_fits(evacuation, wish, first))) {
        first = evacuation->rooms[first].next;
    }
    return first;
}

static uint32_t find_in_row(const struct evacuation *evacuation,
                            const struct wish *wish, const struct part *part,
                            uint32_t row, uint32_t but)
{
    const struct grid *grid = &evacuation->grid;
    uint32_t column = wish->need.memory_mib / grid->memory_unit;

    for (uint32_t word = column / 64; word < grid->stride / 64; word++) {
        uint64_t bits = part->filled[row * grid->stride / 64 + word];

        bits &= word == column / 64 ? UINT64_MAX << column % 64 : UINT64_MAX;
        for (; bits != 0; bits &= bits - 1) {
            uint32_t cell = row * grid->stride + word * 64 +
                            (uint32_t)__builtin_ctzll(bits);
            uint32_t host =
                find_in_cell(evacuation, wish, part->heads[cell], but);

            if (host != NONE) {
                return host;
            }
        }
    }
    return NONE;
}

static uint32_t find_in_part(const struct evacuation *evacuation,
                             const struct wish *wish, const struct part *part,
                             uint32_t but)
{
    uint32_t row = wish->need.cpu_milli / evacuation->grid.cpu_unit;
    uint32_t host = NONE;

    for (; host == NONE && row < evacuation->grid.rows; row++) {
        host = find_in_row(evacuation, wish, part, row, but);
    }
    return host;
}

/* A host with room for a plain VM, with little to spare; NONE. */
static uint32_t find_plain(const struct evacuation *evacuation,
                           const struct wish *wish, uint32_t but)
{
    for (uint32_t i = 0; i < evacuation->part_count; i++) {
        const struct part *part = &evacuation->parts[i];

        if (evacuation_part_allowed(evacuation, wish, part)) {
            uint32_t host = find_in_part(evacuation, wish, part, but);

            if (host != NONE) {
                return host;
            }
        }
    }
    return NONE;
}

/* Whether the item's rules let it run on the host, room aside. */
static bool rules_allow(struct evacuation *evacuation, uint32_t item,
                        uint32_t host)
{
    const struct item *it = &evacuation->items[item];
    const struct wish *wish = &evacuation->wishes[it->wish];

    if (it->special || !evacuation_host_allowed(evacuation, wish, host)) {
        return false;
    }
    if (wish->selector_blob != 0) {
        const uint64_t *bits = fleet_selected(
            evacuation->fleet, evacuation->state, wish->selector_blob);

        if ((bits[host / 64] >> host % 64 & 1) == 0) {
            return false;
        }
    }
    return it->tally == NONE ||
           ((evacuation_group_zones(evacuation, it->tally, wish) >>
                 evacuation_zone_of(evacuation, host) &
             1) != 0 &&
            evacuation_group_host(evacuation, it->tally, host) !=
                GROUP_REFUSES);
}

/* Whether the need would fit if so much more were free. */
static bool fits_with(const struct evacuation *evacuation,
                      const struct wish *wish, uint32_t host,
                      const struct resources *more)
{
    const struct room *room = &evacuation->rooms[host];

    if (wish->need.cpu_milli > (uint64_t)room->cpu_milli + more->cpu_milli ||
        wish->need.memory_mib > (uint64_t)room->memory_mib + more->memory_mib) {
        return false;
    }
    /* Disks, GPUs and what is named must be free already. */
    if (wish->extra) {
        struct wish rest = *wish;

        rest.need.cpu_milli = 0;
        rest.need.memory_mib = 0;
        return evacuation_host_fits(evacuation, &rest, host);
    }
    return room->vm_count < PLACEMENT_HOST_VMS_MAX;
}

/* --- Planned VMs give way ------------------------------------------------- */

/* Another one of this host finds a place elsewhere. */
static bool shift_planned(struct evacuation *evacuation, uint32_t item,
                          uint32_t host)
{
    const struct wish *wish = &evacuation->wishes[evacuation->items[item].wish];
    uint32_t other = evacuation->planned_first[host];

    for (; other != NONE; other = evacuation->planned_next[other]) {
        const struct wish *its =
            &evacuation->wishes[evacuation->items[other].wish];
        uint32_t target;

        if (!evacuation_is_plain(evacuation, other) || its->extra ||
            !fits_with(evacuation, wish, host, &its->need)) {
            continue;
        }
        target = find_plain(evacuation, its, host);
        if (target != NONE) {
            evacuation_pull_item(evacuation, other);
            evacuation_put_item(evacuation, other, target);
            evacuation_put_item(evacuation, item, host);
            return true;
        }
    }
    return false;
}

/* One that is worth less steps back. */
static bool replace_planned(struct evacuation *evacuation, uint32_t item,
                            uint32_t host)
{
    const struct item *it = &evacuation->items[item];
    const struct wish *wish = &evacuation->wishes[it->wish];
    uint32_t other = evacuation->planned_first[host];

    for (; other != NONE; other = evacuation->planned_next[other]) {
        const struct item *its = &evacuation->items[other];
        const struct wish *its_wish = &evacuation->wishes[its->wish];

        if (evacuation_is_plain(evacuation, other) && !its_wish->extra &&
            its_wish->right == wish->right && its->priority <= it->priority &&
            its_wish->need.cpu_milli < wish->need.cpu_milli &&
            fits_with(evacuation, wish, host, &its_wish->need)) {
            evacuation_pull_item(evacuation, other);
            evacuation_put_item(evacuation, item, host);
            return true;
        }
    }
    return false;
}

/* --- VMs that run give way ------------------------------------------------ */

static bool is_leaving(const struct evacuation *evacuation, uint32_t vm)
{
    return (evacuation->leaving[vm / 64] >> vm % 64 & 1) != 0;
}

static void add_helper(struct evacuation *evacuation, struct helper_step step)
{
    if (evacuation->helper_count == evacuation->helper_capacity) {
        evacuation->helper_capacity = evacuation->helper_capacity * 2 + 16;
        evacuation->helpers = memory_realloc_array(
            evacuation->helpers, evacuation->helper_capacity,
            sizeof(*evacuation->helpers));
    }
    evacuation->helpers[evacuation->helper_count++] = step;
    /* What others made room for stays there. */
    evacuation->items[step.before].special = true;
    evacuation->leaving[step.vm / 64] |= UINT64_C(1) << step.vm % 64;
}

static bool runs_here(const struct evacuation *evacuation, const struct vm *vm,
                      uint32_t slot)
{
    return (vm->state == VM_RUNNING || vm->state == VM_STARTING ||
            vm->state == VM_ASSIGNED) &&
           vm->moving == MOVE_NONE && vm->desired == DESIRED_RUNNING &&
           !vm->deleting && !is_leaving(evacuation, slot);
}

static bool may_move(const struct evacuation *evacuation, const struct vm *vm,
                     uint32_t slot, uint32_t priority)
{
    return runs_here(evacuation, vm, slot) && vm->state == VM_RUNNING &&
           vm->priority <= priority && vm->group_plus1 == 0 &&
           !vm->local_disk && vm->home_host_plus1 == 0 &&
           vm->selector_blob == 0;
}

static struct wish wish_of_running(const struct evacuation *evacuation,
                                   const struct vm *vm)
{
    const struct class *class =
        state_class_at(evacuation->state, vm->class_slot);
    struct wish wish = {
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_zone_mask = class->zone_mask,
        .need = class->resources,
        .named = class->named,
        .zone = vm->zone,
        .driver = vm->driver,
    };

    wish.extra =
        class->resources.disk_gib > 0 || class->resources.gpu_count > 0;
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        wish.extra = wish.extra || class->named.of[i] > 0;
    }
    return wish;
}

/* The room of a VM that runs is on the host no more. */
static void free_room(struct evacuation *evacuation, const struct wish *wish,
                      uint32_t host)
{
    struct wish plain = *wish;

    plain.extra = wish->extra && evacuation->extras != NULL;
    evacuation_unlink(evacuation, host);
    evacuation_give(evacuation, &plain, host);
    evacuation->rooms[host].starts++; /* It was none. */
    evacuation_link(evacuation, host);
    evacuation->freed[host / 64] |= UINT64_C(1) << host % 64;
}

static bool move_running(struct evacuation *evacuation, uint32_t item,
                         uint32_t host)
{
    const struct item *it = &evacuation->items[item];
    const struct wish *wish = &evacuation->wishes[it->wish];
    uint32_t slot = state_host_at(evacuation->state, host)->vm_first;

    while (slot != SLOT_NONE) {
        const struct vm *vm = state_vm_at(evacuation->state, slot);
        struct wish its = wish_of_running(evacuation, vm);
        uint32_t target = NONE;

        if (!its.extra && may_move(evacuation, vm, slot, it->priority) &&
            fits_with(evacuation, wish, host, &its.need)) {
            target = find_plain(evacuation, &its, host);
        }
        if (target != NONE) {
            free_room(evacuation, &its, host);
            evacuation_unlink(evacuation, target);
            evacuation_take(evacuation, &its, target);
            evacuation_link(evacuation, target);
            add_helper(evacuation, (struct helper_step){item, slot, target,
                                                        EVACUATION_MOVE});
            evacuation_put_item(evacuation, item, host);
            return true;
        }
        slot = vm->host_next;
    }
    return false;
}

/* --- Preemption ----------------------------------------------------------- */

struct victims {
    uint32_t host;
    uint32_t count;
    uint64_t priorities; /* Sum. */
    uint32_t vms[PLACEMENT_VICTIMS_MAX];
};

/* By how much the wish is too large, as shares of itself. */
static uint64_t lacking(const struct wish *wish, const struct resources *room)
{
    uint64_t lack = 0;

    if (wish->need.cpu_milli > room->cpu_milli) {
        lack += ((uint64_t)(wish->need.cpu_milli - room->cpu_milli) << 20) /
                    wish->need.cpu_milli +
                1;
    }
    if (wish->need.memory_mib > room->memory_mib) {
        lack += ((uint64_t)(wish->need.memory_mib - room->memory_mib) << 20) /
                    wish->need.memory_mib +
                1;
    }
    return lack;
}

/* The next victim: what helps most, among equals the lowest priority. */
static uint32_t next_victim(const struct evacuation *evacuation,
                            const struct victims *victims,
                            const struct wish *wish, uint32_t priority,
                            const struct resources *room)
{
    uint32_t slot = state_host_at(evacuation->state, victims->host)->vm_first;
    uint32_t best = SLOT_NONE;
    uint64_t best_lack = lacking(wish, room);
    uint32_t best_priority = 0;

    while (slot != SLOT_NONE) {
        const struct vm *vm = state_vm_at(evacuation->state, slot);
        bool taken = false;

        for (uint32_t i = 0; i < victims->count; i++) {
            taken = taken || victims->vms[i] == slot;
        }
        if (!taken && vm->preemptible && vm->priority < priority &&
            runs_here(evacuation, vm, slot)) {
            const struct resources *its =
                &state_class_at(evacuation->state, vm->class_slot)->resources;
            struct resources with = {
                .cpu_milli = room->cpu_milli + its->cpu_milli,
                .memory_mib = room->memory_mib + its->memory_mib};
            uint64_t lack = lacking(wish, &with);

            if (lack < best_lack || (best != SLOT_NONE && lack == best_lack &&
                                     vm->priority < best_priority)) {
                best = slot;
                best_lack = lack;
                best_priority = vm->priority;
            }
        }
        slot = vm->host_next;
    }
    return best;
}

/* The fewest that do, at most `max`; false: not enough. */
static bool choose_victims(const struct evacuation *evacuation, uint32_t item,
                           uint32_t max, struct victims *out)
{
    const struct item *it = &evacuation->items[item];
    const struct wish *wish = &evacuation->wishes[it->wish];
    const struct room *free_now = &evacuation->rooms[out->host];
    struct resources room = {.cpu_milli = free_now->cpu_milli,
                             .memory_mib = free_now->memory_mib};

    out->count = 0;
    out->priorities = 0;
    while (lacking(wish, &room) > 0) {
        uint32_t victim;
        const struct vm *vm;
        const struct resources *its;

        if (out->count == max) {
            return false;
        }
        victim = next_victim(evacuation, out, wish, it->priority, &room);
        if (victim == SLOT_NONE) {
            return false;
        }
        vm = state_vm_at(evacuation->state, victim);
        its = &state_class_at(evacuation->state, vm->class_slot)->resources;
        room.cpu_milli += its->cpu_milli;
        room.memory_mib += its->memory_mib;
        out->priorities += vm->priority;
        out->vms[out->count++] = victim;
    }
    return out->count > 0;
}

static bool preempt(struct evacuation *evacuation, uint32_t item)
{
    const struct wish *wish = &evacuation->wishes[evacuation->items[item].wish];
    uint32_t max = state_policy(evacuation->state)->preempt_max;
    struct victims best = {.host = NONE};
    /* In a large fleet each VM looks at other hosts. */
    uint64_t first = (uint64_t)item * HOSTS_MAX_LOOKED;
    uint32_t looked = 0;

    max = max < PLACEMENT_VICTIMS_MAX ? max : PLACEMENT_VICTIMS_MAX;
    for (uint32_t i = 0;
         max > 0 && i < evacuation->host_slots && looked < HOSTS_MAX_LOOKED;
         i++) {
        uint32_t host = (uint32_t)((first + i) % evacuation->host_slots);
        struct victims here = {.host = host};
        static const struct resources any = {UINT32_MAX, UINT32_MAX, 0, 0};

        if (!rules_allow(evacuation, item, host) ||
            !fits_with(evacuation, wish, host, &any)) {
            continue;
        }
        looked++;
        if (!choose_victims(evacuation, item, max, &here)) {
            continue;
        }
        if (best.host == NONE || here.count < best.count ||
            (here.count == best.count && here.priorities < best.priorities)) {
            best = here;
        }
    }
    if (best.host == NONE) {
        return false;
    }
    for (uint32_t i = 0; i < best.count; i++) {
        const struct vm *vm = state_vm_at(evacuation->state, best.vms[i]);
        struct wish its = wish_of_running(evacuation, vm);

        free_room(evacuation, &its, best.host);
        add_helper(evacuation, (struct helper_step){item, best.vms[i], NONE,
                                                    EVACUATION_PREEMPT});
    }
    evacuation_put_item(evacuation, item, best.host);
    return true;
}

/* --- One VM after another ------------------------------------------------- */

static bool place_directly(struct evacuation *evacuation, uint32_t item)
{
    const struct wish *wish = &evacuation->wishes[evacuation->items[item].wish];
    uint32_t host;

    if (!evacuation_is_plain(evacuation, item)) {
        return false;
    }
    host = find_plain(evacuation, wish, NONE);
    if (host != NONE) {
        evacuation_put_item(evacuation, item, host);
    }
    return host != NONE;
}

static bool make_room(struct evacuation *evacuation, uint32_t item,
                      bool (*how)(struct evacuation *evacuation, uint32_t item,
                                  uint32_t host))
{
    uint32_t looked = 0;

    for (uint32_t host = 0;
         host < evacuation->host_slots && looked < HOSTS_MAX_LOOKED; host++) {
        if (evacuation->part_of[host] == PARTS_MAX ||
            !rules_allow(evacuation, item, host)) {
            continue;
        }
        looked++;
        if (how(evacuation, item, host)) {
            return true;
        }
    }
    return false;
}

static bool place_somehow(struct evacuation *evacuation, uint32_t item)
{
    const struct item *it = &evacuation->items[item];

    return place_directly(evacuation, item) ||
           make_room(evacuation, item, shift_planned) ||
           make_room(evacuation, item, replace_planned) ||
           (evacuation->wishes[it->wish].right == WISH_RECOVERING &&
            make_room(evacuation, item, move_running)) ||
           preempt(evacuation, item);
}

/* --- All of them ---------------------------------------------------------- */

static bool anything_missing(const struct evacuation *evacuation)
{
    for (uint32_t i = 0; i < evacuation->item_count; i++) {
        if (evacuation->best[i] == NONE) {
            return true;
        }
    }
    return false;
}

static bool fill_work(struct evacuation *evacuation, uint32_t *budget)
{
    uint32_t cost = evacuation_item_cost(evacuation);

    while (evacuation->cursor<evacuation->item_count && * budget> 0) {
        uint32_t item = evacuation->cursor++;
        const struct item *it = &evacuation->items[item];

        if (evacuation->best[item] != NONE || is_settled(evacuation, item)) {
            continue;
        }
        /* What did not do for one does not do for the next one like it. */
        if (it->tally == NONE && it->wish == evacuation->failed_wish) {
            continue;
        }
        *budget -= *budget < cost ? *budget : cost;
        if (!place_somehow(evacuation, item)) {
            evacuation->failed_wish = it->wish;
        }
    }
    return evacuation->cursor == evacuation->item_count;
}

bool evacuation_room_work(struct evacuation *evacuation, uint32_t *budget)
{
    if (!evacuation->replayed) {
        evacuation->replayed = replay_work(evacuation, budget);
        evacuation->cursor = evacuation->replayed ? 0 : evacuation->cursor;
        return false;
    }
    if (!evacuation->exchanging) {
        if (!fill_work(evacuation, budget)) {
            return false;
        }
        evacuation->cursor = 0;
        evacuation->exchanging = true;
        if (evacuation->item_count > EVACUATION_EXCHANGE_MAX ||
            !anything_missing(evacuation)) {
            return true;
        }
    }
    return evacuation_exchange_work(evacuation, budget);
}
