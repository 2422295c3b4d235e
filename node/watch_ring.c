/* SPDX-License-Identifier: Apache-2.0 */
#include "node/watch_ring.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/view.h"

#include <stdlib.h>

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
    view_object(&ring->arena, state, event, &view);
    free(entry->data);
    entry->revision = event->revision;
    entry->kind = event->kind;
    entry->len = (uint32_t)holdfast__v1__event__get_packed_size(&view);
    entry->data = memory_alloc(entry->len);
    holdfast__v1__event__pack(&view, entry->data);
    ring->next++;
    if (ring->next - ring->first > ring->capacity) {
        ring->first = ring->next - ring->capacity;
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
