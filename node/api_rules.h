/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs of rules that can never be kept at once. They are refused when the
 * second of them is written, by a message that names both: a VM that waits for
 * ever is found much later. One table for groups and VMs (api_rules.c). What
 * only today's hosts or zones forbid is no conflict: the VM waits, with its
 * reason. */
#ifndef NODE_API_RULES_H
#define NODE_API_RULES_H

#include "node/api.h"

/* What is written, about a group (`group` is set) or about one VM. Masks are
 * of zones by slot; 0: any zone. */
struct api_rules {
    const struct state *state;
    const struct group_fields *group;
    uint64_t own_zone;    /* A VM's only zone. */
    uint64_t group_zones; /* Of the group, or of the VM's group. */
    uint64_t class_zones;
    uint64_t disk_zones;
    bool local_disk;
    bool preemptible;
    bool keep;
    bool shares_disk; /* Two of it would write one file. */
    bool protect;     /* `protected: true` was written. */
};

/* Of a group's fields; what the message says besides is for the caller to set:
 * class_zones, shares_disk, protect. */
void api_rules_of_group(struct api_rules *rules, const struct state *state,
                        const struct group_fields *fields);

/* Fails the reply with the first conflict, unless `before`, what was in force
 * so far, has it already (NULL: nothing was): hosts and zones may have gone
 * since, and that must not stand in the way of other changes. `subject` is for
 * people: "group 'web'". */
bool api_check_rules(struct api_reply *reply, const char *subject,
                     const struct api_rules *rules,
                     const struct api_rules *before);

#endif
