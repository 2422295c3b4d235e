/* SPDX-License-Identifier: Apache-2.0 */
#include "node/watch_ring.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/view.h"

#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/watch_service.pb-c.h>

/* One object: a VM with a template of 16 KiB, several times over. */
#define EVENT_ARENA_BYTES (1u << 20)

void watch_ring_init(struct watch_ring *ring, uint32_t capacity,
                     uint64_t revision)
{
    *ring = (struct watch_ring){
        .entries = memory_alloc_array(capacity, sizeof(*ring->entries)),
        .capacity = capacity,
        .first = revision + 1,
        .next = revision + 1,
    };
    arena_init(&ring->arena, EVENT_ARENA_BYTES);
}

void watch_ring_close(struct watch_ring *ring)
{
    for (uint32_t i = 0; i < ring->capacity; i++) {
        free(ring->entries[i].data);
    }
    free(ring->entries);
    arena_close(&ring->arena);
}

void watch_ring_restart(struct watch_ring *ring, uint64_t revision)
{
    uint32_t capacity = ring->capacity;

    watch_ring_close(ring);
    watch_ring_init(ring, capacity, revision);
}

static void view_object(struct arena *arena, const struct state *state,
                        const struct event *event, Holdfast__V1__Event *view)
{
    switch (event->kind) {
    case EVENT_ZONE:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_ZONE;
        view->zone = view_zone(arena, state, event->zone, NULL);
        break;
    case EVENT_CLASS:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_VM_CLASS;
        view->vm_class = view_class(arena, state, event->class);
        break;
    case EVENT_HOST:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_HOST;
        view->host = view_host(arena, state, event->host, NULL, 0);
        break;
    case EVENT_VM:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_VM;
        view->vm = view_vm(arena, state, event->vm, false, NULL);
        break;
    case EVENT_SETTINGS:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_SETTINGS;
        view->settings = view_settings(arena, state);
        break;
    case EVENT_GROUP:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_GROUP;
        view->group = view_group(arena, state, event->group, GROUP_BRIEF);
        break;
    case EVENT_RESERVATION:
        view->object_case = HOLDFAST__V1__EVENT__OBJECT_RESERVATION;
        view->reservation =
            view_reservation(arena, state, event->reservation, NULL);
        break;
    }
}

static struct text name_of(const struct event *event)
{
    const char *name = "";

    switch (event->kind) {
    case EVENT_ZONE:
        name = event->zone->name;
        break;
    case EVENT_CLASS:
        name = event->class->name;
        break;
    case EVENT_HOST:
        name = event->host->name;
        break;
    case EVENT_VM:
        name = event->vm->name;
        break;
    case EVENT_GROUP:
        name = event->group->name;
        break;
    case EVENT_RESERVATION:
        name = event->reservation->name;
        break;
    case EVENT_SETTINGS:
        break;
    }
    return (struct text){name, (uint32_t)strlen(name)};
}

static void put(uint8_t **at, struct text text)
{
    if (text.len > 0) {
        memcpy(*at, text.data, text.len);
        *at += text.len;
    }
}

static uint8_t plus1(uint32_t zone)
{
    CHECK(zone == SLOT_NONE || zone < ZONES_MAX);
    return (uint8_t)(zone + 1);
}

static bool labels_differ(const struct event *event)
{
    struct text before = event->before.labels;
    struct text now = event->now.labels;

    return before.len != now.len ||
           (now.len > 0 && memcmp(before.data, now.data, now.len) != 0);
}

static void fill(struct watch_entry *entry, const struct event *event,
                 const Holdfast__V1__Event *view)
{
    struct text name = name_of(event);
    struct text before = {"", 0};
    uint8_t *at;

    CHECK(name.len < NAME_BYTES);
    *entry = (struct watch_entry){
        .revision = event->revision,
        .cause_revision = event->cause_revision,
        .kind = event->kind,
        .cause = event->cause,
        .len = (uint32_t)holdfast__v1__event__get_packed_size(view),
        .labels_len = event->now.labels.len,
        .name_len = (uint8_t)name.len,
        .labels_changed = labels_differ(event),
        .zone_plus1 = plus1(event->now.zone),
        .zone_before_plus1 = plus1(event->before.zone),
        .state = event->now.state,
        .state_before = event->before.state,
    };
    if (entry->labels_changed) {
        before = event->before.labels;
        entry->labels_before_len = before.len;
    }
    entry->data = memory_alloc((size_t)entry->len + name.len +
                               entry->labels_len + before.len);
    holdfast__v1__event__pack(view, entry->data);
    at = entry->data + entry->len;
    put(&at, name);
    put(&at, event->now.labels);
    put(&at, before);
}

void watch_ring_add(struct watch_ring *ring, const struct state *state,
                    const struct event *event)
{
    Holdfast__V1__Event view = HOLDFAST__V1__EVENT__INIT;
    struct watch_entry *entry = &ring->entries[ring->next % ring->capacity];

    CHECK(event->revision == ring->next); /* Rule 7. */
    arena_clear(&ring->arena);
    view.revision = event->revision;
    view.time_ms = event->time_ms;
    view.kind = (Holdfast__V1__Kind)event->kind;
    view.deleted = event->deleted;
    view.cause = (Holdfast__V1__Cause)event->cause;
    view.cause_revision = event->cause_revision;
    view_object(&ring->arena, state, event, &view);
    free(entry->data);
    fill(entry, event, &view);
    ring->next++;
    if (ring->next - ring->first > ring->capacity) {
        ring->first = ring->next - ring->capacity;
    }
}

struct text watch_entry_name(const struct watch_entry *entry)
{
    return (struct text){(const char *)entry->data + entry->len,
                         entry->name_len};
}

void watch_entry_now(const struct watch_entry *entry, struct event_facts *facts)
{
    struct text name = watch_entry_name(entry);

    *facts = (struct event_facts){
        .zone = (uint32_t)entry->zone_plus1 - 1,
        .state = entry->state,
        .labels = {name.data + name.len, entry->labels_len},
    };
}

void watch_entry_before(const struct watch_entry *entry,
                        struct event_facts *facts)
{
    watch_entry_now(entry, facts);
    facts->zone = (uint32_t)entry->zone_before_plus1 - 1;
    facts->state = entry->state_before;
    if (entry->labels_changed) {
        facts->labels = (struct text){facts->labels.data + facts->labels.len,
                                      entry->labels_before_len};
    }
}

const struct watch_entry *watch_ring_at(const struct watch_ring *ring,
                                        uint64_t revision)
{
    const struct watch_entry *entry = &ring->entries[revision % ring->capacity];

    CHECK(revision >= ring->first && revision < ring->next);
    CHECK(entry->revision == revision);
    return entry;
}

bool watch_ring_reaches(const struct watch_ring *ring, uint64_t revision)
{
    return revision + 1 >= ring->first;
}
