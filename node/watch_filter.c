/* SPDX-License-Identifier: Apache-2.0 */
#include "node/watch_filter.h"

#include "node/api_check.h"
#include "node/limits.h"

#include <string.h>

static bool check_count(struct api_reply *reply, const char *field,
                        size_t count, size_t max)
{
    if (count <= max) {
        return true;
    }
    api_fail(reply, API_INVALID_FIELD, "%s: %zu given; at most %zu", field,
             count, max);
    return false;
}

static bool read_kinds(struct api_reply *reply,
                       const Holdfast__V1__WatchRequest *request,
                       struct watch_filter *filter)
{
    for (size_t i = 0; i < request->n_kinds; i++) {
        if (request->kinds[i] < HOLDFAST__V1__KIND__KIND_ZONE ||
            request->kinds[i] > HOLDFAST__V1__KIND__KIND_RESERVATION) {
            api_fail(reply, API_INVALID_FIELD,
                     "kinds: must be zone, class, host, vm, settings, group or "
                     "reservation");
            return false;
        }
        filter->kinds |= 1u << request->kinds[i];
    }
    return true;
}

static bool read_states(struct api_reply *reply,
                        const Holdfast__V1__WatchRequest *request,
                        struct watch_filter *filter)
{
    for (size_t i = 0; i < request->n_vm_states; i++) {
        uint64_t state = (uint64_t)request->vm_states[i];

        if (!api_check_range(reply, "vm_states", state, VM_PENDING, VM_LOST)) {
            return false;
        }
        filter->vm_states |= 1u << state;
    }
    for (size_t i = 0; i < request->n_host_states; i++) {
        uint64_t state = (uint64_t)request->host_states[i];

        if (!api_check_range(reply, "host_states", state, HOST_UP, HOST_LOST)) {
            return false;
        }
        filter->host_states |= 1u << state;
    }
    return true;
}

static bool read_names(struct api_reply *reply,
                       const Holdfast__V1__WatchRequest *request)
{
    if (!check_count(reply, "names", request->n_names, WATCH_NAMES_MAX) ||
        !check_count(reply, "name_prefixes", request->n_name_prefixes,
                     WATCH_PREFIXES_MAX)) {
        return false;
    }
    for (size_t i = 0; i < request->n_names; i++) {
        if (!api_check_name(reply, "names", request->names[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < request->n_name_prefixes; i++) {
        size_t len = strlen(request->name_prefixes[i]);

        if (len == 0 || len >= NAME_BYTES) {
            api_fail(reply, API_INVALID_FIELD,
                     "name_prefixes: must have 1 to %d characters",
                     NAME_BYTES - 1);
            return false;
        }
    }
    return true;
}

bool watch_filter_read(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__WatchRequest *request,
                       struct watch_filter *filter)
{
    *filter = (struct watch_filter){.request = request};
    return read_kinds(reply, request, filter) &&
           read_states(reply, request, filter) && read_names(reply, request) &&
           check_count(reply, "zones", request->n_zones, ZONES_MAX) &&
           api_check_zones(reply, state, "zones", request->zones,
                           request->n_zones, &filter->zones) &&
           label_filter_read(reply, request->filter, &filter->labels);
}

static bool takes_name(const Holdfast__V1__WatchRequest *request,
                       struct text name)
{
    if (request->n_names == 0 && request->n_name_prefixes == 0) {
        return true;
    }
    for (size_t i = 0; i < request->n_names; i++) {
        if (api_text_equals(text_of(request->names[i]), name)) {
            return true;
        }
    }
    for (size_t i = 0; i < request->n_name_prefixes; i++) {
        struct text prefix = text_of(request->name_prefixes[i]);

        if (prefix.len <= name.len &&
            memcmp(prefix.data, name.data, prefix.len) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_labels(enum event_kind kind)
{
    return kind == EVENT_HOST || kind == EVENT_VM || kind == EVENT_GROUP;
}

static bool takes_state(uint32_t states, uint8_t state)
{
    return states == 0 || (states >> state & 1) != 0;
}

/* What may change about an object. */
static bool takes(const struct watch_filter *filter, enum event_kind kind,
                  const struct event_facts *facts)
{
    if (filter->zones != 0 &&
        (facts->zone == SLOT_NONE || (filter->zones >> facts->zone & 1) == 0)) {
        return false;
    }
    if ((kind == EVENT_VM && !takes_state(filter->vm_states, facts->state)) ||
        (kind == EVENT_HOST &&
         !takes_state(filter->host_states, facts->state))) {
        return false;
    }
    return filter->labels.count == 0 ||
           (has_labels(kind) &&
            label_filter_takes(&filter->labels, facts->labels));
}

enum watch_choice watch_filter_choose(const struct watch_filter *filter,
                                      const struct watch_entry *entry)
{
    struct event_facts facts;

    if ((filter->kinds != 0 && (filter->kinds >> entry->kind & 1) == 0) ||
        !takes_name(filter->request, watch_entry_name(entry))) {
        return WATCH_SKIPS;
    }
    watch_entry_now(entry, &facts);
    if (takes(filter, entry->kind, &facts)) {
        return WATCH_TAKES;
    }
    watch_entry_before(entry, &facts);
    return takes(filter, entry->kind, &facts) ? WATCH_LEFT : WATCH_SKIPS;
}
