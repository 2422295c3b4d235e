/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/fleet.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "state/labels.h"

#include <stdlib.h>
#include <string.h>

/* Selectors whose hosts are remembered: 13 KB each at 100,000 hosts. */
#define SELECTORS_MAX 64

/* What only a registration changes, so that it is looked at only then. */
struct known {
    uint64_t uid;
    uint64_t generation;
    uint32_t own_zone_plus1; /* Where it last named no domain; 0: nowhere. */
    uint32_t own_domain;     /* Its number then. */
};

/* A fault domain's name within its zone. */
struct domain {
    struct domain *next; /* With the same hash. */
    uint32_t number;
    uint32_t zone;
    uint32_t len;
    char name[];
};

struct selector {
    uint32_t blob; /* 0: unused. */
    uint32_t len;
    char *labels;
    uint64_t *bits;
    uint64_t asked; /* When it was last asked for. */
};

struct fleet {
    struct fleet_host *hosts;
    struct known *known;
    uint32_t slots;
    uint32_t capacity;
    struct map domains; /* By hash. */
    uint32_t domain_count;
    uint32_t zone_domains[ZONES_MAX];
    struct selector selectors[SELECTORS_MAX];
    uint32_t selector_count; /* Those after them were never used. */
    uint64_t asked;
    uint64_t looks; /* Hosts whose labels were compared for a new selector. */
};

struct fleet *fleet_create(void)
{
    struct fleet *fleet = memory_alloc(sizeof(*fleet));

    map_init(&fleet->domains);
    return fleet;
}

static void forget_selector(struct selector *selector)
{
    free(selector->labels);
    free(selector->bits);
    *selector = (struct selector){0};
}

static void forget(struct fleet *fleet)
{
    size_t cursor = 0;
    struct domain *domain;

    while ((domain = map_next(&fleet->domains, &cursor)) != NULL) {
        while (domain != NULL) {
            struct domain *next = domain->next;

            free(domain);
            domain = next;
        }
    }
    map_close(&fleet->domains);
    map_init(&fleet->domains);
    fleet->domain_count = 0;
    memset(fleet->zone_domains, 0, sizeof(fleet->zone_domains));
    for (uint32_t i = 0; i < SELECTORS_MAX; i++) {
        forget_selector(&fleet->selectors[i]);
    }
    fleet->selector_count = 0;
    fleet->slots = 0;
}

void fleet_destroy(struct fleet *fleet)
{
    if (fleet == NULL) {
        return;
    }
    forget(fleet);
    map_close(&fleet->domains);
    free(fleet->hosts);
    free(fleet->known);
    free(fleet);
}

static uint32_t bit_words(uint32_t slots)
{
    return (slots + 63) / 64;
}

/* Memory for slots below `slots`. */
static void reserve(struct fleet *fleet, uint32_t slots)
{
    uint32_t former = fleet->capacity;
    uint32_t capacity = former * 2 > slots ? former * 2 : slots;

    if (slots <= former) {
        return;
    }
    capacity = bit_words(capacity) * 64;
    fleet->hosts =
        memory_realloc_array(fleet->hosts, capacity, sizeof(*fleet->hosts));
    fleet->known =
        memory_realloc_array(fleet->known, capacity, sizeof(*fleet->known));
    for (uint32_t i = 0; i < SELECTORS_MAX; i++) {
        struct selector *selector = &fleet->selectors[i];
        size_t words = bit_words(capacity);

        if (selector->blob != 0) {
            selector->bits = memory_realloc_array(selector->bits, words,
                                                  sizeof(*selector->bits));
            memset(selector->bits + bit_words(former), 0,
                   (words - bit_words(former)) * sizeof(*selector->bits));
        }
    }
    fleet->capacity = capacity;
}

/* Slots below `slots` are in use; new ones are holes. */
static void grow(struct fleet *fleet, uint32_t slots)
{
    if (slots > fleet->capacity) {
        reserve(fleet, slots);
    }
    for (; fleet->slots < slots; fleet->slots++) {
        fleet->hosts[fleet->slots] = (struct fleet_host){.zone = SLOT_NONE};
        fleet->known[fleet->slots] = (struct known){0};
    }
}

/* A host without a name for its domain is alone in it, and finds it again when
 * it is registered anew; in another zone it gets another one. */
static uint32_t own_domain(struct fleet *fleet, uint32_t slot, uint32_t zone)
{
    struct known *known = &fleet->known[slot];

    if (known->own_zone_plus1 != zone + 1) {
        known->own_zone_plus1 = zone + 1;
        known->own_domain = fleet->domain_count++;
        fleet->zone_domains[zone]++;
    }
    return known->own_domain;
}

static uint32_t domain_of(struct fleet *fleet, const struct state *state,
                          uint32_t slot, const struct host *host)
{
    struct text name = state_host_fault_domain(state, host);
    struct domain *first;
    struct domain *domain;
    uint64_t key;

    if (name.len == 0) {
        return own_domain(fleet, slot, host->zone);
    }
    key = hash_bytes(name.data, name.len, host->zone);
    first = map_get(&fleet->domains, key);
    for (domain = first; domain != NULL; domain = domain->next) {
        if (domain->zone == host->zone && domain->len == name.len &&
            memcmp(domain->name, name.data, name.len) == 0) {
            return domain->number;
        }
    }
    domain = memory_alloc(sizeof(*domain) + name.len);
    domain->next = first;
    domain->number = fleet->domain_count++;
    domain->zone = host->zone;
    fleet->zone_domains[host->zone]++;
    domain->len = name.len;
    memcpy(domain->name, name.data, name.len);
    map_put(&fleet->domains, key, domain);
    return domain->number;
}

/* Whether the labels have each of the selector's, with its value. Both are
 * sorted by key. */
static bool labels_match(struct text labels, struct text selector)
{
    struct label wanted;
    struct label label;

    while (labels_next(&selector, &wanted)) {
        bool found = false;

        while (!found && labels_next(&labels, &label)) {
            found =
                label.key.len == wanted.key.len &&
                memcmp(label.key.data, wanted.key.data, wanted.key.len) == 0;
        }
        if (!found || label.value.len != wanted.value.len ||
            memcmp(label.value.data, wanted.value.data, wanted.value.len) !=
                0) {
            return false;
        }
    }
    return true;
}

static void select_host(struct selector *selector, struct text labels,
                        uint32_t slot)
{
    struct text wanted = {selector->labels, selector->len};
    uint64_t bit = UINT64_C(1) << slot % 64;

    if (labels_match(labels, wanted)) {
        selector->bits[slot / 64] |= bit;
    } else {
        selector->bits[slot / 64] &= ~bit;
    }
}

static void registered(struct fleet *fleet, const struct state *state,
                       uint32_t slot, const struct host *host)
{
    struct fleet_host *entry = &fleet->hosts[slot];

    fleet->known[slot].uid = host->uid;
    fleet->known[slot].generation = host->generation;
    entry->domain = domain_of(fleet, state, slot, host);
    entry->zone = host->zone;
    entry->labels_blob = host->labels_blob;
    entry->capacity = host->capacity;
    entry->pool_mask = host->pool_mask;
    entry->driver_mask = host->driver_mask;
    entry->named_mask = amounts_mask(&host->named_capacity);
    entry->named_free = (struct amounts){{0}};
    for (uint32_t i = 0; i < fleet->selector_count; i++) {
        if (fleet->selectors[i].blob != 0) {
            select_host(&fleet->selectors[i],
                        state_blob(state, host->labels_blob), slot);
        }
    }
}

static uint32_t rest(uint32_t capacity, uint32_t used, uint32_t claimed)
{
    uint64_t taken = (uint64_t)used + claimed;

    return taken < capacity ? capacity - (uint32_t)taken : 0;
}

/* Hosts that have none at all have none free. */
static bool take_named(struct fleet_host *entry, const struct host *host)
{
    bool changed = false;

    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        uint32_t left = rest(host->named_capacity.of[i], host->named_used.of[i],
                             host->named_claimed.of[i]);

        changed |= entry->named_free.of[i] != left;
        entry->named_free.of[i] = left;
    }
    return changed;
}

static bool same_resources(const struct resources *a, const struct resources *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Whether anything differs from before. */
static bool take_amounts(struct fleet_host *entry, const struct host *host)
{
    const struct resources *all = &host->capacity;
    const struct resources *used = &host->used;
    const struct resources *claimed = &host->claimed;
    const struct resources left = {
        rest(all->cpu_milli, used->cpu_milli, claimed->cpu_milli),
        rest(all->memory_mib, used->memory_mib, claimed->memory_mib),
        rest(all->disk_gib, used->disk_gib, claimed->disk_gib),
        rest(all->gpu_count, used->gpu_count, claimed->gpu_count),
    };
    uint32_t vm_count = host->vm_count + host->claim_count;
    bool up = host->state == HOST_UP;
    bool cordoned = host->cordoned || host->draining;
    bool changed = entry->named_mask != 0 && take_named(entry, host);

    changed |= !same_resources(&entry->free, &left) ||
               !same_resources(&entry->used, used) ||
               entry->vm_count != vm_count || entry->up != up ||
               entry->cordoned != cordoned;
    entry->free = left;
    entry->used = *used;
    entry->vm_count = vm_count;
    entry->up = up;
    entry->cordoned = cordoned;
    return changed;
}

static void remove_host(struct fleet *fleet, uint32_t slot)
{
    fleet->hosts[slot] = (struct fleet_host){.zone = SLOT_NONE};
    fleet->known[slot] = (struct known){0};
    for (uint32_t i = 0; i < fleet->selector_count; i++) {
        if (fleet->selectors[i].blob != 0) {
            fleet->selectors[i].bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
        }
    }
}

static bool is_registered(const struct fleet *fleet, uint32_t slot,
                          const struct host *host)
{
    return slot < fleet->slots && fleet->known[slot].uid == host->uid &&
           fleet->known[slot].generation == host->generation;
}

enum fleet_change fleet_host_changed(struct fleet *fleet,
                                     const struct state *state, uint32_t slot,
                                     struct fleet_host *former)
{
    const struct host *host =
        slot < state_host_slots(state) ? state_host_at(state, slot) : NULL;

    if (host != NULL && is_registered(fleet, slot, host)) {
        return take_amounts(&fleet->hosts[slot], host) ? FLEET_ROOM
                                                       : FLEET_SAME;
    }
    if (host == NULL &&
        (slot >= fleet->slots || fleet->hosts[slot].zone == SLOT_NONE)) {
        return FLEET_SAME;
    }
    grow(fleet, slot + 1);
    *former = fleet->hosts[slot];
    if (host == NULL) {
        remove_host(fleet, slot);
    } else {
        registered(fleet, state, slot, host);
        take_amounts(&fleet->hosts[slot], host);
    }
    return FLEET_TRAITS;
}

void fleet_begin(struct fleet *fleet, const struct state *state)
{
    forget(fleet);
    reserve(fleet, state_host_slots(state));
}

const struct fleet_host *fleet_hosts(const struct fleet *fleet)
{
    return fleet->hosts;
}

uint32_t fleet_slots(const struct fleet *fleet)
{
    return fleet->slots;
}

uint32_t fleet_domains(const struct fleet *fleet)
{
    return fleet->domain_count;
}

uint32_t fleet_zone_domains(const struct fleet *fleet, uint32_t zone)
{
    return fleet->zone_domains[zone];
}

/* The one with these labels, or that which nobody asked for longest. */
static struct selector *selector_of(struct fleet *fleet, uint32_t blob,
                                    struct text labels)
{
    struct selector *oldest = &fleet->selectors[0];

    for (uint32_t i = 0; i < SELECTORS_MAX; i++) {
        struct selector *selector = &fleet->selectors[i];

        /* The number alone may mean other labels by now. */
        if (selector->blob == blob && selector->len == labels.len &&
            memcmp(selector->labels, labels.data, labels.len) == 0) {
            return selector;
        }
        if (selector->asked < oldest->asked) {
            oldest = selector;
        }
    }
    forget_selector(oldest);
    if (oldest == &fleet->selectors[fleet->selector_count]) {
        fleet->selector_count++;
    }
    return oldest;
}

const uint64_t *fleet_selected(struct fleet *fleet, const struct state *state,
                               uint32_t selector_blob)
{
    struct text labels = state_blob(state, selector_blob);
    struct selector *selector;

    if (selector_blob == 0) {
        return NULL;
    }
    selector = selector_of(fleet, selector_blob, labels);
    selector->asked = ++fleet->asked;
    if (selector->blob == 0) {
        selector->blob = selector_blob;
        selector->len = labels.len;
        selector->labels = memory_copy(labels.data, labels.len);
        selector->bits = memory_alloc_array(bit_words(fleet->capacity) + 1,
                                            sizeof(*selector->bits));
        fleet->looks += fleet->slots;
        for (uint32_t slot = 0; slot < fleet->slots; slot++) {
            if (fleet->hosts[slot].zone != SLOT_NONE) {
                select_host(selector,
                            state_blob(state, fleet->hosts[slot].labels_blob),
                            slot);
            }
        }
    }
    return selector->bits;
}

uint64_t fleet_looks(const struct fleet *fleet)
{
    return fleet->looks;
}

bool fleet_fits(const struct fleet_host *host, const struct resources *wanted,
                const struct amounts *named)
{
    if (host->free.cpu_milli < wanted->cpu_milli ||
        host->free.memory_mib < wanted->memory_mib ||
        host->free.disk_gib < wanted->disk_gib ||
        host->free.gpu_count < wanted->gpu_count) {
        return false;
    }
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        if (host->named_free.of[i] < named->of[i]) {
            return false;
        }
    }
    return true;
}
