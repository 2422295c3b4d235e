/* SPDX-License-Identifier: Apache-2.0
 *
 * Events: the record as it is, how it was before as far as watches choose by
 * it, and why it changed. */
#include "base/check.h"
#include "base/memory.h"
#include "state/internal.h"

#include <stdlib.h>

static uint32_t zone_of_host(const struct state *state, uint32_t host_slot)
{
    const struct host *host;

    if (host_slot == SLOT_NONE) {
        return SLOT_NONE;
    }
    host = table_get(&state->tables[TABLE_HOST], host_slot);
    return host->zone;
}

static struct event_facts facts_of(const struct state *state,
                                   enum table_kind kind, uint32_t slot)
{
    const void *record = table_get(&state->tables[kind], slot);
    struct event_facts facts = {.zone = SLOT_NONE};
    const struct host *host;
    const struct vm *vm;

    switch (kind) {
    case TABLE_ZONE:
        facts.zone = slot;
        facts.state = ((const struct zone *)record)->state;
        break;
    case TABLE_HOST:
        host = record;
        facts.zone = host->zone;
        facts.state = host->state;
        facts.labels = state_blob(state, host->labels_blob);
        break;
    case TABLE_VM:
        vm = record;
        facts.zone = zone_of_host(state, vm->host);
        facts.state = vm->state;
        facts.labels = state_blob(state, vm->labels_blob);
        break;
    case TABLE_GROUP:
        facts.labels =
            state_blob(state, ((const struct group *)record)->labels_blob);
        break;
    case TABLE_RESERVATION:
        facts.zone = ((const struct reservation *)record)->zone;
        break;
    default:
        break;
    }
    return facts;
}

void telling_about(struct state *state, enum table_kind kind, uint32_t slot)
{
    state->telling.kind = kind;
    state->telling.slot = slot;
    state->telling.before = facts_of(state, kind, slot);
}

void telling_follow(struct state *state, enum event_cause cause)
{
    state->telling.cause = cause;
    state->telling.cause_revision = state->head.revision;
}

/* The change gives the labels up before it is told. */
static void keep_labels(struct telling *telling)
{
    struct text *labels = &telling->before.labels;

    if (labels->len > 0) {
        telling->labels = memory_copy(labels->data, labels->len);
        labels->data = telling->labels;
    }
}

static void about_host(struct state *state, const struct change *change)
{
    struct text name = change->host_register.name;
    uint32_t slot;

    switch (change->kind) {
    case CHANGE_HOST_REGISTER:
        slot = record_named(state, TABLE_HOST, name);
        if (slot != SLOT_NONE) {
            telling_about(state, TABLE_HOST, slot);
            keep_labels(&state->telling);
        }
        return;
    case CHANGE_HOST_FENCE:
        telling_about(state, TABLE_HOST,
                      slot_of_host(state, change->host_fence.host));
        return;
    default:
        return; /* Cordons and drains are none of the facts. */
    }
}

static void about_vm(struct state *state, const struct change *change)
{
    struct vm_id id;

    switch (change->kind) {
    case CHANGE_VM_DESIRE:
        id = change->vm_desire.vm;
        break;
    case CHANGE_VM_MOVE:
        id = change->vm_move.vm;
        break;
    case CHANGE_VM_PREEMPT:
        id = change->vm_preempt.vm;
        break;
    case CHANGE_VM_ASSIGN:
        id = change->vm_assign.vm;
        break;
    case CHANGE_VM_REPORT:
        id = change->vm_report.vm;
        break;
    case CHANGE_VM_RELEASE:
        id = change->vm_release.vm;
        break;
    case CHANGE_VM_UPDATE:
        id = change->vm_update.vm;
        break;
    default:
        return;
    }
    telling_about(state, TABLE_VM, slot_of_vm(state, id));
    if (change->kind == CHANGE_VM_UPDATE) {
        keep_labels(&state->telling);
    }
}

void telling_begin(struct state *state, const struct change *change)
{
    struct telling *telling = &state->telling;

    cause_of_change(state, change, &telling->cause, &telling->cause_revision);
    telling->slot = SLOT_NONE;
    about_host(state, change);
    about_vm(state, change);
    if (change->kind == CHANGE_ZONE_STATE) {
        telling_about(state, TABLE_ZONE,
                      slot_of_zone(state, change->zone_state.zone));
    } else if (change->kind == CHANGE_GROUP_UPDATE) {
        telling_about(state, TABLE_GROUP,
                      slot_of_group(state, change->group_update.group));
        keep_labels(telling);
    }
}

void telling_end(struct state *state)
{
    free(state->telling.labels);
    state->telling.labels = NULL;
    state->telling.slot = SLOT_NONE;
}

static struct event event_of(const struct state *state)
{
    const struct telling *telling = &state->telling;

    CHECK(telling->cause_revision < state->head.revision);
    return (struct event){
        .revision = state->head.revision,
        .time_ms = state->head.time_ms,
        .cause = telling->cause,
        .cause_revision = telling->cause_revision,
    };
}

void emit_settings(struct state *state, struct event_sink *sink)
{
    struct event event = event_of(state);

    event.kind = EVENT_SETTINGS;
    event.settings = &state->head.settings;
    event.before.zone = SLOT_NONE;
    event.now.zone = SLOT_NONE;
    if (sink != NULL) {
        sink->event(sink, &event);
    }
}

void emit(struct state *state, struct event_sink *sink, enum table_kind kind,
          uint32_t slot, bool deleted)
{
    const void *record = table_get(&state->tables[kind], slot);
    struct event event = event_of(state);

    if (sink == NULL) {
        return;
    }
    event.deleted = deleted;
    event.now = facts_of(state, kind, slot);
    event.before = state->telling.kind == kind && state->telling.slot == slot
                       ? state->telling.before
                       : event.now;
    switch (kind) {
    case TABLE_ZONE:
        event.kind = EVENT_ZONE;
        event.zone = record;
        break;
    case TABLE_CLASS:
        event.kind = EVENT_CLASS;
        event.class = record;
        break;
    case TABLE_HOST:
        event.kind = EVENT_HOST;
        event.host = record;
        break;
    case TABLE_GROUP:
        event.kind = EVENT_GROUP;
        event.group = record;
        break;
    case TABLE_RESERVATION:
        event.kind = EVENT_RESERVATION;
        event.reservation = record;
        break;
    default:
        CHECK(kind == TABLE_VM);
        event.kind = EVENT_VM;
        event.vm = record;
        break;
    }
    sink->event(sink, &event);
}
