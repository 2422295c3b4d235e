/* SPDX-License-Identifier: Apache-2.0
 *
 * A refusal in words: how many hosts said no and why, and what would help. */
#include "base/container.h"
#include "placement/internal.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    enum placement_refusal refusal;
    const char *words;
} phrases[] = {
    {REFUSED_HEADROOM, "room only for what a zone's loss would bring"},
    {REFUSED_RESERVED, "room only in reservations"},
    {REFUSED_CLAIMED, "room only until VMs arrive that are on their way"},
    {REFUSED_CPU, "too little free CPU"},
    {REFUSED_MEMORY, "too little free memory"},
    {REFUSED_LOCAL_DISK, "too little free disk"},
    {REFUSED_GPU, "too few free GPUs"},
    {REFUSED_NAMED, "too little of a named resource"},
    {REFUSED_VM_COUNT, "as many VMs as a host may have"},
    {REFUSED_GROUP_HOST, "as many members of its group as a host may have"},
    {REFUSED_GROUP_DOMAIN,
     "in a fault domain with as many members of its group as allowed"},
    {REFUSED_GROUP_ZONE, "in a zone that its group's rules exclude"},
    {REFUSED_DISK, "a disk not reachable"},
    {REFUSED_SELECTOR, "labels missing that it asks for"},
    {REFUSED_DRIVER, "driver not offered"},
    {REFUSED_CORDONED, "cordoned or draining"},
    {REFUSED_HOST_STATE, "lost"},
    {REFUSED_ZONE_STATE, "zone lost, held, cordoned or draining"},
    {REFUSED_CLASS, "class not offered in the zone"},
    {REFUSED_MOVE, "not the target of the move"},
    {REFUSED_ZONE_RULE, "in another zone than the VM's"},
};

static const char *cure_of(enum pending_reason reason)
{
    switch (reason) {
    case PENDING_NO_CAPACITY:
        return "add hosts, or stop or shrink VMs";
    case PENDING_DISK_NOT_REACHABLE:
        return "mount the pool on more hosts";
    case PENDING_DRIVER_NOT_OFFERED:
        return "add hosts with the driver";
    case PENDING_ZONE_UNAVAILABLE:
        return "bring hosts back, or uncordon host or zone";
    case PENDING_CLASS_NOT_OFFERED:
        return "offer the class in more zones";
    case PENDING_NO_MATCHING_HOST:
        return "label more hosts, or ask for fewer labels";
    case PENDING_GROUP_RULE:
        return "add zones, racks or hosts, or make the group's rule best "
               "effort";
    case PENDING_RESERVED:
        return "add hosts, or make the reservations smaller";
    case PENDING_HEADROOM:
        return "add hosts in other zones, or set headroom to warn";
    default:
        return "nothing to do";
    }
}

/* From the rule that is asked last to the first: a host that got further needs
 * less. */
static const struct {
    enum placement_refusal from; /* To the next row's, exclusive. */
    enum pending_reason reason;
} reasons[] = {
    {REFUSED_HEADROOM, PENDING_HEADROOM},
    {REFUSED_RESERVED, PENDING_RESERVED},
    {REFUSED_CPU, PENDING_NO_CAPACITY},
    {REFUSED_GROUP_ZONE, PENDING_GROUP_RULE},
    {REFUSED_DISK, PENDING_DISK_NOT_REACHABLE},
    {REFUSED_SELECTOR, PENDING_NO_MATCHING_HOST},
    {REFUSED_DRIVER, PENDING_DRIVER_NOT_OFFERED},
    {REFUSED_ZONE_STATE, PENDING_ZONE_UNAVAILABLE},
    {REFUSED_CLASS, PENDING_CLASS_NOT_OFFERED},
};

enum pending_reason reason_of(const uint32_t *refused)
{
    uint32_t to = PLACEMENT_REFUSAL_COUNT;

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        for (uint32_t at = reasons[i].from; at < to; at++) {
            if (refused[at] > 0) {
                return reasons[i].reason;
            }
        }
        to = reasons[i].from;
    }
    return PENDING_NO_CAPACITY;
}

struct writer {
    char *text;
    size_t size;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct writer *writer,
                                                      const char *format, ...)
{
    va_list args;
    int written;

    if (writer->len + 1 >= writer->size) {
        return;
    }
    va_start(args, format);
    written = vsnprintf(writer->text + writer->len, writer->size - writer->len,
                        format, args);
    va_end(args);
    if (written > 0) {
        writer->len += (size_t)written;
    }
}

/* Which loss could not be survived, and what is missing for it. */
static void add_missing(struct writer *writer, const struct state *state,
                        const struct placement_headroom *headroom)
{
    const struct zone *zone = headroom->zone < state_zone_slots(state)
                                  ? state_zone_at(state, headroom->zone)
                                  : NULL;
    const struct class *class =
        headroom->class_slot < state_class_slots(state)
            ? state_class_at(state, headroom->class_slot)
            : NULL;

    if (zone == NULL || class == NULL || headroom->count == 0) {
        return;
    }
    add(writer,
        "; if zone %s were lost, %u VM%s of class %s would find no room",
        zone->name, headroom->count, headroom->count == 1 ? "" : "s",
        class->name);
}

void placement_explain(const struct state *state,
                       const struct placement_choice *choice, char *text,
                       size_t size)
{
    struct writer writer = {text, size, 0};
    const char *separator = ": ";
    uint32_t hosts = state_counts(state)->hosts;

    if (size == 0) {
        return;
    }
    text[0] = '\0';
    if (hosts == 0) {
        add(&writer, "no host has registered yet; start holdfast-agent on "
                     "the hosts");
        return;
    }
    add(&writer, "none of %u host%s can take it", hosts, hosts == 1 ? "" : "s");
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        uint32_t count = choice->refused[phrases[i].refusal];

        if (count > 0) {
            add(&writer, "%s%u %s", separator, count, phrases[i].words);
            separator = ", ";
        }
    }
    if (choice->reason == PENDING_HEADROOM) {
        add_missing(&writer, state, &choice->headroom);
    }
    add(&writer, "; %s", cure_of(choice->reason));
}
