/* SPDX-License-Identifier: Apache-2.0
 *
 * What PENDING VMs ask for, four bytes a VM: a plan after the loss of a zone
 * looks at all of these and not at all records, which are sixty times as large.
 * Equal asks share a number. */
#ifndef STATE_MARK_H
#define STATE_MARK_H

#include "state/records.h"

/* A VM's mark, from the lowest bit on: recovering (1 bit), where it last failed
 * (18 bits, only if it recovers), the number of its ask (13 bits). */
#define MARK_NONE 0u /* Not PENDING. */
#define MARK_READ 1u /* PENDING; the rest says only its record. */
#define ASK_FIRST 2u /* The marks of numbers below might be those. */
#define ASKS_END  (1u << 13)

/* As the fields of struct vm with these names; no gaps, for it is hashed. */
struct ask {
    uint64_t pool_mask;
    uint64_t disk_zone_mask;
    uint32_t class_slot;
    uint32_t zone;
    uint32_t selector_blob;
    uint32_t group_plus1;
    uint16_t priority;
    uint8_t driver;
    uint8_t preemptible;
    uint32_t padding;
};

/* 0 in both of the marks above. */
static inline uint32_t mark_ask(uint32_t mark)
{
    return mark >> 19;
}

static inline bool mark_recovering(uint32_t mark)
{
    return (mark & 1) != 0;
}

/* Slot of the host; only if it recovers. */
static inline uint32_t mark_last_host(uint32_t mark)
{
    return mark >> 1 & (HOSTS_MAX - 1);
}

#endif
