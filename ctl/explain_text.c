/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/explain.h"
#include "ctl/format.h"
#include "ctl/prose.h"
#include "ctl/view.h"
#include "ctl/view_group.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL_WIDTH 15

static void __attribute__((format(printf, 3, 4)))
line(struct bytes *out, const char *label, const char *format, ...)
{
    char text[2048];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    bytes_append_format(out, "%-*s", LABEL_WIDTH, label);
    prose_write(out, text, LABEL_WIDTH, LABEL_WIDTH);
}

static bool has_host(const Holdfast__V1__Vm *vm)
{
    return vm->status->host[0] != '\0';
}

static void write_now(const struct explanation *it, struct bytes *out)
{
    const Holdfast__V1__Vm *vm = it->vm;
    const Holdfast__V1__VmStatus *status = vm->status;
    struct view_state state = view_vm_state(&vm->base);
    char size[512];

    view_size(vm->resources, size, sizeof(size));
    line(out, "VM:", "%s, %s%s, priority %" PRIu32 "%s", vm->name,
         vm->resources == NULL ? "class " : "",
         vm->resources == NULL ? vm->class_name : size, vm->priority,
         vm->preemptible ? ", preemptible" : "");
    if (has_host(vm)) {
        line(out, "Now:", "%s on host %s in zone %s%s%s", state.text,
             status->host, status->zone,
             status->state_time_ms == 0 ? "" : " for ",
             status->state_time_ms == 0
                 ? ""
                 : format_age(status->state_time_ms, it->now_ms).text);
    } else {
        line(out, "Now:", "%s%s%s", state.text,
             status->state_time_ms == 0 ? "" : " for ",
             status->state_time_ms == 0
                 ? ""
                 : format_age(status->state_time_ms, it->now_ms).text);
    }
}

static const char *pending_words(Holdfast__V1__PendingReason reason)
{
    switch (reason) {
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_QUEUED:
        return "it is placed in the next turn; nothing is wrong";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_NO_CAPACITY:
        return "no host that its rules allow has enough free";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_ZONE_UNAVAILABLE:
        return "its zone is lost, held, drained or cordoned";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_CLASS_NOT_OFFERED:
        return "no usable zone offers its class";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_DISK_NOT_REACHABLE:
        return "no usable host reaches the pools of its disks";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_HELD_BY_POLICY:
        return "it is held back on purpose";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_DRIVER_NOT_OFFERED:
        return "no usable host has its driver";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_NO_MATCHING_HOST:
        return "no usable host has the labels that it asks for";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_GROUP_RULE:
        return "the rules of its group leave no host";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_HEADROOM:
        return "the room that is left keeps the loss of a zone survivable, and "
               "headroom is enforced";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_RESERVED:
        return "there is room in reservations only";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_PREEMPTING:
        return "preemptible VMs are being stopped for it";
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_PREEMPTED:
        return "it is preemptible and was stopped for a VM of higher priority";
    default:
        return "no reason was given";
    }
}

static const char *move_words(Holdfast__V1__MoveCause cause)
{
    switch (cause) {
    case HOLDFAST__V1__MOVE_CAUSE__MOVE_CAUSE_REQUEST:
        return "somebody asked for it";
    case HOLDFAST__V1__MOVE_CAUSE__MOVE_CAUSE_HOST_DRAIN:
        return "its host was drained";
    case HOLDFAST__V1__MOVE_CAUSE__MOVE_CAUSE_ZONE_DRAIN:
        return "its zone was drained";
    case HOLDFAST__V1__MOVE_CAUSE__MOVE_CAUSE_REBALANCE:
        return "zones were filled unevenly";
    case HOLDFAST__V1__MOVE_CAUSE__MOVE_CAUSE_PLAN:
        return "a plan was applied";
    case HOLDFAST__V1__MOVE_CAUSE__MOVE_CAUSE_PREEMPTION:
        return "a VM of higher priority needed its room";
    default:
        return "";
    }
}

/* What limits where it may be. */
static void write_where(const Holdfast__V1__Vm *vm, struct bytes *out)
{
    const Holdfast__V1__VmStatus *status = vm->status;
    char labels[512];

    view_map(&vm->base, "host_selector", labels, sizeof(labels));
    if (status->home_host[0] != '\0') {
        line(out, "Bound to:",
             "host %s: a local disk of it is there, so it runs nowhere else",
             status->home_host);
    } else if (vm->zone[0] != '\0') {
        line(out, "Bound to:", "zone %s: it was created for that zone alone",
             vm->zone);
    } else {
        line(out, "Zone:", "any; Holdfast chooses and may change it");
    }
    if (labels[0] != '\0') {
        line(out, "Hosts with:", "%s", labels);
    }
}

static void write_why(const Holdfast__V1__Vm *vm, struct bytes *out)
{
    const Holdfast__V1__VmStatus *status = vm->status;
    const char *moved = move_words(status->move_cause);
    bool moving = status->move_zone[0] != '\0' || status->move_host[0] != '\0';

    if (status->state == HOLDFAST__V1__VM_STATE__VM_STATE_PENDING) {
        line(out, "Why pending:", "%s", pending_words(status->pending_reason));
    }
    if (status->message[0] != '\0') {
        line(out, "In detail:", "%s", status->message);
    }
    if (moving) {
        line(out, "Moves to:", "%s %s%s%s%s",
             status->move_host[0] != '\0' ? "host" : "zone",
             status->move_host[0] != '\0' ? status->move_host
                                          : status->move_zone,
             moved[0] == '\0' ? "" : ": ", moved,
             status->move_queued
                 ? "; it runs on where it is until it is its turn"
                 : "");
    } else if (moved[0] != '\0') {
        line(out, "Last move:", "%s; restarts after a loss are no moves",
             moved);
    }
    if (status->last_end[0] != '\0') {
        line(out, "Last end:", "%s", status->last_end);
    }
}

static void write_group(const struct explanation *it, struct bytes *out)
{
    const Holdfast__V1__Group *group = it->group;
    char rule[512];

    if (it->vm->group[0] == '\0') {
        return;
    }
    if (group == NULL) {
        line(out, "Group:", "%s", it->vm->group);
        return;
    }
    view_group_rule(group, rule, sizeof(rule));
    line(out, "Group:", "%s: %s", group->name, rule);
    if (group->domain_max > 0) {
        line(out, "", "at most %" PRIu32 " in a fault domain",
             group->domain_max);
    }
    if (group->host_max > 0) {
        line(out, "", "at most %" PRIu32 " on a host", group->host_max);
    }
    if (group->status != NULL && group->status->n_zones > 0) {
        char zones[512];
        size_t used = 0;

        for (size_t i = 0; i < group->status->n_zones && used < sizeof(zones);
             i++) {
            used += (size_t)snprintf(zones + used, sizeof(zones) - used,
                                     "%s%" PRIu32 " in %s", i == 0 ? "" : ", ",
                                     group->status->zones[i]->member_count,
                                     group->status->zones[i]->zone);
        }
        line(out, "", "its members now: %s", zones);
    }
}

static const char *unprotected_words(Holdfast__V1__UnprotectedReason reason)
{
    switch (reason) {
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_ZONAL:
        return "it may run in one zone only";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_LOCAL_DISK:
        return "it has a local disk";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_DISK_NOT_REACHABLE:
        return "no host of another zone reaches its disks";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_CLASS_NOT_OFFERED:
        return "no other zone offers its class";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_NO_MATCHING_HOST:
        return "no host of another zone has its driver or the labels that it "
               "asks for";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_BY_GROUP:
        return "its group is not protected";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_PREEMPTIBLE:
        return "it is preemptible";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_GROUP_RULE:
        return "the rules of its group keep it from every other zone";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_KEEP:
        return "its host would have to prove that it is gone (on_partition: "
               "keep)";
    case HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_NO_HEADROOM:
        return "there is not enough room in the other zones; `holdfast zone "
               "list` shows what is missing";
    default:
        return "for a reason that this program does not know";
    }
}

static void write_loss(const struct explanation *it, struct bytes *out)
{
    const Holdfast__V1__VmStatus *status = it->vm->status;
    char label[LABEL_WIDTH + 80];

    if (!has_host(it->vm)) {
        return;
    }
    if (status->unprotected_reason ==
        HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_UNKNOWN) {
        line(out, "Protected:", "unknown: %s",
             it->plan != NULL &&
                     it->plan->headroom ==
                         HOLDFAST__V1__HEADROOM_MODE__HEADROOM_MODE_OFF
                 ? "headroom is off, so nothing is proved"
                 : "headroom is still being worked out");
    } else if (status->unprotected_reason == 0) {
        line(out, "Protected:",
             it->unplaced == NULL ? "yes"
                                  : "by its rules, but there is no room");
    } else {
        line(out, "Protected:", "no: %s",
             unprotected_words(status->unprotected_reason));
    }
    (void)snprintf(label, sizeof(label), "Without %s:", status->zone);
    if (strlen(label) >= LABEL_WIDTH) {
        (void)snprintf(label, sizeof(label), "Zone lost:");
    }
    if (it->step != NULL) {
        line(out, label,
             "it restarts on host %s in zone %s, running again after about %s "
             "(step %" PRIu32 " of %" PRIu32 ")",
             it->step->to_host, it->step->to_zone,
             format_seconds(it->step->downtime_ms).text, it->step->order,
             it->plan->totals == NULL ? 0 : it->plan->totals->restarts);
    } else if (it->unplaced != NULL) {
        line(out, label, "it finds no place: %s%s%s",
             pending_words(it->unplaced->reason),
             it->unplaced->message[0] == '\0' ? "" : ". ",
             it->unplaced->message);
    } else if (it->plan != NULL) {
        line(out, label, "it stays down until the zone is back");
    }
}

void explain_write(const struct explanation *it, struct bytes *out)
{
    write_now(it, out);
    write_why(it->vm, out);
    write_where(it->vm, out);
    write_group(it, out);
    write_loss(it, out);
}
