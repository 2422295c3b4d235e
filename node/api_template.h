/* SPDX-License-Identifier: Apache-2.0
 *
 * A VM's template, checked and encoded as it is kept. */
#ifndef NODE_API_TEMPLATE_H
#define NODE_API_TEMPLATE_H

#include "node/api.h"

#include <holdfast/v1/resources.pb-c.h>

struct vm_template {
    enum driver driver;
    struct text pools[CHANGE_POOLS_MAX]; /* Lent from the message. */
    uint32_t pool_count;
    /* Zones that keep all of its replicated disks; 0: it has none. */
    uint64_t disk_zone_mask;
    bool local_disk;
    struct bytes encoded;
};

void vm_template_init(struct vm_template *template);
void vm_template_close(struct vm_template *template);

/* Whether the message keeps the rules of resources.proto, and all that it names
 * is known; otherwise the reply names the field, as part of `field`. */
bool api_check_template(struct api_reply *reply, const struct state *state,
                        const char *field,
                        const Holdfast__V1__VmTemplate *message,
                        struct vm_template *template);

/* Whether two VMs of it would open the same file for writing: a disk's path
 * has neither the VM's name nor its uid. The qemu driver's only; what a command
 * does with a path is its own business. */
bool api_template_shares(const Holdfast__V1__VmTemplate *message);

#endif
