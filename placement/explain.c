/* SPDX-License-Identifier: Apache-2.0
 *
 * A refusal in words: how many hosts said no and why, and what would help. */
#include "base/container.h"
#include "placement/placement.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    enum placement_refusal refusal;
    const char *words;
} phrases[] = {
    {REFUSED_CPU, "too little free CPU"},
    {REFUSED_MEMORY, "too little free memory"},
    {REFUSED_LOCAL_DISK, "too little free disk"},
    {REFUSED_VM_COUNT, "as many VMs as a host may have"},
    {REFUSED_DISK, "a disk's pool not reachable"},
    {REFUSED_DRIVER, "driver not offered"},
    {REFUSED_CORDONED, "cordoned"},
    {REFUSED_HOST_STATE, "lost"},
    {REFUSED_ZONE_STATE, "zone lost, held or cordoned"},
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
    default:
        return "nothing to do";
    }
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
    add(&writer, "; %s", cure_of(choice->reason));
}
